"""The arguments that a layer was made with.

Its config tells them, or what Keras recorded when it was made, or attributes of their names.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import keras

from keras_acts.compat import is_tensorflow_variable, layers_held_by, recorded_arguments
from keras_acts.errors import ModelError
from keras_acts.rewritten import RewrittenLayer, user_class

from ..space.known import is_of_keras, is_of_keras_or_ours

# what Keras' own classes take, and a user's class need not
OF_EVERY_LAYER = ("name", "trainable", "dtype")
# where a layer stands in a model, which the copy of the model says again
OF_INPUTS = ("input_shape", "batch_shape", "batch_size", "input_dtype", "batch_input_shape")
# the objects that a layer's config tells by their own
PARTS = (
    keras.initializers.Initializer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
)
# arguments of these names may be functions in place of such objects
_FUNCTIONS = ("initializer", "regularizer", "constraint", "activation")
# what has a state of its own, which a copy must not share
_STATES = (keras.Variable, keras.metrics.Metric, keras.random.SeedGenerator)

# the arguments of a constructor, by name
Arguments: TypeAlias = dict[str, Any]
# makes the copy of a layer that is an argument
Copies: TypeAlias = Callable[[keras.Operation], keras.Operation]


class Completed(NamedTuple):
    """The arguments that a constructor needs.

    Attributes:
        arguments: by name.
        guessed: whether some of them are the values of attributes: that they are what the
            constructor was given only the copy's output can show.
    """

    arguments: Arguments
    guessed: bool


def told_by_config(layer: keras.Operation) -> Arguments | None:
    """Return what `get_config` tells; None if there is none.

    Initializers, regularizers, constraints and functions of a user's are the objects themselves:
    they need neither be registered nor have a config.
    """
    try:
        config = _quietly(layer)
    # OSError: of a lambda whose source is nowhere; TypeError: of a partial, say, without a config
    except (NotImplementedError, OSError, TypeError):
        try:
            config = _quietly(_without_parts(layer, {}))
        except (NotImplementedError, OSError):
            return None
    if has_own_from_config(user_class(layer)):  # it may read what a file has
        return config
    for name in config:
        part = _part_of_users(layer, name)
        if part is not None:
            config[name] = part
    return config


def takes_argument(layer: keras.Operation, name: str) -> bool:
    """Return whether a layer can be made again with another value of an argument."""
    told = told_by_config(layer)
    if told is not None:
        return name in told
    return name in _parameters(user_class(layer))


def has_own_from_config(kind: type[keras.Operation]) -> bool:
    """Return whether a user wrote how a class is made from a config."""
    return not is_of_keras(kind.from_config)


def completed(layer: keras.Operation, told: Arguments | None, copied: Copies) -> Completed:
    """Return the arguments of a constructor, given those that a config tells.

    Of what Keras' own classes take all that the constructor does not take is left out.

    Args:
        layer: of a class that a user wrote, with Keras' `from_config`.
        told: by its config; None if it has none.
        copied: makes the copies of layers among the arguments.

    Raises:
        ModelError: if nothing tells one of them.
    """
    parameters = _parameters(user_class(layer))
    taken = {name for name, parameter in parameters.items() if _is_named(parameter)}
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if told is None:
        told = _of_every_layer(layer)
    arguments = dict(told)
    if not takes_all:
        arguments = {name: value for name, value in told.items() if name in taken}
    recorded = recorded_arguments(layer)
    if recorded is not None:
        return Completed({**_untold(recorded, told, taken, takes_all), **arguments}, guessed=False)
    kept: Arguments = {}
    lost: list[str] = []
    for name in parameters:
        if name not in taken or name in (*told, *OF_EVERY_LAYER, *OF_INPUTS):
            continue
        if _is_kept(layer, name):
            kept[name] = _copied(_attribute(layer, name), copied)
        else:
            lost.append(name)
    if lost:
        raise ModelError(_what_to_write(layer, lost))
    return Completed({**arguments, **kept}, guessed=bool(kept))


def without_untaken(kind: type[keras.Operation], config: Arguments) -> Arguments:
    """Return a config without what Keras' own classes take and this one does not."""
    parameters = _parameters(kind)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return config
    untaken = set(OF_EVERY_LAYER) - parameters.keys()
    return {key: value for key, value in config.items() if key not in untaken}


def _quietly(layer: keras.Operation) -> Arguments:
    with warnings.catch_warnings():
        # nobody loads it
        warnings.filterwarnings("ignore", "The object being serialized includes a `lambda`")
        if isinstance(layer, RewrittenLayer):
            return dict(layer.own_config())
        return dict(layer.get_config())


def _without_parts(layer: keras.Operation, twins: dict[int, Any]) -> Any:
    """The same layer under another identity, without what a user wrote for it.

    Keras' own layers ask such objects for their config.
    """
    if id(layer) in twins:
        return twins[id(layer)]
    twin = object.__new__(type(layer))
    twins[id(layer)] = twin
    for name, value in vars(layer).items():
        if _is_part_of_users(name, value):
            # Keras asks an activation for its config even where it is None
            stand_in = keras.activations.linear if name.endswith("activation") else None
            vars(twin)[name] = stand_in
        else:
            vars(twin)[name] = _with_twins(value, twins)
    return twin


def _with_twins(value: Any, twins: dict[int, Any]) -> Any:
    """What a layer holds: for the layer of a wrapper, or the cells of an RNN, their twins."""
    if isinstance(value, keras.layers.Layer):
        return _without_parts(value, twins)
    if isinstance(value, list) and value and all(isinstance(v, keras.layers.Layer) for v in value):
        return [_without_parts(part, twins) for part in value]
    return value


def _part_of_users(layer: keras.Operation, name: str) -> Any:
    """The object of a user's that is an argument of a layer; None if it is none."""
    for attribute in (name, f"_{name}"):
        value = getattr(layer, attribute, None)
        if _is_part_of_users(attribute, value):
            return value
    return None


def _is_part_of_users(name: str, value: object) -> bool:
    if isinstance(value, PARTS):
        return not is_of_keras_or_ours(value)
    if not name.endswith(_FUNCTIONS) or not callable(value) or isinstance(value, keras.Operation):
        return False
    if inspect.isfunction(value):
        if not str(value.__module__).startswith(("keras.", "keras_acts.")):
            return True
        # by its name alone a layer gets another one: keras.ops.gelu approximates
        named = getattr(keras.activations, value.__name__, value)
        return name.endswith("activation") and named is not value
    return not is_of_keras_or_ours(value)


def _parameters(kind: type[keras.Operation]) -> dict[str, inspect.Parameter]:
    _, *parameters = inspect.signature(kind.__init__).parameters.values()  # without self
    return {parameter.name: parameter for parameter in parameters}


def _is_named(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)


def _of_every_layer(layer: keras.Operation) -> Arguments:
    """What Keras' own `get_config` tells of a layer."""
    told: Arguments = {"name": layer.name}
    if isinstance(layer, keras.layers.Layer):
        told["dtype"] = layer.dtype_policy
        told["trainable"] = layer.trainable
        if layer.activity_regularizer is not None:
            told["activity_regularizer"] = layer.activity_regularizer
    return told


def _untold(recorded: Arguments, told: Arguments, taken: set[str], takes_all: bool) -> Arguments:
    """Of the arguments that Keras recorded those that a config does not tell.

    What a config tells is right: it may have changed since the layer was made.
    """
    untold: Arguments = {}
    for name, value in recorded.items():
        if name not in (*told, *OF_EVERY_LAYER, *OF_INPUTS) and (takes_all or name in taken):
            untold[name] = value
    return untold


def _attribute(layer: keras.Operation, name: str) -> Any:
    """What a layer keeps under the name of an argument, or under it with an underscore."""
    if name in vars(layer):
        return vars(layer)[name]
    return vars(layer)[f"_{name}"]


def _is_kept(layer: keras.Operation, name: str) -> bool:
    if name not in vars(layer) and f"_{name}" not in vars(layer):
        return False
    leaves = keras.tree.flatten(_attribute(layer, name))
    return not any(isinstance(leaf, _STATES) or is_tensorflow_variable(leaf) for leaf in leaves)


def with_copies(layer: keras.Operation, told: Arguments, copied: Copies) -> Arguments:
    """Return what a config tells, with copies of the layers in it.

    A config may tell the very layers that a layer holds: a copy with those would train the
    original's weights. Layers that `get_config` makes anew are the copy's own already.

    Args:
        layer: that the config is of.
        told: by its config.
        copied: makes the copies.
    """
    if not isinstance(layer, keras.layers.Layer):
        return told
    held = {id(part) for part in layers_held_by(layer)}

    def own(part: keras.Operation) -> keras.Operation:
        if id(part) in held:
            return copied(part)
        return part

    arguments = dict(told)
    for name, value in told.items():
        if any(id(leaf) in held for leaf in keras.tree.flatten(value)):
            arguments[name] = _copied(value, own)
    return arguments


def _copied(value: Any, copied: Copies) -> Any:
    """A value, or a structure of some, with copies of the layers in it.

    Keras has put structures into its own kinds of them.
    """
    if isinstance(value, keras.layers.Layer):
        return copied(value)
    if isinstance(value, dict):
        return {key: _copied(part, copied) for key, part in value.items()}
    if isinstance(value, list):
        return [_copied(part, copied) for part in value]
    if type(value) is tuple:
        return tuple(_copied(part, copied) for part in value)
    return value


def _what_to_write(layer: keras.Operation, lost: list[str]) -> str:
    kind = type(layer)
    lines = "; ".join(f"self.{name} = {name}" for name in lost)
    return (
        "Every layer must be made again from its config: each argument of its constructor must be "
        "in what get_config() returns, or kept as an attribute of its name. "
        f"Write {lines} in {kind.__name__}.__init__{_where(kind)}. "
        f"Received: {layer.name!r} of class {kind.__name__}, which does not keep {', '.join(lost)}"
    )


def _where(kind: type[keras.Operation]) -> str:
    """The file and line of a constructor; empty where its source is nowhere."""
    try:
        file = inspect.getsourcefile(kind.__init__)
        _, line = inspect.getsourcelines(kind.__init__)
    except (OSError, TypeError):
        return ""
    if file is None:
        return ""
    return f" ({Path(file).name}, line {line})"
