"""What every activation function does first.

Take a tensor, an array or the symbolic input of a functional model.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Tensor = Any

_FUNCTIONS: dict[str, Callable[..., Any]] = {}


def activation(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate ``function(tensor, *, parameter=...)`` to take arrays and `keras.KerasTensor` too."""

    @functools.wraps(function)
    def call(x: Tensor, **parameters: Any) -> Tensor:
        if isinstance(x, keras.KerasTensor):
            return Apply(function.__name__, parameters)(x)
        x = ops.convert_to_tensor(x)
        if not keras.backend.is_float_dtype(x.dtype):
            x = ops.cast(x, keras.config.floatx())
        return function(x, **parameters)

    _FUNCTIONS[function.__name__] = call
    return call


@keras.saving.register_keras_serializable(package="keras_acts")
class Apply(keras.Operation):
    """One of our functions as a node of a functional model.

    Saved by name, it keeps its own gradient when loaded.
    """

    def __init__(self, function: str, parameters: dict[str, Any], name: str | None = None):
        super().__init__(name=name)
        self.function = function
        self.parameters = dict(parameters)

    def call(self, x: Tensor) -> Tensor:
        """Return the function of `x`."""
        return _FUNCTIONS[self.function](x, **self.parameters)

    def compute_output_spec(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Return the spec of `x`: activations keep shape and dtype."""
        return keras.KerasTensor(x.shape, x.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"function": self.function, "parameters": self.parameters, "name": self.name}
