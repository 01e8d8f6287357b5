"""Statistics of paired differences: one candidate minus another on each seed. NumPy and SciPy only."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

ALPHA = 0.05
POWER = 0.8
# float32 scores of one value differ by this much, relative to their size
_NO_SPREAD = 1e-6
_QUANTILES = 200


@dataclass(frozen=True)
class Comparison:
    """The difference of two candidates over the same seeds; ``nan`` is what the scores do not tell.

    Attributes:
        first: the candidate whose score counts as plus.
        second: the one whose score counts as minus.
        n: how many pairs.
        difference: the mean of ``first - second``, in units of the score.
        low: the lower end of the simultaneous interval, of 95 % in all: the intervals of a family cover together.
        high: the upper end.
        p: two-sided, of the paired t test, adjusted by Holm over the family, and for the family's share of the 5 %.
        effect: the mean divided by the standard deviation of the differences (Cohen's d_z).
        correlation: of the two scores over the seeds. The higher, the more the pairing helped.
        detectable: the true difference that n other such pairs find with 80 % power; see `detectable`.
    """

    first: str
    second: str
    n: int
    difference: float
    low: float
    high: float
    p: float
    effect: float
    correlation: float
    detectable: float

    @property
    def significant(self) -> bool:
        """Whether the difference is significant, in either direction, at 5 % for the whole family."""
        return self.p < ALPHA

    @property
    def margin(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


def compare(
    scores: Mapping[str, np.ndarray], pairs: Sequence[tuple[str, str]], alpha: float = ALPHA
) -> tuple[Comparison, ...]:
    """Return the comparison of each pair of candidates; all pairs together are one family.

    The intervals are those of Student's t with Bonferroni's level, ``alpha / len(pairs)``: together they cover with at
    least ``1 - alpha``, whatever the correlation. Holm's p-values (1979) reject at least what these intervals exclude.
    For the largest difference, which has the smallest p, both say the same.

    Args:
        scores: finite scores of each candidate, one a seed, in the order of the seeds.
        pairs: names of candidates.
        alpha: what the family may err. If it is less than 5 %, p-values grow by as much, so that below 5 % still means
            significant.
    """
    differences = {pair: scores[pair[0]] - scores[pair[1]] for pair in pairs}
    raw = {pair: _p_value(d, _size(scores, pair)) for pair, d in differences.items()}
    tested = [pair for pair in pairs if not math.isnan(raw[pair])]
    stricter = ALPHA / alpha
    adjusted = {pair: min(1, stricter * p) for pair, p in zip(tested, holm([raw[t] for t in tested]), strict=True)}
    made = []
    for pair, values in differences.items():
        n, mean = len(values), float(np.mean(values)) if len(values) else math.nan
        low = high = effect = least = math.nan
        if pair in adjusted:
            sd = float(np.std(values, ddof=1))
            half = float(stats.t.isf(alpha / len(tested) / 2, n - 1)) * sd / math.sqrt(n)
            low, high, effect = mean - half, mean + half, mean / sd
            least = detectable(sd, n, alpha / len(tested))
        correlation = _correlation(scores[pair[0]], scores[pair[1]])
        made.append(Comparison(*pair, n, mean, low, high, adjusted.get(pair, math.nan), effect, correlation, least))
    return tuple(made)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm's step-down method (1979), in the order given."""
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    return [float(x) for x in np.minimum(adjusted, 1)[np.argsort(order, kind="stable")]]


def power(difference: float, sd: float, n: int, alpha: float) -> float:
    """Return the power of the two-sided paired t test: the chance that n pairs show a true difference (noncentral t).

    Args:
        difference: the true mean of the differences.
        sd: their standard deviation.
        n: the number of pairs.
        alpha: the level of the test.
    """
    critical, shift = stats.t.isf(alpha / 2, n - 1), abs(difference) / sd * math.sqrt(n)
    # the other tail has no say where the power is worth a number; older SciPy takes the logarithm of a shift of 0
    with np.errstate(divide="ignore"):
        return float(stats.nct.sf(critical, n - 1, shift))


def detectable(sd: float, n: int, alpha: float) -> float:
    """Return the true difference that n other such pairs show with a power of 80 %.

    `sd` is an estimate: if it is too small, so is the difference. Therefore the power is the mean over what the
    estimate can be, ``E[power(effect * s, 1, n, alpha)]`` with ``(n - 1) s^2`` of a chi-squared distribution. That
    asks for 6 % more than the known standard deviation would with 16 pairs, and for 14 % more with 8.

    Args:
        sd: the standard deviation of the differences, estimated from n pairs.
        n: the number of pairs.
        alpha: the level of the test.
    """
    return sd * _detectable_effect(n, alpha)


@functools.lru_cache(maxsize=1024)
def _detectable_effect(n: int, alpha: float) -> float:
    critical = stats.t.isf(alpha / 2, n - 1)
    estimates = np.sqrt(stats.chi2.ppf((np.arange(_QUANTILES) + 0.5) / _QUANTILES, n - 1) / (n - 1))

    def missing(effect: float) -> float:
        with np.errstate(divide="ignore"):  # as in `power`
            return POWER - float(np.mean(stats.nct.sf(critical, n - 1, effect * math.sqrt(n) * estimates)))

    top = 2.0
    while missing(top) > 0:
        top *= 2
    return float(optimize.brentq(missing, top / 1e6, top))


def p_text(p: float) -> str:
    """Return a p-value as one writes it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def _p_value(differences: np.ndarray, size: float) -> float:
    """Two-sided; nan where there is no spread to measure a difference by."""
    n = len(differences)
    if n < 2 or np.std(differences, ddof=1) <= _NO_SPREAD * size:
        return math.nan
    return float(2 * stats.t.sf(abs(np.mean(differences)) / (np.std(differences, ddof=1) / math.sqrt(n)), n - 1))


def _size(scores: Mapping[str, np.ndarray], pair: tuple[str, str]) -> float:
    return float(np.max(np.abs([scores[name] for name in pair]), initial=0))


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    if len(x) < 3 or min(np.std(x), np.std(y)) <= _NO_SPREAD * np.max(np.abs([x, y])):
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])
