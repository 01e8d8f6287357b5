"""A KerasTuner tuner for activations: paired seeds, divergence as a result, and a process left as it was found."""

from __future__ import annotations

import gc
import itertools
import re
import traceback
from typing import Any

import keras
import keras_tuner
import numpy as np
from keras_tuner.src.engine.trial import Trial, TrialStatus

from keras_acts.errors import SearchError

from . import device
from .hypermodel import ActivationHyperModel, takes_activation
from .oracle import DIVERGED, ActivationOracle
from .seeding import derive, isolated_seed


class ActivationTuner(keras_tuner.Tuner):
    """A KerasTuner tuner that searches activations.

    It differs from KerasTuner's own in what it proposes (`ActivationOracle`), in that all trials share their
    initialization and batch order (so that they can be compared), in that a candidate whose loss is no longer finite is
    stopped and recorded as diverged, and in that it leaves the global seed, dtype policy and Keras session alone.

    Args:
        hypermodel: a compiled Keras model; a function ``build(hp, activation)``, or ``build(hp)`` that calls
            `activation_choice`; or a `keras_tuner.HyperModel`.
        objective: as in KerasTuner, ``"val_loss"`` by default.
        max_trials: as in KerasTuner.
        activations: an `ActivationSpace`, or what it is made of, for a model or ``build(hp, activation)``.
        choice: the name of the `Choice` hyperparameter that holds the activation, as `activation_choice` was given it.
        seed: of proposals, initialization and batch order; execution e of every trial has the same derived seed.
        oracle: another oracle; then `objective`, `max_trials` and the arguments of an oracle are its own.
        **kwargs: KerasTuner's arguments (`executions_per_trial`, `directory`, `project_name`, `overwrite`, …), and
            those of an oracle (`max_retries_per_trial`, `hyperparameters`, …).

    Raises:
        SearchError: on contradictory arguments.
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = "val_loss",
        max_trials: int = 20,
        *,
        activations: Any = None,
        choice: str = "act",
        seed: int = 0,
        oracle: keras_tuner.Oracle | None = None,
        **kwargs: Any,
    ):
        if isinstance(max_trials, bool) or not isinstance(max_trials, int) or max_trials < 1:
            raise SearchError(f"max_trials must be an integer >= 1. Received: max_trials={max_trials!r}")
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise SearchError(f"seed must be an integer >= 0. Received: seed={seed!r}")
        self.seed = seed
        self._executions = itertools.count()
        options = {key: kwargs.pop(key) for key in _ORACLE_OPTIONS if key in kwargs}
        # KerasTuner builds the model several times to find the hyperparameters
        with isolated_seed(derive(seed)):
            super().__init__(
                oracle or ActivationOracle(objective, max_trials, seed=seed, choice=choice, **options),
                hypermodel=_hypermodel(hypermodel, activations, choice),
                **kwargs,
            )

    def on_search_begin(self) -> None:
        """Say what trains."""
        if self.oracle.verbose:
            print(f"Training on {device.describe()}")

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
        """Train the trial's candidate `executions_per_trial` times and return the histories."""
        self._executions = itertools.count()
        callbacks = [*(kwargs.pop("callbacks", None) or []), _StopDiverged(self._watched)]
        return super().run_trial(trial, *args, callbacks=callbacks, **kwargs)

    def _try_run_and_update_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> None:
        # as in KerasTuner, but its traceback goes into the trial's message only, not onto the screen
        try:
            self._run_and_update_trial(trial, *args, **kwargs)
            trial.status = TrialStatus.COMPLETED
        except keras_tuner.errors.FatalError:
            raise
        except keras_tuner.errors.FailedTrialError as error:
            trial.status, trial.message = TrialStatus.FAILED, str(error)
        except Exception as error:
            trial.status, trial.message = TrialStatus.INVALID, f"{_first_line(error)}\n{traceback.format_exc()}"

    def _build_and_fit_model(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
        with isolated_seed(derive(self.seed, next(self._executions))):
            history = super()._build_and_fit_model(trial, *args, **kwargs)
        # an infinite score would be the best one, or one without a checkpoint
        for name in self._watched:
            for epoch, value in enumerate(getattr(history, "history", {}).get(name, []), start=1):
                if not np.isfinite(value):
                    raise keras_tuner.errors.FailedTrialError(f"{DIVERGED}: {name} is {value} after epoch {epoch}")
        return history

    @property
    def _watched(self) -> tuple[str, ...]:
        """What must stay finite."""
        return ("loss", self.oracle.objective.name)

    def load_model(self, trial: Trial) -> keras.Model:
        """Return the trial's model with the weights of its best epoch."""
        with isolated_seed(derive(self.seed)):
            return super().load_model(trial)

    def _try_build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        # KerasTuner's own begins with clear_session(), which forgets the user's dtype policy and seed as well
        gc.collect()
        model = self._build_hypermodel(hp)
        if not isinstance(model, keras.Model):
            raise keras_tuner.errors.FatalTypeError(f"build must return a Keras model. Received: {model!r}")
        if self.max_model_size and model.count_params() > self.max_model_size:
            raise keras_tuner.errors.FailedTrialError(
                f"The model must have at most {self.max_model_size} parameters. Received: {model.count_params()}"
            )
        if model.built and model.optimizer is not None:
            # a checkpoint holds the optimizer's variables too, and Keras warns if they have no place to go
            model.optimizer.build(model.trainable_variables)
        return model


_ORACLE_OPTIONS = (
    "hyperparameters",
    "tune_new_entries",
    "allow_new_entries",
    "max_retries_per_trial",
    "max_consecutive_failed_trials",
)


def _hypermodel(hypermodel: Any, activations: Any, choice: str) -> Any:
    if isinstance(hypermodel, keras.Model) or (
        callable(hypermodel) and not isinstance(hypermodel, keras_tuner.HyperModel) and takes_activation(hypermodel)
    ):
        return ActivationHyperModel(hypermodel, activations, choice=choice)
    if activations is not None:
        raise SearchError(
            "activations goes with a model or a function build(hp, activation); anything else holds its own. "
            f"Received: activations={activations!r} with {hypermodel!r}"
        )
    return hypermodel


class _StopDiverged(keras.callbacks.Callback):
    """Ends the training when the loss or the objective is not finite: no later epoch can help."""

    def __init__(self, watched: tuple[str, ...]):
        super().__init__()
        self._watched = watched

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not all(np.isfinite((logs or {}).get(name, 0.0)) for name in self._watched):
            self.model.stop_training = True


def _first_line(error: Exception) -> str:
    # Keras puts the name of the layer before what went wrong, and colours it
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if not line.startswith("Exception encountered")]
    return f"{type(error).__name__}: {next(filter(None, lines), 'no message')}"
