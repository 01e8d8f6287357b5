"""What became of the candidates of a race, round by round. NumPy and SciPy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..space.rated import Rated
from ..strategy.direction import more_is_better
from ..strategy.rounds import (
    DIVERGED,
    ENDED,
    FINISHED,
    GOES_ON,
    NO_PLACE,
    WORSE,
    Entrant,
    Round,
    best_first,
)
from .race import Race, RungResult, RungTask, surely_worse


def history(race: Race, direction: str, factor: float = 1.0) -> tuple[Round, ...]:
    """Return the rounds that ended, with what became of each candidate.

    Args:
        race: that has run.
        direction: of the scores as one reads them; those of the race are better when higher.
        factor: the multiple of the model's own learning rate for candidates that have none.
    """
    told = []
    for number in range(len(race.rounds)):
        next_task = None
        if number + 1 < len(race.rounds):
            next_task = race.rounds[number + 1].task
        told.append(told_round(race, number, next_task, direction, factor))
    return tuple(told)


def told_round(
    race: Race, number: int, next_task: RungTask | None, direction: str, factor: float = 1.0
) -> Round:
    """Return a round that ended.

    Args:
        race: that has run so far.
        number: of the round, from 0 on.
        next_task: who trains in the next one; None if there is none.
        direction: as in `history`.
        factor: as in `history`.
    """
    result = race.rounds[number]
    fates = _fates(race, number, next_task)
    entrants = []
    for k, candidate in enumerate(result.task.candidates):
        rated = candidate
        if not isinstance(candidate, Rated):
            rated = Rated(candidate, factor)
        scores = more_is_better(np.asarray(result.scores[k]), direction)
        entrants.append(Entrant(rated, tuple(map(float, scores)), fates[k]))
    ordered = best_first(entrants, maximize=direction == "max")
    return Round(result.task.epochs, result.task.seeds, ordered)


def _fates(race: Race, number: int, next_task: RungTask | None) -> list[str]:
    """What became of the candidates of a round, in its order."""
    result = race.rounds[number]
    going_on: Sequence[object] = ()
    if next_task is not None:
        going_on = next_task.candidates
    otherwise = ENDED
    if number + 1 == len(race.rungs):
        otherwise = FINISHED
    leader = _leader(result)
    healthy = int(np.isfinite(result.means).sum())
    level = race.level / max(healthy - 1, 1)  # as `survivors` shares it
    fates = []
    for k, candidate in enumerate(result.task.candidates):
        if np.isnan(result.means[k]):
            fates.append(DIVERGED)
        elif not going_on:
            fates.append(otherwise)
        elif candidate in going_on:
            fates.append(GOES_ON)
        elif surely_worse(result.scores[k], result.scores[leader], level):
            fates.append(WORSE)
        else:
            fates.append(NO_PLACE)
    return fates


def _leader(result: RungResult) -> int:
    """The row with the best mean; any, where none has a score."""
    return int(np.argmax(np.nan_to_num(result.means, nan=-np.inf)))
