"""Statistics of paired differences: one candidate minus another on each seed.

NumPy and SciPy only.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from ..strategy.rounding import is_rounding

ALPHA = 0.05
POWER = 0.8
_QUANTILES = 200
_MOST = 1000  # seeds: beyond, nobody trains them


@dataclass(frozen=True)
class Comparison:
    """The difference of two candidates over the same seeds; ``nan`` is what the scores do not tell.

    Attributes:
        first: the candidate whose score counts as plus.
        second: the one whose score counts as minus.
        n: how many pairs.
        difference: the mean of ``first - second``, in units of the score.
        low: the lower end of the simultaneous interval, of 95 % in all: the intervals of a family
            cover together.
        high: the upper end.
        p: two-sided, of the paired t test, times the number of comparisons in the family
            (Bonferroni), and adjusted for the family's share of the 5 %. Below 5 % it is exactly
            where the interval does not hold 0.
        effect: the mean divided by the standard deviation of the differences (Cohen's d_z).
        correlation: of the two scores over the seeds. The higher, the more the pairing helped.
        detectable: the true difference that n other such pairs find with 80 % power; see
            `detectable`.
        same: whether the difference is the same on all seeds. Then there is no spread to measure it
            by, so no interval, and p is that of the sign test: n equal signs have a probability of
            ``2 ** (1 - n)``.
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
    same: bool = False

    @property
    def significant(self) -> bool:
        """Whether the difference is significant, in either direction, at 5 % for the whole family."""
        return self.p < ALPHA

    @property
    def margin(self) -> float:
        """Half the width of the interval; nan if there is none."""
        return (self.high - self.low) / 2


def compare(
    scores: Mapping[str, np.ndarray], pairs: Sequence[tuple[str, str]], alpha: float = ALPHA
) -> tuple[Comparison, ...]:
    """Return the comparison of each pair of candidates; all pairs together are one family.

    The intervals are those of Student's t with Bonferroni's level, ``alpha / len(pairs)``: together
    they cover with at least ``1 - alpha``, whatever the correlation. The p-values are Bonferroni's
    too, so that what is significant and what has an interval without 0 are the same. Step-down
    p-values (Holm 1979) would call some differences significant whose interval holds 0; the first
    of a family, and so whether there is any, would be the same.

    Args:
        scores: finite scores of each candidate, one a seed, in the order of the seeds.
        pairs: names of candidates.
        alpha: what the family may err. If it is less than 5 %, p-values grow by as much, so that
            below 5 % still means significant.
    """
    differences = {pair: scores[pair[0]] - scores[pair[1]] for pair in pairs}
    level = alpha / max(len(pairs), 1)
    return tuple(_comparison(pair, values, scores, level) for pair, values in differences.items())


def _comparison(
    pair: tuple[str, str], differences: np.ndarray, scores: Mapping[str, np.ndarray], level: float
) -> Comparison:
    """The comparison of one pair, whose test may err with `level`."""
    first, second = scores[pair[0]], scores[pair[1]]
    n = len(differences)
    mean = float(np.mean(differences)) if n else math.nan
    correlation = _correlation(first, second)
    if n < 2:
        return Comparison(
            *pair, n, mean, math.nan, math.nan, math.nan, math.nan, correlation, math.nan
        )
    sd = float(np.std(differences, ddof=1))
    if is_rounding(sd, first, second):
        none = is_rounding(abs(mean), first, second)
        p = 1.0 if none else adjusted(2.0 ** (1 - n), level)
        return Comparison(
            *pair,
            n,
            0.0 if none else mean,
            math.nan,
            math.nan,
            p,
            math.nan,
            correlation,
            math.nan,
            same=True,
        )
    test = stats.ttest_rel(first, second)
    interval = test.confidence_interval(1 - level)
    return Comparison(
        *pair,
        n,
        difference=mean,
        low=float(interval.low),
        high=float(interval.high),
        p=adjusted(float(test.pvalue), level),
        effect=mean / sd,
        correlation=correlation,
        detectable=detectable(sd, n, level),
    )


def adjusted(p: float, level: float) -> float:
    """Return a p-value that is below 5 % where p is below the level of its test."""
    return min(1.0, p * ALPHA / level)


def power(difference: float, sd: float, n: int, alpha: float) -> float:
    """Return the power of the two-sided paired t test.

    The chance that n pairs show a true difference (noncentral t).

    Args:
        difference: the true mean of the differences.
        sd: their standard deviation.
        n: the number of pairs.
        alpha: the level of the test.
    """
    critical, shift = stats.t.isf(alpha / 2, n - 1), abs(difference) / sd * math.sqrt(n)
    # the other tail has no say where the power is worth a number; older SciPy takes the logarithm
    # of a shift of 0
    with np.errstate(divide="ignore"):
        return float(stats.nct.sf(critical, n - 1, shift))


def detectable(sd: float, n: int, alpha: float) -> float:
    """Return the true difference that n other such pairs show with a power of 80 %.

    `sd` is an estimate: if it is too small, so is the difference. Therefore the power is the mean
    over what the estimate can be, ``E[power(effect * s, 1, n, alpha)]`` with ``(n - 1) s^2`` of a
    chi-squared distribution. That asks for 6 % more than the known standard deviation would with 16
    pairs, and for 14 % more with 8.

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
            return POWER - float(
                np.mean(stats.nct.sf(critical, n - 1, effect * math.sqrt(n) * estimates))
            )

    top = 2.0
    while missing(top) > 0:
        top *= 2
    return float(optimize.brentq(missing, top / 1e6, top))


def needed(effect: float, level: float) -> int | None:
    """Return how many pairs show an effect of this size with a power of 80 %.

    None if they are more than 1000.

    Args:
        effect: the true mean of the differences divided by their standard deviation.
        level: of the test.

    Example:
        >>> needed(0.5, 0.05)
        34
    """
    counts = range(2, _MOST + 1)
    found = bisect.bisect_left(counts, POWER, key=lambda n: power(effect, 1.0, n, level))
    return counts[found] if found < len(counts) else None


def needed_signs(level: float) -> int:
    """Return on how many seeds a difference must be the same, for the sign test to show it at this level."""
    return math.floor(1 - math.log2(level)) + 1


def p_text(p: float) -> str:
    """Return a p-value as one writes it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    if len(x) < 3 or is_rounding(min(np.std(x), np.std(y)), x, y):
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])
