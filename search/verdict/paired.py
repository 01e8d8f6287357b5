"""Statistics of paired differences: one candidate minus another on each seed.

NumPy and SciPy only.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, stats

from ..strategy.rounding import is_rounding
from .robust import farthest, mean_test, signs, stretching_costs

# a verdict's own level; a race has another, for another question
ALPHA = 0.05
# what a study is usually planned with: it misses one true difference in five
POWER = 0.8
# over which the power is averaged: twice as many change nothing in the first four digits
_QUANTILES = 200
_MOST = 1000  # seeds: beyond, nobody trains them


@dataclass(frozen=True)
class Comparison:
    """The difference of two candidates over the same seeds; ``nan`` is what the scores do not tell.

    Attributes:
        first: the candidate whose score counts as plus.
        second: the one whose score counts as minus.
        n: how many pairs.
        difference: the mean of ``first - second``, in units of the score; over the seeds on which
            neither diverged.
        low: the lower end of the simultaneous interval, of 95 % in all: the intervals of a family
            cover together. It is Student's, stretched where the differences are skewed; see
            `robust.mean_test`.
        high: the upper end.
        p: two-sided, of the test that belongs to the interval, times the number of comparisons in
            the family (Bonferroni), and adjusted for the family's share of the 5 %. Below 5 % it is
            exactly where the interval does not hold 0.
        effect: the mean divided by the standard deviation of the differences (Cohen's d_z).
        correlation: of the two scores over the seeds. The higher, the more the pairing helped.
        detectable: the true difference that n other such pairs find with 80 % power; see
            `detectable` and `robust.stretching_costs`.
        same: whether the difference is the same on all seeds. Then there is no spread to measure it
            by, so no interval, and p is that of the sign test: n equal signs have a probability of
            ``2 ** (1 - n)``.
        above: on how many seeds the first has the higher score; a failed training is below all.
        below: on how many it has the lower one.
        sign_p: of the sign test, two-sided and adjusted as p is.
        counted: whether some trainings of one of the two failed. No mean of a few seeds tells how
            often that happens, so there is no interval, and p is that of the sign test.
        contradicted: whether the one that is better on more seeds has the worse mean, or fails more
            often. Which one is better depends on what one asks then, so that there is no p.
        stretched: whether the interval reaches farther to one side than to the other.
        farthest: the seed, counted from 1, that carries more than half of the spread, where that is
            no chance; 0 if there is none.
        share: of the spread (the sum of squared deviations) that this seed carries.
        without: the mean difference without it.
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
    above: int = 0
    below: int = 0
    sign_p: float = math.nan
    counted: bool = False
    contradicted: bool = False
    stretched: bool = False
    farthest: int = 0
    share: float = math.nan
    without: float = math.nan

    @property
    def significant(self) -> bool:
        """Whether the difference is significant, in either direction, at 5 % for the whole family."""
        return self.p < ALPHA

    @property
    def margin(self) -> float:
        """Half the width of the interval; nan if there is none."""
        return (self.high - self.low) / 2


def compare(
    scores: Mapping[str, np.ndarray],
    pairs: Sequence[tuple[str, str]],
    alpha: float = ALPHA,
    *,
    failed: Mapping[str, np.ndarray] | None = None,
    maximize: bool = True,
) -> tuple[Comparison, ...]:
    """Return the comparison of each pair of candidates; all pairs together are one family.

    The intervals are those of Student's t with Bonferroni's level, ``alpha / len(pairs)``: together
    they cover with at least ``1 - alpha``, whatever the correlation. Where the differences are
    skewed they are wider. The p-values are Bonferroni's
    too, so that what is significant and what has an interval without 0 are the same. Step-down
    p-values (Holm 1979) would call some differences significant whose interval holds 0; the first
    of a family, and so whether there is any, would be the same.

    Args:
        scores: of each candidate, one a seed, in the order of the seeds; nan where a training
            diverged, which must be among the failed. Each pair has a seed on which neither did.
        pairs: names of candidates.
        alpha: what the family may err. If it is less than 5 %, p-values grow by as much, so that
            below 5 % still means significant.
        failed: for each candidate, which of its trainings failed; see `failures.failed_runs`. By
            default none.
        maximize: whether higher is better: a failed training counts as worse than all others.
    """
    differences = {pair: scores[pair[0]] - scores[pair[1]] for pair in pairs}
    level = alpha / max(len(pairs), 1)
    comparisons = []
    for pair, values in differences.items():
        told = _told(pair, values, scores, level)
        if failed is not None and any(failed[name].any() for name in pair):
            comparisons.append(_counted(told, scores, failed, maximize, level))
        else:
            comparisons.append(_measured(told, values, scores, level))
    return tuple(comparisons)


def _told(
    pair: tuple[str, str], differences: np.ndarray, scores: Mapping[str, np.ndarray], level: float
) -> Comparison:
    """What one pair tells without a test of its mean; nan is what it does not."""
    both = np.isfinite(differences)
    first = scores[pair[0]][both]
    second = scores[pair[1]][both]
    mean = math.nan
    if both.any():
        mean = float(np.mean(differences[both]))
    counts = signs(first, second)
    return Comparison(
        *pair,
        n=len(differences),
        difference=mean,
        low=math.nan,
        high=math.nan,
        p=math.nan,
        effect=math.nan,
        correlation=_correlation(first, second),
        detectable=math.nan,
        above=counts.above,
        below=counts.below,
        sign_p=adjusted(counts.p, level),
    )


def _measured(
    told: Comparison, differences: np.ndarray, scores: Mapping[str, np.ndarray], level: float
) -> Comparison:
    """The comparison of one pair by its mean difference, whose test may err with `level`."""
    if told.n < 2:
        return told
    first = scores[told.first]
    second = scores[told.second]
    sd = float(np.std(differences, ddof=1))
    if is_rounding(sd, first, second):
        if is_rounding(abs(told.difference), first, second):
            return replace(told, difference=0.0, p=1.0, same=True)
        return replace(told, p=adjusted(2.0 ** (1 - told.n), level), same=True)
    test = mean_test(differences, level)
    measured = replace(
        told,
        low=test.low,
        high=test.high,
        p=adjusted(test.p, level),
        effect=told.difference / sd,
        detectable=detectable(sd, told.n, level) * stretching_costs(told.n),
        stretched=test.stretched,
    )
    far = farthest(differences, level)
    if not far.dominates:
        return measured
    return replace(measured, farthest=far.index + 1, share=far.share, without=far.without)


def _counted(
    told: Comparison,
    scores: Mapping[str, np.ndarray],
    failed: Mapping[str, np.ndarray],
    maximize: bool,
    level: float,
) -> Comparison:
    """The comparison of two, of which one fails now and then: by the seeds on which each is better."""
    worst = math.inf
    if maximize:
        worst = -math.inf
    counts = signs(
        np.where(failed[told.first], worst, scores[told.first]),
        np.where(failed[told.second], worst, scores[told.second]),
    )
    majority = counts.above - counts.below
    # whom the failures speak for, as the sign of a score
    failures = int(failed[told.second].sum()) - int(failed[told.first].sum())
    if not maximize:
        failures = -failures
    contradicted = majority * failures < 0 or majority * told.difference < 0
    sign_p = adjusted(counts.p, level)
    p = sign_p
    if contradicted:
        p = math.nan
    return replace(
        told,
        p=p,
        above=counts.above,
        below=counts.below,
        sign_p=sign_p,
        counted=True,
        contradicted=contradicted,
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
    critical = stats.t.isf(alpha / 2, n - 1)
    shift = abs(difference) / sd * math.sqrt(n)
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
    """The true difference in standard deviations that n pairs show; see `detectable`."""
    critical = stats.t.isf(alpha / 2, n - 1)
    shares = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    # what the estimate of a standard deviation of 1 can be, each as likely
    estimates = np.sqrt(stats.chi2.ppf(shares, n - 1) / (n - 1))

    def missing(effect: float) -> float:
        """How much power is missing with this effect; the root is what is looked for."""
        with np.errstate(divide="ignore"):  # as in `power`
            powers = stats.nct.sf(critical, n - 1, effect * math.sqrt(n) * estimates)
        return POWER - float(np.mean(powers))

    top = 2.0
    while missing(top) > 0:
        top *= 2
    # not from 0 on: the root finder wants two ends of different signs, and 0 is a special case of
    # the distribution
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
    index = bisect.bisect_left(counts, POWER, key=lambda n: power(effect, 1.0, n, level))
    if index == len(counts):
        return None
    return counts[index]


def needed_signs(level: float) -> int:
    """Return on how many seeds a difference must be the same, for the sign test to show it at this level."""
    return math.floor(1 - math.log2(level)) + 1


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """The correlation of scores; nan of two pairs, where it is 1 or -1 whatever they are."""
    if len(x) < 3 or is_rounding(min(np.std(x), np.std(y)), x, y):
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])
