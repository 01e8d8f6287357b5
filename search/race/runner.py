"""A search as a race on real populations: what it proposes, trains, keeps and finds."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_acts.errors import ModelError, SearchError

from ..population.members import Member
from ..population.model import PopulationModel
from ..rewrite.clone import with_activations
from ..rewrite.groups import chosen_slots
from ..rewrite.slots import slots
from ..runtime.reasons import first_line
from ..runtime.seeding import Stream, derive
from ..space.assignment import Choice
from ..space.embedding import embeddings
from ..space.space import ActivationSpace
from ..strategy.base import DIVERGED, SHARED_CALLBACKS, TrialResult
from ..strategy.direction import more_is_better
from ..strategy.objective import checked_objective
from ..strategy.progress import RaceProgress
from .cohorts import Cohorts, MemberRecord
from .journal import Journal
from .race import Race, RungResult, RungTask
from .schedule import cost, schedule
from .surrogate import SurrogateProposer

_POOL = 256  # candidates with random parameters, to propose from


def why_not_race(model: Any, space: ActivationSpace, objective: Any, fit: Mapping[str, Any]) -> str:
    """Return why a search cannot be a race; empty if it can."""
    if not isinstance(model, keras.Model):
        return "the model is made by a function"
    try:
        checked_objective(objective)
    except SearchError as error:
        return str(error)
    if hasattr(fit["x"], "__next__"):
        return "the data can be read once only"
    if hasattr(fit.get("validation_data"), "__next__"):
        return "the validation data can be read once only"
    single = [
        c
        for c in keras.tree.flatten(fit.get("callbacks") or [])
        if not isinstance(c, SHARED_CALLBACKS)
    ]
    if single:
        return f"the callback {type(single[0]).__name__} belongs to a single model"
    try:
        PopulationModel(model, ["relu"], slots=chosen_slots(slots(model), space.per))
    except ModelError as error:
        return str(error)
    return ""


class _Over(BaseException):
    """The time is over, which is no error: it ends a training as Ctrl-C does."""


def race_in(space: ActivationSpace, trials: int, epochs: int, total: int, seed: int) -> Race:
    """Return a race of the candidates of a space, the baseline first.

    Args:
        space: what is searched.
        trials: how many candidates start at most.
        epochs: of a whole training.
        total: how many epochs all runs together may take.
        seed: of random candidates.
    """
    starts = space.grid(1)
    pool = [*space.grid(5), *space.sample(_POOL, derive(seed, Stream.CANDIDATES))]
    rungs = schedule(trials, epochs, total, len(starts))
    return Race(starts, rungs, SurrogateProposer(pool, embeddings), attrgetter("name"))


class RaceSearch:
    """Searches by racing. `run` does it; the rest tells what was found.

    Args:
        model: that `hindrance` has nothing against.
        race: who starts, and who goes on.
        objective: what ranks the candidates, one metric.
        fit: the arguments of `fit`, data included, without epochs.
        hyperparameters: returns those of a candidate, for the table.
        seconds: that the race may take. From what the rungs so far took, those to come are planned
            to fit in; if they do not, the race ends with what it has.
        seed: of initialization and batch order.
        journal: a file that keeps the scores of finished rungs.
        progress: shows how it goes; by default nothing.
        slots: the names of the slots that the candidates go to; by default all hidden ones.
        models: whether the last rung's are wanted: then a race that goes on after an interrupt
            trains it again.
        label: what the race is called where it shows how it goes.
        memory: the bytes that a population may use; None for half of what is free.

    Attributes:
        errors: what failed once there were scores, by what was done then.
    """

    def __init__(
        self,
        model: keras.Model,
        race: Race,
        objective: Any,
        fit: Mapping[str, Any],
        *,
        hyperparameters: Callable[[Any], dict[str, Any]],
        seconds: float | None = None,
        seed: int = 0,
        journal: Path | None = None,
        progress: RaceProgress | None = None,
        slots: Sequence[str] | None = None,
        models: bool = True,
        label: str = "",
        memory: int | None = None,
    ):
        self.objective, self.interrupted = checked_objective(objective), False
        self._model, self._hyperparameters, self._seed, self.seconds = (
            model,
            hyperparameters,
            seed,
            seconds,
        )
        self._race, self._models, self._label = race, models, label
        ends = sorted({rung.epochs for rung in race.rungs})
        made = partial(Cohorts, model, self.objective, fit, ends, seed, slots=slots, memory=memory)
        self._cohorts = made(self._epoch, say=self._say)
        self._alone = partial(made, lambda runs: None)
        self.errors: dict[str, str] = {}
        self._finished: dict[Member, keras.Model | None] = {}
        self._journal = Journal(journal)
        self._begun, self._deadline, self.trained = 0.0, math.inf, 0
        self.progress = progress or RaceProgress(cost(race.rungs), verbose=0)

    def run(self) -> None:
        """Train, rung after rung, until the race is over, the time is, or the user ends it."""
        self._begun = time.monotonic()
        if self.seconds is not None:
            self._deadline = self._begun + self.seconds
        known = len(self._journal)
        try:
            for number in itertools.count():
                if number < known:
                    self._race.follow(self._journal.rung(number))
                if (task := self._race.ask()) is None:
                    break
                members = self._members(task)
                # only scores are kept: who is alive trains again, on the same batches from the same
                # weights
                if number < known and (number + 1 < len(self._race.rungs) or not self._models):
                    self._cohorts.runs |= self._journal.runs(number, members)
                else:
                    self._cohorts.train(members, task.epochs)
                    self._keep(number, members)
                self._race.tell(self._scores(task))
                self.progress.say(self._line(task))
                self._replan()
        except KeyboardInterrupt:
            self.interrupted = True
        except _Over:
            self.progress.say(
                f"{self._label}the time is over"
                if self._label
                else "The time is over: the best so far"
            )
        except Exception as error:
            if not self._race.rounds:
                raise
            # hours may have gone into the rungs that ended
            self.errors["race"] = first_line(error)
            self.progress.say(f"{self._label}the race ended early: {self.errors['race']}")

    def _keep(self, number: int, members: Sequence[Member]) -> None:
        """Write the scores of a rung; a full disk costs no more than a resume from there."""
        try:
            self._journal.keep(
                number, self._race.rungs[number], {m: self._cohorts.runs[m] for m in members}
            )
        except OSError as error:
            self.errors["journal"] = first_line(error)
            self.progress.say(f"The race cannot be kept: {self.errors['journal']}")

    def _say(self, text: str) -> None:
        self.progress.say(f"{self._label}{text}")

    def _replan(self) -> None:
        """Fit what is to come into the time that is left."""
        if self.seconds is None or not self.trained:
            return
        now, before = time.monotonic(), cost(self._race.rungs)
        self._race.replan(int(max(self._deadline - now, 0) / (now - self._begun) * self.trained))
        self.progress.expect(cost(self._race.rungs) - before)

    def results(self) -> tuple[TrialResult, ...]:
        """All candidates: who went furthest first, then by score, the diverged last."""
        tried = (
            member.candidate
            for member, run in self._cohorts.runs.items()
            if run.epochs or run.error
        )
        rows = [self._row(candidate) for candidate in dict.fromkeys(tried)]
        ranked = sorted((row for row in rows if row.score is not None), key=self._order)
        orders = [self._order(row) for row in ranked]
        # equal ones share a rank, so that a tie with the baseline shows
        ranked = [replace(row, rank=1 + orders.index(self._order(row))) for row in ranked]
        return (*ranked, *(row for row in rows if row.score is None))

    def leaders(self) -> tuple[Choice, ...]:
        """All that have a score, the best first."""
        return tuple(row.candidate for row in self.results() if row.rank is not None)

    def model(self, candidate: Choice) -> keras.Model | None:
        """Return the candidate's best model.

        None if it diverged, or left the race and was not finished.
        """
        runs = [
            (self._better(run.best), m) for m, run in self._runs_of(candidate).items() if run.epochs
        ]
        if any(
            self._cohorts.runs[member].diverged or self._cohorts.runs[member].error
            for _, member in runs
        ):
            return None
        members = [member for _, member in sorted(runs, key=lambda one: -one[0])]
        models = (self._finished.get(member) or self._cohorts.model(member) for member in members)
        return next((model for model in models if model is not None), None)

    def finish(self, candidate: Choice) -> None:
        """Train a candidate to the end, on the race's first seed, if it left the race or that was ended."""
        runs, whole = self._runs_of(candidate), self._race.rungs[-1].epochs
        trained = whole == max(run.epochs for run in runs.values())
        if any(run.diverged for run in runs.values()) or (
            trained and self.model(candidate) is not None
        ):
            return
        member, alone = next(iter(runs)), self._alone()
        alone.train([member], whole)
        if error := alone.runs[member].error:
            raise SearchError(
                f"{candidate} must be trained to its end to be kept. Received: {error}"
            )
        self._cohorts.runs[member], self._finished[member] = alone.runs[member], alone.model(member)

    def builder(self, candidate: Choice) -> Callable[[], keras.Model] | None:
        """Return what builds a candidate's model, whether it is alive or not."""
        return partial(with_activations, self._model, candidate)

    @property
    def rounds(self) -> list[RungResult]:
        """The tasks that ended, with their scores."""
        return self._race.rounds

    @property
    def spent(self) -> int:
        """How many epochs all runs have together."""
        return sum(run.epochs for run in self._cohorts.runs.values())

    def _better(self, score: float) -> float:
        """A score as a number of which more is better, or that number as a score."""
        return more_is_better(score, self.objective.direction)

    def _order(self, row: TrialResult) -> tuple[float, ...]:
        return (-(row.epochs or 0), -(row.seeds or 0), -self._better(row.score or 0.0))

    def _runs_of(self, candidate: Choice) -> dict[Member, MemberRecord]:
        return {
            member: run
            for member, run in self._cohorts.runs.items()
            if member.candidate == candidate
        }

    def _row(self, candidate: Choice) -> TrialResult:
        runs = list(self._runs_of(candidate).values())
        epochs = max(run.epochs for run in runs)
        furthest = [run for run in runs if run.epochs == epochs]
        failed = next((run.error for run in runs if run.error), "")
        healthy = not failed and not any(run.diverged for run in runs)
        done = epochs == self._race.rungs[-1].epochs and len(furthest) == self._race.rungs[-1].seeds
        status, message = "stopped", ""
        if failed:
            status, message = "failed", failed
        elif not healthy:
            status, message = (
                "diverged",
                f"{DIVERGED}: the loss or {self.objective.name} is not finite",
            )
        elif done:
            status = "completed"
        return TrialResult(
            rank=None,
            candidate=candidate,
            score=float(np.mean([run.best for run in furthest])) if healthy else None,
            status=status,
            seconds=sum(run.seconds for run in runs),
            hyperparameters=self._hyperparameters(candidate),
            message=message,
            epochs=epochs,
            seeds=len(furthest),
        )

    def _members(self, task: RungTask) -> list[Member]:
        seeds = [derive(self._seed, Stream.INITIAL, index) for index in range(task.seeds)]
        return [Member(candidate, seed) for candidate in task.candidates for seed in seeds]

    def _scores(self, task: RungTask) -> np.ndarray:
        runs = [self._cohorts.runs[member] for member in self._members(task)]
        scores = [np.nan if run.diverged or run.error else self._better(run.best) for run in runs]
        return np.reshape(scores, (len(task.candidates), task.seeds))

    def _epoch(self, slots: int) -> None:
        self.trained += slots
        task = self._race.ask()
        assert task is not None  # one trains
        text = f"{self._label}rung {len(self._race.rounds) + 1}/{len(self._race.rungs)}, {len(task.candidates)} alive"
        self.progress.epoch(f"{text}, {best}" if (best := self._best()) else text, slots)
        if time.monotonic() > self._deadline:
            raise _Over

    def _best(self) -> str:
        """The best of the last round, with the spread of its scores over the seeds.

        That is no interval: it is the best of many, picked by these very scores, and looks better
        than it is.
        """
        if not self._race.rounds or not np.isfinite(self._race.rounds[-1].means).any():
            return ""
        last = self._race.rounds[-1]
        index = int(np.nanargmax(last.means))
        scores, n = last.scores[index], last.task.seeds
        spread = f" (spread over {n} seeds {scores.std(ddof=1):.2g})" if n > 1 else ""
        return f"best {last.task.candidates[index]} {self._better(float(last.means[index])):.4f}{spread}"

    def _line(self, task: RungTask) -> str:
        members = self._members(task)
        failed = len({m.candidate for m in members if self._cohorts.runs[m].error})
        diverged = int(np.isnan(self._race.rounds[-1].means).sum()) - failed
        text = (
            f"{self._label}rung {len(self._race.rounds)}/{len(self._race.rungs)}: {len(task.candidates)} candidates, "
            f"{task.epochs} epochs, {task.seeds} seed{'s' * (task.seeds > 1)}"
        )
        told = [
            f"{count} {what}"
            for count, what in ((diverged, "diverged"), (failed, "failed"))
            if count
        ]
        return ", ".join(filter(None, [text, *told, self._best()]))
