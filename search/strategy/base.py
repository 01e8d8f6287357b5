"""What all ways to search have in common: what they do, and what they tell of a trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import keras
import keras_tuner

from ..space.assignment import Assignment
from ..space.candidate import Candidate
from ..space.rated import Rated
from .curves import Curve
from .progress import Progress
from .rounds import Kind, Round

DIVERGED = "diverged"
# how the message of a trial begins that has a score all the same
ENDED_EARLY = "a callback ended it"
# among the errors of a search for each layer, though nothing failed: why it had none to try
NO_CHANGES = "no changes"


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
        message: why it failed; or after how many epochs a callback ended it.
        epochs: how far it trained, in a race. One that a callback ended earlier is as far as those
            that train on.
        seeds: how many runs the score is the mean of, in a race.
        factor: what the model's own learning rate was multiplied by.
        judged: whether its runs are those of the verdict, at a rate that had no run to the end
            before. They count as if they were as many as those of the others.
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
    factor: float = 1.0
    judged: bool = False

    @property
    def rated(self) -> Rated:
        """What was tried: the candidate and its rate."""
        return Rated(self.candidate, self.factor)


@dataclass(frozen=True, eq=False)
class JudgedRun:
    """The best training of a candidate among those of a verdict, by the validation data.

    Attributes:
        rated: the candidate and its rate.
        seed: of its initialization and batch order.
        score: the objective after its last epoch, which its weights are of.
        mean: of the objective at the best epoch, over all trainings of the candidate.
        seeds: how many these are.
        seconds: the candidate's share of the time that the verdict's training took.
        metrics: for each name that Keras logs, a value an epoch.
        model: compiled, with the weights; its optimizer has trained nothing yet.
    """

    rated: Rated
    seed: int
    score: float
    mean: float
    seeds: int
    seconds: float
    metrics: Mapping[str, tuple[float, ...]]
    model: keras.Model

    @property
    def epochs(self) -> int:
        """How many it has."""
        return self.curve.epochs

    @property
    def curve(self) -> Curve:
        """Its learning curve."""
        return Curve(self.rated, self.seed, self.metrics)


class Strategy(Protocol):
    """A way to search: `run` does it, the rest tells what was found.

    A race (`RaceSearch`), a race group by group (`PerGroupSearch`) and trials one after the other
    or together (`TrialSearch`) are such. Nothing is lost where one is interrupted, or fails after
    it has scores: then `run` returns all the same.

    Attributes:
        errors: what failed once there were scores, by what was done then; and under `NO_CHANGES`
            what was never planned.
        interrupted: whether the user ended it with Ctrl-C.
    """

    errors: dict[str, str]
    interrupted: bool

    @property
    def objective(self) -> keras_tuner.Objective:
        """What ranks the candidates."""

    @property
    def kind(self) -> Kind | None:
        """How it was planned to go; None where each trial trains to its end."""

    @property
    def is_complete(self) -> bool:
        """Whether all that was planned has been trained: neither time, Ctrl-C nor an error ended it."""

    @property
    def progress(self) -> Progress:
        """Shows how it goes."""

    def run(self) -> None:
        """Search until the end, or until the user ends it."""

    def results(self) -> tuple[TrialResult, ...]:
        """Return all that was tried, the best first, what has no score last."""

    def history(self) -> tuple[Round, ...]:
        """Return the rounds of a race that ended; empty where all train to their end."""

    def curves(self) -> tuple[Curve, ...]:
        """Return the learning curve of each training that is known."""

    def leaders(self) -> tuple[Rated, ...]:
        """Return what a verdict may judge, the best first."""

    def finish(self, *candidates: Rated) -> None:
        """Train candidates to their end that are not, also at rates that they had not in the search."""

    def has_finished(self, candidate: Rated) -> bool:
        """Return whether `finish` would train nothing for a candidate."""

    def adopt(self, run: JudgedRun) -> None:
        """Take a training of the verdict for one of its own: `finish` trains that candidate no more.

        It is the candidate's model, unless the candidate has a better one.
        """

    def model(self, candidate: Rated) -> keras.Model | None:
        """Return a candidate's best model; None if it diverged or is not kept."""

    def builder(self, candidate: Rated) -> Callable[[], keras.Model] | None:
        """Return what builds a candidate's fresh model; None if its activation was never tried."""
