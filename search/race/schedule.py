"""The rungs of a race: how far each trains, on how many seeds, and who goes on.

Plain arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

# of a whole training: where the rungs end
_SHARES = (0.25, 0.5, 1.0)

# of 11 variants that were replayed (docs/racing.md), up to four finalists lost the best least often
_FINALISTS = 4

# with one seed there is nothing to measure a difference by
_LEAST_FINAL_SEEDS = 2

# of a short race (`python -m benchmarks.short_races`): where its first round ends, and how many of
# the candidates go on, as shares. Where that is after a quarter, or fewer go on, it loses the best in
# trainings that end while models still learn fast, and the lucky run of another that one would keep
_SHORT_END = 0.5
_SHORT_KEPT = 0.5
_SHORT_LEAST_KEPT = 7
# in trainings of four epochs it loses the best more often than all to the end do
_SHORT_LEAST_EPOCHS = 5
# with fewer hardly anybody leaves
_SHORT_LEAST_TRIALS = 10


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


# before the first rung nobody has trained
_START = Rung(epochs=0, seeds=0, keep=0, enter=0)


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
    if total is None:
        total = trials * epochs
    # a short training has fewer ends than shares
    ends = sorted({max(1, math.ceil(epochs * share)) for share in _SHARES})
    first_end = ends[0]
    challengers = max(1, min(trials, total // first_end) - 1)  # the baseline takes one place
    first = min(challengers, max(starts - 1, challengers // 2))
    rungs = [Rung(first_end, seeds=1, keep=0, enter=first)]
    if challengers > first:
        rungs.append(Rung(first_end, seeds=1, keep=first, enter=challengers - first))
    left = total - (challengers + 1) * first_end
    # a training of one epoch has no later end: its last rung only adds seeds
    later_ends = ends[1:] or ends
    return (*rungs, *later_rungs(rungs[-1], later_ends, left, challengers))


def short_race(trials: int, epochs: int, seeds: int = 1) -> tuple[Rung, ...]:
    """Return the rungs of a race that trains fewer epochs than `trials` whole trainings.

    All start at once and train half of their epochs; half of them, seven at least, and the
    baseline train on to their end, on the seeds that they have. Empty where the search is too small
    for that.

    Args:
        trials: how many candidates start, the baseline among them.
        epochs: of a whole training.
        seeds: of each candidate.

    Example:
        >>> [(r.epochs, r.seeds, r.keep, r.enter) for r in short_race(20, 10)]
        [(5, 1, 0, 19), (10, 1, 10, 0)]
    """
    if trials < _SHORT_LEAST_TRIALS or epochs < _SHORT_LEAST_EPOCHS:
        return ()
    keep = max(_SHORT_LEAST_KEPT, math.ceil(_SHORT_KEPT * trials))
    first_end = math.ceil(_SHORT_END * epochs)
    return (
        Rung(first_end, seeds, keep=0, enter=trials - 1),
        Rung(epochs, seeds, keep, enter=0),
    )


def in_two_rounds(rungs: Sequence[Rung], first: int) -> tuple[Rung, ...]:
    """Return rungs whose first is trained in two rounds, of which the first starts so many candidates.

    The baseline comes besides. So the second can be chosen by what the first has shown.
    """
    if not rungs or not 0 < first < rungs[0].enter:
        return tuple(rungs)
    whole = rungs[0]
    one = replace(whole, enter=first)
    other = replace(whole, keep=first, enter=whole.enter - first)
    return (one, other, *rungs[1:])


def later_rungs(
    before: Rung,
    ends: Sequence[int],
    left: int,
    alive: int,
) -> list[Rung]:
    """Return the rungs that follow one.

    Args:
        before: the rung that they follow.
        ends: where they end, rising.
        left: how many epochs they train together, about.
        alive: how many candidates there are besides the baseline.
    """
    rungs: list[Rung] = []
    for index, end in enumerate(ends):
        if end == ends[-1]:
            rung = _last_rung(before, end, left, alive)
        else:
            share = left / (len(ends) - index)
            rung = _middle_rung(before, end, share, alive)
        alive = rung.keep
        left -= (rung.keep + 1) * _epochs_of_each(before, rung)
        if rung.epochs > before.epochs or rung.seeds > before.seeds:
            rungs.append(rung)
            before = rung
    return rungs


def with_fewer(before: Rung, coming: Sequence[Rung], left: int, alive: int) -> list[Rung]:
    """Return rungs of a short race in which as many go on as there are epochs for.

    They go on as they were planned, on the seeds that they have: whoever leaves early may be the
    best, and more seeds for a few would not bring it back.

    Args:
        before: the rung that they follow.
        coming: as they were planned; nobody starts in them.
        left: how many epochs they train together, about.
        alive: how many candidates there are besides the baseline.
    """
    rungs: list[Rung] = []
    for index, planned in enumerate(coming):
        price = _epochs_of_each(before, planned)
        if not price:
            # nobody would train
            continue
        share = left // (len(coming) - index)
        affordable = share // price - 1  # the baseline takes one place
        rung = replace(planned, keep=max(1, min(planned.keep, alive, affordable)))
        alive = rung.keep
        left -= (rung.keep + 1) * price
        rungs.append(rung)
        before = rung
    return rungs


def _middle_rung(before: Rung, end: int, share: float, alive: int) -> Rung:
    """A rung with twice the seeds, and as many candidates as its share of the epochs allows."""
    full = Rung(end, 2 * before.seeds, keep=alive, enter=0)
    affordable = int(share // _epochs_of_each(before, full)) - 1  # the baseline takes one place
    keep = max(1, min(alive, affordable))
    return Rung(end, full.seeds, keep, enter=0)


def _last_rung(before: Rung, end: int, left: int, alive: int) -> Rung:
    """A rung with more finalists rather than more seeds.

    Who learns slowly at first is not among the first two yet.
    """
    least = Rung(end, max(before.seeds, _LEAST_FINAL_SEEDS), keep=alive, enter=0)
    # where nothing is left to train, the rung is there for another seed
    price = _epochs_of_each(before, least) or end
    keep = max(1, min(alive, _FINALISTS, left // price - 1))
    going_on = before.seeds * (end - before.epochs)
    more_seeds = max(0, (left // (keep + 1) - going_on) // end)
    return Rung(end, before.seeds + more_seeds, keep, enter=0)


def _epochs_of_each(before: Rung, rung: Rung) -> int:
    """How many epochs a candidate that goes on trains in a rung, on all its seeds."""
    return rung.seeds * rung.epochs - before.seeds * before.epochs


def cost(rungs: Sequence[Rung]) -> int:
    """Return how many epochs the runs of a race have together, if every rung is full."""
    total = 0
    before = _START
    for rung in rungs:
        total += rung.enter * rung.seeds * rung.epochs
        total += (rung.keep + 1) * _epochs_of_each(before, rung)
        before = rung
    return total
