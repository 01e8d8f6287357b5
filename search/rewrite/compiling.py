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


def compile_arguments(model: keras.Model) -> dict[str, Any]:
    """Return what `compile` was called with, for another model.

    With an optimizer and metrics of its own.

    Losses and functions have no state: they are the same objects.

    Raises:
        ModelError: if a metric or the optimizer cannot be made again.
    """

    def fresh(value: Any) -> Any:
        if isinstance(value, keras.metrics.Metric):
            return fresh_metric(value)
        return optimizer_like(value) if isinstance(value, keras.optimizers.Optimizer) else value

    return keras.tree.map_structure(fresh, dict(compiled_with(model)))


def steps_in_a_call_of(model: keras.Model, made: keras.Model) -> keras.Model:
    """Return a model that was trained for another one, with as many steps in a call as that one has."""
    made.steps_per_execution = model.steps_per_execution
    compiled_with(made)["steps_per_execution"] = (
        model.steps_per_execution
    )  # for copies and files of it
    return made


def optimizer_like(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return an optimizer of the same settings, which has trained nothing yet.

    Raises:
        ModelError: if single variables are excluded from its weight decay: another model has
            others; or if it has methods that were set on it.
    """
    if found := set_on_object(optimizer):
        raise ModelError(
            "Every candidate has an optimizer of its own, with the methods of the class of yours, not those that were "
            f"set on it: write a subclass. Received: {optimizer.name!r} of class {type(optimizer).__name__} with its "
            f"own {', '.join(sorted(found))}"
        )
    made = _optimizer_again(optimizer)
    _keep_excluded(optimizer, made)
    return made


def _optimizer_again(optimizer: Any) -> Any:
    """An optimizer of the same config."""
    rate = given_learning_rate(optimizer)
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        config = config_with(optimizer, inner_optimizer=keras.optimizers.SGD())
        made = type(optimizer).from_config(config)
        made.inner_optimizer = optimizer_like(optimizer.inner_optimizer)
        return made
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        # a schedule has no state, so that it is shared; it may be of a class that has no config or
        # is not registered
        config = {**config_without_rate(optimizer), "learning_rate": rate}
        return type(optimizer).from_config(config)
    return type(optimizer).from_config(optimizer.get_config())


def _keep_excluded(optimizer: Any, made: Any) -> None:
    """Have a copy of an optimizer, or of one that holds others, decay the weights that the optimizer decays."""
    for name, inner in vars(optimizer).items():
        if isinstance(inner, keras.optimizers.Optimizer) and inner is not optimizer:
            _keep_excluded(inner, getattr(made, name))
    variables, pattern = excluded_from_decay(optimizer)
    if variables:
        raise ModelError(
            "What is excluded from weight decay must be told by names: exclude_from_weight_decay(var_names=[...]). "
            f"Received: an optimizer with a list of variables, {optimizer.name!r}"
        )
    # what `exclude_from_weight_decay(var_names=...)` keeps, and no config tells
    if pattern is not None:
        exclude_names_from_decay(made, pattern)


def fresh_metric(metric: keras.metrics.Metric) -> keras.metrics.Metric:
    """Return a metric of the same class with the same name and arguments, in its initial state.

    Raises:
        ModelError: if its config does not tell all of its arguments, or it has methods that were
            set on it.
    """
    kind = type(metric)
    if found := set_on_object(metric):
        raise _not_again(
            metric, f"{', '.join(sorted(found))} was set on the metric itself: write a subclass"
        )
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
        made = None if missing else kind.from_config(config)
    except Exception as error:  # a user's methods may raise anything
        raise _not_again(metric, reason_of(error)) from error
    if made is None:
        raise _not_again(metric, f"it says nothing of {', '.join(missing)}")
    if made.dtype != metric.dtype:
        raise _not_again(metric, f"it says nothing of dtype {metric.dtype}")
    # Keras' guide teaches a get_config without it
    made.name = metric.name
    return made


@contextmanager
def first_metric_names() -> Iterator[None]:
    """Have Keras name metrics inside the scope as if they were the first.

    ``"auc"`` in each model that is built.

    It numbers those without a name of their own, so that an objective would name that of one model
    only. KerasTuner clears Keras' session for it, which forgets more than that.
    """
    counts = get_global("object_name_uids", collections.defaultdict(int), set_to_default=True)
    kinds = {auto_name(kind.__name__) for kind in _derived(keras.metrics.Metric)}
    kinds -= {
        auto_name(kind.__name__) for kind in _derived(keras.Operation)
    }  # "mean" may name a node of a graph too
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


def _untold(metric: keras.metrics.Metric, config: Mapping[str, Any]) -> list[str]:
    """The arguments of a constructor of the user's that its config leaves out, and that may not be their defaults."""
    kind = type(metric)
    maker = getattr(kind.from_config, "__func__", None)
    own_way = not getattr(maker, "__module__", "").startswith("keras.")
    if own_way or kind.__init__.__module__.startswith("keras."):
        return []
    known = {*config, "name", "dtype"}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]  # without self
    return [
        parameter.name
        for parameter in parameters
        if parameter.kind in named
        and parameter.name not in known
        and not _is_default(metric, parameter)
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
