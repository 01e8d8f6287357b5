"""At which learning rate each candidate trains: scores at several rates in, a rate for each out.

NumPy and SciPy only. The scores are of seeds that the verdict never sees, on the validation data:
a rate that was chosen by luck is not judged by the same luck.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from ..space.rated import written
from ..strategy.rounding import is_rounding
from .paired import ALPHA, Comparison, compare

# with fewer candidates, others do not tell where a rate makes all of them noisier
_FEWEST = 4


@dataclass(frozen=True, eq=False)
class RateStudy:
    """Candidates at several learning rates.

    Attributes:
        names: of the K candidates.
        factors: the R multiples of the model's own rate, rising.
        scores: (K, R, S) after the last epoch on the validation data, S seeds; nan where a training
            diverged.
        metric: of the scores.
        maximize: whether more of it is better.
        chosen: of each candidate the index of its factor.
        own: the model's own rate; None if it changes in the training.
        widened: whether rates were added, as the best was at an end.
        twice: another multiple at which the verdict trained the baseline too, as it may suit it as
            well; None if it did not.
    """

    names: tuple[str, ...]
    factors: tuple[float, ...]
    scores: np.ndarray
    metric: str
    maximize: bool
    chosen: tuple[int, ...]
    own: float | None = None
    widened: bool = False
    twice: float | None = None

    @property
    def seeds(self) -> int:
        """How many trainings each mean is of."""
        return int(self.scores.shape[2])

    def factor(self, name: str) -> float:
        """Return the multiple that was chosen for a candidate."""
        return self.factors[self.chosen[self.names.index(name)]]

    def rate(self, name: str) -> str:
        """Return a candidate's learning rate as one writes it: ``"0.004"``, or ``"x4"`` of a schedule."""
        return written(self.factor(name), self.own)

    def means(self) -> np.ndarray:
        """Return the mean over the seeds, (K, R); nan where a training diverged."""
        return self.scores.mean(axis=2)

    @property
    def best_at_end(self) -> str:
        """``"highest"`` or ``"lowest"`` if a chosen rate is at that end of the range, else empty.

        Not where its neighbour is as good.
        """
        for end in ("highest", "lowest"):
            if self.best_at(end):
                return end
        return ""

    def best_at(self, end: str) -> tuple[str, ...]:
        """Return the candidates whose chosen rate is at an end of the range, and better than the next."""
        outer, inner = {"highest": (len(self.factors) - 1, -2), "lowest": (0, 1)}[end]
        names = []
        for k, index in enumerate(self.chosen):
            if index == outer and self._is_better(k, outer, inner):
                names.append(self.names[k])
        return tuple(names)

    def _is_better(self, k: int, index: int, other: int) -> bool:
        """Whether a candidate's mean is better at one rate than at another, by more than rounding."""
        if len(self.factors) < 2 or not np.isfinite(self.scores[k, index]).all():
            return False
        if not np.isfinite(self.scores[k, other]).all():
            return True
        difference = float(self.scores[k, index].mean() - self.scores[k, other].mean())
        if not self.maximize:
            difference = -difference
        return difference > 0 and not is_rounding(difference, self.scores[k, index])

    def alternative(self, name: str) -> float | None:
        """Return the multiple that may suit a candidate as well as the chosen one.

        The best of the others by its mean; None if there is none at which no training diverged.
        """
        k = self.names.index(name)
        means = self.means()[k]
        if not self.maximize:
            means = -means
        means[self.chosen[k]] = np.nan
        if not np.isfinite(means).any():
            return None
        return self.factors[int(np.nanargmax(means))]

    def having(self, name: str, factor: float) -> RateStudy:
        """Return the study with another rate of those that were tried for one candidate."""
        chosen = list(self.chosen)
        chosen[self.names.index(name)] = self.factors.index(factor)
        return replace(self, chosen=tuple(chosen))

    def explains(self, name: str, baseline: str) -> bool:
        """Return whether the rate changes the difference of two candidates: a test says so.

        Of their difference at the model's own rate and at the chosen ones, on the same seeds; see
        `p_of_change`.
        """
        own = self.factors.index(1.0)
        moves = []
        for k in (self.names.index(name), self.names.index(baseline)):
            if not np.isfinite(self.scores[k, [own, self.chosen[k]]]).all():
                return False
            moves.append(Move(k, own, self.chosen[k]))
        return p_of_change(self.scores, *moves) < ALPHA

    def at_own_rate(self, baseline: str) -> tuple[Comparison, ...]:
        """Return each candidate minus the baseline, all at the model's own rate.

        Without those of which a training diverged there.
        """
        index = self.factors.index(1.0)
        scores = {name: self.scores[k, index] for k, name in enumerate(self.names)}
        healthy = {name: values for name, values in scores.items() if np.isfinite(values).all()}
        if baseline not in healthy:
            return ()
        return compare(healthy, [(name, baseline) for name in healthy if name != baseline])

    def gain(self, name: str) -> Comparison | None:
        """Return a candidate at its chosen rate minus itself at the model's own.

        None where these are the same, or a training diverged.
        """
        k = self.names.index(name)
        chosen = self.scores[k, self.chosen[k]]
        own = self.scores[k, self.factors.index(1.0)]
        if self.factors[self.chosen[k]] == 1 or not np.isfinite([*chosen, *own]).all():
            return None
        (comparison,) = compare({"chosen": chosen, "own": own}, [("chosen", "own")])
        return comparison

    def to_dict(self) -> dict[str, Any]:
        """Return the study as plain data."""
        means = self.means()
        candidates = []
        for k, name in enumerate(self.names):
            candidates.append(
                {"activation": name, "factor": self.factor(name), "means": means[k].tolist()}
            )
        return {
            "own": self.own,
            "factors": list(self.factors),
            "metric": f"val_{self.metric}",
            "seeds": self.seeds,
            "widened": self.widened,
            "baseline_also_at": self.twice,
            "candidates": candidates,
        }


def choose(scores: np.ndarray, factors: Sequence[float], maximize: bool) -> tuple[int, ...]:
    """Return for each candidate the index of its rate.

    It is the one with the best mean, where each mean is moved towards what the rate does for most
    candidates: the further, the less of what rates do for this one alone is more than noise (an
    estimate of James and Stein). Candidates that are alike so get one rate, and not each its own by
    luck; one that clearly wants another rate gets it. Of equally good rates the one nearest to the
    model's own is taken. A rate at which a training diverges is not, unless all are such.

    Args:
        scores: (K, R, S), nan where a training diverged.
        factors: the R multiples of the model's own rate.
        maximize: whether more is better.
    """
    signed = np.asarray(scores, float)
    if not maximize:
        signed = -signed
    finite = signed[np.isfinite(signed)]
    # the nearest to the model's own first: of equals it is taken
    nearest = [int(r) for r in np.argsort(np.abs(np.log(factors)), kind="stable")]
    chosen = []
    for of_candidate in _shrunken_means(signed):
        trained = [r for r in nearest if np.isfinite(of_candidate[r])]
        best = nearest[0]
        if trained:
            best = trained[0]
        for r in trained[1:]:
            difference = float(of_candidate[r] - of_candidate[best])
            if difference > 0 and not is_rounding(difference, finite):
                best = r
        chosen.append(best)
    return tuple(chosen)


def _shrunken_means(signed: np.ndarray) -> np.ndarray:
    """The mean of each candidate at each rate, (K, R), moved towards what the rate does for most.

    In units of each candidate's own noise, so that one that learns badly does not choose for all.
    -inf where a training diverged.
    """
    finite = np.isfinite(signed).all(axis=2)
    known = np.full(finite.shape, np.nan)
    units = np.ones(len(signed))
    for k, healthy in enumerate(finite):
        if healthy.any():
            of_candidate = signed[k, healthy]
            units[k] = _noise(of_candidate)
            known[k, healthy] = (of_candidate.mean(axis=1) - of_candidate.mean()) / units[k]
    of_most = np.array([_median(of_rate[np.isfinite(of_rate)]) for of_rate in known.T])
    shrunken = np.full(finite.shape, -np.inf)
    for k, healthy in enumerate(finite):
        own = known[k, healthy] - of_most[healthy]
        kept = _share_kept(own, signed.shape[2], alone=len(signed) == 1)
        shrunken[k, healthy] = units[k] * (of_most[healthy] + kept * own)
    return shrunken


def _median(values: np.ndarray) -> float:
    if len(values) == 0:
        return 0.0
    return float(np.median(values))


def _noise(scores: np.ndarray) -> float:
    """The deviation of a candidate's scores, (R, S), without what all rates of a seed share; 1 if none."""
    rates, seeds = scores.shape
    freedom = (rates - 1) * (seeds - 1)
    if freedom <= 0:
        return 1.0
    rest = scores - scores.mean(axis=1, keepdims=True)
    rest = rest - rest.mean(axis=0)
    deviation = float(np.sqrt((rest**2).sum() / freedom))
    if is_rounding(deviation, scores):
        return 1.0
    return deviation


def _share_kept(own: np.ndarray, seeds: int, *, alone: bool) -> float:
    """How much of what rates do for one candidate alone is no noise, from 0 to 1 (James and Stein).

    Args:
        own: what they do, in units of the noise of one training.
        seeds: that the means are of.
        alone: whether there is no other candidate to be like.
    """
    if alone:
        return 1.0
    seen = float((own**2).sum())
    if seeds < 2 or not seen > 0:
        return 0.0
    return max(0.0, 1 - (len(own) - 1) / seeds / seen)


def study(
    names: Sequence[str],
    factors: Sequence[float],
    scores: np.ndarray,
    *,
    metric: str,
    maximize: bool,
    own: float | None = None,
) -> RateStudy:
    """Return the study of scores, (K, R, S), with a rate for each candidate."""
    order = np.argsort(factors)
    rising = tuple(float(factors[r]) for r in order)
    in_order = np.asarray(scores, float)[:, order]
    return RateStudy(
        names=tuple(names),
        factors=rising,
        scores=in_order,
        metric=metric,
        maximize=maximize,
        chosen=choose(in_order, rising, maximize),
        own=own,
    )


def extended(known: RateStudy, factor: float, scores: np.ndarray) -> RateStudy:
    """Return a study with one rate more, whose scores are (K, S)."""
    all_scores = np.concatenate([known.scores, scores[:, None]], axis=1)
    wider = study(
        known.names,
        (*known.factors, factor),
        all_scores,
        metric=known.metric,
        maximize=known.maximize,
        own=known.own,
    )
    return replace(wider, widened=True)


class Move(NamedTuple):
    """A candidate that goes from one learning rate to another: their indices."""

    candidate: int
    start: int
    end: int


class _Noise(NamedTuple):
    """The variance of a change on one seed, and with how many degrees of freedom it is known."""

    variance: float
    freedom: float


def p_of_change(scores: np.ndarray, first: Move, second: Move) -> float:
    """Return how likely what the moves bring would differ as much if they brought the same.

    Rates are tried on a few seeds, of which the differences alone hardly tell their noise: a paired
    test of four has three degrees of freedom. But all candidates at all rates are trained on these
    seeds, and tell it too; how often this errs, `python -m benchmarks.rate_choice` shows.

    The noise is what the two have at these rates (Welch), or, if more, what they have at all rates
    without what a seed has at each, or what all candidates have at these rates. It is known as well
    as the second tells it. Few candidates do not tell it so well: then it is a paired test.

    Args:
        scores: (K, R, S), nan where a training diverged; not at the rates of the two moves.
        first: of one candidate.
        second: of another one.

    Returns:
        The p-value, two-sided; nan for a single seed.
    """
    change = _gain(scores, first) - _gain(scores, second)
    seeds = len(change)
    if seeds < 2:
        return math.nan
    noise = _Noise(_variance(change), seeds - 1)
    if len(scores) >= _FEWEST:
        noise = _noise_of(scores, first, second)
    mean = float(change.mean())
    known = scores[[first.candidate, second.candidate]]
    known = known[np.isfinite(known)]
    if is_rounding(math.sqrt(noise.variance), known):
        # without any noise there is no t test: each seed has one sign
        if is_rounding(abs(mean), known):
            return 1.0
        return float(2.0 ** (1 - seeds))
    t = abs(mean) / math.sqrt(noise.variance / seeds)
    return float(2 * special.stdtr(noise.freedom, -t))


def _noise_of(scores: np.ndarray, first: Move, second: Move) -> _Noise:
    """As `p_of_change` tells it; who stays at a rate has none."""
    moves = [move for move in (first, second) if move.start != move.end]
    here = sum(_variance(_gain(scores, move)) for move in moves)
    of_all = sum(_of_all_candidates(scores, move) for move in moves)
    at_all_rates = [_at_all_rates(scores[move.candidate]) for move in moves]
    everywhere = sum(noise.variance for noise in at_all_rates)
    # of Welch and Satterthwaite
    squares = sum(noise.variance**2 / noise.freedom for noise in at_all_rates)
    freedom = scores.shape[2] - 1.0
    if squares > 0:
        freedom = everywhere**2 / squares
    return _Noise(max(here, everywhere, of_all), freedom)


def _gain(scores: np.ndarray, move: Move) -> np.ndarray:
    """What a move brings, one number a seed."""
    return np.asarray(scores[move.candidate, move.end] - scores[move.candidate, move.start])


def _variance(gains: np.ndarray) -> float:
    return float(np.var(gains, ddof=1))


def _at_all_rates(scores: np.ndarray) -> _Noise:
    """The noise of a candidate's move between any two rates, from all at which none diverged, (R, S)."""
    healthy = scores[np.isfinite(scores).all(axis=1)]
    rates, seeds = healthy.shape
    freedom = (rates - 1) * (seeds - 1)
    rest = healthy - healthy.mean(axis=1, keepdims=True)
    rest = rest - rest.mean(axis=0)
    of_one_training = float((rest**2).sum()) / freedom
    return _Noise(2 * of_one_training, freedom)


def _of_all_candidates(scores: np.ndarray, move: Move) -> float:
    """The mean variance of what this move brings to each candidate that does not diverge there."""
    variances = []
    for candidate in range(len(scores)):
        gains = _gain(scores, move._replace(candidate=candidate))
        if np.isfinite(gains).all():
            variances.append(_variance(gains))
    return float(np.mean(variances))
