"""The rungs of a race: how far each trains, on how many seeds, and who goes on.

Plain arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_SHARES = (0.25, 0.5, 1.0)  # of a whole training: where the rungs end


_FINALISTS = 4


@dataclass(frozen=True)
class Rung:
    """One round of a race.

    The best of the round before, and new ones, trained further and on more seeds.

    Attributes:
        epochs: how far each has been trained when it ends.
        seeds: how many each has.
        keep: how many of the round before go on at most, besides the baseline.
        enter: how many new ones start.
    """

    epochs: int
    seeds: int
    keep: int
    enter: int


def schedule(
    trials: int, epochs: int, total: int | None = None, starts: int = 1
) -> tuple[Rung, ...]:
    """Return the rungs of a race that trains about as many epochs as `trials` whole trainings.

    They end at a quarter, a half and all of the epochs. The first is trained in two rounds: the
    second half of the candidates is proposed from what the first half showed. What is left of the
    budget is shared by the later rungs. The second has twice the seeds; the last has up to four
    candidates besides the baseline, on two seeds at least, and as many more as the budget allows
    then.

    Args:
        trials: how many candidates start, the baseline among them.
        epochs: of a whole training.
        total: how many epochs all runs together may take; by default ``trials * epochs``.
        starts: how many candidates there are before any can be proposed, the baseline among them.

    Example:
        >>> [(r.epochs, r.seeds, r.keep, r.enter) for r in schedule(20, 10, starts=9)]
        [(3, 1, 0, 9), (3, 1, 9, 10), (5, 2, 9, 0), (10, 2, 4, 0)]
    """
    left = trials * epochs if total is None else total
    ends = sorted({max(1, math.ceil(epochs * share)) for share in _SHARES})
    count = max(1, min(trials, left // ends[0]) - 1)
    first = min(count, max(starts - 1, count // 2))
    rungs = [Rung(ends[0], 1, 0, first)]
    if count > first:
        rungs.append(Rung(ends[0], 1, first, count - first))
    left -= (count + 1) * ends[0]
    return (*rungs, *later_rungs(rungs[-1], ends[1:] or ends, left, count))


def later_rungs(before: Rung, ends: Sequence[int], left: int, alive: int) -> list[Rung]:
    """Return rungs that end at `ends` and train about `left` epochs, for so many alive besides the baseline."""
    rungs: list[Rung] = []
    for index, end in enumerate(ends):
        going_on, another = before.seeds * (end - before.epochs), end
        if end == ends[-1]:
            # more finalists rather than more seeds: who learns slowly at first is not among the
            # first two yet
            least = going_on + another * (before.seeds < 2)
            keep = max(1, min(alive, _FINALISTS, left // (least or another) - 1))
            seeds = before.seeds + max(0, (left // (keep + 1) - going_on) // another)
        else:
            seeds = 2 * before.seeds
            share = left / (len(ends) - index)
            keep = max(
                1, min(alive, int(share // (going_on + (seeds - before.seeds) * another)) - 1)
            )
        left -= (keep + 1) * (going_on + (seeds - before.seeds) * another)
        alive = keep
        if end > before.epochs or seeds > before.seeds:
            before = Rung(end, seeds, keep, 0)
            rungs.append(before)
    return rungs


def cost(rungs: Sequence[Rung]) -> int:
    """Return how many epochs the runs of a race have together, if every rung is full."""
    total = 0
    for before, rung in zip((Rung(0, 0, 0, 0), *rungs), rungs, strict=False):
        whole = rung.seeds * rung.epochs
        total += rung.enter * whole + (rung.keep + 1) * (whole - before.seeds * before.epochs)
    return total
