"""What a model is compiled with, made again for another model.

Whatever the user wrote, registered or not.
"""

from __future__ import annotations

import collections
import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from keras_acts.compat import (
    compiled_with,
    config_with,
    config_without_rate,
    exclude_names_from_decay,
    excluded_from_decay,
    function_arguments,
    get_global,
    given_learning_rate,
    wrapped_function,
)
from keras_acts.errors import ModelError

from ..runtime.reasons import reason_of
from .own_training import set_on_object

# the parameters of a constructor that a config can give
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def compile_arguments(model: keras.Model) -> dict[str, Any]:
    """Return what `compile` was called with, for another model.

    With an optimizer and metrics of its own.

    Losses and functions have no state: they are the same objects.

    Raises:
        ModelError: if a metric or the optimizer cannot be made again.
    """
    return keras.tree.map_structure(_fresh, dict(compiled_with(model)))


def _fresh(argument: Any) -> Any:
    if isinstance(argument, keras.metrics.Metric):
        return fresh_metric(argument)
    if isinstance(argument, keras.optimizers.Optimizer):
        return optimizer_like(argument)
    return argument


def steps_in_a_call_of(model: keras.Model, trained: keras.Model) -> keras.Model:
    """Return a model that was trained for another one, with as many steps in a call as that."""
    steps = model.steps_per_execution
    trained.steps_per_execution = steps
    compiled_with(trained)["steps_per_execution"] = steps  # for copies and files of it
    return trained


def optimizer_like(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return an optimizer of the same settings, which has trained nothing yet.

    Raises:
        ModelError: if single variables are excluded from its weight decay: another model has
            others; or if it has methods that were set on it.
    """
    names = set_on_object(optimizer)
    if names:
        raise ModelError(
            "Every candidate has an optimizer of its own, with the methods of the class of yours, "
            f"not those that were set on it: write a subclass. Received: {optimizer.name!r} of "
            f"class {type(optimizer).__name__} with its own {', '.join(sorted(names))}"
        )
    copy = _optimizer_again(optimizer)
    _keep_excluded(optimizer, copy)
    return copy


def _optimizer_again(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """An optimizer of the same config."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        # its config holds that of the inner one, which Keras may not be able to read: any will do
        # until the real one is made
        config = config_with(optimizer, inner_optimizer=keras.optimizers.SGD())
        copy = type(optimizer).from_config(config)
        copy.inner_optimizer = optimizer_like(optimizer.inner_optimizer)
        return copy
    rate = given_learning_rate(optimizer)
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        # a schedule has no state, so that it is shared; it may be of a class that has no config or
        # is not registered
        config = {**config_without_rate(optimizer), "learning_rate": rate}
        return type(optimizer).from_config(config)
    return type(optimizer).from_config(optimizer.get_config())


def _keep_excluded(optimizer: keras.optimizers.Optimizer, copy: keras.optimizers.Optimizer) -> None:
    """Have a copy of an optimizer, or of one that holds others, decay the same weights."""
    for name, inner in vars(optimizer).items():
        if isinstance(inner, keras.optimizers.Optimizer) and inner is not optimizer:
            _keep_excluded(inner, getattr(copy, name))
    variables, pattern = excluded_from_decay(optimizer)
    if variables:
        raise ModelError(
            "What is excluded from weight decay must be told by names: "
            "exclude_from_weight_decay(var_names=[...]). Received: an optimizer with a list of "
            f"variables, {optimizer.name!r}"
        )
    # what `exclude_from_weight_decay(var_names=...)` keeps, and no config tells
    if pattern is not None:
        exclude_names_from_decay(copy, pattern)


def fresh_metric(metric: keras.metrics.Metric) -> keras.metrics.Metric:
    """Return a metric of the same class with the same name and arguments, in its initial state.

    Raises:
        ModelError: if its config does not tell all of its arguments, or it has methods that were
            set on it.
    """
    kind = type(metric)
    names = set_on_object(metric)
    if names:
        set_names = ", ".join(sorted(names))
        raise _not_again(metric, f"{set_names} was set on the metric itself: write a subclass")
    if kind is keras.metrics.MeanMetricWrapper:
        # its config names the function, and Keras finds functions of its own and registered ones
        # only
        return kind(
            wrapped_function(metric),
            name=metric.name,
            dtype=metric.dtype,
            **function_arguments(metric),
        )
    try:
        config = metric.get_config()
        missing = _untold(metric, config)
        copy = None
        if not missing:
            copy = kind.from_config(config)
    except Exception as error:  # a user's methods may raise anything
        raise _not_again(metric, reason_of(error)) from error
    if copy is None:
        raise _not_again(metric, f"it says nothing of {', '.join(missing)}")
    if copy.dtype != metric.dtype:
        raise _not_again(metric, f"it says nothing of dtype {metric.dtype}")
    # Keras' guide teaches a get_config without it
    copy.name = metric.name
    return copy


@contextmanager
def first_metric_names() -> Iterator[None]:
    """Have Keras name metrics inside the scope as if they were the first.

    ``"auc"`` in each model that is built.

    It numbers those without a name of their own, so that an objective would name that of one model
    only. KerasTuner clears Keras' session for it, which forgets more than that.
    """
    counts = get_global("object_name_uids", collections.defaultdict(int), set_to_default=True)
    # without those of layers and operations: "mean" may name a node of a graph too
    names = _auto_names(keras.metrics.Metric) - _auto_names(keras.Operation)
    before = {name: counts.pop(name) for name in names & counts.keys()}
    try:
        yield
    finally:
        for name, count in before.items():
            counts[name] = max(count, counts[name])


def _auto_names(kind: type) -> set[str]:
    """What Keras calls objects of the classes that are derived from one."""
    return {auto_name(derived.__name__) for derived in _derived(kind)}


def _derived(kind: type) -> Iterator[type]:
    subclasses: list[type] = kind.__subclasses__()
    for derived in subclasses:
        yield derived
        yield from _derived(derived)


def auto_name(kind: str) -> str:
    """What Keras calls an object of a class."""
    # as Keras does it, in three steps
    letters = re.sub(r"\W+", "", kind)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", letters)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _untold(metric: keras.metrics.Metric, config: Mapping[str, Any]) -> list[str]:
    """The arguments of a user's constructor that its config leaves out, but for their defaults."""
    kind = type(metric)
    from_config = getattr(kind.from_config, "__func__", None)
    is_written_by_user = not getattr(from_config, "__module__", "").startswith("keras.")
    if is_written_by_user or kind.__init__.__module__.startswith("keras."):
        return []
    known = {*config, "name", "dtype"}
    _, *parameters = inspect.signature(kind.__init__).parameters.values()  # without self
    untold = []
    for parameter in parameters:
        if parameter.kind not in _BY_NAME or parameter.name in known:
            continue
        if not _is_default(metric, parameter):
            untold.append(parameter.name)
    return untold


def _is_default(metric: keras.metrics.Metric, parameter: inspect.Parameter) -> bool:
    """Whether the metric holds the argument under its name, and it is the default."""
    if parameter.default is inspect.Parameter.empty:
        return False
    unknown = object()  # no default is of its class
    private: Any = getattr(metric, f"_{parameter.name}", unknown)
    held: Any = getattr(metric, parameter.name, private)
    if type(held) is not type(parameter.default):
        return False
    return bool(np.array_equal(held, parameter.default))


def _not_again(metric: keras.metrics.Metric, reason: str) -> ModelError:
    return ModelError(
        "Every candidate has metrics of its own, made again from the config of yours: give it a "
        "get_config() that returns all arguments of its constructor. "
        f"Received: {metric.name!r} of class {type(metric).__name__} ({reason})"
    )
