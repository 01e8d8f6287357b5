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
    rate = rate_given_to(optimizer)
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
    rate = rate_given_to(optimizer)
    if not isinstance(rate, keras.Variable):
        return None
    # the digits that a float32 stands for: 0.001, not 0.0010000000474974513
    return float(str(np.float32(keras.ops.convert_to_numpy(rate))))


def scale_learning_rate(optimizer: keras.optimizers.Optimizer, factor: float) -> None:
    """Multiply the rate that an optimizer trains with from now on, whether a number or a schedule."""
    if factor == 1:
        return
    rate = rate_given_to(optimizer)
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


def rate_given_to(optimizer: keras.optimizers.Optimizer) -> Any:
    """Return the rate that an optimizer has: a variable, a schedule or what else it was given."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return rate_given_to(optimizer.inner_optimizer)
    return given_learning_rate(optimizer)
