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


@dataclass(frozen=True)
class Comparison:
    """The difference of two candidates over the same seeds; ``nan`` is what the scores do not tell.

    Attributes:
        first: the candidate whose score counts as plus.
        second: the one whose score counts as minus.
        n: how many pairs.
        difference: the mean of ``first - second``, in units of the score.
        low: the lower end of the simultaneous 95 % interval: all intervals of a family cover together.
        high: the upper end.
        p: two-sided, of the paired t test, adjusted by Holm over the family.
        effect: the mean divided by the standard deviation of the differences (Cohen's d_z).
        correlation: of the two scores over the seeds. The higher, the more the pairing helped.
        detectable: the true difference that n such pairs find with 80 % power at the adjusted level.
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


def compare(scores: Mapping[str, np.ndarray], pairs: Sequence[tuple[str, str]]) -> tuple[Comparison, ...]:
    """Return the comparison of each pair of candidates; all pairs together are one family.

    The intervals are those of Student's t with Bonferroni's level, ``0.05 / len(pairs)``: together they cover with at
    least 95 %, whatever the correlation. Holm's p-values (1979) reject at least what these intervals exclude. For the
    largest difference, which has the smallest p, both say the same.

    Args:
        scores: finite scores of each candidate, one a seed, in the order of the seeds.
        pairs: names of candidates.
    """
    differences = {pair: scores[pair[0]] - scores[pair[1]] for pair in pairs}
    raw = {pair: _p_value(d, _size(scores, pair)) for pair, d in differences.items()}
    tested = [pair for pair in pairs if not math.isnan(raw[pair])]
    adjusted = dict(zip(tested, holm([raw[pair] for pair in tested]), strict=True))
    made = []
    for pair, values in differences.items():
        n, mean = len(values), float(np.mean(values)) if len(values) else math.nan
        low = high = effect = least = math.nan
        if pair in adjusted:
            sd = float(np.std(values, ddof=1))
            half = float(stats.t.isf(ALPHA / len(tested) / 2, n - 1)) * sd / math.sqrt(n)
            low, high, effect = mean - half, mean + half, mean / sd
            least = detectable(sd, n, ALPHA / len(tested))
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
    """Return the true difference that n pairs show with a power of 80 %."""
    return sd * _detectable_effect(n, alpha)


@functools.lru_cache(maxsize=1024)
def _detectable_effect(n: int, alpha: float) -> float:
    top = 2.0
    while power(top, 1, n, alpha) < POWER:
        top *= 2
    return float(optimize.brentq(lambda effect: power(effect, 1, n, alpha) - POWER, 0, top))


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
