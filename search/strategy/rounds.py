"""The rounds of a race as one reads them: who trained, with which score, and why who left. NumPy only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ..space.rated import Rated

# what became of a candidate in a round
GOES_ON = "goes on"
FINISHED = "finished"
DIVERGED = "diverged"
WORSE = "clearly worse"
NO_PLACE = "no place"
ENDED = "the race ended"


class Kind(StrEnum):
    """How a search with populations goes, in the words that a user reads."""

    TOGETHER = "all to the end"
    RACE = "race"


@dataclass(frozen=True)
class Entrant:
    """A candidate in a round.

    Attributes:
        rated: the candidate and its learning rate.
        scores: one a seed, as the objective has them; nan where a training diverged or failed.
        fate: what became of it: one of the constants of this module.
    """

    rated: Rated
    scores: tuple[float, ...]
    fate: str

    @property
    def mean(self) -> float:
        """The mean over the seeds; nan if a training has no score."""
        return float(np.mean(self.scores))

    @property
    def left(self) -> bool:
        """Whether it trained no further though others did."""
        return self.fate in (DIVERGED, WORSE, NO_PLACE)


@dataclass(frozen=True)
class Round:
    """A round of a race.

    Attributes:
        epochs: how far each has been trained when it ends.
        seeds: how many trainings each has.
        entrants: who trained, the best first, what has no score last.
    """

    epochs: int
    seeds: int
    entrants: tuple[Entrant, ...]


def best_first(entrants: list[Entrant], *, maximize: bool) -> tuple[Entrant, ...]:
    """Return the entrants of a round, the best mean first, what has none last."""

    def key(entrant: Entrant) -> tuple[bool, float]:
        mean = entrant.mean
        if math.isnan(mean):
            return True, 0.0
        if maximize:
            return False, -mean
        return False, mean

    return tuple(sorted(entrants, key=key))
