"""What every activation function does first.

Take a tensor, an array or the symbolic input of a functional model.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_acts.errors import ActivationError, shown

Tensor = Any

_FUNCTIONS: dict[str, Callable[..., Any]] = {}


def activation(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate ``function(tensor, *, parameter=...)`` to take arrays and `keras.KerasTensor` too."""

    @functools.wraps(function)
    def call(x: Tensor, **parameters: Any) -> Tensor:
        if isinstance(x, keras.KerasTensor):
            _check_fixed(function.__name__, parameters)
            return Apply(function.__name__, parameters)(x)
        x = ops.convert_to_tensor(x)
        if not keras.backend.is_float_dtype(x.dtype):
            _check_real(function.__name__, x)
            x = ops.cast(x, keras.config.floatx())
        return function(x, **parameters)

    _FUNCTIONS[function.__name__] = call
    return call


def _check_fixed(function: str, parameters: dict[str, Any]) -> None:
    """Check that the parameters of a node of a functional model are numbers, and stay so.

    The model would compute nothing with a symbolic one, and neither train nor save a variable.
    """
    for name, value in parameters.items():
        if isinstance(value, keras.KerasTensor | keras.Variable):
            raise ActivationError(
                f"{function}: in a functional model a parameter is a number or an array; one that "
                "is trained or computed needs a layer, such as keras_acts.layers.PReLU(). "
                f"Received: {name}={shown(value)}"
            )


def _check_real(function: str, x: Tensor) -> None:
    """Check that nothing is lost where an input becomes floating: a complex one has two parts."""
    if "complex" in keras.backend.standardize_dtype(x.dtype):
        raise ActivationError(
            f"{function}: the input must be real. Received: a tensor of dtype {x.dtype}"
        )


@keras.saving.register_keras_serializable(package="keras_acts")
class Apply(keras.Operation):
    """One of our functions as a node of a functional model.

    Saved by name, it keeps its own gradient when loaded. Keras asks `call` for the dtype of the
    output: an integer input has a floating one, and bad parameters fail where the node is made.
    """

    def __init__(self, function: str, parameters: dict[str, Any], name: str | None = None):
        super().__init__(name=name)
        self.function = function
        self.parameters = dict(parameters)

    def call(self, x: Tensor) -> Tensor:
        """Return the function of `x`."""
        return _FUNCTIONS[self.function](x, **self.parameters)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, arrays as lists: those are read back as they are."""
        written = {name: _as_list(value) for name, value in self.parameters.items()}
        return {"function": self.function, "parameters": written, "name": self.name}


def _as_list(value: Any) -> Any:
    """A parameter as a file holds it."""
    if hasattr(value, "__array__"):
        return ops.convert_to_numpy(value).tolist()
    return value
