"""A layer or model made again: of its class, with the name, dtype policy and assets that a config may not tell."""

from __future__ import annotations

import inspect
import tempfile
from typing import Any

import keras
import numpy as np
from keras.src.models.functional import Functional  # Keras exports no name for it

from keras_acts.errors import ModelError

from .own_training import own_methods

# what Keras' own classes take, and a user's class need not
_OF_EVERY_LAYER = ("name", "trainable", "dtype")
_LOOKUPS = (keras.layers.StringLookup, keras.layers.IntegerLookup, keras.layers.TextVectorization)


def made_again(layer: Any, config: dict[str, Any], whole: bool) -> Any:
    """Return a layer or operation from a config, by the name and with the dtype policy of another one.

    Args:
        layer: that the config is of.
        config: of it, perhaps with other activations.
        whole: whether all in it is as `get_config` returned it, not layers already.

    Raises:
        TypeError: if the constructor takes something else.
    """
    kind = type(layer)
    taken = inspect.signature(kind.__init__).parameters.values()
    if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in taken):
        names = {parameter.name for parameter in taken}
        config = {key: value for key, value in config.items() if key not in _OF_EVERY_LAYER or key in names}
    made = kind.from_config(config) if whole else kind(**config)
    # Keras' guide teaches a get_config without them
    if made.name != layer.name:
        made.name = layer.name
    if isinstance(layer, keras.layers.Layer) and made.dtype_policy != layer.dtype_policy:
        made.dtype_policy = layer.dtype_policy
    return made


def sequential_again(model: keras.Sequential, layers: list[Any]) -> keras.Sequential:
    """Return a Sequential model of the class of another one, with other layers behind the same input.

    Raises:
        ModelError: if the class does something in its own way, and its constructor takes other arguments than Keras'.
    """
    first = model._layers[0]
    inputs = [type(first).from_config(first.get_config())] if isinstance(first, keras.layers.InputLayer) else []
    return _of_class(model, keras.Sequential, {"layers": [*inputs, *layers]})


def functional_again(model: Any, made: Any) -> Any:
    """Return a Functional model as one of the class of another one: Keras forgets it if its constructor is another.

    Raises:
        ModelError: if the class does something in its own way, and its constructor takes other arguments than Keras'.
    """
    if type(made) is type(model):
        return made
    return _of_class(model, Functional, {"inputs": made._inputs_struct, "outputs": made._outputs_struct})


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
    """Give a copy what a layer keeps apart from weights and config: the vocabulary that a lookup has."""
    if isinstance(old, _LOOKUPS):
        vocabulary = old.get_vocabulary()
        weights = _idf_weights(old)
        known = new.get_vocabulary()
        # what the constructor was given may have been replaced since
        if vocabulary == known and np.array_equal(weights, _idf_weights(new)):
            return
        if not old.get_vocabulary(include_special_tokens=False):
            return  # Keras sets no empty vocabulary
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
    weights = getattr(getattr(lookup, "_lookup_layer", lookup), "idf_weights", None)
    return np.zeros(0) if weights is None else np.asarray(weights)
