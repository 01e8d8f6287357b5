"""The activations inside a layer that a user wrote, by the attributes that lead to them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

import keras

from keras_acts.activations import Activation as Value
from keras_acts.compat import (
    Functional,
    layers_held_by,
    replace_held,
    to_snake_case,
    unlocked,
)
from keras_acts.layers import TrainedActivation

# what `activation=` takes: a function, a value, or a layer
Activation: TypeAlias = Callable[..., Any]

# layers that are nothing but an activation
ACTIVATION_LAYERS = (
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.ELU,
    keras.layers.PReLU,
    keras.layers.Softmax,
    TrainedActivation,
)
RECURRENT = "recurrent_activation"
# the attribute of a layer with the names of the places where it has other activations than its
# constructor puts there
EXCHANGED = "_keras_acts_exchanged"
_ARGUMENTS = ("activation", RECURRENT)
_RECURRENT_LAYERS = (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN)
# the attributes of Keras' own layers that are layers which have activations
_PARTS: dict[type[keras.layers.Layer], tuple[str, ...]] = {
    keras.layers.Bidirectional: ("forward_layer", "backward_layer"),
    keras.layers.Wrapper: ("layer",),
    keras.layers.StackedRNNCells: ("cells",),
    keras.layers.RNN: ("cell",),
}
# what a function of a user's is held as, if it is an activation: it may do anything else
_HELD_AS = {
    *("activation", "activation_fn", "activation_function", "act", "act_fn"),
    *("nonlinearity", "non_linearity"),
}
_PACKAGES = ("keras.", "tensorflow.", "jax.", "keras_acts.")
_NO_ACTIVATIONS = {"get", "serialize", "deserialize", "linear"}


@dataclass(frozen=True, eq=False)
class Place:
    """A place inside a layer where an activation sits.

    Attributes:
        name: the attributes that lead to it, from the layer on: ``"ffn/dense1"``; layers of a
            Sequential or Functional model by their names, or by number if Keras named them.
        layer: what has the activation, or is it; for a function that is held as an attribute, the
            layer that holds it.
        argument: ``"activation"``, or ``"recurrent_activation"``.
        activation: that is there now.
    """

    name: str
    layer: keras.layers.Layer
    argument: str
    activation: Activation
    _roots: list[_Root] = field(repr=False)

    @property
    def is_whole_layer(self) -> bool:
        """Whether a layer that is nothing but an activation stands there."""
        return self.activation is self.layer

    @property
    def is_held_function(self) -> bool:
        """Whether a function stands there that a layer holds as an attribute, or in one."""
        return bool(self._roots) and not self.is_whole_layer

    @property
    def held_at(self) -> frozenset[tuple[int, str, tuple[Any, ...]]]:
        """What holds the activation: identities of layers, each with an attribute and keys in it.

        Two places that have one of them in common are one, for one exchange changes both.
        """
        if not self._roots:
            return frozenset({(id(self.layer), self.argument, ())})
        return frozenset((id(root.owner), root.attribute, root.keys) for root in self._roots)

    def put(self, activation: Activation) -> None:
        """Put another activation there. The names of other places stay what they are."""
        if not self._roots:
            _set(self.layer, self.argument, activation, {})
            return
        new = activation
        if self.is_whole_layer and activation is not self.layer:
            policy = self.layer.dtype_policy
            new = keras.layers.Activation(activation, name=self.layer.name, dtype=policy)
        for root in self._roots:
            root.put(self.activation, new)


@dataclass(frozen=True, eq=False)
class _Root:
    """An attribute of a layer, and the keys that lead from it to an activation."""

    owner: keras.layers.Layer
    attribute: str
    keys: tuple[Any, ...]

    def put(self, old: Activation, new: Activation) -> None:
        held: dict[int, tuple[Any, Any]] = {}
        value = _with_another(vars(self.owner)[self.attribute], self.keys, old, new, held)
        _set(self.owner, self.attribute, value, held)


def places(layer: keras.layers.Layer, without: frozenset[str] = frozenset()) -> dict[str, Place]:
    """Return the activations inside a layer by name, in the order in which its attributes were set.

    Args:
        layer: that a user wrote.
        without: names of attributes of the layer itself that are left out.
    """
    walk = _Walk()
    walk.attributes(layer, "", without)
    return {place.name: place for place in walk.found}


def exchange(layer: keras.layers.Layer, activations: Mapping[str, Activation]) -> set[str]:
    """Put other activations inside a layer; return the names of the places that it has not."""
    missing = set()
    for name, activation in activations.items():
        # anew each time: what was put there may have changed what holds it
        place = places(layer).get(name)
        if place is None:
            missing.add(name)
        else:
            place.put(activation)
    return missing


class _Walk:
    """Follows the attributes of a layer."""

    def __init__(self) -> None:
        # the names of places where a function is an activation, whatever it is called, and even if
        # it is the identity: an activation was put there
        self._known: set[str] = set()
        self.found: list[Place] = []
        self._names: set[str] = set()
        self._seen: set[int] = set()
        # layers that are nothing but an activation, each once however many attributes hold it
        self._of_layer: dict[int, Place] = {}

    def attributes(
        self, owner: keras.layers.Layer, prefix: str, without: frozenset[str] = frozenset()
    ) -> None:
        """Follow all attributes of a layer of a user's."""
        self._seen.add(id(owner))
        # of one that is held here, too
        self._known |= {prefix + name for name in vars(owner).get(EXCHANGED, ())}
        for attribute, value in list(vars(owner).items()):
            if attribute in without or attribute.startswith("_self") or attribute in _internal():
                continue
            name = self._free(prefix + attribute.lstrip("_"), prefix + attribute)
            self._value(_Root(owner, attribute, ()), name, value)

    def _free(self, name: str, otherwise: str) -> str:
        """The shorter name, unless another place is called so, or something in it."""
        if not self._is_taken(name):
            return name
        free = otherwise
        number = 1
        # where `_dense` was set before `dense`, this is the name of the first
        while self._is_taken(free):
            number += 1
            free = f"{otherwise}_{number}"
        return free

    def _is_taken(self, name: str) -> bool:
        return any(other == name or other.startswith(f"{name}/") for other in self._names)

    def _unique(self, name: str) -> str:
        """The name, with a number if another place has it: a layer may be called as a number is."""
        free = name
        number = 1
        while free in self._names:
            number += 1
            free = f"{name}_{number}"
        return free

    def _value(self, root: _Root, name: str, value: Any) -> None:
        """Follow what an attribute holds, or what is in it."""
        if isinstance(value, keras.layers.Layer):
            self._layer(root, name, value)
        elif isinstance(value, list | tuple):
            for index, part in enumerate(value):
                self._value(_deeper(root, index), f"{name}/{index}", part)
        elif isinstance(value, dict):
            for key, part in value.items():
                self._value(_deeper(root, key), f"{name}/{key}", part)
        elif callable(value):
            free = self._unique(name)
            if free in self._known or _is_activation_function(root.attribute, value):
                self._add(Place(free, root.owner, "activation", value, [root]))

    def _layer(self, root: _Root, name: str, layer: keras.layers.Layer) -> None:
        if isinstance(layer, ACTIVATION_LAYERS) and not _is_of_users(layer):
            self._activation_layer(root, name, layer)
        elif id(layer) in self._seen:
            return
        elif isinstance(layer, keras.Sequential | Functional):
            self._seen.add(id(layer))
            for key, part_name, part in _layers_of_model(layer):
                self._layer(_deeper(root, key), f"{name}/{part_name}", part)
        elif _is_of_users(layer):
            self.attributes(layer, f"{name}/")
        else:
            self._seen.add(id(layer))
            self._layer_of_keras(name, layer)

    def _activation_layer(self, root: _Root, name: str, layer: keras.layers.Layer) -> None:
        if id(layer) in self._of_layer:
            # another attribute that holds the same one
            self._of_layer[id(layer)]._roots.append(root)
            return
        name = self._unique(name)
        if type(layer) is keras.layers.Activation:
            place = Place(name, layer, "activation", layer.activation, [])
            if not self._counts(name, layer.activation):
                return
        else:
            place = Place(name, layer, "activation", layer, [root])
            self._of_layer[id(layer)] = place
        if id(layer) not in self._seen:
            self._seen.add(id(layer))
            self._add(place)

    def _layer_of_keras(self, name: str, layer: keras.layers.Layer) -> None:
        if isinstance(layer, _RECURRENT_LAYERS):
            layer = layer.cell
        for argument in _ARGUMENTS:
            activation = vars(layer).get(argument)
            full_name = name
            if argument == RECURRENT:
                full_name = f"{name}.{argument}"
            full_name = self._unique(full_name)
            if callable(activation) and self._counts(full_name, activation):
                self._add(Place(full_name, layer, argument, activation, []))
        for kind, attributes in _PARTS.items():
            if isinstance(layer, kind):
                for attribute in attributes:
                    root = _Root(layer, attribute, ())
                    part_name = f"{name}/{attribute.removesuffix('_layer')}"
                    self._value(root, part_name, getattr(layer, attribute))
                return

    def _counts(self, name: str, activation: Activation) -> bool:
        """Whether there is an activation: the identity is one only if it was put there."""
        return activation is not keras.activations.linear or name in self._known

    def _add(self, place: Place) -> None:
        self._names.add(place.name)
        self.found.append(place)


def _deeper(root: _Root, key: Any) -> _Root:
    return _Root(root.owner, root.attribute, (*root.keys, key))


@cache
def _internal() -> frozenset[str]:
    """The attributes that Keras itself sets on layers and models."""
    names = {"_obj_reference_counts_dict"}
    for layer in (keras.layers.Layer(), keras.Model(), keras.Sequential()):
        names |= vars(layer).keys()
    return frozenset(names)


def _is_of_users(layer: keras.layers.Layer) -> bool:
    return not type(layer).__module__.startswith(("keras.", "keras_acts."))


def _layers_of_model(model: keras.Model) -> Iterator[tuple[int, str, keras.layers.Layer]]:
    """The layers of a model, each with its number and what it is called in the name of a place.

    Keras counts names up: then its number is the same in each process.
    """
    number = 0
    for index, layer in enumerate(model.layers):
        if isinstance(layer, keras.layers.InputLayer):
            continue
        name = layer.name
        if _is_counted(layer):
            name = str(number)
        number += 1
        yield index, name, layer


def _is_counted(layer: keras.layers.Layer) -> bool:
    """Whether Keras named a layer by its class; an activation keeps the name of that before it."""
    kinds = {to_snake_case(type(layer).__name__)}
    if isinstance(layer, ACTIVATION_LAYERS):
        kinds |= _activation_kinds()
    return re.sub(r"_\d+$", "", layer.name) in kinds


@cache
def _activation_kinds() -> frozenset[str]:
    """The names that Keras gives to layers that are nothing but an activation."""
    classes = {*ACTIVATION_LAYERS, *TrainedActivation.__subclasses__()}
    return frozenset(to_snake_case(kind.__name__) for kind in classes)


def _is_activation_function(attribute: str, value: object) -> bool:
    if isinstance(value, Value):
        return True
    name = getattr(value, "__name__", None)
    if not callable(value) or name is None or isinstance(value, type):
        return False
    if str(getattr(value, "__module__", "")).startswith(_PACKAGES):
        return name in activation_names()
    return attribute.strip("_") in _HELD_AS


@cache
def activation_names() -> frozenset[str]:
    """Return the names of the functions in `keras.activations`."""
    return frozenset(
        name
        for name, value in vars(keras.activations).items()
        if callable(value) and not isinstance(value, type) and name not in _NO_ACTIVATIONS
    )


def _with_another(
    value: Any, keys: tuple[Any, ...], old: Any, new: Any, held: dict[int, tuple[Any, Any]]
) -> Any:
    """The value of an attribute with a new activation in it.

    Args:
        value: that the attribute has.
        keys: lead to the old activation.
        old: the activation.
        new: takes its place.
        held: gets, by identity, what Keras has as held by the layer, and what takes its place.
    """
    if not keys:
        if isinstance(value, keras.layers.Layer):
            held[id(value)] = (value, new)
        return new
    key, *rest = keys
    if isinstance(value, keras.Sequential | Functional):
        again = _model_with_another(value, key, tuple(rest), old, new)
        held[id(value)] = (value, again)
        return again
    part = _with_another(value[key], tuple(rest), old, new, held)
    if isinstance(value, dict):
        return {**value, key: part}
    parts = list(value)
    parts[key] = part
    if isinstance(value, tuple):
        # TensorFlow wraps them, and says of what class they were
        kind = value.__class__
        if kind is not tuple:  # a named one
            return kind(*parts)
        return tuple(parts)
    return parts


def _model_with_another(
    model: keras.Model, key: int, rest: tuple[Any, ...], old: Any, new: Any
) -> keras.Model:
    """A model of the same layers, but for one."""
    layers = list(model.layers)
    replaced = layers[key]
    layers[key] = _with_another(replaced, rest, old, new, {})
    if isinstance(model, keras.Sequential):
        first = layers_held_by(model)[:1]
        if first and isinstance(first[0], keras.layers.InputLayer):
            layers = [type(first[0]).from_config(first[0].get_config()), *layers]
        return keras.Sequential(layers, name=model.name)

    def layer_for(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer is replaced:
            return layers[key]
        return layer

    return keras.models.clone_model(model, clone_function=layer_for)


def _set(
    owner: keras.layers.Layer, attribute: str, value: Any, held: dict[int, tuple[Any, Any]]
) -> None:
    """Set an attribute of a layer, which may be built."""
    before = vars(owner).get(attribute)
    if isinstance(before, keras.layers.Layer) and id(before) not in held:
        held = {**held, id(before): (before, value)}
    with unlocked(owner):
        for old, new in held.values():
            replace_held(owner, old, new)
        setattr(owner, attribute, value)
