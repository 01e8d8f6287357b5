"""Racing: scores in, survivors out. What trains, and on what, is not known here.

NumPy and SciPy only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from ..strategy.rounding import is_rounding
from .schedule import Rung, cost, later_rungs

# how often a race may let the best of equal candidates go; the verdict's level is another fact
ALPHA = 0.05


@dataclass(frozen=True)
class RungTask:
    """What a race wants to be trained: every candidate on the seeds 0, 1, … until an epoch.

    The baseline is first.
    """

    candidates: tuple[Any, ...]
    seeds: int
    epochs: int


@dataclass(frozen=True)
class RungResult:
    """A heat with its scores, (K, S): higher is better, nan where a run diverged."""

    heat: RungTask
    scores: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """The mean score of each candidate, (K,); nan if one of its runs diverged."""
        return self.scores.mean(axis=1)


# (rounds so far, candidates that were ever in the race, how many) -> so many new ones; fewer, if
# there are no more
Propose = Callable[[Sequence[RungResult], set[Any], int], Sequence[Any]]


def survivors(
    scores: np.ndarray, keep: int, *, level: float = 0.0, kinds: Sequence[Hashable] | None = None
) -> list[int]:
    """Return which candidates go on, the baseline (row 0) always first, the others from the best on.

    A candidate with a diverged run never goes on and never takes a place: the next best does. One
    that is worse than the leader by a paired t test on the seeds leaves even where there is a place
    for it. The test is one-sided at ``level / (K - 1)``: since the best candidate of all is not
    truly worse than any other, it leaves wrongly with a probability of at most `level`, whichever
    of the K - 1 others leads.

    Where there are kinds, the best of each comes before the second best of any. Else variants of
    one that learns fast, which all score alike, fill a rung, and what learns slowly at first is out
    before it shows what it can.

    Args:
        scores: (K, S), higher is better, nan where a run diverged.
        keep: how many go on at most, besides the baseline.
        level: of the test; 0 for none.
        kinds: of each candidate.

    Example:
        >>> survivors(np.array([[0.1], [0.5], [np.nan], [0.3]]), keep=2)
        [0, 1, 3]
    """
    scores = np.asarray(scores, float)
    means = np.where(np.isfinite(scores).all(axis=1), scores.mean(axis=1), -np.inf)
    order = [int(k) for k in np.argsort(-means, kind="stable") if np.isfinite(means[k])]
    kept = [
        k
        for k in order
        if k == order[0] or not _worse(scores[k], scores[order[0]], level / (len(order) - 1))
    ]
    others = [k for k in kept if k]
    if kinds is not None:
        mine = [kinds[k] for k in others]
        before = [mine[:i].count(kind) for i, kind in enumerate(mine)]
        others = [others[i] for i in sorted(range(len(others)), key=before.__getitem__)]
    return [0, *others[:keep]]


def _worse(scores: np.ndarray, leader: np.ndarray, level: float) -> bool:
    """Whether the one-sided paired t test rejects, at this level, that they are as good as the leader's."""
    n = len(scores)
    if n < 2 or not level:
        return False
    differences = scores - leader
    mean, sd = float(differences.mean()), float(differences.std(ddof=1))
    # without a spread there is nothing to measure a difference by
    if is_rounding(sd, scores, leader):
        return False
    return bool(special.stdtr(n - 1, mean / (sd / math.sqrt(n))) < level)


class Race:
    """A race as a conversation: `ask` says what to train, `tell` takes the scores.

    Args:
        starts: the candidates that start first, the baseline first of all.
        rungs: as `schedule` makes them.
        propose: returns new candidates.
        kind: of a candidate, see `survivors`; by default each is of its own.

    Example:
        >>> race = Race(["relu", "mish", "elu"], schedule(3, 4, starts=3), propose=lambda rounds, known, count: [])
        >>> while (heat := race.ask()) is not None:
        ...     race.tell(train(heat))  # (K, S), higher is better
    """

    def __init__(
        self,
        starts: Sequence[Hashable],
        rungs: Sequence[Rung],
        propose: Propose,
        kind: Callable[[Any], Hashable] = lambda candidate: candidate,
    ):
        self.rungs = self._planned = tuple(rungs)
        self.rounds = list[RungResult]()
        self._starts, self._propose, self._kind = list(starts), propose, kind
        self._level = ALPHA / len(self.rungs)
        self._asked: RungTask | None = None

    def ask(self) -> RungTask | None:
        """Return what to train next; None when the race is over."""
        if self._asked is None and len(self.rounds) < len(self.rungs):
            rung = self.rungs[len(self.rounds)]
            enter = rung.enter
            if self.rounds:
                last = self.rounds[-1]
                kinds = [self._kind(candidate) for candidate in last.heat.candidates]
                going_on = survivors(last.scores, rung.keep, level=self._level, kinds=kinds)
                alive = [last.heat.candidates[k] for k in going_on]
                # those that diverged leave no gap: the rung is filled up
                enter += max(
                    0, min(rung.keep, len(last.scores) - 1) - int(np.isfinite(last.means[1:]).sum())
                )
            else:
                alive = self._starts[: 1 + enter]
                enter -= len(alive) - 1
            known = {c for done in self.rounds for c in done.heat.candidates} | set(alive)
            if enter > 0:
                alive += list(self._propose(self.rounds, known, enter))[:enter]
            self._asked = RungTask(tuple(alive), rung.seeds, rung.epochs)
        return self._asked

    def follow(self, rung: Rung) -> None:
        """Replace the rung to come, if there is one; between `tell` and `ask`."""
        done = len(self.rounds)
        self.rungs = (*self.rungs[:done], rung, *self.rungs[done + 1 :])

    def replan(self, left: int) -> None:
        """Fit the rungs to come into so many epochs of all runs, as far as that goes.

        Between `tell` and `ask`.
        """
        done = len(self.rounds)
        self.rungs = (*self.rungs[:done], *self._planned[done:])
        planned = cost(self.rungs) - cost(self.rungs[:done])
        if planned <= left:
            return
        coming, made = list(self.rungs[done:]), list[Rung]()
        before, alive = self.rungs[done - 1], self.rungs[done - 1].keep + self.rungs[done - 1].enter
        if coming[0].enter:
            before = coming.pop(0)
            before = replace(before, enter=before.enter * left // planned)
            made, alive, left = (
                [before],
                alive + before.enter,
                left - before.enter * before.seeds * before.epochs,
            )
        self.rungs = (
            *self.rungs[:done],
            *made,
            *later_rungs(before, [rung.epochs for rung in coming], left, alive),
        )

    def tell(self, scores: np.ndarray) -> None:
        """Take the scores of the heat that was asked for, (K, S).

        Higher is better, nan where a run diverged.
        """
        heat = self.ask()
        if heat is None or np.shape(scores) != (len(heat.candidates), heat.seeds):
            raise ValueError(
                f"The scores must be those of the heat asked for, {heat}. Received: {np.shape(scores)}"
            )
        self.rounds.append(RungResult(heat, np.where(np.isfinite(scores), scores, np.nan)))
        self._asked = None
