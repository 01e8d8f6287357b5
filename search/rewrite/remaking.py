"""A layer or model made again.

Of its class, with the name, dtype policy and assets that a config may not tell.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Mapping
from typing import Any, NamedTuple

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
from keras_acts.inside import ACTIVATION_LAYERS, Activation
from keras_acts.rewritten import from_own_config, rewritten, user_class

from ..space.known import as_written, is_of_keras, is_of_keras_or_ours
from .arguments import (
    OF_EVERY_LAYER,
    OF_INPUTS,
    PARTS,
    Arguments,
    Copies,
    completed,
    has_own_from_config,
    told_by_config,
    with_copies,
    without_untaken,
)
from .own_training import own_methods, set_on_object

_LOOKUPS = (keras.layers.StringLookup, keras.layers.IntegerLookup, keras.layers.TextVectorization)


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
            return from_own_config(kind, self.config)
        return kind(**self.config)

    def with_arguments(self, arguments: Arguments) -> Recipe:
        """Return the recipe with more arguments."""
        return Recipe({**self.config, **arguments}, self.whole)


class Remade(NamedTuple):
    """A layer made again.

    Attributes:
        layer: the copy.
        guessed: whether some arguments of its constructor are the values of attributes: then only
            its output shows whether it is a copy.
    """

    layer: keras.Operation
    guessed: bool


def made_again(
    layer: keras.Operation,
    new: Arguments,
    parts: Arguments,
    copied: Copies,
    inside: Mapping[str, Activation],
) -> Remade:
    """Return a layer or operation made again, with its name and dtype policy.

    Args:
        layer: that is made again.
        new: arguments of its constructor that are others: activations, initializers.
        parts: those that are layers, already copied.
        copied: makes the copies of further layers among the arguments.
        inside: the activations that it gets inside, by the names of their places.

    Raises:
        TypeError: if the constructor takes something else.
        ModelError: if nothing tells an argument that the layer was made with.
    """
    kind = user_class(layer)
    told = told_by_config(layer)
    if told is not None:
        told = with_copies(layer, told, copied)
    guessed = False
    if is_of_keras_or_ours(layer) or has_own_from_config(kind):
        if told is None:
            raise NotImplementedError("it has no get_config()")
        config = without_untaken(kind, {**told, **new, **parts})
        recipe = Recipe(config, whole=not parts)
    else:
        known = None if told is None else {**told, **new, **parts}
        config, guessed = completed(layer, known, copied)
        recipe = Recipe({**config, **new, **parts}, whole=not parts)
    if inside:
        copy = rewritten(kind, recipe.make, inside)
    else:
        copy = _made(layer, recipe, {**new, **parts})
    left_out = _left_out(layer, copy, recipe)
    if left_out:
        copy = _with_left_out(layer, recipe, left_out, inside)
    # Keras' guide teaches a get_config without them
    if copy.name != layer.name:
        copy.name = layer.name
    if isinstance(layer, keras.layers.Layer):
        if copy.dtype_policy != layer.dtype_policy:
            copy.dtype_policy = layer.dtype_policy
        if not is_of_keras_or_ours(layer):
            _name_parts(layer, copy)
    return Remade(copy, guessed)


def _made(layer: keras.Operation, recipe: Recipe, new: Arguments) -> keras.Operation:
    """A layer from a recipe.

    Some configs of Keras' own layers tell what the constructors do not take: then the copy is made
    from what Keras recorded, and the new arguments.
    """
    try:
        return recipe.make(user_class(layer))
    except TypeError:
        recorded = recorded_arguments(layer)
        if recorded is None or not is_of_keras_or_ours(layer):
            raise
        return type(layer)(**{**recorded, "name": layer.name, **new})


def _name_parts(layer: keras.layers.Layer, copy: keras.layers.Layer) -> None:
    """Give the layers that a constructor made the names of the original's.

    Keras counts names up. What is built has its names in the paths of its variables already.
    """
    parts = _parts_of(layer)
    copies = _parts_of(copy)
    if len(parts) != len(copies):
        # a function that is held may have become a layer, or a layer a function
        parts = [part for part in parts if not isinstance(part, ACTIVATION_LAYERS)]
        copies = [part for part in copies if not isinstance(part, ACTIVATION_LAYERS)]
    if len(parts) != len(copies) or not all(map(_is_like, parts, copies)):
        return  # made in `build`, or refused by who compares them
    for part, copied in zip(parts, copies, strict=True):
        if copied.built and copied.variables:
            continue
        if copied.name != part.name:
            copied.name = part.name
        _name_parts(part, copied)


def _parts_of(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layers that a layer holds; a model that is built holds one for its input too."""
    if isinstance(layer, keras.Sequential | Functional):
        return list(layer.layers)
    return layers_held_by(layer)


def _is_like(part: keras.layers.Layer, copied: keras.layers.Layer) -> bool:
    """Whether a layer has the place of another one; an activation may be one of another class."""
    if isinstance(part, ACTIVATION_LAYERS) and isinstance(copied, ACTIVATION_LAYERS):
        return True
    return user_class(part) is user_class(copied)


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
        taken = _bound(user_class(layer), recipe)
    if taken is None:
        return {}
    told = {*recipe.config, *OF_EVERY_LAYER, *OF_INPUTS}
    untold = {name: value for name, value in given.items() if name not in told}
    return _differing(untold, taken)


def _differing(arguments: Arguments, others: Arguments) -> Arguments:
    """Those of the arguments that are missing among the others, or another value there."""
    differing: Arguments = {}
    for name, value in arguments.items():
        if name not in others or others[name] != value:
            differing[name] = value
    return differing


def _with_left_out(
    layer: keras.Operation, recipe: Recipe, left_out: Arguments, inside: Mapping[str, Activation]
) -> keras.Operation:
    written = ", ".join(f"{name}={value!r}" for name, value in left_out.items())
    message = (
        "Every layer must be made again from its config: its get_config() must return each "
        f"argument of its constructor that is not the default. Received: {layer.name!r} of class "
        f"{type(layer).__name__} without {written}"
    )
    try:
        completed_recipe = recipe.with_arguments(left_out)
        if inside:
            copy = rewritten(user_class(layer), completed_recipe.make, inside)
        else:
            copy = completed_recipe.make(user_class(layer))
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
        if isinstance(part, PARTS):
            copied = getattr(new, name, part)
            if _is_another(part, copied):
                raise ModelError(
                    "A copy of a layer must have the initializers, regularizers and constraints "
                    f"that the layer has. Received: {old.name!r} of class {type(old).__name__} "
                    f"with {name}={part!r}, and then {copied!r}"
                )
            _check_same_methods(part, copied, old)


def _is_another(part: object, copied: object) -> bool:
    """Whether a layer's initializer, regularizer or constraint is none that its copy may have."""
    if isinstance(part, keras.initializers.VarianceScaling):
        # a gain may have made it another
        return not isinstance(copied, keras.initializers.VarianceScaling)
    return type(copied) is not type(part)


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
