"""The user's callbacks for a model at a multiple of its learning rate.

What they set is a rate for the user's model. A copy of it that trains at four times its rate must
train at four times that one, or the rates that are searched are all the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import keras
import numpy as np

from ..rewrite.learning_rate import rate_given_to, scale_learning_rate
from .batch_hooks import watch_batches

Logs: TypeAlias = dict[str, Any] | None

# theirs set no rate, but for one; `ReduceLROnPlateau` multiplies the one that there is
_PACKAGES = {"keras", "keras_acts", "keras_tuner"}
_LOGGED_RATES = ("learning_rate", "lr")


def scaled_callbacks(callbacks: Iterable[Any], factor: float) -> list[Any]:
    """Return the callbacks of a training for a model at a multiple of its learning rate."""
    scaled = []
    for callback in callbacks:
        if factor != 1 and _may_set_rates(callback):
            if watch_batches(callback):
                callback = _ScaledCallbackOfBatches(callback, factor)
            else:
                callback = ScaledCallback(callback, factor)
        scaled.append(callback)
    return scaled


def without_scale(callback: Any) -> Any:
    """Return the user's callback behind what `scaled_callbacks` returned for it."""
    if isinstance(callback, ScaledCallback):
        return callback.callback
    return callback


def _may_set_rates(callback: Any) -> bool:
    """Whether a callback may set a rate, whatever the one before was."""
    if isinstance(callback, keras.callbacks.LearningRateScheduler):
        return True
    package = type(callback).__module__.partition(".")[0]
    return package not in _PACKAGES


class ScaledCallback(keras.callbacks.Callback):
    """A callback of a model at a multiple of its learning rate.

    What it sees as the model's rate is the one that the model would have by itself; what it sets,
    or changes, becomes that multiple. What it logs as the rate is the true one.

    Args:
        callback: the user's.
        factor: of the model.
    """

    def __init__(self, callback: keras.callbacks.Callback, factor: float):
        super().__init__()
        self.callback = callback
        self._factor = np.float32(factor)
        # the rate that the model was left with, and what the callback had made of it: to divide by
        # the factor again might round
        self._left: np.float32 | None = None
        self._own: np.float32 | None = None

    def set_params(self, params: dict[str, Any]) -> None:
        """Hand them on."""
        super().set_params(params)
        self.callback.set_params(params)

    def set_model(self, model: keras.Model) -> None:
        """Hand it on."""
        super().set_model(model)
        with self._at_own_rate(None):
            self.callback.set_model(model)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Hand it on."""
        with self._at_own_rate(logs):
            self.callback.on_train_begin(logs)

    def on_train_end(self, logs: Logs = None) -> None:
        """Hand it on."""
        with self._at_own_rate(logs):
            self.callback.on_train_end(logs)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Hand it on."""
        with self._at_own_rate(logs):
            self.callback.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Hand it on."""
        with self._at_own_rate(logs):
            self.callback.on_epoch_end(epoch, logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Hand it on."""
        with self._at_own_rate(logs):
            self.callback.on_test_begin(logs)

    def on_test_end(self, logs: Logs = None) -> None:
        """Hand it on."""
        with self._at_own_rate(logs):
            self.callback.on_test_end(logs)

    @contextlib.contextmanager
    def _at_own_rate(self, logs: Logs) -> Iterator[None]:
        optimizer = self.model.optimizer
        given = rate_given_to(optimizer)
        if isinstance(given, keras.optimizers.schedules.LearningRateSchedule):
            # no number can be set, but another schedule
            yield
            if rate_given_to(optimizer) is not given:
                scale_learning_rate(optimizer, float(self._factor))
            return
        rate = self._rate()
        own = rate / self._factor
        if self._own is not None and rate == self._left:
            own = self._own
        logged = _logged(logs)
        optimizer.learning_rate = own
        try:
            yield
        finally:
            _correct(logs, logged, own, rate)
            self._go_on(given, own, rate)

    def _go_on(self, given: object, own: np.float32, rate: np.float32) -> None:
        """Have the model train at the multiple of what the callback has left."""
        optimizer = self.model.optimizer
        if rate_given_to(optimizer) is not given:
            scale_learning_rate(optimizer, float(self._factor))
            return
        self._own = self._rate()
        if self._own != own:
            rate = self._own * self._factor
        optimizer.learning_rate = rate
        self._left = self._rate()

    def _rate(self) -> np.float32:
        return np.float32(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))


def _logged(logs: Logs) -> dict[str, Any]:
    return {name: logs[name] for name in _LOGGED_RATES if logs and name in logs}


def _correct(logs: Logs, before: dict[str, Any], own: np.float32, rate: np.float32) -> None:
    """Have the true rate in the logs, where a callback has just written the one that it saw."""
    for name, value in _logged(logs).items():
        is_new = name not in before or before[name] is not value
        if is_new and logs is not None and np.float32(keras.ops.convert_to_numpy(value)) == own:
            logs[name] = float(rate)


class _ScaledCallbackOfBatches(ScaledCallback):
    """One that wants to see each batch."""

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Hand it on."""
        with self._at_own_rate(logs):
            self.callback.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Hand it on."""
        with self._at_own_rate(logs):
            self.callback.on_train_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Hand it on."""
        with self._at_own_rate(logs):
            self.callback.on_test_batch_begin(batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Hand it on."""
        with self._at_own_rate(logs):
            self.callback.on_test_batch_end(batch, logs)
