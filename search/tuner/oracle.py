"""The oracle that proposes candidates.

Every activation once as its paper has it, then parameters at random.
"""

from __future__ import annotations

import math
from typing import Any

import keras_tuner

from ..runtime.seeding import Stream, derive
from ..strategy.base import DIVERGED
from ..strategy.objective import checked_objectives
from .kerastuner import Choice, HyperParameter, Trial, TrialStatus

_TRIES = 1000


class ActivationOracle(keras_tuner.Oracle):
    """Proposes every activation once with its default parameters, in the order given, then samples at random.

    With groups of slots, the first trials give all of them the same activation. Plain random search
    may never try an activation; a default is what most users would run. A trial that diverges is a
    result, not a failure: it never counts towards `max_consecutive_failed_trials`.

    Args:
        objective: as in KerasTuner; a name is that of one of Keras' metrics, which says whether
            more is better.
        max_trials: as in KerasTuner.
        seed: of the proposals; the same seed proposes the same trials, also after a resume. 0 is a
            seed like any other.
        choice: the name of the `Choice` hyperparameter that holds the activation; what the names
            begin with for groups.
        **kwargs: KerasTuner's arguments of an oracle.
    """

    # of KerasTuner
    end_order: list[str]
    start_order: list[str]
    trials: dict[str, Trial]

    def __init__(
        self,
        objective: Any = None,
        max_trials: int = 20,
        *,
        seed: int = 0,
        choice: str = "act",
        **kwargs: Any,
    ):
        super().__init__(
            objective=checked_objectives(objective), max_trials=max_trials, seed=seed or 1, **kwargs
        )
        self.seed, self.choice = seed, choice
        self._directions: dict[str, str] = {}  # of metrics

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the hyperparameters of the next trial, or STOPPED when the space is exhausted."""
        number = len(self.trials)
        choices = [hp for hp in self.hyperparameters.space if self._is_choice(hp)]
        labels = list(choices[0].values) if choices else []
        for attempt in range(_TRIES):
            first = labels[number] if attempt == 0 and number < len(labels) else None
            values = self._values(derive(self.seed, Stream.PROPOSALS, number, attempt), first)
            if not self._duplicate(values):
                return {"status": TrialStatus.RUNNING, "values": values}
        return {"status": TrialStatus.STOPPED}

    def update_trial(self, trial_id: str, metrics: dict[str, float], step: int = 0) -> Trial:
        """Record a trial's values.

        Which is better KerasTuner finds out from a new metric for each name and trial.
        """
        tracked = self.trials[trial_id].metrics
        for name in metrics:
            if name in self._directions and not tracked.exists(name):
                tracked.register(name, self._directions[name])
        trial = super().update_trial(trial_id, metrics, step)
        self._directions.update(
            (name, history.direction) for name, history in trial.metrics.metrics.items()
        )
        return trial

    def reload(self) -> None:
        """Read the trials of an earlier process back, in the order in which they began.

        KerasTuner takes them as the file system lists them, and equal scores would then rank by
        chance.
        """
        super().reload()
        self.trials = {trial_id: self.trials[trial_id] for trial_id in self.start_order}

    def _values(self, seed: int, label: str | None) -> dict[str, Any]:
        """One point of the space.

        Everything at its default under the activation `label`, or everything at random.
        """
        hps = keras_tuner.HyperParameters()
        for index, hp in enumerate(self.hyperparameters.space):
            hps.merge([hp])
            if not hps.is_active(hp):
                continue
            if label is not None:
                hps.values[hp.name] = label if self._is_choice(hp) else hp.default
            else:
                value = hp.random_sample(derive(seed, Stream.VALUES, index))
                # what is printed is what was trained
                printed = isinstance(value, float) and hp.name.startswith(f"{self.choice}.")
                hps.values[hp.name] = float(f"{value:.3g}") if printed else value
        return dict(hps.values)

    def _is_choice(self, hp: HyperParameter) -> bool:
        """Whether it holds an activation: that of the model, or of a group of its slots."""
        return isinstance(hp, Choice) and (
            hp.name == self.choice or hp.name.startswith(f"{self.choice}.")
        )

    def _check_consecutive_failures(self) -> None:
        ended = self.end_order
        self.end_order = [i for i in ended if not is_diverged(self.trials[i])]
        try:
            super()._check_consecutive_failures()
        finally:
            self.end_order = ended


def is_diverged(trial: Trial) -> bool:
    """Whether the trial failed because its loss was not finite, which KerasTuner's own tuners say by a nan score."""
    no_score = trial.score is not None and math.isnan(trial.score)
    # the message of another failure may hold the word too
    told = (trial.message or "").startswith(f"{DIVERGED}: ")
    return trial.status == TrialStatus.FAILED and (no_score or told)
