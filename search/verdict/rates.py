"""At which learning rate each candidate trains: scores at several rates in, a rate for each out.

NumPy and SciPy only. The scores are of seeds that the verdict never sees, on the validation data:
a rate that was chosen by luck is not judged by the same luck.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from ..strategy.rounding import is_rounding
from .paired import ALPHA, Comparison, compare


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
    """

    names: tuple[str, ...]
    factors: tuple[float, ...]
    scores: np.ndarray
    metric: str
    maximize: bool
    chosen: tuple[int, ...]
    own: float | None = None
    widened: bool = False

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
        """``"highest"`` or ``"lowest"`` if a chosen rate is at that end of the range, else empty."""
        if len(self.factors) - 1 in self.chosen:
            return "highest"
        if 0 in self.chosen:
            return "lowest"
        return ""

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
            "candidates": candidates,
        }


def written(factor: float, own: float | None) -> str:
    """Return a learning rate as one writes it; as a multiple where the model's own changes."""
    if own is None:
        return f"x{factor:.3g}"
    return f"{own * factor:.3g}"


def choose(scores: np.ndarray, maximize: bool) -> tuple[int, ...]:
    """Return for each candidate the index of its rate: one for all, but where another is clearly better.

    The rate for all is the one at which the candidates lose least on average against their own best
    rates. A candidate has another if it is better there by a one-sided paired t test, whose noise
    is estimated from all candidates and rates, at a level that all tests share. To take each one's
    best mean would give equal candidates unequal rates by luck, which a verdict could then take for
    a difference of the functions. A rate at which a training diverges is not taken, unless all are
    such.

    Args:
        scores: (K, R, S), nan where a training diverged.
        maximize: whether more is better.
    """
    signed = np.asarray(scores, float)
    if not maximize:
        signed = -signed
    finite = np.isfinite(signed).all(axis=2)
    means = np.where(finite, signed.mean(axis=2), -np.inf)
    common = _common(means, finite)
    shared = _pooled_deviation(signed, finite, common)
    tests = means.shape[0] * (means.shape[1] - 1)
    chosen = []
    for k, of_candidate in enumerate(means):
        best = int(np.argmax(of_candidate))
        if best == common or not finite[k, best]:
            chosen.append(common)
        elif not finite[k, common] or _clearly_better(signed[k], best, common, shared, tests):
            chosen.append(best)
        else:
            chosen.append(common)
    return tuple(chosen)


def _common(means: np.ndarray, finite: np.ndarray) -> int:
    """The rate at which candidates lose least on average against their best ones."""
    best = means.max(axis=1, keepdims=True)
    # the rates at which most candidates train to the end
    counts = finite.sum(axis=0)
    most = counts == counts.max()
    losses = np.where(finite, best - np.where(finite, means, 0.0), 0.0)
    average = losses.sum(axis=0) / np.maximum(counts, 1)
    return int(np.argmin(np.where(most, average, np.inf)))


@dataclass(frozen=True)
class _Spread:
    """The standard deviation of differences between rates on a seed, and its degrees of freedom."""

    deviation: float
    freedom: int


def _pooled_deviation(signed: np.ndarray, finite: np.ndarray, common: int) -> _Spread:
    squares = 0.0
    freedom = 0
    for k, of_candidate in enumerate(signed):
        if not finite[k, common]:
            continue
        for r, of_rate in enumerate(of_candidate):
            if r == common or not finite[k, r]:
                continue
            differences = of_rate - of_candidate[common]
            squares += float(((differences - differences.mean()) ** 2).sum())
            freedom += len(differences) - 1
    if freedom == 0:
        return _Spread(math.nan, 0)
    return _Spread(math.sqrt(squares / freedom), freedom)


def _clearly_better(
    scores: np.ndarray, best: int, common: int, spread: _Spread, tests: int
) -> bool:
    if spread.freedom == 0 or is_rounding(spread.deviation, scores):
        return False
    seeds = scores.shape[1]
    difference = float((scores[best] - scores[common]).mean())
    t = difference / (spread.deviation / math.sqrt(seeds))
    return float(stats.t.sf(t, spread.freedom)) < ALPHA / tests


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
        chosen=choose(in_order, maximize),
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
