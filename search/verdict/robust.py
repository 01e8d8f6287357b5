"""What stays honest where differences are skewed, or where one of them stands far from all others.

NumPy and SciPy only.

Student's t supposes that differences spread alike to both sides. Where they do not, its interval
ends too early on the side of the long tail: few seeds seldom hold a run from there, so that both
the mean and the deviation come out too small. Hall (1992) undoes the skewness of t by a cubic
transformation. To use it always would cost ordinary nets power, because the skewness of a few seeds
is mostly noise. So it is used for what exceeds that noise, three times over, and only to widen:
what is significant is so by both. `python -m benchmarks.verdict` measures what this costs and
gains.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from ..strategy.rounding import is_rounding

# standard errors of skewness that are taken for noise, and how often what exceeds them counts
_NOISE = 1.25
_TIMES = 3.0
# By how much larger a difference of normal scores must be to be found as often as by Student's test
# alone, times the number of seeds. Simulated for 4 to 32 seeds and levels of 0.5 to 5 %: 0.32 to
# 0.67. Without it 76 to 78 % are found of what 16 seeds are said to find with 80 %.
_COST = 0.55
# without them there is no skewness to speak of
_FEWEST = 4
# what a seed may carry of the spread before it is told, if that is no chance by Grubbs' test
_HALF = 0.5


def excess_skewness(differences: np.ndarray) -> float:
    """Return the skewness that chance does not explain, three times over; 0 if it explains all.

    The estimate is that of G1 (Joanes and Gill 1998), its standard error that of a normal
    distribution.
    """
    n = len(differences)
    if n < _FEWEST:
        return 0.0
    deviations = differences - np.mean(differences)
    biased = float(np.mean(deviations**3) / np.mean(deviations**2) ** 1.5)
    skewness = biased * math.sqrt(n * (n - 1)) / (n - 2)
    error = math.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))
    return math.copysign(_TIMES * max(0.0, abs(skewness) - _NOISE * error), skewness)


def stretching_costs(n: int) -> float:
    """Return by what factor the test of n differences needs larger ones than Student's alone."""
    if n < _FEWEST:
        return 1.0
    return 1 + _COST / n


@dataclass(frozen=True)
class MeanTest:
    """A two-sided test of a mean, and the interval that belongs to it.

    Attributes:
        low: the lower end of the interval.
        high: the upper end.
        p: below the level of the interval exactly where the interval does not hold 0.
        stretched: whether the interval reaches farther to the side of a long tail.
    """

    low: float
    high: float
    p: float
    stretched: bool


def mean_test(differences: np.ndarray, level: float) -> MeanTest:
    """Return Student's test and interval, stretched where the differences are skewed.

    Args:
        differences: that vary.
        level: what the test may err.
    """
    n = len(differences)
    mean = float(np.mean(differences))
    error = float(np.std(differences, ddof=1)) / math.sqrt(n)
    critical = _t_quantile(n - 1, level / 2)
    statistic = mean / error
    # how far the mean may be from the truth, to either side, in standard errors
    above = critical
    below = -critical
    evidence = abs(statistic)
    skewness = excess_skewness(differences)
    if skewness:
        # where the transformation's end is nearer, Student's is kept: an interval only grows
        above = max(critical, _from_symmetric(critical, skewness, n))
        below = min(-critical, _from_symmetric(-critical, skewness, n))
        transformed = _to_symmetric(statistic, skewness, n)
        evidence = min(evidence, math.copysign(1, statistic) * transformed)
    return MeanTest(
        low=mean - error * above,
        high=mean - error * below,
        p=min(1.0, 2 * float(special.stdtr(n - 1, -evidence))),
        stretched=bool(skewness),
    )


def _t_quantile(freedom: int, tail: float) -> float:
    """What Student's t exceeds with this probability."""
    return -float(special.stdtrit(freedom, tail))


def _to_symmetric(statistic: float, skewness: float, n: int) -> float:
    """Hall's transformation of a t statistic: rising, and near Student's where that is skewed."""
    root = skewness / math.sqrt(n)
    return ((1 + root * statistic / 3) ** 3 - 1) / root + root / 6


def _from_symmetric(quantile: float, skewness: float, n: int) -> float:
    """The statistic that Hall's transformation takes to a quantile."""
    root = skewness / math.sqrt(n)
    return 3 / root * (float(np.cbrt(1 + root * (quantile - root / 6))) - 1)


@dataclass(frozen=True)
class Signs:
    """On how many seeds one of two is better.

    Attributes:
        above: seeds on which the first has the higher score.
        below: those on which it has the lower one.
        p: two-sided, of the sign test; equal seeds say nothing. It holds whatever the scores are.
    """

    above: int
    below: int
    p: float


def signs(first: np.ndarray, second: np.ndarray) -> Signs:
    """Count the seeds on which one of two scores is higher."""
    # of two infinite scores, as failed trainings have them, neither is higher
    nothing = np.zeros(len(first))
    differences = np.subtract(first, second, out=nothing, where=first != second)
    finite = np.concatenate([first[np.isfinite(first)], second[np.isfinite(second)]])
    differ = np.array([not is_rounding(abs(value), finite) for value in differences], bool)
    above = int(np.sum(differ & (differences > 0)))
    below = int(np.sum(differ & (differences < 0)))
    p = 1.0
    if above + below:
        tail = float(special.bdtr(min(above, below), above + below, 0.5))
        p = min(1.0, 2 * tail)
    return Signs(above, below, p)


@dataclass(frozen=True)
class Farthest:
    """The seed whose difference is farthest from the mean.

    Attributes:
        index: of the seed.
        share: of the sum of squared deviations that it carries.
        without: the mean of all other differences.
        chance: whether the farthest of as many normal differences often carries as much.
    """

    index: int
    share: float
    without: float
    chance: bool

    @property
    def dominates(self) -> bool:
        """Whether the seed carries more than half of the spread, and chance does not explain it."""
        return self.share > _HALF and not self.chance


def farthest(differences: np.ndarray, level: float) -> Farthest:
    """Return the seed that is farthest from the mean.

    Args:
        differences: that vary.
        level: of Grubbs' test, which says whether it is chance.
    """
    n = len(differences)
    squares = np.square(differences - np.mean(differences))
    index = int(np.argmax(squares))
    share = float(squares[index] / np.sum(squares))
    without = float(np.mean(np.delete(differences, index)))
    chance = True
    if n > 2:
        # Grubbs' critical value, squared and divided by n - 1, is such a share
        critical = _t_quantile(n - 2, level / (2 * n)) ** 2
        chance = share <= (n - 1) / n * critical / (n - 2 + critical)
    return Farthest(index, share, without, chance)
