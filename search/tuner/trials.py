"""A search that trains each trial to its end.

`ActivationTuner` with a clock, a progress display and its results.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_acts.errors import SearchError

from ..rewrite.first_inputs import built
from ..rewrite.learning_rate import at_factor
from ..runtime.kept_files import DiskFullError
from ..runtime.reasons import first_line
from ..runtime.seeding import Stream, derive, isolated_seed
from ..space.assignment import Choice
from ..space.rated import Rated
from ..strategy.base import DIVERGED, TrialResult
from ..strategy.callbacks import label, own_copies
from ..strategy.direction import more_is_better
from ..strategy.own_data import free_copies, own_data
from ..strategy.progress import SearchProgress
from ..strategy.rounds import Round
from .hypermodel import FACTOR
from .kerastuner import Trial, TrialStatus
from .oracle import is_diverged
from .tuner import ActivationTuner, StopDiverged

Logs = dict[str, float] | None


@dataclass(frozen=True)
class _Finished:
    """A model that was trained after the trials.

    Attributes:
        model: with the weights of its best epoch.
        score: the objective then.
        seconds: that it took.
    """

    model: keras.Model
    score: float
    seconds: float


class TrialSearch(ActivationTuner):
    """Searches trial by trial. `run` does it; the rest tells what was found, as with `RaceSearch`.

    Args:
        *args: of `ActivationTuner`.
        fit: the arguments of `fit`, data included.
        **kwargs: of `ActivationTuner`.

    Attributes:
        errors: what ended the search before all trials were done, though some were.
        kept: whether it can go on in another process.
    """

    progress: SearchProgress
    kept: bool = False

    def __init__(self, *args: Any, fit: Mapping[str, Any], **kwargs: Any):
        self.interrupted = False
        self.errors: dict[str, str] = {}
        self._fit = fit
        self._begun: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        self._finished: dict[Rated, _Finished] = {}
        super().__init__(*args, **kwargs)
        self._inputs = fit.get("x")

    def say(self, text: str) -> None:
        """Show it above the bar."""
        self.progress.say(text)

    def _alone(self) -> contextlib.AbstractContextManager[None, bool | None]:
        # `search_activations` holds the project already
        return contextlib.nullcontext()

    @property
    def objective(self) -> keras_tuner.Objective:
        """What ranks the trials."""
        return self.oracle.objective

    def run(self) -> None:
        """Search until all trials are done, or the user ends it."""
        try:
            self.search(**self._fit, verbose=0)
        except KeyboardInterrupt:
            self.interrupted = True
        except Exception as error:
            # what is kept goes on once there is room; with what was found the rest would not
            if not self._ranked() or (self.kept and isinstance(error, DiskFullError)):
                raise
            self.errors["search"] = first_line(error)
            self.progress.say(f"The search ended early: {self.errors['search']}")

    def on_trial_begin(self, trial: Trial) -> None:
        """Start its clock."""
        self._begun[trial.trial_id] = time.perf_counter()

    def on_epoch_end(self, trial: Trial, model: keras.Model, epoch: int, logs: Logs = None) -> None:
        """Show how far it is."""
        self.progress.epoch(str(self._rated(trial)), epoch)

    def on_trial_end(self, trial: Trial) -> None:
        """Stop its clock, and show what it scored."""
        seconds = time.perf_counter() - self._begun[trial.trial_id]
        self._seconds[trial.trial_id] = seconds / self._trials_at_once
        super().on_trial_end(trial)
        row = self._row(self.oracle.trials[trial.trial_id], None)
        self.progress.trial(str(row.rated), row.status, row.score, row.seconds or 0.0)

    def results(self) -> tuple[TrialResult, ...]:
        """All trials that have a score or ended, the best first, those without a score last."""
        ranked = self._ranked()
        rows = [self._row(trial, None) for trial in ranked]
        rows += [self._finished_row(rated, one) for rated, one in self._finished.items()]
        rows.sort(key=self._loss)
        # equal scores share a rank, so that a tie with the baseline shows
        losses = [self._loss(row) for row in rows]
        rows = [replace(row, rank=1 + losses.index(self._loss(row))) for row in rows]
        ended = (self.oracle.trials[trial_id] for trial_id in self.oracle.end_order)
        rest = [self._row(trial, None) for trial in ended if trial not in ranked]
        return (*rows, *rest)

    def _loss(self, row: TrialResult) -> float:
        """The score of a row as a number of which less is better."""
        assert row.score is not None  # a trial that is ranked has one
        return -more_is_better(row.score, self.objective.direction)

    def _finished_row(self, rated: Rated, finished: _Finished) -> TrialResult:
        """What was trained after the trials, at a rate that none of them had."""
        values: dict[str, Any] = {}
        trial = self._best_of_choice(rated.choice)
        if trial is not None:
            values = {**trial.hyperparameters.values, FACTOR: rated.factor}
        return TrialResult(
            rank=None,
            candidate=rated.choice,
            factor=rated.factor,
            score=finished.score,
            status="completed",
            seconds=finished.seconds,
            hyperparameters=values,
        )

    def history(self) -> tuple[Round, ...]:
        """Return nothing: there are no rounds."""
        return ()

    def leaders(self) -> tuple[Rated, ...]:
        """All that have a score, the best first."""
        # who has none has no rank
        return tuple(row.rated for row in self.results() if row.rank is not None)

    def finish(self, *candidates: Rated) -> None:
        """Train activations at rates that no trial had; each trial trained to its end.

        Raises:
            SearchError: if one cannot be trained to its end; the others are.
        """
        errors = []
        for candidate in candidates:
            if self.model(candidate) is not None:
                continue
            reason = self._finish(candidate)
            if reason:
                errors.append(f"{candidate}: {reason}")
        if errors:
            raise SearchError(
                f"What is kept must be trained to its end. Received: {'; '.join(errors)}"
            )

    def _finish(self, candidate: Rated) -> str:
        """Train an activation at a rate; return why it has no model then, or nothing."""
        build = self.builder(candidate)
        if build is None:
            return "it was not tried"
        best = keras.callbacks.EarlyStopping(
            monitor=self.objective.name,
            mode=self.objective.direction,
            patience=self._fit["epochs"],  # it never stops, but keeps the best epoch
            restore_best_weights=True,
        )
        given = keras.tree.flatten(self._fit.get("callbacks") or [])
        seed = derive(self.seed, Stream.EXECUTIONS, 0)
        copies = own_copies(given, label(candidate, seed), candidate.factor)
        callbacks = [*copies, StopDiverged(self.watched), best]
        begun = time.perf_counter()
        with isolated_seed(seed):
            model = build()
            own = own_data(self._fit)
            history = model.fit(**{**own, "callbacks": callbacks, "verbose": 0}).history
        free_copies(own, self._fit)
        for name in self.watched:
            if not np.isfinite(history.get(name, [])).all():
                return f"{DIVERGED}, {name} is not finite"
        seconds = time.perf_counter() - begun
        self._finished[candidate] = _Finished(model, float(best.best), seconds)
        return ""

    def model(self, candidate: Rated) -> keras.Model | None:
        """Return the best model of a candidate; None if it has none."""
        trial = self._best_of(candidate)
        if trial is None:
            finished = self._finished.get(candidate)
            if finished is None:
                return None
            return finished.model
        return self.load_model(trial)

    def builder(self, candidate: Rated) -> Callable[[], keras.Model] | None:
        """Return what builds the model of an activation's best trial, at the candidate's rate.

        At each rate of an activation all other hyperparameters are the same.
        """
        trial = self._best_of_choice(candidate.choice)
        if trial is None:
            return None
        factor = candidate.factor / self.hypermodel.factor(trial.hyperparameters)
        return at_factor(partial(self._new_model, trial.hyperparameters), factor)

    def _new_model(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        return built(self.hypermodel.build(hp), self._inputs)

    def _best_of(self, candidate: Rated) -> Trial | None:
        """The best trial of an activation at a rate, with what else its best trial of all has."""
        best = self._best_of_choice(candidate.choice)
        for trial in self._ranked():
            if best is not None and self._rated(trial) == candidate and _alike(trial, best):
                return trial
        return None

    def _best_of_choice(self, choice: Choice) -> Trial | None:
        """The best trial of an activation, at whatever rate."""
        for trial in self._ranked():
            if self._rated(trial).choice == choice:
                return trial
        return None

    def _rated(self, trial: Trial) -> Rated:
        hp = trial.hyperparameters
        return Rated(self.hypermodel.candidate(hp), self.hypermodel.factor(hp))

    def _ranked(self) -> list[Trial]:
        direction = self.objective.direction
        scores: dict[str, float] = {}  # more is better
        for trial_id, trial in self.oracle.trials.items():
            score = self._score(trial)
            if score is not None:
                scores[trial_id] = more_is_better(score, direction)
        best_first = sorted(scores, key=lambda trial_id: -scores[trial_id])
        return [self.oracle.trials[trial_id] for trial_id in best_first]

    def _score(self, trial: Trial) -> float | None:
        """The trial's score; of one that an interrupt ended, the one so far."""
        if trial.status == TrialStatus.COMPLETED:
            return float(trial.score)
        partial_score = self.partial_scores.get(trial.trial_id)
        if partial_score is None or not math.isfinite(partial_score.score):
            return None
        return partial_score.score

    def _row(self, trial: Trial, rank: int | None) -> TrialResult:
        status, message = self._status(trial)
        rated = self._rated(trial)
        return TrialResult(
            rank=rank,
            candidate=rated.choice,
            factor=rated.factor,
            score=self._score(trial),
            status=status,
            seconds=self._seconds.get(trial.trial_id),
            hyperparameters=trial.hyperparameters.values,
            message=message,
        )

    def _status(self, trial: Trial) -> tuple[str, str]:
        """How a trial ended, and why if it failed."""
        message = trial.message or ""
        partial_score = self.partial_scores.get(trial.trial_id)
        if trial.status == TrialStatus.COMPLETED:
            return "completed", message
        if partial_score is not None:
            return "stopped", f"interrupted after {partial_score.epochs} epochs"
        if is_diverged(trial):
            return "diverged", message
        return "failed", message


def _alike(first: Trial, second: Trial) -> bool:
    """Whether two trials differ in their learning rate at most."""
    values = [dict(trial.hyperparameters.values) for trial in (first, second)]
    for of_trial in values:
        of_trial.pop(FACTOR, None)
    return values[0] == values[1]
