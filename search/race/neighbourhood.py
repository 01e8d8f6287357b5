"""Other activations for some groups: which to try, what they may cost, and when one is taken.

No TensorFlow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..space.assignment import Assignment
from ..space.candidate import Candidate
from ..strategy.rounding import is_rounding
from .race import ALPHA, Race
from .schedule import Rung
from .surrogate import SurrogateProposer

_FINAL = 0.4  # of all epochs
_RACE = 2 / 3  # of the others
_RUNS = (4, 24)  # whole trainings of the final: at least (two choices, two seeds), and at most
_SHORT = 0.25  # of a whole training: how far changes train at first
_POOL = 256  # random changes of several groups, to propose from


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
    runs = min(max(int(_FINAL * total / epochs), _RUNS[0]), _RUNS[1])
    left = total - runs * epochs
    race = round(_RACE * left)
    # a race of two candidates has four whole trainings; two changes are the fewest
    if race < 4 * epochs or left - race < 3 * screening_epochs(epochs):
        return None
    return Budget(race, left - race, runs * epochs)


def least_budget(epochs: int) -> int:
    """Return the smallest budget that is enough for groups."""
    return next(total for total in range(epochs, 100 * (epochs + 1)) if budget(total, epochs))


def screening_epochs(epochs: int) -> int:
    """Return how long the short runs are."""
    return max(1, math.ceil(_SHORT * epochs))


def plan_final(left: int, epochs: int) -> tuple[int, int] | None:
    """Return how many changes go to the final and on how many seeds.

    None if there are not epochs enough for it.
    """
    runs = min(left // epochs, _RUNS[1])
    changes = 2 if runs >= 15 else 1  # a second one, where each still has five seeds
    return (changes, runs // (changes + 1)) if runs >= _RUNS[0] else None


def single_changes(now: Assignment, others: Sequence[Candidate]) -> list[Assignment]:
    """Return all changes of one group.

    To the first of the others in each group, then to the second, ….
    """
    return [
        now.with_choice(group, other)
        for other in others
        for group, old in now.groups
        if old != other
    ]


def random_changes(now: Assignment, others: Sequence[Candidate], seed: int) -> list[Assignment]:
    """Return random changes of two or three groups."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(_POOL if len(now.groups) > 1 else 0):
        made = now
        for index in rng.permutation(len(now.groups))[: rng.integers(2, 4)]:
            made = made.with_choice(now.groups[index][0], others[int(rng.integers(len(others)))])
        found.append(made)
    return [made for made in dict.fromkeys(found) if made != now]


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
    ones = single_changes(now, others)
    pool = [*ones, *(made for made in random_changes(now, others, seed) if made not in ones)]
    count = min(left // screening_epochs(epochs), 1 + len(pool))
    if count < 2:
        return None
    seeds = left // (count * screening_epochs(epochs))
    first = min(max((count - 1) // 2, len(now.groups)), len(ones), count - 1)
    rungs = [
        Rung(screening_epochs(epochs), seeds, 0, first),
        Rung(screening_epochs(epochs), seeds, first, count - 1 - first),
    ]
    candidates = list(
        dict.fromkeys([now[group.slots[0]] for group, _ in now.groups] + list(others))
    )
    known = dict(zip(candidates, shapes(candidates), strict=True))

    def places(choices: Sequence[Assignment]) -> np.ndarray:
        return np.stack(
            [np.concatenate([known[c] for _, c in choice.groups]) for choice in choices]
        )

    proposer = SurrogateProposer(pool, places)
    return Race([now, *ones], rungs[: 1 + (count - 1 > first)], proposer), proposer


def best_if_significant(scores: np.ndarray, level: float = ALPHA) -> int:
    """Return which choice is taken.

    The best, if it is better than the present one (row 0) by a test; else 0.

    The choices share their seeds. A t test on three differences has hardly any power, so the noise
    is estimated from all choices, as what their means and the seeds' means do not explain, with (K
    - 1)(S - 1) degrees of freedom. The test is one-sided at ``level / (K - 1)``: where all are
    equal, something changes with a probability of about `level` at most. To take the best mean in
    any case would collect luck.

    Args:
        scores: (K, S), higher is better, not finite where a run diverged. Who diverged is not
            chosen; if the present one did, the best of the others is.
        level: of the test.

    Example:
        >>> better(np.array([[0.90, 0.91, 0.90], [0.95, 0.96, 0.96], [0.80, 0.81, 0.80]]))
        1
    """
    scores = np.asarray(scores, float)
    healthy = [int(k) for k in np.flatnonzero(np.isfinite(scores).all(axis=1))]
    means = {k: float(scores[k].mean()) for k in healthy}
    best = max(healthy, key=lambda k: means[k], default=0)
    if best == 0 or 0 not in healthy:
        return best
    kept = scores[healthy]
    rest = kept - kept.mean(axis=1, keepdims=True) - kept.mean(axis=0) + kept.mean()
    freedom = (kept.shape[0] - 1) * (kept.shape[1] - 1)
    spread = math.sqrt(float((rest**2).sum()) / freedom) if freedom else 0.0
    # without a spread there is nothing to measure a difference by
    if is_rounding(spread, kept):
        return 0
    t = (means[best] - means[0]) / (spread * math.sqrt(2 / kept.shape[1]))
    return best if float(stats.t.sf(t, freedom)) < level / (len(healthy) - 1) else 0
