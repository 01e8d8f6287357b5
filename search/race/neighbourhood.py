"""Other activations for some groups: which to try, what they may cost, and when one is taken.

No TensorFlow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..space.assignment import Assignment
from ..space.candidate import Candidate
from .race import ALPHA, Race, surely_worse
from .schedule import Rung
from .surrogate import SurrogateProposer

_FINAL_SHARE = 0.4  # of all epochs
_RACE_SHARE = 2 / 3  # of the others
_LEAST_FINAL_RUNS = 4  # two choices, on two seeds
_MOST_FINAL_RUNS = 24
# three choices on seven seeds: a gain of one and a half deviations of a pair's difference is seen with
# 0.91, on five with 0.71; one change with the same runs has 0.99 and 0.96
_RUNS_FOR_TWO_CHANGES = 21
_LEAST_RACE_RUNS = 4  # whole trainings of a race of two candidates
_SHORT = 0.25  # of a whole training: how far changes train at first
_POOL = 256  # random changes of several groups, to propose from
_CHANGED_AT_ONCE = (2, 3)  # groups: the fewest and the most of a random change


@dataclass(frozen=True)
class Budget:
    """How many epochs the parts of a search for groups take.

    Attributes:
        race: for the best uniform choice.
        screening: for short runs of its changes.
        final: for whole trainings of the uniform choice and the best changes.
    """

    race: int
    screening: int
    final: int


def budget(total: int, epochs: int) -> Budget | None:
    """Return how a budget is shared; None if it is too small for more than the race.

    Args:
        total: how many epochs all runs together may take.
        epochs: of a whole training.

    Example:
        >>> budget(200, 10)
        Budget(race=80, screening=40, final=80)
    """
    affordable = int(_FINAL_SHARE * total / epochs)
    final = min(max(affordable, _LEAST_FINAL_RUNS), _MOST_FINAL_RUNS) * epochs
    race = round(_RACE_SHARE * (total - final))
    changes = total - final - race
    if race < _LEAST_RACE_RUNS * epochs:
        return None
    # a uniform choice and two changes are the fewest
    if changes < 3 * screening_epochs(epochs):
        return None
    return Budget(race, changes, final)


def least_budget(epochs: int) -> int:
    """Return the smallest budget that is enough for groups."""
    total = epochs
    while budget(total, epochs) is None:
        total += 1
    return total


def screening_epochs(epochs: int) -> int:
    """Return how long the short runs are."""
    return max(1, math.ceil(_SHORT * epochs))


class FinalPlan(NamedTuple):
    """How many changes go to the final besides the uniform choice, and on how many seeds each."""

    changes: int
    seeds: int


def plan_final(left: int, epochs: int) -> FinalPlan | None:
    """Return what the final is like; None if there are not epochs enough for it."""
    runs = min(left // epochs, _MOST_FINAL_RUNS)
    if runs < _LEAST_FINAL_RUNS:
        return None
    changes = 1
    if runs >= _RUNS_FOR_TWO_CHANGES:
        changes = 2
    return FinalPlan(changes, runs // (changes + 1))


def single_changes(now: Assignment, others: Sequence[Candidate]) -> list[Assignment]:
    """Return all changes of one group.

    To the first of the others in each group, then to the second, ….
    """
    changes = []
    for other in others:
        for group, present in now.groups:
            if present != other:
                changes.append(now.with_choice(group, other))
    return changes


def random_changes(now: Assignment, others: Sequence[Candidate], seed: int) -> list[Assignment]:
    """Return random changes of two or three groups."""
    if len(now.groups) < 2:
        return []
    rng = np.random.default_rng(seed)
    fewest, most = _CHANGED_AT_ONCE
    changes: dict[Assignment, None] = {}  # without those drawn twice
    for _ in range(_POOL):
        change = now
        order = rng.permutation(len(now.groups))
        count = rng.integers(fewest, most + 1)
        for index in order[:count]:
            group, _ = now.groups[index]
            other = others[int(rng.integers(len(others)))]
            change = change.with_choice(group, other)
        changes[change] = None
    # it may have drawn what the groups have already
    changes.pop(now, None)
    return list(changes)


def screening(
    now: Assignment,
    others: Sequence[Candidate],
    epochs: int,
    left: int,
    shapes: Callable[[Sequence[Candidate]], np.ndarray],
    seed: int,
) -> tuple[Race, SurrogateProposer] | None:
    """Return a race of short runs of the changes of one assignment, and what proposes them.

    None if it has no epochs.

    Half of them, or as many as there are groups, are changes of one group. The others are proposed
    from what those showed, by a Gaussian process on the shapes of all groups' activations: changes
    of one group or more.

    Args:
        now: the assignment.
        others: what a group may have instead, the most hopeful first.
        epochs: of a whole training.
        left: how many epochs all runs together may take.
        shapes: returns the shape of each of some candidates, (N, D).
        seed: of random changes.
    """
    single = single_changes(now, others)
    several = [change for change in random_changes(now, others, seed) if change not in single]
    pool = [*single, *several]
    epochs_each = screening_epochs(epochs)
    count = min(left // epochs_each, 1 + len(pool))
    if count < 2:
        return None
    changes = count - 1  # the present choice races too
    first = min(max(changes // 2, len(now.groups)), len(single), changes)
    seeds = left // (count * epochs_each)
    rungs = [Rung(epochs_each, seeds, keep=0, enter=first)]
    if changes > first:
        rungs.append(Rung(epochs_each, seeds, keep=first, enter=changes - first))
    proposer = SurrogateProposer(pool, _joined_shapes(now, others, shapes))
    return Race([now, *single], rungs, proposer), proposer


def _joined_shapes(
    now: Assignment,
    others: Sequence[Candidate],
    shapes: Callable[[Sequence[Candidate]], np.ndarray],
) -> Callable[[Sequence[Assignment]], np.ndarray]:
    """Return what tells the shape of a change: those of its groups' activations, joined."""
    present = [now[group.slots[0]] for group, _ in now.groups]
    candidates = list(dict.fromkeys([*present, *others]))
    known = dict(zip(candidates, shapes(candidates), strict=True))

    def joined(changes: Sequence[Assignment]) -> np.ndarray:
        rows = []
        for change in changes:
            rows.append(np.concatenate([known[candidate] for _, candidate in change.groups]))
        return np.stack(rows)

    return joined


def best_if_significant(scores: np.ndarray, level: float = ALPHA) -> int:
    """Return which choice is taken.

    The best, if it is better than the present one (row 0) by a test; else 0.

    The choices share their seeds, so the test is that of the differences from seed to seed: whatever
    the others do, and however much more one choice varies than another, these show how far chance
    goes. It is one-sided at ``level / (K - 1)``: where all are equal, something changes with a
    probability of at most `level`. To take the best mean in any case would collect luck.

    That holds where the seeds have nothing in common that treats the choices differently, such as
    one batch order for all of them.

    Args:
        scores: (K, S), higher is better, not finite where a run diverged. Who diverged is not
            chosen; if the present one did, the best of the others is.
        level: of the test.

    Example:
        >>> present, better, worse = [0.90, 0.91, 0.90], [0.95, 0.96, 0.96], [0.80, 0.81, 0.80]
        >>> best_if_significant(np.array([present, better, worse]))
        1
    """
    scores = np.asarray(scores, float)
    healthy = [int(k) for k in np.flatnonzero(np.isfinite(scores).all(axis=1))]
    means = {k: float(scores[k].mean()) for k in healthy}
    best = max(healthy, key=lambda k: means[k], default=0)
    if best == 0 or 0 not in healthy:
        return best
    if surely_worse(scores[0], scores[best], level / (len(healthy) - 1)):
        return best
    return 0
