"""What a model is compiled with, made again for another model: whatever the user wrote, registered or not."""

from __future__ import annotations

import collections
import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state

from keras_acts.errors import ModelError


def compile_arguments(model: keras.Model) -> dict[str, Any]:
    """Return what `compile` was called with, for another model: with an optimizer and metrics of its own.

    Losses and functions have no state: they are the same objects.

    Raises:
        ModelError: if a metric or the optimizer cannot be made again.
    """

    def fresh(value: Any) -> Any:
        if isinstance(value, keras.metrics.Metric):
            return fresh_metric(value)
        return optimizer_like(value) if isinstance(value, keras.optimizers.Optimizer) else value

    return keras.tree.map_structure(fresh, dict(model._compile_config.config))


def steps_in_a_call_of(model: keras.Model, made: keras.Model) -> keras.Model:
    """Return a model that was trained for another one, with as many steps in a call as that one has."""
    made.steps_per_execution = model.steps_per_execution
    made._compile_config.config["steps_per_execution"] = model.steps_per_execution  # for copies and files of it
    return made


def optimizer_like(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return an optimizer of the same settings, which has trained nothing yet.

    Raises:
        ModelError: if single variables are excluded from its weight decay: another model has others.
    """
    rate = getattr(optimizer, "_learning_rate", None)
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        # a schedule has no state, so that it is shared; it may be of a class that has no config or is not registered
        asked = object.__new__(type(optimizer))
        vars(asked).update(vars(optimizer), _learning_rate=0.0)
        config = {**asked.get_config(), "learning_rate": rate}
    else:
        config = optimizer.get_config()
    made = type(optimizer).from_config(config)
    if getattr(optimizer, "_exclude_from_weight_decay", None):
        raise ModelError(
            "What is excluded from weight decay must be told by names: exclude_from_weight_decay(var_names=[...]). "
            f"Received: an optimizer with a list of variables, {optimizer.name!r}"
        )
    # what `exclude_from_weight_decay(var_names=...)` keeps, and no config tells
    if getattr(optimizer, "_exclude_from_weight_decay_pattern", None) is not None:
        made._exclude_from_weight_decay = set()
        made._exclude_from_weight_decay_pattern = optimizer._exclude_from_weight_decay_pattern
    return made


def fresh_metric(metric: keras.metrics.Metric) -> keras.metrics.Metric:
    """Return a metric of the same class with the same arguments, in its initial state.

    Raises:
        ModelError: if its config does not tell all of its arguments.
    """
    kind = type(metric)
    if kind is keras.metrics.MeanMetricWrapper:
        # its config names the function, and Keras finds functions of its own and registered ones only
        return kind(metric._fn, name=metric.name, dtype=metric.dtype, **metric._fn_kwargs)
    if missing := _untold(metric):
        raise _not_again(metric, f"it says nothing of {', '.join(missing)}")
    try:
        return kind.from_config(metric.get_config())
    except (TypeError, ValueError, NotImplementedError) as error:
        raise _not_again(metric, str(error).strip().partition("\n")[0]) from error


@contextmanager
def first_metric_names() -> Iterator[None]:
    """Have Keras name metrics inside the scope as if they were the first: ``"auc"`` in each model that is built.

    It numbers those without a name of their own, so that an objective would name that of one model only. KerasTuner
    clears Keras' session for it, which forgets more than that.
    """
    counts = global_state.get_global_attribute("object_name_uids", collections.defaultdict(int), set_to_default=True)
    kinds = {auto_name(kind.__name__) for kind in _derived(keras.metrics.Metric)}
    kinds -= {auto_name(kind.__name__) for kind in _derived(keras.Operation)}  # "mean" may name a node of a graph too
    before = {name: counts.pop(name) for name in kinds & counts.keys()}
    try:
        yield
    finally:
        for name, count in before.items():
            counts[name] = max(count, counts[name])


def _derived(kind: type) -> Iterator[type]:
    own: list[type] = kind.__subclasses__()
    for derived in own:
        yield derived
        yield from _derived(derived)


def auto_name(kind: str) -> str:
    """What Keras calls an object of a class."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _untold(metric: keras.metrics.Metric) -> list[str]:
    """The arguments of a constructor of the user's that its config leaves out, and that may not be their defaults."""
    kind = type(metric)
    maker = getattr(kind.from_config, "__func__", None)
    own_way = not getattr(maker, "__module__", "").startswith("keras.")
    if own_way or kind.__init__.__module__.startswith("keras."):
        return []
    config = metric.get_config()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]  # without self
    return [
        parameter.name
        for parameter in parameters
        if parameter.kind in named and parameter.name not in config and not _is_default(metric, parameter)
    ]


def _is_default(metric: keras.metrics.Metric, parameter: inspect.Parameter) -> bool:
    """Whether the metric holds the argument under its name, and it is the default."""
    if parameter.default is inspect.Parameter.empty:
        return False
    unknown = object()
    held: Any = getattr(metric, parameter.name, getattr(metric, f"_{parameter.name}", unknown))
    return type(held) is type(parameter.default) and bool(np.array_equal(held, parameter.default))


def _not_again(metric: keras.metrics.Metric, reason: str) -> ModelError:
    return ModelError(
        "Every candidate has metrics of its own, made again from the config of yours: give it a get_config() that "
        "returns all arguments of its constructor. "
        f"Received: {metric.name!r} of class {type(metric).__name__} ({reason})"
    )
