"""What all ways to search tell of a trial, and which of the user's callbacks they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from ..space.assignment import Assignment
from ..space.candidate import Candidate


@dataclass(frozen=True)
class TrialResult:
    """One trial of a search.

    Attributes:
        rank: 1 for the best, the same for equal scores; None if it diverged or failed. In a race
            who went further ranks before who left; in a search group by group what was chosen last
            ranks first.
        candidate: the activation with its parameters; a mapping from slots to such, where groups
            differ.
        score: the objective at the best epoch, the mean over executions; None if it diverged or
            failed.
        status: ``"completed"``, ``"diverged"`` or ``"failed"``; ``"stopped"`` if it left a race
            before its end.
        seconds: of wall time that the trial took; None if an earlier process trained it, which only
            a race tells later.
        hyperparameters: all of them, the user's own too.
        message: why it failed.
        epochs: how far it trained, in a race.
        seeds: how many runs the score is the mean of, in a race.
    """

    rank: int | None
    candidate: Candidate | Assignment
    score: float | None
    status: str
    seconds: float | None
    hyperparameters: Mapping[str, Any] = field(repr=False)
    message: str = field(default="", repr=False)
    epochs: int | None = None
    seeds: int | None = None


# what trains a population as it trains a single model; the others steer or watch one training, and
# these are many
KEPT = keras.callbacks.LearningRateScheduler


DIVERGED = "diverged"
