"""The oracle that proposes candidates.

Every activation once as its paper has it, then parameters at random.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import keras_tuner

from ..runtime.seeding import Stream, derive
from ..strategy.base import DIVERGED
from ..strategy.objective import checked_objectives
from .keeping import reload_oracle, save_oracle, save_trial
from .kerastuner import Choice, HyperParameter, Trial, TrialStatus

# to draw a point that is new: a space where so many draws find none has hardly any left
_TRIES = 1000

# what ranks, as KerasTuner takes it; with several its sum
Objectives: TypeAlias = str | keras_tuner.Objective | Sequence[str | keras_tuner.Objective] | None


class ActivationOracle(keras_tuner.Oracle):
    """Proposes every activation once with its default parameters, then samples at random.

    In the order given. With groups of slots, the first trials give all of them the same activation.
    Plain random search may never try an activation; a default is what most users would run. A trial
    that diverges is a result, not a failure: it never counts towards
    `max_consecutive_failed_trials`.

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
        objective: Objectives = None,
        max_trials: int = 20,
        *,
        seed: int = 0,
        choice: str = "act",
        **kwargs: Any,
    ):
        # KerasTuner takes 0 for no seed
        super().__init__(
            objective=checked_objectives(objective), max_trials=max_trials, seed=seed or 1, **kwargs
        )
        self.seed = seed
        self.choice = choice
        self._directions: dict[str, str] = {}  # of metrics

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the hyperparameters of the next trial, or STOPPED when the space is exhausted."""
        number = len(self.trials)
        labels = self._labels()
        for attempt in range(_TRIES):
            label = None
            if attempt == 0 and number < len(labels):
                label = labels[number]
            seed = derive(self.seed, Stream.PROPOSALS, number, attempt)
            values = self._values(seed, label)
            if not self._duplicate(values):
                return {"status": TrialStatus.RUNNING, "values": values}
        return {"status": TrialStatus.STOPPED}

    def _labels(self) -> list[str]:
        """The activations of the model, or of the first group."""
        for hp in self.hyperparameters.space:
            if self._is_choice(hp):
                return list(hp.values)
        return []

    def update_trial(self, trial_id: str, metrics: dict[str, float], step: int = 0) -> Trial:
        """Record a trial's values.

        Which is better KerasTuner finds out from a new metric for each name and trial.
        """
        tracked = self.trials[trial_id].metrics
        for name in metrics:
            if name in self._directions and not tracked.exists(name):
                tracked.register(name, self._directions[name])
        trial = super().update_trial(trial_id, metrics, step)
        for name, history in trial.metrics.metrics.items():
            self._directions[name] = history.direction
        return trial

    def save(self) -> None:
        """Keep the state, in one step: KerasTuner truncates the file first."""
        save_oracle(self)

    def _save_trial(self, trial: Trial) -> None:
        save_trial(self, trial)

    def reload(self) -> None:
        """Go on from what an earlier process kept, its trials in the order in which they began.

        KerasTuner takes them as the file system lists them, and equal scores would then rank by
        chance.

        Raises:
            SearchError: naming the file that is missing or damaged.
        """
        reload_oracle(self)

    def _values(self, seed: int, label: str | None) -> dict[str, Any]:
        """One point of the space.

        Everything at its default under the activation `label`, or everything at random.
        """
        hps = keras_tuner.HyperParameters()
        for index, hp in enumerate(self.hyperparameters.space):
            hps.merge([hp])
            if not hps.is_active(hp):
                continue
            if label is None:
                value = self._random_value(hp, derive(seed, Stream.VALUES, index))
            elif self._is_choice(hp):
                value = label
            else:
                value = hp.default
            hps.values[hp.name] = value
        return dict(hps.values)

    def _random_value(self, hp: HyperParameter, seed: int) -> Any:
        value = hp.random_sample(seed)
        if isinstance(value, float) and hp.name.startswith(f"{self.choice}."):
            # what is printed is what was trained
            return float(f"{value:.3g}")
        return value

    def _is_choice(self, hp: HyperParameter) -> bool:
        """Whether it holds an activation: that of the model, or of a group of its slots."""
        return isinstance(hp, Choice) and (
            hp.name == self.choice or hp.name.startswith(f"{self.choice}.")
        )

    def _check_consecutive_failures(self) -> None:
        # KerasTuner's own looks at the last trials of the list
        ended = self.end_order
        self.end_order = [trial_id for trial_id in ended if not is_diverged(self.trials[trial_id])]
        try:
            super()._check_consecutive_failures()
        finally:
            self.end_order = ended


def is_diverged(trial: Trial) -> bool:
    """Whether the trial failed because its loss was not finite.

    KerasTuner's own tuners say so by a nan score.
    """
    no_score = trial.score is not None and math.isnan(trial.score)
    # the message of another failure may hold the word too
    has_message = (trial.message or "").startswith(f"{DIVERGED}: ")
    return trial.status == TrialStatus.FAILED and (no_score or has_message)
