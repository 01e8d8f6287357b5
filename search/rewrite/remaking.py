"""A layer or model made again.

Of its class, with the name, dtype policy and assets that a config may not tell.
"""

from __future__ import annotations

import inspect
import tempfile
from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np

from keras_acts.compat import (
    Functional,
    inner_lookup,
    inputs_struct,
    layers_held_by,
    outputs_struct,
    recorded_arguments,
)
from keras_acts.errors import ModelError

from ..space.known import as_written, is_of_keras
from .own_training import own_methods, set_on_object

# what Keras' own classes take, and a user's class need not
_OF_EVERY_LAYER = ("name", "trainable", "dtype")
# where a layer stands in a model, which the copy of the model says again
_OF_INPUTS = ("input_shape", "batch_shape", "batch_size", "input_dtype", "batch_input_shape")
# the objects that a layer's config tells by their own
_PARTS = (
    keras.initializers.Initializer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
)
_LOOKUPS = (keras.layers.StringLookup, keras.layers.IntegerLookup, keras.layers.TextVectorization)

# the arguments of a constructor, by name
Arguments: TypeAlias = dict[str, Any]


class Recipe(NamedTuple):
    """What a layer is made again from.

    Attributes:
        config: of it, perhaps with other activations.
        whole: whether all in it is as `get_config` returned it, not layers already.
    """

    config: Arguments
    whole: bool

    def make(self, kind: type[keras.Operation]) -> keras.Operation:
        """Return a layer of a class."""
        if self.whole:
            return kind.from_config(self.config)
        return kind(**self.config)

    def with_arguments(self, arguments: Arguments) -> Recipe:
        """Return the recipe with more arguments."""
        return Recipe({**self.config, **arguments}, self.whole)


def made_again(layer: keras.Operation, config: Arguments, whole: bool) -> keras.Operation:
    """Return a layer or operation from a config, with the name and dtype policy of another one.

    Args:
        layer: that the config is of.
        config: of it, perhaps with other activations.
        whole: whether all in it is as `get_config` returned it, not layers already.

    Raises:
        TypeError: if the constructor takes something else.
        ModelError: if the config leaves out an argument that the layer was made with, and it cannot
            be added.
    """
    recipe = Recipe(_without_untaken(type(layer), config), whole)
    copy = recipe.make(type(layer))
    left_out = _left_out(layer, copy, recipe)
    if left_out:
        copy = _with_left_out(layer, recipe, left_out)
    # Keras' guide teaches a get_config without them
    if copy.name != layer.name:
        copy.name = layer.name
    if isinstance(layer, keras.layers.Layer) and copy.dtype_policy != layer.dtype_policy:
        copy.dtype_policy = layer.dtype_policy
    return copy


def _without_untaken(kind: type[keras.Operation], config: Arguments) -> Arguments:
    """A config without what Keras' own classes take and this one does not."""
    parameters = inspect.signature(kind.__init__).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return config
    untaken = set(_OF_EVERY_LAYER) - parameters.keys()
    return {key: value for key, value in config.items() if key not in untaken}


def _left_out(layer: keras.Operation, copy: keras.Operation, recipe: Recipe) -> Arguments:
    """The arguments of a constructor that a config does not tell: the copy was made without.

    What the config tells is right: it may have changed since the layer was made. Keras records the
    arguments of a constructor only where all of them are plain values; of others nothing is known.
    """
    given = recorded_arguments(layer)
    if given is None or as_written(layer):
        return {}
    taken = recorded_arguments(copy)
    if taken is None:  # another activation is no plain value
        taken = _bound(type(layer), recipe)
    if taken is None:
        return {}
    told = {*recipe.config, *_OF_EVERY_LAYER, *_OF_INPUTS}
    untold = {name: value for name, value in given.items() if name not in told}
    return _differing(untold, taken)


def _differing(arguments: Arguments, others: Arguments) -> Arguments:
    """Those of the arguments that are missing among the others, or another value there."""
    differing: Arguments = {}
    for name, value in arguments.items():
        if name not in others or others[name] != value:
            differing[name] = value
    return differing


def _with_left_out(layer: keras.Operation, recipe: Recipe, left_out: Arguments) -> keras.Operation:
    written = ", ".join(f"{name}={value!r}" for name, value in left_out.items())
    message = (
        "Every layer must be made again from its config: its get_config() must return each "
        f"argument of its constructor that is not the default. Received: {layer.name!r} of class "
        f"{type(layer).__name__} without {written}"
    )
    try:
        copy = recipe.with_arguments(left_out).make(type(layer))
    except Exception as error:  # a from_config of a user's own knows nothing of these
        raise ModelError(f"{message} ({type(error).__name__}: {error})") from error
    taken = recorded_arguments(copy)
    if taken is not None and _differing(left_out, taken):
        raise ModelError(message)
    return copy


def _bound(kind: type[keras.Operation], recipe: Recipe) -> Arguments | None:
    """The arguments that a constructor takes from a config.

    None where a user's own from_config makes others of it.
    """
    if recipe.whole and not is_of_keras(kind.from_config):
        return None
    signature = inspect.signature(kind.__init__)
    try:
        bound = signature.bind(None, **recipe.config)  # None for self
    except TypeError:
        return None
    bound.apply_defaults()
    arguments = dict(bound.arguments)
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments |= bound.arguments[parameter.name]
    return arguments


def sequential_again(model: keras.Sequential, layers: list[keras.Operation]) -> keras.Sequential:
    """Return a Sequential model of the class of another one, with other layers behind its input.

    Raises:
        ModelError: if the class does something in its own way, and its constructor takes other
            arguments than Keras'.
    """
    first = layers_held_by(model)[0]
    if isinstance(first, keras.layers.InputLayer):
        layers = [type(first).from_config(first.get_config()), *layers]
    return _of_class(model, keras.Sequential, {"layers": layers})


def functional_again(model: keras.Model, copy: keras.Model) -> keras.Model:
    """Return a Functional model as one of the class of another one.

    Keras forgets it if its constructor is another.

    Raises:
        ModelError: if the class does something in its own way, and its constructor takes other
            arguments than Keras'.
    """
    if type(copy) is type(model):
        return copy
    arguments = {"inputs": inputs_struct(copy), "outputs": outputs_struct(copy)}
    return _of_class(model, Functional, arguments)


def _of_class(model: keras.Model, base: type[keras.Model], arguments: Arguments) -> keras.Model:
    """A model of the class of another one, made by its constructor, or else by Keras' own."""
    kind: Any = type(model)
    methods = own_methods(model)
    if _takes(kind, {*arguments, "name"}):
        return kind(**arguments, name=model.name)
    if methods:
        raise ModelError(
            "A model with methods of its own is copied by its constructor, which must take what "
            f"Keras' takes: {', '.join(arguments)}, name. For others give a function build(hp, "
            f"activation) instead. Received: {model.name!r} of class {kind.__name__} with its own "
            f"{', '.join(methods)}"
        )
    # all that it computes is Keras' own
    copy = kind.__new__(kind)
    base.__init__(copy, **arguments, name=model.name)
    return copy


def check_methods(model: keras.Model) -> None:
    """Check that what a model does is what its class does.

    Raises:
        ModelError: if it has methods that were set on the object: no copy would have them.
    """
    names = [name for name in own_methods(model) if name in vars(model)]
    if names:
        raise ModelError(
            "A copy has the methods of a model's class, not those that were set on the model "
            f"itself: give a function build(hp, activation) instead. Received: {model.name!r} with "
            f"its own {', '.join(names)}"
        )


def check_same_methods(old: keras.Operation, new: keras.Operation) -> None:
    """Check that a copy of a layer does what the layer does.

    So must its initializers, regularizers and constraints.

    Raises:
        ModelError: if one of them has methods that were set on it after it was made: the copy has
            those of its class.
    """
    _check_same_methods(old, new, old)
    for name, part in vars(old).items():
        if isinstance(part, _PARTS):
            _check_same_methods(part, getattr(new, name, part), old)


def _check_same_methods(original: object, copy: object, layer: keras.Operation) -> None:
    """Check a layer, or a part of it, and its copy; see `check_same_methods`."""
    # what the constructor sets, it set for the copy too
    names = set_on_object(original) - set_on_object(copy)
    if not names:
        return
    what = ", ".join(sorted(names))
    if original is not layer:
        what = f"{what} in {type(original).__name__}"
    raise ModelError(
        "A copy has the methods of a layer's class, not those that were set on the layer itself: "
        "write a subclass, or give a function build(hp, activation) instead. "
        f"Received: {layer.name!r} of class {type(layer).__name__} with its own {what}"
    )


def _takes(kind: type[keras.Model], wanted: set[str]) -> bool:
    """Whether a constructor takes these arguments by name, and needs no others."""
    _, *parameters = inspect.signature(kind.__init__).parameters.values()  # without self
    by_place = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    by_name = any(p.kind is p.VAR_KEYWORD for p in parameters)
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    missing = wanted - {p.name for p in named}
    for parameter in named:
        if parameter.name not in wanted and parameter.default is parameter.empty:
            return False  # it needs more
    if not missing:
        return True
    # with **options alone nobody knows whether they go on to Keras
    return by_name and (by_place or missing == {"name"})


def copy_assets(old: keras.Operation, new: keras.Operation) -> None:
    """Give a copy what a layer keeps apart from weights and config.

    The vocabulary that a lookup has.
    """
    if isinstance(old, _LOOKUPS):
        _copy_vocabulary(old, new)
    elif hasattr(old, "save_assets") and hasattr(new, "load_assets"):
        with tempfile.TemporaryDirectory(prefix="keras-acts-") as folder:
            old.save_assets(folder)
            new.load_assets(folder)


def _copy_vocabulary(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    vocabulary = old.get_vocabulary()
    weights = _idf_weights(old)
    known = new.get_vocabulary()
    # what the constructor was given may have been replaced since
    if vocabulary == known and np.array_equal(weights, _idf_weights(new)):
        return
    if not old.get_vocabulary(include_special_tokens=False):
        raise ModelError(
            "A copy of a lookup is made with the vocabulary of its constructor, and Keras sets no "
            f"empty one in its place. Received: {old.name!r}, which was made with {len(known)} "
            "tokens and emptied"
        )
    if weights.size:
        new.set_vocabulary(vocabulary, idf_weights=weights[: len(vocabulary)])
    else:
        new.set_vocabulary(vocabulary)


def _idf_weights(lookup: keras.layers.Layer) -> np.ndarray:
    """The weights of a lookup's words; none where it has none."""
    weights = getattr(inner_lookup(lookup), "idf_weights", None)
    if weights is None:
        return np.zeros(0)
    return np.asarray(weights)
