"""A layer that a user wrote, with other activations inside than its constructor puts there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from keras_acts.compat import is_default
from keras_acts.errors import ModelError
from keras_acts.inside import EXCHANGED, Activation, exchange, places

# what a file calls a layer with other activations inside
REGISTERED = "keras_acts>RewrittenLayer"


class _Exchange:
    """The activations that were put inside a layer, and which of them wait for its `build`.

    A plain object, of which Keras tracks nothing.
    """

    def __init__(self, activations: Mapping[str, Activation]):
        self.activations = dict(activations)
        self.waiting = set(activations)

    def __iter__(self) -> Iterator[str]:
        return iter(self.activations)


@keras.saving.register_keras_serializable(*REGISTERED.split(">"))
class RewrittenLayer(keras.layers.Layer):
    """A layer of a user's class with other activations inside. `rewritten` makes it.

    Its class is derived from the user's, and has the same name. It is saved as the user's layer
    and its activations: where a file is loaded the user's class must be known, as always.
    """

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> keras.layers.Layer:
        """Return the layer that `get_config` describes."""
        told = config["layer"]
        kind = _user_class(cls)
        if kind is None:
            name = told["registered_name"] or told["class_name"]
            kind = keras.saving.get_registered_object(name)
        if kind is None:
            raise ModelError(
                "A layer of your own must be known where it is loaded: register its class with "
                "@keras.saving.register_keras_serializable(), or give custom_objects. "
                f"Received: {told['class_name']!r}"
            )
        activations = {}
        for name, written in config["activations"].items():
            activations[name] = keras.activations.get(written)
        layer = rewritten(kind, lambda made: from_own_config(made, told["config"]), activations)
        if layer.name != config["name"]:  # a class whose config does not tell it
            layer.name = config["name"]
        return layer

    @property
    def exchanged(self) -> dict[str, Activation]:
        """The activations that were put inside, by the names of their places."""
        exchange_of: _Exchange = getattr(self, EXCHANGED)
        now = places(self)
        found = dict(exchange_of.activations)
        for name in found.keys() & now.keys():
            found[name] = now[name].activation
        return found

    def own_config(self) -> dict[str, Any]:
        """Return what the user's class says of itself."""
        kind = user_class(self)
        config: dict[str, Any] = kind.get_config(self)
        return config


def rewritten(
    kind: type[keras.layers.Layer],
    make: Callable[[type[keras.layers.Layer]], keras.layers.Layer],
    activations: Mapping[str, Activation],
) -> keras.layers.Layer:
    """Return a layer with other activations inside.

    Args:
        kind: the user's class.
        make: makes the layer of a class that is derived from it.
        activations: by the names of their places.

    Raises:
        ModelError: if it has no such places.
    """
    derived: Callable[[type], type[keras.layers.Layer]] = _derived
    made = derived(kind)
    layer = make(made)
    if type(layer) is not made:
        raise ModelError(
            "The from_config() of a layer whose inside is searched must return an object of the "
            f"class that it is called on, cls(...). Received: {kind.__name__}.from_config(), "
            f"which returns {type(layer).__name__}"
        )
    of_layer = _Exchange(activations)
    vars(layer)[EXCHANGED] = of_layer
    of_layer.waiting = exchange(layer, activations)
    if of_layer.waiting and is_default(kind.build):
        raise _no_place(layer, of_layer)
    return layer


def user_class(layer: keras.Operation) -> type[Any]:
    """Return the class of a layer; of one with other activations inside, the user's."""
    return _user_class(type(layer)) or type(layer)


def from_own_config(kind: type[keras.Operation], config: dict[str, Any]) -> keras.Operation:
    """Return an object of a class from what the user's class says of itself."""
    own: Any = kind
    if issubclass(kind, RewrittenLayer):
        own = super(RewrittenLayer, kind)
    made: keras.Operation = own.from_config(config)
    return made


def _user_class(kind: type) -> type[keras.layers.Layer] | None:
    """The user's class that a class is derived from; None if it is no derived one."""
    if not issubclass(kind, RewrittenLayer) or kind is RewrittenLayer:
        return None
    return kind.__bases__[1]


@functools.cache
def _derived(kind: type[keras.layers.Layer]) -> type[keras.layers.Layer]:
    """The class of a user's layers that have other activations inside."""

    # wrapped, for Keras looks at the signature of one, and at whether it is its own
    @functools.wraps(kind.get_config)
    def get_config(self: RewrittenLayer) -> dict[str, Any]:
        activations = {}
        for name, activation in self.exchanged.items():
            activations[name] = keras.activations.serialize(activation)
        told = {
            "module": kind.__module__,
            "class_name": kind.__name__,
            "config": self.own_config(),
            "registered_name": keras.saving.get_registered_name(kind),
        }
        return {"name": self.name, "layer": told, "activations": activations}

    @functools.wraps(kind.build)
    def build(self: RewrittenLayer, *args: Any, **options: Any) -> None:
        kind.build(self, *args, **options)
        of_layer: _Exchange = getattr(self, EXCHANGED)
        waiting = {name: of_layer.activations[name] for name in of_layer.waiting}
        of_layer.waiting = exchange(self, waiting)
        if of_layer.waiting:
            raise _no_place(self, of_layer)

    members: dict[str, Any] = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    members |= {"__doc__": kind.__doc__, "get_config": get_config}
    if not is_default(kind.build):
        members["build"] = build
    made = type(kind.__name__, (RewrittenLayer, kind), members)
    # saved under the name of the class here, which knows how to load it
    register = keras.saving.register_keras_serializable(*REGISTERED.split(">"))
    register(made)
    register(RewrittenLayer)
    return made


def _no_place(layer: keras.layers.Layer, of_layer: _Exchange) -> ModelError:
    return ModelError(
        "The activations that a layer gets must have their places in it. "
        f"Received: {layer.name!r} of class {type(layer).__name__}, which has no "
        f"{', '.join(sorted(of_layer.waiting))} among {sorted(places(layer))}"
    )
