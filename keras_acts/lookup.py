"""`get` and `register`.

From a name to the object or the layer, and from a new spec to all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from keras_acts import activations, layers, specs
from keras_acts.constraints import is_anonymous
from keras_acts.errors import ActivationError, shown
from keras_acts.notation import NO_ACTIVATIONS, parse, unknown
from keras_acts.specs import ActivationSpec


def get(identifier: Any) -> Callable[..., Any]:
    """Return the activation that `identifier` names.

    Args:
        identifier: ``"mish"``; ``"trelu(theta=0.5, alpha=0.1)"``; the name of a Keras built-in such
            as ``"gelu"``; a serialized Keras object (a dict); or a callable that Keras can
            serialize, which is returned as it is.

    Returns:
        A value (`Activation`), a Keras function, or, for ``"prelu"``, a new layer with one trained
        alpha.

    Raises:
        ActivationError: if there is no such activation, or its parameters are not valid.

    Example:
        >>> get("trelu(theta=0.5, alpha=0.1)")
        TReLU(alpha=0.1, theta=0.5)
    """
    if isinstance(identifier, str):
        return make(*parse(identifier))
    if isinstance(identifier, dict):
        return _deserialized(identifier)
    if callable(identifier) and not isinstance(identifier, type):
        if is_anonymous(identifier):
            raise ActivationError(
                "A lambda or partial cannot be saved: define a function and decorate it with "
                f"@keras.saving.register_keras_serializable(). Received: {shown(identifier)}"
            )
        return identifier
    raise ActivationError(
        f"An activation must be a name, a config or a callable. Received: {shown(identifier)}"
    )


def _deserialized(config: dict[str, Any]) -> Callable[..., Any]:
    try:
        activation = keras.saving.deserialize_keras_object(config)
    except ActivationError:
        raise
    except Exception as error:  # whatever a config of the wrong kind makes Keras raise
        reason = shown(str(error).partition("\n")[0])
        raise ActivationError(
            f"A dict must be a serialized Keras object. Received: {shown(config)} ({reason})"
        ) from error
    if not callable(activation):
        raise ActivationError(f"A dict must be a serialized activation. Received: {shown(config)}")
    return activation


def make(name: str, parameters: dict[str, Any]) -> Callable[..., Any]:
    """Return the activation `name` with these parameters; defaults fill in."""
    if name not in specs.names():
        builtin = _builtin(name)
        if builtin is None:
            raise unknown(name, (*specs.names(), *builtins()))
        if parameters:
            raise ActivationError(
                f"{name}: a Keras built-in takes no parameters here. Received: {shown(parameters)}"
            )
        return builtin
    spec = specs.spec(name)
    if not spec.value:
        return _new_layer(name, parameters)
    return activations.make(name, parameters)


def _new_layer(name: str, parameters: dict[str, Any]) -> layers.TrainedActivation:
    """A layer with one trained parameter, unless more are asked for."""
    try:
        return layers.make(name, **{"num_parameters": 1, **parameters})
    except ActivationError:
        raise
    except (TypeError, ValueError) as error:  # Keras' own, of what no layer takes
        reason = str(error).partition("\n")[0]
        raise ActivationError(
            f"{name}: the parameters must be those of its layer. Received: {shown(parameters)} "
            f"({reason})"
        ) from error


def builtins() -> tuple[str, ...]:
    """Return the names of Keras' own activations that are not ours."""
    ours = specs.names()
    public = [name for name in dir(keras.activations) if not name.startswith("_")]
    return tuple(name for name in sorted(public) if name not in ours and _builtin(name))


def _builtin(name: str) -> Callable[..., Any] | None:
    if name in NO_ACTIVATIONS or name.startswith("_"):
        return None
    if not callable(getattr(keras.activations, name, None)):
        return None
    return keras.activations.get(name)


def register(spec: ActivationSpec) -> type[activations.Activation]:
    """Register a new activation.

    It gets a serializable object, a layer if it trains parameters, a place in searches.

    Returns:
        The class of its objects.

    Raises:
        ActivationError: if the name is taken or the spec contradicts itself.
    """
    specs.add(spec)
    if spec.trained:
        layers.make_class(spec)
    return activations.make_class(spec)


def unregister(name: str) -> None:
    """Undo `register`, so that a corrected spec can take the name: in a notebook, say."""
    specs.remove(name)
    activations.forget(name)
    layers.forget(name)


def PReLU(num_parameters: int = 1, **arguments: Any) -> layers.TrainedActivation:
    """Return a *new* PReLU layer for ``activation=``.

    Its alpha exists from the start, one or `num_parameters`.
    """
    return layers.make("prelu", num_parameters=num_parameters, **arguments)
