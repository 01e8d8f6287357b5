"""What is tried: an activation with its parameters, in one form for all ways of writing it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, TypeAlias

import keras

import keras_acts
from keras_acts import layers, lookup
from keras_acts.errors import ActivationError, shown

from .known import as_written

# Keras' own that are no function of one element; ours say so in their spec
_MIXING = {"softmax", "log_softmax", "sparsemax", "glu"}
# "trained", or "trained(0.1)" with the value that it starts from
_TRAINED = re.compile(r"trained(?:\((.*)\))?$")

# what `activation=` of a layer takes
Activation: TypeAlias = Callable[..., Any]
# a number, the word of a mode, or `Trained`
Value: TypeAlias = Any


@dataclass(frozen=True)
class Trained:
    """The value of a parameter that the model trains, from `start`."""

    start: float

    def __repr__(self) -> str:
        return f"trained({self.start!r})"


@dataclass(frozen=True)
class Candidate:
    """An activation to try: a name and its parameters, in canonical form.

    Two candidates that are the same function are equal: ``leaky_relu(alpha=0)`` *is* ``relu``, and
    ``leaky_relu(alpha=trained)`` is ``prelu(alpha=0.01)``. Make one with `Candidate.of`.
    """

    name: str
    parameters: tuple[tuple[str, Value], ...] = ()

    @classmethod
    def of(cls, identifier: ActivationLike, **parameters: Value) -> Candidate:
        """Return the candidate for a name, an activation object or a registered function.

        A parameter is a number, ``"trained"`` or ``"trained(0.1)"``, trained from its default or
        from 0.1: ``"trelu(alpha=trained, theta=0.5)"``.

        Raises:
            ActivationError: if there is no such activation, a parameter is invalid, or Keras could
                not load it again.
        """
        if isinstance(identifier, Candidate):
            return identifier
        if isinstance(identifier, keras_acts.Activation):
            if not as_written(identifier):
                raise ActivationError(
                    "A class derived from one of ours has no name that makes it again: register a "
                    "function instead, with @keras.saving.register_keras_serializable(). "
                    f"Received: {shown(identifier)}"
                )
            parameters = dict(identifier.parameters)
            identifier = identifier.spec.name
        if not isinstance(identifier, str):
            return cls(_registered_name(identifier))
        if _registered(identifier) is not None:
            return cls(identifier)
        name, written = lookup.parse(identifier)
        values = {**written, **parameters}
        if name in keras_acts.names():
            return cls(*_canonical(name, checked(name, values)))
        function = lookup.make(name, values)
        # an alias has its function's own name: swish is silu
        return cls(getattr(function, "__name__", name))

    @property
    def trained(self) -> bool:
        """Whether the model trains a parameter of it: then each slot needs a layer of its own."""
        if self._always_trained:
            return True
        return any(isinstance(value, Trained) for _, value in self.parameters)

    @property
    def elementwise(self) -> bool:
        """Whether each output depends on its own input only: then it can be a hidden activation."""
        if self._is_ours:
            return keras_acts.spec(self.name).elementwise
        return self.name not in _MIXING

    @property
    def _is_ours(self) -> bool:
        return self.name in keras_acts.names()

    @property
    def _always_trained(self) -> bool:
        return self._is_ours and not keras_acts.spec(self.name).value

    def activation(self, channels: int | None = None, axis: int | None = None) -> Activation:
        """Return the activation for ``activation=``.

        A value, a Keras function, or a new layer with trained parameters.

        Args:
            channels: how many channels the slot has: a trained parameter then has one value for
                each, else one in all.
            axis: of the channels, where it is not the last.
        """
        registered = _registered(self.name)
        if registered is not None:
            return registered
        if not self.trained:
            return lookup.make(self.name, dict(self.parameters))
        arguments: dict[str, Value] = {"num_parameters": channels or 1}
        trained = []
        for name, value in self.parameters:
            if isinstance(value, Trained):
                trained.append(name)
                arguments[name] = value.start
            else:
                arguments[name] = value
        if not self._always_trained:
            arguments["trained"] = trained
        if axis is not None and channels is not None:
            arguments["axis"] = axis
        return layers.make(self.name, **arguments)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return f"<code>{escape(str(self))}</code>"

    def __str__(self) -> str:
        if not self.parameters:
            return self.name
        written = ", ".join(f"{name}={value!r}" for name, value in self.parameters)
        return f"{self.name}({written})"


# what names an activation: its name with or without parameters, itself, or its candidate
ActivationLike: TypeAlias = str | Candidate | Activation


def checked(name: str, values: Mapping[str, Value]) -> dict[str, Value]:
    """Return all parameters of one of our activations, each a number, a word or `Trained`.

    Defaults are filled in.

    Raises:
        ActivationError: on an unknown or invalid parameter, or one that cannot be trained.
    """
    spec = keras_acts.spec(name)
    starts: dict[str, Value] = {}
    for key, value in values.items():
        if _says_trained(value):
            starts[key] = _start(value, spec.defaults.get(key))
    numbers = spec.check({**values, **starts})
    trainable: list[str] = []
    if spec.value:
        trainable = [parameter.name for parameter in spec.trained]
    for key in starts:
        if key not in trainable:
            raise ActivationError(
                f"{name}: only {trainable} can be written as trained. Received: "
                f"{key}={shown(values[key])}"
            )
    for key in starts:
        numbers[key] = Trained(numbers[key])
    return numbers


def _says_trained(value: Value) -> bool:
    if isinstance(value, str):
        return _TRAINED.match(value) is not None
    return isinstance(value, Trained)


def _start(value: str | Trained, default: Value) -> Value:
    """The value from which a parameter is trained that is written as trained."""
    if isinstance(value, Trained):
        return value.start
    match = _TRAINED.match(value)
    if match is None or match[1] is None:
        return default
    # read as any parameter that is written in a name
    _, written = lookup.parse(f"start(value={match[1]})")
    return written["value"]


def described(layer: layers.TrainedActivation) -> Candidate:
    """Return the candidate that makes such a layer of ours, each parameter from one start value."""
    config = layer.get_config()
    values = {parameter.name: config[parameter.name] for parameter in layer.spec.parameters}
    if layer.spec.value:
        for name in layer.trained:
            values[name] = Trained(values[name])
    return Candidate.of(layer.spec.name, **values)


def _canonical(
    name: str, parameters: dict[str, Value]
) -> tuple[str, tuple[tuple[str, Value], ...]]:
    """Reduce an activation to the simplest one that is the same function."""
    name, parameters = _simplest(name, parameters)
    kept = []
    for parameter in keras_acts.spec(name).parameters:
        value = parameters[parameter.name]
        # a parameter that no search touches is said only where it is not the default
        if parameter.search or value != parameter.default:
            kept.append((parameter.name, value))
    return name, tuple(kept)


def _simplest(name: str, parameters: dict[str, Value]) -> tuple[str, dict[str, Value]]:
    """The simplest activation that is the same function, with all of its parameters."""
    # in this order: what a line leaves may be simpler still by a later one
    if name == "trelu" and parameters["theta"] == 0:
        name = "leaky_relu"
        parameters = {"alpha": parameters["alpha"]}
    if name == "trelu" and parameters["alpha"] == 0 and parameters["mode"] == "keras":
        # with nothing on the left both modes are the same
        parameters = {**parameters, "mode": "threshold"}
    if name in ("leaky_relu", "elu") and parameters["alpha"] == 0:
        return "relu", {}
    if name == "leaky_relu" and isinstance(parameters["alpha"], Trained):
        return "prelu", {"alpha": parameters["alpha"].start}
    return name, parameters


def _registered(name: str) -> Activation | None:
    """The user's own function called ``"package.function"``, or None."""
    if "." not in name:
        return None
    return keras.saving.get_registered_object(">".join(name.rsplit(".", 1)))


def _registered_name(identifier: Activation) -> str:
    """The name under which Keras finds a user's own function again."""
    activation = keras_acts.get(identifier)
    if isinstance(activation, keras.layers.Layer):
        raise ActivationError(
            "A layer with weights cannot be shared by candidates: name it. Received: "
            f"{shown(activation)}"
        )
    # with a dot for Keras' ">", because KerasTuner would read a registered name as the object
    # itself
    # Keras asks what is not registered for the name of a function, which an object need not have
    if hasattr(activation, "__name__"):
        name = ".".join(keras.saving.get_registered_name(activation).rsplit(">", 1))
        if activation in (_registered(name), getattr(keras.activations, name, None)):
            return name
    raise ActivationError(
        "A function of your own must be registered, or a saved model could not be loaded: decorate "
        f"it with @keras.saving.register_keras_serializable(). Received: {shown(activation)}"
    )
