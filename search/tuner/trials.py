"""A search that trains each trial to its end.

`ActivationTuner` with a clock, a progress display and its results.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras

from ..rewrite.first_inputs import built
from ..runtime.reasons import first_line
from ..space.assignment import Choice
from ..strategy.base import TrialResult
from ..strategy.direction import more_is_better
from ..strategy.progress import SearchProgress
from .kerastuner import Trial, TrialStatus
from .oracle import is_diverged
from .tuner import ActivationTuner


class TrialSearch(ActivationTuner):
    """Searches trial by trial. `run` does it; the rest tells what was found, as with `RaceSearch`.

    Args:
        *args: of `ActivationTuner`.
        fit: the arguments of `fit`, data included.
        **kwargs: of `ActivationTuner`.

    Attributes:
        errors: what ended the search before all trials were done, though some were.
    """

    progress: SearchProgress

    def __init__(self, *args: Any, fit: Mapping[str, Any], **kwargs: Any):
        self.interrupted = False
        self.errors: dict[str, str] = {}
        self._fit = fit
        self._begun: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        super().__init__(*args, **kwargs)
        self._inputs = fit.get("x")

    def say(self, text: str) -> None:
        """Show it above the bar."""
        self.progress.say(text)

    @property
    def objective(self) -> Any:
        """What ranks the trials."""
        return self.oracle.objective

    def run(self) -> None:
        """Search until all trials are done, or the user ends it."""
        try:
            self.search(**self._fit, verbose=0)
        except KeyboardInterrupt:
            self.interrupted = True
        except Exception as error:
            if not self._ranked():
                raise
            self.errors["search"] = first_line(error)
            self.progress.say(f"The search ended early: {self.errors['search']}")

    def on_trial_begin(self, trial: Trial) -> None:
        """Start its clock."""
        self._begun[trial.trial_id] = time.perf_counter()

    def on_epoch_end(self, trial: Trial, model: keras.Model, epoch: int, logs: Any = None) -> None:
        """Show how far it is."""
        self.progress.epoch(str(self.hypermodel.candidate(trial.hyperparameters)), epoch)

    def on_trial_end(self, trial: Trial) -> None:
        """Stop its clock, and show what it scored."""
        self._seconds[trial.trial_id] = (
            time.perf_counter() - self._begun[trial.trial_id]
        ) / self._sharing
        super().on_trial_end(trial)
        row = self._row(self.oracle.trials[trial.trial_id], None)
        self.progress.trial(str(row.candidate), row.status, row.score, row.seconds or 0.0)

    def results(self) -> tuple[TrialResult, ...]:
        """All trials that have a score or ended, the best first, those without a score last."""
        ranked = self._ranked()
        # equal scores share a rank, so that a tie with the baseline shows
        scores = [self._score(trial) for trial in ranked]
        rows = [self._row(trial, 1 + scores.index(self._score(trial))) for trial in ranked]
        rest = [
            self.oracle.trials[i]
            for i in self.oracle.end_order
            if self.oracle.trials[i] not in ranked
        ]
        return (*rows, *(self._row(trial, None) for trial in rest))

    def leaders(self) -> tuple[Choice, ...]:
        """All that have a score, the best first."""
        return tuple(row.candidate for row in self.results() if row.rank is not None)

    def finish(self, candidate: Choice) -> None:
        """Nothing: each trial trained to its end."""

    def model(self, candidate: Choice) -> keras.Model | None:
        """Return the best model of a candidate; None if it has none."""
        trial = self._best_of(candidate)
        return None if trial is None else self.load_model(trial)

    def builder(self, candidate: Choice) -> Callable[[], keras.Model] | None:
        """Return what builds the model of a candidate's best trial."""
        trial = self._best_of(candidate)
        return None if trial is None else partial(self._fresh, trial.hyperparameters)

    def _fresh(self, hp: Any) -> keras.Model:
        return built(self.hypermodel.build(hp), self._inputs)

    def _best_of(self, candidate: Choice) -> Trial | None:
        own = (
            t for t in self._ranked() if self.hypermodel.candidate(t.hyperparameters) == candidate
        )
        return next(own, None)

    def _ranked(self) -> list[Trial]:
        scored = [
            (score, trial)
            for trial in self.oracle.trials.values()
            if (score := self._score(trial)) is not None
        ]
        ranked = sorted(scored, key=lambda one: -more_is_better(one[0], self.objective.direction))
        return [trial for _, trial in ranked]

    def _score(self, trial: Trial) -> float | None:
        """The trial's score; of one that an interrupt ended, the one so far."""
        if trial.status == TrialStatus.COMPLETED:
            return float(trial.score)
        score = self.so_far.get(trial.trial_id, (math.nan, 0))[0]
        return score if math.isfinite(score) else None

    def _row(self, trial: Trial, rank: int | None) -> TrialResult:
        score, message = self._score(trial), trial.message or ""
        status = (
            "completed" if score is not None else "diverged" if is_diverged(trial) else "failed"
        )
        if trial.status != TrialStatus.COMPLETED and trial.trial_id in self.so_far:
            status, message = (
                "stopped",
                f"interrupted after {self.so_far[trial.trial_id][1]} epochs",
            )
        return TrialResult(
            rank=rank,
            candidate=self.hypermodel.candidate(trial.hyperparameters),
            score=score,
            status=status,
            seconds=self._seconds.get(trial.trial_id),
            hyperparameters=trial.hyperparameters.values,
            message=message,
        )
