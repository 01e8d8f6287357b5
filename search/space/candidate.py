"""What is tried: an activation with its parameters, in the one form that all ways of writing the function share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

import keras_acts
from keras_acts import layers, lookup
from keras_acts.errors import ActivationError

from .known import as_written

# Keras' own that are no function of one element; ours say so in their spec
_MIXING = {"softmax", "log_softmax", "sparsemax", "glu"}
_TRAINED = re.compile(r"trained(?:\((.*)\))?$")


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
    parameters: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, identifier: Any, **parameters: Any) -> Candidate:
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
                    "A class derived from one of ours has no name that makes it again: register a function instead, "
                    f"with @keras.saving.register_keras_serializable(). Received: {identifier!r}"
                )
            identifier, parameters = identifier.spec.name, dict(identifier.parameters)
        if not isinstance(identifier, str):
            return cls(_registered_name(identifier))
        if _registered(identifier) is not None:
            return cls(identifier)
        name, written = lookup.parse(identifier)
        values = {**written, **parameters}
        if name in keras_acts.names():
            return cls(*_canonical(name, checked(name, values)))
        # an alias has its function's own name: swish is silu
        return cls(getattr(lookup.make(name, values), "__name__", name))

    @property
    def trained(self) -> bool:
        """Whether the model trains a parameter of it, so that each slot needs a layer of its own."""
        return (
            any(isinstance(value, Trained) for _, value in self.parameters) or self._always_trained
        )

    @property
    def elementwise(self) -> bool:
        """Whether each output depends on its own input only, so that it can be a hidden activation."""
        return keras_acts.spec(self.name).elementwise if self._ours else self.name not in _MIXING

    @property
    def _ours(self) -> bool:
        return self.name in keras_acts.names()

    @property
    def _always_trained(self) -> bool:
        return self._ours and not keras_acts.spec(self.name).value

    def activation(
        self, channels: int | None = None, axis: int | None = None
    ) -> Callable[..., Any]:
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
        values = {name: v.start if isinstance(v, Trained) else v for name, v in self.parameters}
        trained = [name for name, v in self.parameters if isinstance(v, Trained)]
        options = {} if self._always_trained else {"trained": trained}
        where = {} if axis is None or channels is None else {"axis": axis}
        return layers.make(self.name, num_parameters=channels or 1, **values, **options, **where)

    def __str__(self) -> str:
        if not self.parameters:
            return self.name
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.parameters)})"


def checked(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return all parameters of one of our activations, defaults filled in, each a number or `Trained`.

    Raises:
        ActivationError: on an unknown or invalid parameter, or one that cannot be trained.
    """
    spec = keras_acts.spec(name)
    trained: dict[str, Any] = {}
    for key, value in values.items():
        match = _TRAINED.match(value) if isinstance(value, str) else None
        if isinstance(value, Trained):
            trained[key] = value.start
        elif match:
            default = spec.defaults.get(key)
            trained[key] = (
                default
                if match[1] is None
                else lookup.parse(f"start(value={match[1]})")[1]["value"]
            )
    numbers = spec.check({**values, **trained})
    trainable = [p.name for p in spec.trained] if spec.value else []
    for key in trained:
        if key not in trainable:
            raise ActivationError(
                f"{name}: only {trainable} can be written as trained. Received: {key}={values[key]!r}"
            )
    return {key: Trained(number) if key in trained else number for key, number in numbers.items()}


def described(layer: Any) -> Candidate:
    """Return the candidate that makes such a layer of ours, with its parameters trained from one start value each."""
    config = layer.get_config()
    values = {p.name: config[p.name] for p in layer.spec.parameters}
    if layer.spec.value:
        values |= {name: Trained(values[name]) for name in layer.trained}
    return Candidate.of(layer.spec.name, **values)


def _canonical(name: str, parameters: dict[str, Any]) -> tuple[str, tuple[tuple[str, Any], ...]]:
    """Reduce an activation to the simplest one that is the same function."""
    if name == "trelu" and parameters["theta"] == 0:
        name, parameters = "leaky_relu", {"alpha": parameters["alpha"]}
    if name == "trelu" and parameters["alpha"] == 0 and parameters["mode"] == "keras":
        parameters["mode"] = "threshold"
    if name in ("leaky_relu", "elu") and parameters["alpha"] == 0:
        name, parameters = "relu", {}
    if name == "leaky_relu" and isinstance(parameters["alpha"], Trained):
        name, parameters = "prelu", {"alpha": parameters["alpha"].start}
    spec = keras_acts.spec(name)
    # a parameter that no search touches is said only where it is not the default
    return name, tuple(
        (p.name, parameters[p.name])
        for p in spec.parameters
        if p.search or parameters[p.name] != p.default
    )


def _registered(name: str) -> Any:
    """The user's own function called ``"package.function"``, or None."""
    return (
        keras.saving.get_registered_object(">".join(name.rsplit(".", 1))) if "." in name else None
    )


def _registered_name(activation: Any) -> str:
    """The name under which Keras finds a user's own function again."""
    activation = keras_acts.get(activation)
    if isinstance(activation, keras.layers.Layer):
        raise ActivationError(
            f"A layer with weights cannot be shared by candidates: name it. Received: {activation!r}"
        )
    # with a dot for Keras' ">", because KerasTuner would read a registered name as the object
    # itself
    name = ".".join(keras.saving.get_registered_name(activation).rsplit(">", 1))
    if activation in (_registered(name), getattr(keras.activations, name, None)):
        return name
    raise ActivationError(
        "A function of your own must be registered, or a saved model could not be loaded: decorate it with "
        f"@keras.saving.register_keras_serializable(). Received: {activation!r}"
    )
