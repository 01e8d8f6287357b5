"""What a search tells those who follow it. Names and numbers only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..space.assignment import Choice
from ..space.rated import Rated
from ..strategy.rounds import FINISHED, GOES_ON

# what became of a candidate whose training no round decides
COMPLETED = "completed"
FAILED = "failed"
# the strategy of what is no search: a few activations on many seeds
COMPARISON = "comparison"


@dataclass(frozen=True)
class SearchRecord:
    """What is searched, and how.

    Attributes:
        model: the name of the user's model.
        strategy: ``"race"``, ``"race by layer"`` or ``"trials"``; ``"comparison"`` of
            `compare_activations`.
        objective: the name of the metric that ranks.
        direction: ``"max"`` or ``"min"``.
        baseline: what the others are compared with.
        trials: how many candidates are tried at most.
        epochs: how long each is trained at most.
        seed: of candidates, initialization and batch order.
        device: where it trains.
    """

    model: str
    strategy: str
    objective: str
    direction: str
    baseline: str
    trials: int
    epochs: int
    seed: int
    device: str


@dataclass(frozen=True)
class EpochRecord:
    """An epoch of one training.

    Attributes:
        candidate: the activation, or one for each layer or group.
        factor: what the model's own learning rate was multiplied by.
        seed: of initialization and batch order.
        epoch: its number, from 1 on.
        metrics: what Keras logs: ``loss``, ``val_accuracy``, ….
    """

    candidate: Choice
    factor: float
    seed: int
    epoch: int
    metrics: Mapping[str, float]

    @property
    def rated(self) -> Rated:
        """The candidate and its learning rate."""
        return Rated(self.candidate, self.factor)


@dataclass(frozen=True)
class TrialRecord:
    """How a candidate stands when a round, or its whole training, is over.

    Attributes:
        candidate: the activation, or one for each layer or group.
        factor: what the model's own learning rate was multiplied by.
        seeds: of its trainings.
        epochs: how far each is trained; None where that is not known.
        scores: the objective at the best epoch, one a seed; nan where a training has none. Of a
            trial that is no part of a race, their mean alone.
        rank: 1 for the best, among those of its round or the trials so far; None without a score.
        outcome: what became of it, and why: ``"goes on"`` and ``"finished"`` in a race, or why it
            left: ``"clearly worse"``, ``"no place"``, ``"diverged"``, ``"failed"``, ``"the race
            ended"``. Of trials: ``"completed"``, ``"stopped"``, ``"diverged"``, ``"failed"``.
        message: why it failed; empty if it did not.
    """

    candidate: Choice
    factor: float
    seeds: tuple[int, ...]
    epochs: int | None
    scores: tuple[float, ...]
    rank: int | None
    outcome: str
    message: str = field(default="", repr=False)

    @property
    def rated(self) -> Rated:
        """The candidate and its learning rate."""
        return Rated(self.candidate, self.factor)

    @property
    def score(self) -> float:
        """The mean of the scores; nan where a training has none."""
        if not self.scores:
            return math.nan
        return sum(self.scores) / len(self.scores)

    @property
    def kept(self) -> bool:
        """Whether it was good enough to go on, or trained to its end."""
        return self.outcome in (GOES_ON, FINISHED, COMPLETED)

    @property
    def trains_on(self) -> bool:
        """Whether a further round trains it."""
        return self.outcome == GOES_ON


@dataclass(frozen=True)
class RoundRecord:
    """A round of a race that is over.

    Attributes:
        number: from 1 on.
        of: how many there are, as the race is planned now.
        epochs: how far each is trained.
        seeds: how many trainings each has.
        trials: who trained, the best first.
        stage: ``"changes"`` or ``"final"`` in a search layer by layer; empty in the race before.
    """

    number: int
    of: int
    epochs: int
    seeds: int
    trials: tuple[TrialRecord, ...]
    stage: str = ""
