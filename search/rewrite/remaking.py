"""A layer or model made again.

Of its class, with the name, dtype policy and assets that a config may not tell.
"""

from __future__ import annotations

import inspect
import tempfile
from typing import Any

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


def made_again(layer: Any, config: dict[str, Any], whole: bool) -> Any:
    """Return a layer or operation from a config, by the name and with the dtype policy of another one.

    Args:
        layer: that the config is of.
        config: of it, perhaps with other activations.
        whole: whether all in it is as `get_config` returned it, not layers already.

    Raises:
        TypeError: if the constructor takes something else.
        ModelError: if the config leaves out an argument that the layer was made with, and it cannot
            be added.
    """
    kind = type(layer)
    taken = inspect.signature(kind.__init__).parameters.values()
    if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in taken):
        names = {parameter.name for parameter in taken}
        config = {
            key: value
            for key, value in config.items()
            if key not in _OF_EVERY_LAYER or key in names
        }
    made = _from(kind, config, whole)
    if left_out := _left_out(layer, made, config, whole):
        made = _with_left_out(layer, config, left_out, whole)
    # Keras' guide teaches a get_config without them
    if made.name != layer.name:
        made.name = layer.name
    if isinstance(layer, keras.layers.Layer) and made.dtype_policy != layer.dtype_policy:
        made.dtype_policy = layer.dtype_policy
    return made


def _from(kind: Any, config: dict[str, Any], whole: bool) -> Any:
    return kind.from_config(config) if whole else kind(**config)


def _left_out(layer: Any, made: Any, config: dict[str, Any], whole: bool) -> dict[str, Any]:
    """The arguments of a layer's constructor that its config does not tell, and that a copy was made without.

    What the config tells is right: it may have changed since the layer was made. Keras records the
    arguments of a constructor only where all of them are plain values; of others nothing is known.
    """
    given = _recorded(layer)
    if given is None or as_written(layer):
        return {}
    taken = _recorded(made)
    if taken is None:  # another activation is no plain value
        taken = _bound(type(layer), config, whole)
    if taken is None:
        return {}
    skipped = {*config, *_OF_EVERY_LAYER, *_OF_INPUTS}
    return {
        name: value
        for name, value in given.items()
        if name not in skipped and (name not in taken or taken[name] != value)
    }


def _with_left_out(
    layer: Any, config: dict[str, Any], left_out: dict[str, Any], whole: bool
) -> Any:
    message = (
        "Every layer must be made again from its config: its get_config() must return each argument of its constructor "
        f"that is not the default. Received: {layer.name!r} of class {type(layer).__name__} without "
        f"{', '.join(f'{name}={value!r}' for name, value in left_out.items())}"
    )
    try:
        made = _from(type(layer), {**config, **left_out}, whole)
    except Exception as error:  # a from_config of a user's own knows nothing of these
        raise ModelError(f"{message} ({type(error).__name__}: {error})") from error
    taken = _recorded(made)
    if taken is not None and any(
        name not in taken or taken[name] != value for name, value in left_out.items()
    ):
        raise ModelError(message)
    return made


def _recorded(layer: Any) -> dict[str, Any] | None:
    """The arguments of a constructor as Keras recorded them; None where it did not."""
    return recorded_arguments(layer)


def _bound(kind: Any, config: dict[str, Any], whole: bool) -> dict[str, Any] | None:
    """The arguments that a constructor takes from a config.

    None where a user's own from_config makes others of it.
    """
    if whole and not is_of_keras(kind.from_config):
        return None
    signature = inspect.signature(kind.__init__)
    try:
        bound = signature.bind(None, **config)
    except TypeError:
        return None
    bound.apply_defaults()
    options = [p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]
    return {**bound.arguments, **(bound.arguments[options[0]] if options else {})}


def sequential_again(model: keras.Sequential, layers: list[Any]) -> keras.Sequential:
    """Return a Sequential model of the class of another one, with other layers behind the same input.

    Raises:
        ModelError: if the class does something in its own way, and its constructor takes other
            arguments than Keras'.
    """
    first = layers_held_by(model)[0]
    inputs = (
        [type(first).from_config(first.get_config())]
        if isinstance(first, keras.layers.InputLayer)
        else []
    )
    return _of_class(model, keras.Sequential, {"layers": [*inputs, *layers]})


def functional_again(model: Any, made: Any) -> Any:
    """Return a Functional model as one of the class of another one.

    Keras forgets it if its constructor is another.

    Raises:
        ModelError: if the class does something in its own way, and its constructor takes other
            arguments than Keras'.
    """
    if type(made) is type(model):
        return made
    return _of_class(
        model, Functional, {"inputs": inputs_struct(made), "outputs": outputs_struct(made)}
    )


def _of_class(model: Any, base: Any, arguments: dict[str, Any]) -> Any:
    kind: Any = type(model)
    own = own_methods(model)
    if _takes(kind, {*arguments, "name"}):
        return kind(**arguments, name=model.name)
    if own:
        raise ModelError(
            "A model with methods of its own is copied by its constructor, which must take what Keras' takes: "
            f"{', '.join(arguments)}, name. For others give a function build(hp, activation) instead. "
            f"Received: {model.name!r} of class {kind.__name__} with its own {', '.join(own)}"
        )
    # all that it computes is Keras' own
    same = kind.__new__(kind)
    base.__init__(same, **arguments, name=model.name)
    return same


def check_methods(model: Any) -> None:
    """Check that what a model does is what its class does.

    Raises:
        ModelError: if it has methods that were set on the object: no copy would have them.
    """
    found = [name for name in own_methods(model) if name in vars(model)]
    if found:
        raise ModelError(
            "A copy has the methods of a model's class, not those that were set on the model itself: give a function "
            f"build(hp, activation) instead. Received: {model.name!r} with its own {', '.join(found)}"
        )


def check_same_methods(old: Any, new: Any) -> None:
    """Check that a copy of a layer does what the layer does, and its initializers, regularizers and constraints do.

    Raises:
        ModelError: if one of them has methods that were set on it after it was made: the copy has
            those of its class.
    """
    parts = {name: one for name, one in vars(old).items() if isinstance(one, _PARTS)}
    for one, other in (
        (old, new),
        *((one, getattr(new, name, one)) for name, one in parts.items()),
    ):
        # what the constructor sets, it set for the copy too
        if found := set_on_object(one) - set_on_object(other):
            what = "" if one is old else f" in {type(one).__name__}"
            raise ModelError(
                "A copy has the methods of a layer's class, not those that were set on the layer itself: write a "
                "subclass, or give a function build(hp, activation) instead. "
                f"Received: {old.name!r} of class {type(old).__name__} with its own {', '.join(sorted(found))}{what}"
            )


def _takes(kind: Any, wanted: set[str]) -> bool:
    """Whether a constructor takes these arguments by name, and needs no others."""
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    by_place = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    by_name = any(p.kind is p.VAR_KEYWORD for p in parameters)
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    missing = wanted - {p.name for p in named}
    needs_more = any(p.default is p.empty for p in named if p.name not in wanted)
    # with **options alone nobody knows whether they go on to Keras
    return not needs_more and (not missing or (by_name and (by_place or missing == {"name"})))


def copy_assets(old: Any, new: Any) -> None:
    """Give a copy what a layer keeps apart from weights and config.

    The vocabulary that a lookup has.
    """
    if isinstance(old, _LOOKUPS):
        vocabulary = old.get_vocabulary()
        weights = _idf_weights(old)
        known = new.get_vocabulary()
        # what the constructor was given may have been replaced since
        if vocabulary == known and np.array_equal(weights, _idf_weights(new)):
            return
        if not old.get_vocabulary(include_special_tokens=False):
            raise ModelError(
                "A copy of a lookup is made with the vocabulary of its constructor, and Keras sets no empty one in its "
                f"place. Received: {old.name!r}, which was made with {len(known)} tokens and emptied"
            )
        if weights.size:
            new.set_vocabulary(vocabulary, idf_weights=weights[: len(vocabulary)])
        else:
            new.set_vocabulary(vocabulary)
    elif hasattr(old, "save_assets") and hasattr(new, "load_assets"):
        with tempfile.TemporaryDirectory(prefix="keras-acts-") as folder:
            old.save_assets(folder)
            new.load_assets(folder)


def _idf_weights(lookup: Any) -> Any:
    """The weights of a lookup's words; none where it has none."""
    weights = getattr(inner_lookup(lookup), "idf_weights", None)
    return np.zeros(0) if weights is None else np.asarray(weights)
