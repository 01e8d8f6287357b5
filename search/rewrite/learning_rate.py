"""The learning rate of a compiled model: what it is, and the same model at a multiple of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import keras
import numpy as np

from keras_acts.compat import given_learning_rate
from keras_acts.schedules import ScaledSchedule

# a new rate for an epoch, as `LearningRateScheduler` asks for it: schedule(epoch, rate)
Schedule = Callable[..., float]


def why_no_rates(model: keras.Model) -> str:
    """Return why the learning rate of a compiled model cannot be multiplied; empty if it can."""
    optimizer = getattr(model, "optimizer", None)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return "the model is compiled without an optimizer of Keras"
    others = _other_optimizers(model)
    if others:
        # which of them its steps use, nobody else knows
        return f"the model has optimizers of its own, {', '.join(others)}"
    rate = _given(optimizer)
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule | keras.Variable):
        return ""
    return f"the optimizer's learning rate is neither a number nor a schedule, {rate!r}"


def _other_optimizers(model: keras.Model) -> list[str]:
    """The names of a model's optimizers besides the one that Keras compiled it with."""
    names = []
    for name, value in vars(model).items():
        if isinstance(value, keras.optimizers.Optimizer) and value is not model.optimizer:
            names.append(name)
    return names


def own_rate(model: keras.Model, callbacks: Iterable[Any] = ()) -> float | None:
    """Return the one learning rate that a model trains with; None if it changes in the training."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.LearningRateScheduler):
            return None
    optimizer = getattr(model, "optimizer", None)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return None
    rate = _given(optimizer)
    if not isinstance(rate, keras.Variable):
        return None
    # the digits that a float32 stands for: 0.001, not 0.0010000000474974513
    return float(str(np.float32(keras.ops.convert_to_numpy(rate))))


def scale_learning_rate(optimizer: keras.optimizers.Optimizer, factor: float) -> None:
    """Multiply the rate that an optimizer trains with from now on, whether a number or a schedule."""
    if factor == 1:
        return
    rate = _given(optimizer)
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        optimizer.learning_rate = ScaledSchedule(rate, factor)
        return
    # in the precision in which a population multiplies: the same number to the last bit
    value = np.float32(keras.ops.convert_to_numpy(rate))
    optimizer.learning_rate = value * np.float32(factor)


def at_factor(build: Callable[[], keras.Model], factor: float) -> Callable[[], keras.Model]:
    """Return what builds the same model at a multiple of its learning rate."""
    if factor == 1:
        return build
    return partial(_scaled, build, factor)


def _scaled(build: Callable[[], keras.Model], factor: float) -> keras.Model:
    model = build()
    scale_learning_rate(model.optimizer, factor)
    return model


def _given(optimizer: keras.optimizers.Optimizer) -> Any:
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return _given(optimizer.inner_optimizer)
    return given_learning_rate(optimizer)


class ScaledScheduler(keras.callbacks.Callback):
    """A `LearningRateScheduler` for a model at a multiple of its learning rate.

    Its rates are those of the user's, times a factor. What the user's sees as the model's rate is
    the one that the model would have by itself.

    Args:
        scheduler: the user's.
        factor: of the model.
    """

    def __init__(self, scheduler: keras.callbacks.LearningRateScheduler, factor: float):
        super().__init__()
        self._scheduler = scheduler
        self._factor = np.float32(factor)
        self._unscaled: np.float32 | None = None

    def set_params(self, params: dict[str, Any]) -> None:
        """Hand them on."""
        super().set_params(params)
        self._scheduler.set_params(params)

    def set_model(self, model: keras.Model) -> None:
        """Hand it on."""
        super().set_model(model)
        self._scheduler.set_model(model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin at the model's own rate."""
        self._unscaled = self._rate() / self._factor
        self._scheduler.on_train_begin(logs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the rate of an epoch."""
        optimizer = self.model.optimizer
        optimizer.learning_rate = self._unscaled
        self._scheduler.on_epoch_begin(epoch, logs)
        self._unscaled = self._rate()
        optimizer.learning_rate = self._unscaled * self._factor

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Have the rate logged."""
        self._scheduler.on_epoch_end(epoch, logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Hand it on."""
        self._scheduler.on_train_end(logs)

    def _rate(self) -> np.float32:
        return np.float32(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))


def scaled_callbacks(callbacks: Iterable[Any], factor: float) -> list[Any]:
    """Return the callbacks of a training for a model at a multiple of its learning rate."""
    scaled = []
    for callback in callbacks:
        if factor != 1 and isinstance(callback, keras.callbacks.LearningRateScheduler):
            callback = ScaledScheduler(callback, factor)
        scaled.append(callback)
    return scaled
