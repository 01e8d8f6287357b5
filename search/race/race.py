"""Racing: scores in, survivors out. What trains, and on what, is not known here.

NumPy and SciPy only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from ..strategy.rounding import is_rounding
from .schedule import Rung, cost, later_rungs, with_fewer

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
    """A task with its scores, (K, S): higher is better, nan where a run diverged."""

    task: RungTask
    scores: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """The mean score of each candidate, (K,); nan if one of its runs diverged."""
        return self.scores.mean(axis=1)


# (results so far, candidates that were ever in the race, how many) -> so many new ones; fewer, if
# there are no more
Propose = Callable[[Sequence[RungResult], set[Any], int], Sequence[Any]]


def survivors(
    scores: np.ndarray, keep: int, *, level: float = 0.0, kinds: Sequence[Hashable] | None = None
) -> list[int]:
    """Return which candidates go on: the baseline (row 0) first, then the others, the best first.

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
    healthy = np.isfinite(scores).all(axis=1)
    means = np.where(healthy, scores.mean(axis=1), -np.inf)
    ranking = [int(k) for k in np.argsort(-means, kind="stable") if np.isfinite(means[k])]
    others = []
    for k in ranking:
        leader = ranking[0]
        # the level is shared by the tests of all others: whichever of them leads, each may be the
        # best candidate of all
        if k != leader and surely_worse(scores[k], scores[leader], level / (len(ranking) - 1)):
            continue
        if k != 0:
            others.append(k)
    if kinds is not None:
        others = _best_of_each_first(others, kinds)
    return [0, *others[:keep]]


def _best_of_each_first(ranking: Sequence[int], kinds: Sequence[Hashable]) -> list[int]:
    """A ranking in which the best of each kind comes before the second best of any."""
    seen: Counter[Hashable] = Counter()
    ahead: dict[int, int] = {}  # how many of its own kind are better
    for k in ranking:
        ahead[k] = seen[kinds[k]]
        seen[kinds[k]] += 1
    # a stable sort: among those with as many ahead, the better stays the first
    return sorted(ranking, key=ahead.__getitem__)


def surely_worse(scores: np.ndarray, leader: np.ndarray, level: float) -> bool:
    """Return whether a one-sided paired t test at this level says that the leader's are better.

    Args:
        scores: (S,), higher is better.
        leader: (S,), of the same seeds.
        level: of the test; 0 for none.
    """
    n = len(scores)
    if n < 2 or not level:
        return False
    differences = scores - leader
    mean = float(differences.mean())
    sd = float(differences.std(ddof=1))
    # without a spread there is nothing to measure a difference by
    if is_rounding(sd, scores, leader):
        return False
    t = mean / (sd / math.sqrt(n))
    return bool(special.stdtr(n - 1, t) < level)


class Race:
    """A race as a conversation: `ask` says what to train, `tell` takes the scores.

    Attributes:
        rungs: those that ended, and those to come as they are planned now.
        rounds: the results of those that ended.
        level: how often each round may let the best go, where a test says that it is worse.

    Args:
        starts: the candidates that start first, the baseline first of all.
        rungs: as `schedule` makes them.
        propose: returns new candidates.
        kind: of a candidate, see `survivors`; by default each is of its own.
        must_start: kinds of which one starts even where the rounds are planned anew, if they can be
            proposed: else the time would choose among them.

    Example:
        >>> rungs = schedule(3, 4, starts=3)
        >>> race = Race(["relu", "mish", "elu"], rungs, propose=lambda rounds, known, count: [])
        >>> while (task := race.ask()) is not None:
        ...     race.tell(train(task))  # (K, S), higher is better
    """

    def __init__(
        self,
        starts: Sequence[Hashable],
        rungs: Sequence[Rung],
        propose: Propose,
        kind: Callable[[Any], Hashable] = lambda candidate: candidate,
        must_start: Collection[Hashable] = (),
    ):
        self.rungs = tuple(rungs)
        self.rounds: list[RungResult] = []
        self._planned = self.rungs
        self._starts = list(starts)
        self._propose = propose
        self._kind = kind
        self._must_start = set(must_start)
        # each rung is another look, at which the best may be lost
        self.level = ALPHA / len(self.rungs)
        self._asked: RungTask | None = None

    def ask(self) -> RungTask | None:
        """Return what to train next; None when the race is over."""
        if self._asked is None and len(self.rounds) < len(self.rungs):
            self._asked = self._next_task(self.rungs[len(self.rounds)])
        return self._asked

    def _next_task(self, rung: Rung) -> RungTask:
        if self.rounds:
            last = self.rounds[-1]
            alive = self._going_on(last, rung)
            # those that diverged leave no gap: the rung is filled up
            enter = rung.enter + _free_places(last, rung.keep)
        else:
            alive = self._starts[: 1 + rung.enter]
            enter = rung.enter - (len(alive) - 1)
        if enter > 0:
            known = self._known() | set(alive)
            alive += list(self._propose(self.rounds, known, enter))[:enter]
        return RungTask(tuple(alive), rung.seeds, rung.epochs)

    def _going_on(self, last: RungResult, rung: Rung) -> list[Any]:
        candidates = last.task.candidates
        kinds = [self._kind(candidate) for candidate in candidates]
        level = self.level
        if (rung.epochs, rung.seeds) == (last.task.epochs, last.task.seeds):
            # nobody trains on: to leave would save nothing
            level = 0.0
        going_on = survivors(last.scores, rung.keep, level=level, kinds=kinds)
        return [candidates[k] for k in going_on]

    @property
    def repeats(self) -> bool:
        """Whether the last round that ended was the one before once more: nobody trained."""
        if len(self.rounds) < 2:
            return False
        before, last = (result.task for result in self.rounds[-2:])
        if (before.epochs, before.seeds) != (last.epochs, last.seeds):
            return False
        return set(before.candidates) == set(last.candidates)

    def _known(self) -> set[Any]:
        """All candidates that were ever in the race."""
        known: set[Any] = set()
        for result in self.rounds:
            known.update(result.task.candidates)
        return known

    def follow(self, rung: Rung, of: int | None = None) -> None:
        """Replace the rung to come, if there is one; between `tell` and `ask`.

        Args:
            rung: which comes.
            of: how many there were when it ended: if it was the last, those behind it leave.
        """
        done = len(self.rounds)
        coming = self.rungs[done + 1 :]
        if of == done + 1:
            coming = ()
        self.rungs = (*self.rungs[:done], rung, *coming)

    def replan(self, left: int) -> None:
        """Fit the rungs to come into so many epochs of all runs, as far as that goes.

        Between `tell` and `ask`.
        """
        done = len(self.rounds)
        finished = self.rungs[:done]
        coming = self._planned[done:]
        self.rungs = (*finished, *coming)
        planned = cost(self.rungs) - cost(finished)
        if planned <= left:
            return
        before = finished[-1]
        alive = before.keep + before.enter
        if coming[0].enter:
            # the rung of proposed candidates stays, with as many as its share of the epochs allows
            entering = max(coming[0].enter * left // planned, self._least(coming[0]))
            if entering:  # else it would be a round in which nobody trains
                before = replace(coming[0], enter=entering)
                finished = (*finished, before)
            alive += entering
            left = max(0, left - entering * before.seeds * before.epochs)
            # a second rung of proposed candidates, if there is one, does not
            coming = tuple(rung for rung in coming if not rung.enter)
        if self._gives_more_seeds:
            ends = [rung.epochs for rung in coming]
            later = later_rungs(before, ends, left, alive)
        else:
            later = with_fewer(before, coming, left, alive)
        self.rungs = (*finished, *later)

    @property
    def _gives_more_seeds(self) -> bool:
        """Whether the finalists were planned to have more seeds than who leaves: a short race's have none."""
        return self._planned[-1].seeds > self._planned[0].seeds

    def _least(self, rung: Rung) -> int:
        """How many must start in a rung, so that each kind that must has started."""
        tried = {self._kind(candidate) for candidate in self._known()}
        return min(rung.enter, len(self._must_start - tried))

    @property
    def entering(self) -> tuple[int, int]:
        """How many are still to start, as it is planned now, and as it was at first."""
        done = len(self.rounds)
        now = sum(rung.enter for rung in self.rungs[done:])
        at_first = sum(rung.enter for rung in self._planned[done:])
        return now, at_first

    @property
    def going_on(self) -> tuple[int, int]:
        """How many go on into the next round, as it is planned now, and as it was at first.

        Besides the baseline; the same where others start in it, since all go on there.
        """
        done = len(self.rounds)
        coming = self.rungs[done:]
        if not done or not coming or coming[0].enter:
            return 0, 0
        challengers = len(self.rounds[-1].task.candidates) - 1
        now = min(coming[0].keep, challengers)
        for planned in self._planned[done:]:
            if planned.epochs == coming[0].epochs and not planned.enter:
                return now, min(planned.keep, challengers)
        return now, now

    def tell(self, scores: np.ndarray) -> None:
        """Take the scores of the task that was asked for, (K, S).

        Higher is better, nan where a run diverged.
        """
        task = self.ask()
        if task is None or np.shape(scores) != (len(task.candidates), task.seeds):
            raise ValueError(
                f"The scores must be those of the task asked for, {task}. "
                f"Received: {np.shape(scores)}"
            )
        finite_scores = np.where(np.isfinite(scores), scores, np.nan)
        self.rounds.append(RungResult(task, finite_scores))
        self._asked = None


def _free_places(last: RungResult, keep: int) -> int:
    """How many of the places of those that go on stay empty, as too few candidates are healthy."""
    challengers = last.means[1:]
    places = min(keep, len(challengers))
    healthy = int(np.isfinite(challengers).sum())
    return max(0, places - healthy)
