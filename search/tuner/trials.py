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
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_acts.errors import SearchError

from ..report.numbers import counted
from ..rewrite.first_inputs import built
from ..rewrite.learning_rate import at_factor
from ..runtime.kept_files import DiskFullError, read_kept, write_kept
from ..runtime.reasons import first_line, headline, reason_of
from ..runtime.seeding import Stream, derive, isolated_seed
from ..runtime.tracing import steps_forgotten
from ..space.assignment import Choice
from ..space.rated import Rated
from ..strategy.base import DIVERGED, JudgedRun, TrialResult
from ..strategy.callbacks import label, own_copies
from ..strategy.curves import Curve, Values, add_epoch, curve_of, plain_curve
from ..strategy.direction import more_is_better
from ..strategy.own_data import free_copies, own_data
from ..strategy.progress import SearchProgress
from ..strategy.rounds import Round
from ..strategy.scoring import numbers
from ..tracking.callback import Followers
from ..tracking.records import EpochRecord, TrialRecord
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
        judged: whether the verdict has trained it, and then on how many seeds: the score is the
            mean; 0 if it has not.
    """

    model: keras.Model
    score: float
    seconds: float
    judged: int = 0


class TrialSearch(ActivationTuner):
    """Searches trial by trial. `run` does it; the rest tells what was found, as with `RaceSearch`.

    Args:
        *args: of `ActivationTuner`.
        fit: the arguments of `fit`, data included.
        **kwargs: of `ActivationTuner`.

    Attributes:
        errors: what ended the search before all trials were done, though some were.
        kept: whether it can go on in another process.
        followers: hear of its epochs and trials.
    """

    progress: SearchProgress
    kept: bool = False
    followers: Followers = Followers()

    def __init__(self, *args: Any, fit: Mapping[str, Any], **kwargs: Any):
        self.interrupted = False
        self.errors: dict[str, str] = {}
        self._fit = fit
        self._begun: dict[str, float] = {}
        self._told: set[str] = set()
        self._seconds: dict[str, float] = {}
        self._finished: dict[Rated, _Finished] = {}
        self._judged: dict[Rated, JudgedRun] = {}
        # of each trial, the learning curve of each of its executions
        self._curves: dict[str, dict[int, Values]] = {}
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
        try:
            self._tell_the_rest()
        except KeyboardInterrupt:  # in a callback: what is found is lost for nobody
            self.interrupted = True

    def _tell_the_rest(self) -> None:
        """Tell of trials that have a score so far, and did not end in this process."""
        for trial in self._ranked():
            trial_id = trial.trial_id
            if trial_id in self._begun and trial_id not in self._told:
                self._tell(trial_id, self._row(trial, None))

    def on_trial_begin(self, trial: Trial) -> None:
        """Start its clock."""
        self._begun[trial.trial_id] = time.perf_counter()

    def on_epoch_end(self, trial: Trial, model: keras.Model, epoch: int, logs: Logs = None) -> None:
        """Show how far it is."""
        rated = self._rated(trial)
        metrics = {name: float(value) for name, value in numbers(logs or {}).items()}
        curve = self._curves.setdefault(trial.trial_id, {}).setdefault(self.execution, {})
        add_epoch(curve, epoch, metrics)
        self.progress.epoch(str(rated), epoch)
        if self.followers:
            seed = self._seed_of(self.execution)
            self.followers.epoch(EpochRecord(rated.choice, rated.factor, seed, epoch + 1, metrics))

    def on_known_epochs(
        self, trial: Trial, execution: int, history: Mapping[str, list[float]]
    ) -> None:
        """Keep them for the learning curves."""
        if history:
            values = {name: list(map(float, each)) for name, each in history.items()}
            self._curves.setdefault(trial.trial_id, {})[execution] = values

    def _seed_of(self, execution: int) -> int:
        return derive(self.seed, Stream.EXECUTIONS, execution)

    def on_trial_end(self, trial: Trial) -> None:
        """Stop its clock, and show what it scored."""
        seconds = time.perf_counter() - self._begun[trial.trial_id]
        self._seconds[trial.trial_id] = seconds / self._trials_at_once
        super().on_trial_end(trial)
        row = self._row(self.oracle.trials[trial.trial_id], None)
        self.progress.trial(str(row.rated), row.status, row.score, row.seconds or 0.0)
        self._keep_curves(trial.trial_id)
        self._tell(trial.trial_id, row)

    def _tell(self, trial_id: str, row: TrialResult) -> None:
        """Tell those who follow the search of a trial that is over."""
        self._told.add(trial_id)
        if not self.followers:
            return
        of_trial = self._curves.get(trial_id, {})
        lengths = [Curve.of(row.rated, 0, values).epochs for values in of_trial.values()]
        scores: tuple[float, ...] = ()
        rank = None
        if row.score is not None:
            scores = (row.score,)
            ranked = [trial.trial_id for trial in self._ranked()]
            rank = 1 + ranked.index(trial_id)
        message = ""
        if row.message:
            message = headline(row.message)
        self.followers.trial_over(
            TrialRecord(
                candidate=row.candidate,
                factor=row.factor,
                seeds=tuple(map(self._seed_of, of_trial)),
                epochs=max(lengths, default=None),
                scores=scores,
                rank=rank,
                outcome=row.status,
                message=message,
            )
        )

    def _keep_curves(self, trial_id: str) -> None:
        """Keep the learning curves of a trial that is over, for a process that goes on later."""
        if not self.kept:
            return
        curves = {}
        for execution, values in self._curves.get(trial_id, {}).items():
            curves[str(execution)] = plain_curve(values)
        file = self._file_of_curves(trial_id)
        try:
            # a power failure may cost a curve: no score comes from it
            write_kept(file, {"curves": curves}, durable=False)
        except (DiskFullError, OSError) as error:
            self.errors["curves"] = reason_of(error)

    def _file_of_curves(self, trial_id: str) -> Path:
        return Path(self.get_trial_dir(trial_id)) / "curves.json"

    def curves(self) -> tuple[Curve, ...]:
        """Return the learning curve of each execution of each trial, as far as they are known."""
        curves = []
        for trial_id in self.oracle.end_order:
            trial = self.oracle.trials[trial_id]
            for execution, values in self._curves_of(trial_id).items():
                curves.append(Curve.of(self._rated(trial), self._seed_of(execution), values))
        return tuple(curve for curve in curves if curve.metrics)

    def _curves_of(self, trial_id: str) -> Mapping[int, Values]:
        """The learning curves of a trial, of which an earlier process may have kept them."""
        known = self._curves.get(trial_id)
        file = self._file_of_curves(trial_id)
        if known is not None or not self.kept or not file.is_file():
            return known or {}
        try:
            kept = read_kept(file, signed=True)["curves"]
            return {int(execution): curve_of(plain) for execution, plain in kept.items()}
        except (SearchError, KeyError, ValueError, TypeError, AttributeError) as error:
            # no score comes from it
            self.errors["curves"] = reason_of(error)
            return {}

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
            seeds=finished.judged or None,
            judged=finished.judged > 0,
        )

    @property
    def kind(self) -> None:
        """None: each trial trains to its end."""

    @property
    def is_complete(self) -> bool:
        """Whether nobody ended it: a trial that is there has trained to its end."""
        return not self.interrupted

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
        with isolated_seed(seed), steps_forgotten():
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

    def has_finished(self, candidate: Rated) -> bool:
        """Return whether `finish` would train nothing for a candidate."""
        return self._best_of(candidate) is not None or candidate in self._finished

    def adopt(self, run: JudgedRun) -> None:
        """Take a training of the verdict for one of its own.

        Where a trial has one at its rate, its row stays, and the better of the two is the model.
        """
        self._judged[run.rated] = run
        if self._best_of(run.rated) is None:
            self._finished[run.rated] = _Finished(run.model, run.mean, run.seconds, run.seeds)

    def model(self, candidate: Rated) -> keras.Model | None:
        """Return the best model of a candidate; None if it has none."""
        trial = self._best_of(candidate)
        if trial is None:
            finished = self._finished.get(candidate)
            if finished is None:
                return None
            return finished.model
        judged = self._judged.get(candidate)
        if judged is not None and self._is_better(judged, trial):
            return judged.model
        return self.load_model(trial)

    def _is_better(self, judged: JudgedRun, trial: Trial) -> bool:
        """Whether a training of the verdict is better than all of a trial."""
        direction = self.objective.direction
        score = self._score(trial)
        assert score is not None  # a trial that is ranked has one
        own = [more_is_better(score, direction)]
        # the score is the mean of its executions, and the model is that of the best one
        for values in self._curves_of(trial.trial_id).values():
            for value in values.get(self.objective.name, []):
                own.append(more_is_better(value, direction))
        return more_is_better(judged.score, direction) > max(own)

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
            return "stopped", f"interrupted after {counted(partial_score.epochs, 'epoch')}"
        if is_diverged(trial):
            return "diverged", message
        return "failed", message


def _alike(first: Trial, second: Trial) -> bool:
    """Whether two trials differ in their learning rate at most."""
    values = [dict(trial.hyperparameters.values) for trial in (first, second)]
    for of_trial in values:
        of_trial.pop(FACTOR, None)
    return values[0] == values[1]
