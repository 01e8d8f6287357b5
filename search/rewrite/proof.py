"""Whether the copy of a layer that a user wrote is one.

It must have the same variables, and make the same of the same.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from typing import Any

import keras

from keras_acts.compat import all_layers, layers_held_by, own_variables
from keras_acts.errors import ModelError

from ..runtime.seeding import isolated_seed
from ..space.known import is_of_keras_or_ours
from .sample_run import Arguments, Outcome, random_weights, run, sample_arguments, with_values

# what Keras counts up in a name
_NUMBER = re.compile(r"_\d+$")
_PLAIN = (str, int, float, bool, type(None))

# the layers whose copies were proved, each with its plain attributes at that time
_PROVED: weakref.WeakKeyDictionary[keras.layers.Layer, dict[str, Any]]
_PROVED = weakref.WeakKeyDictionary()


def is_of_users(layer: keras.Operation) -> bool:
    """Return whether a user wrote a layer, or one that it holds."""
    if not isinstance(layer, keras.layers.Layer):
        return False
    return not all(is_of_keras_or_ours(part) for part in all_layers(layer))


def is_proved(layer: keras.layers.Layer) -> bool:
    """Return whether a copy was proved of the layer as it is."""
    return layer in _PROVED and _PROVED[layer] == plain_attributes(layer)


def note_proved(layer: keras.layers.Layer) -> None:
    """Remember that a copy was proved."""
    _PROVED[layer] = plain_attributes(layer)


def check_copy(
    layer: keras.layers.Layer,
    copy: keras.layers.Layer,
    restore: Callable[[], None],
    guessed: bool,
) -> None:
    """Check that a copy with the same arguments is one. It is built here, if it is not.

    Args:
        layer: in a model.
        copy: with no other activation.
        restore: gives the built copy the layer's weights and assets.
        guessed: whether arguments of its constructor are guessed, so that its outputs must show
            that they are right.

    Raises:
        ModelError: if it has other variables, or makes something else of a sample.
    """
    with isolated_seed(0):
        for positive in (False, True):
            arguments = sample_arguments(layer, positive)
            if arguments is None:
                break
            expected = _tried(layer, arguments)
            if expected is not None:
                _build(layer, copy, arguments)
                restore()
                _compare(layer, copy, arguments, expected)
                return
    if guessed:
        raise ModelError(
            "Arguments of a constructor were taken from attributes, and nothing shows whether they "
            "are right: give the class a get_config() that returns them. "
            f"Received: {_named(layer)}, which takes no random input"
        )


def _tried(layer: keras.layers.Layer, arguments: Arguments) -> Outcome | None:
    """What a layer makes of a sample; None if it does not take it."""
    try:
        return run(layer, arguments, with_values(layer, random_weights(layer)), training=False)
    except Exception:  # only some inputs are valid for it
        return None


def _build(layer: keras.layers.Layer, copy: keras.layers.Layer, arguments: Arguments) -> None:
    try:
        _build_tied(layer, copy)
        copy(*arguments.args, **arguments.options)
    except Exception as error:
        raise ModelError(
            "The copy of a layer must take what the layer takes. "
            f"Received: {_named(layer)}, whose copy ends with {type(error).__name__}: {error}"
        ) from error


def _build_tied(layer: keras.layers.Layer, copy: keras.layers.Layer) -> None:
    """Build what a copy takes variables of, as the model does that calls it before."""
    own = {id(variable) for variable in own_variables(layer)}
    held = layers_held_by(layer)
    copies = layers_held_by(copy)
    if len(held) != len(copies):  # refused by who compares them
        return
    for part, copied in zip(held, copies, strict=True):
        is_tied = any(id(variable) in own for variable in part.variables)
        if is_tied and not copied.built:
            copied.build_from_config(part.get_build_config())


def _compare(
    layer: keras.layers.Layer, copy: keras.layers.Layer, arguments: Arguments, expected: Outcome
) -> None:
    kept = _described(layer)
    if _described(copy) != kept:
        raise ModelError(
            "The copy of a layer must have the same variables. "
            f"Received: {_named(layer)} with {kept}, and its copy with {_described(copy)}"
        )
    values = random_weights(layer)
    weights = with_values(copy, values)
    if not run(copy, arguments, weights, training=False).is_like(expected):
        raise _another(layer, "")
    if not _is_same_in_training(layer, copy, arguments, values):
        raise _another(layer, " in training")


def _is_same_in_training(
    layer: keras.layers.Layer, copy: keras.layers.Layer, arguments: Arguments, values: list[Any]
) -> bool:
    try:
        weights = with_values(layer, values)
        first = run(layer, arguments, weights, training=True)
        again = run(layer, arguments, weights, training=True)
    except Exception:  # it trains in a way of its own
        return True
    if not again.is_like(first):  # random numbers that none of its variables tells
        return True
    return run(copy, arguments, with_values(copy, values), training=True).is_like(first)


def _another(layer: keras.layers.Layer, when: str) -> ModelError:
    return ModelError(
        "The copy of a layer must make the same of the same: its get_config() must return what its "
        "constructor was given, and what was changed since. "
        f"Received: {_named(layer)}, whose copy makes something else{when}"
    )


def _named(layer: keras.layers.Layer) -> str:
    return f"{layer.name!r} of class {type(layer).__name__}"


def _described(layer: keras.layers.Layer) -> list[str]:
    """The variables of a layer: name, shape, dtype, without the numbers that Keras counts up.

    The name is that of the layer which has it, and its own. A path is no name: it tells who called
    that layer first, which may be the model, or another layer that holds it too.
    """
    owners: dict[int, str] = {}
    for part in all_layers(layer):
        for variable in own_variables(part):
            owners[id(variable)] = f"{_NUMBER.sub('', part.name)}/"
    described = []
    for variable in layer.variables:
        name = owners.get(id(variable), "") + _NUMBER.sub("", variable.name)
        described.append(f"{name} {tuple(variable.shape)} {variable.dtype}")
    return described


def plain_attributes(layer: keras.layers.Layer) -> dict[str, Any]:
    """What a user may have changed since, as far as it can be compared."""
    plain: dict[str, Any] = {}
    for index, part in enumerate(all_layers(layer)):
        for name, value in vars(part).items():
            if isinstance(value, _PLAIN):
                plain[f"{index}.{name}"] = value
    return plain
