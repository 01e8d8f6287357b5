"""A layer run on a sample, with weights that are given: nothing of the layer changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np
from keras import ops

from keras_acts.compat import calls_of

from ..runtime.tracing import functions_as_written

# of a batch axis, and of another axis of unknown size
_SAMPLES = 3
_UNKNOWN = 4

# arrays, nested as a layer takes or returns them
Structure: TypeAlias = Any
# of a layer's variables, in their order
Values: TypeAlias = list[Any]
# variables, each with a value
Weights: TypeAlias = list[tuple[keras.Variable, Any]]


class Arguments(NamedTuple):
    """What a layer is called with.

    Attributes:
        args: by place, arrays in place of the symbols that it was called with.
        options: by name.
    """

    args: tuple[Structure, ...]
    options: Mapping[str, Structure]


class Outcome(NamedTuple):
    """What a call of a layer gave, as NumPy arrays.

    Attributes:
        outputs: flat.
        loss: the sum of what it adds to the loss.
        states: of all its variables after the call.
    """

    outputs: list[np.ndarray]
    loss: np.ndarray
    states: list[np.ndarray]

    def is_like(self, other: Outcome) -> bool:
        """Return whether another call gave the same, but for the last digits."""
        ours = [*self.outputs, self.loss, *self.states]
        others = [*other.outputs, other.loss, *other.states]
        if len(ours) != len(others):
            return False
        return all(map(_are_close, ours, others))

    def differs_in_outputs(self, other: Outcome) -> bool:
        """Return whether the outputs are others, by more than the last digits."""
        return not all(map(_are_close, self.outputs, other.outputs))


def sample_arguments(
    layer: keras.Operation, positive: bool = False, unknown: int = _UNKNOWN
) -> Arguments | None:
    """Return random arguments in the shapes in which a model calls a layer first.

    None if it does not call it.

    Args:
        layer: of a model.
        positive: whether numbers are in (0, 1) rather than normal.
        unknown: the size of axes, other than that of the batch, that have none.
    """
    calls = calls_of(layer)
    if not calls:
        return None
    rng = np.random.default_rng(0)

    def sample(x: Any) -> Any:
        if not isinstance(x, keras.KerasTensor):
            return x
        return _random(rng, x, positive, unknown)

    given = calls[0].arguments
    args, options = keras.tree.map_structure(sample, (given.args, given.kwargs))
    # whoever runs it says whether it trains
    return Arguments(args, {key: value for key, value in options.items() if key != "training"})


def with_values(layer: keras.layers.Layer, values: Values) -> Weights:
    """Return values for a layer's variables, in their order."""
    return list(zip(layer.variables, values, strict=True))


def random_weights(layer: keras.layers.Layer) -> Values:
    """Return values for a layer's variables with which no part of it is without effect.

    States that are no floats are as they are now.
    """
    rng = np.random.default_rng(1)
    trained = {id(variable) for variable in layer.trainable_variables}
    values: Values = []
    for variable in layer.variables:
        if "float" not in keras.backend.standardize_dtype(variable.dtype):
            values.append(ops.convert_to_tensor(variable))
            continue
        value = rng.normal(0, 0.5, variable.shape)
        if id(variable) not in trained:  # a variance among them
            value = np.abs(value) + 0.5
        values.append(ops.convert_to_tensor(value, dtype=variable.dtype))
    return values


def run(
    layer: keras.layers.Layer, arguments: Arguments, weights: Weights, training: bool
) -> Outcome:
    """Return what a built layer makes with other values of its variables.

    They are untouched.
    """
    with functions_as_written():
        return _Caller(layer, arguments, weights)(np.zeros(1, "float32"), training=training)


def _random(rng: np.random.Generator, x: keras.KerasTensor, positive: bool, unknown: int) -> Any:
    shape = [size or unknown for size in x.shape]
    if x.shape and x.shape[0] is None:
        shape[0] = _SAMPLES
    dtype = keras.backend.standardize_dtype(x.dtype)
    if dtype == "string":
        return np.full(shape, "word")
    if "float" not in dtype:
        # whole numbers are often indices, and bool knows no others: 0 and 1 are valid ones
        return ops.convert_to_tensor(rng.integers(0, 2, shape), dtype=dtype)
    value = rng.normal(size=shape)
    if positive:
        value = rng.uniform(size=shape)
    return ops.convert_to_tensor(value, dtype=dtype)


def _are_close(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind not in "fc":
        return bool(np.array_equal(one, other))
    largest = float(np.max(np.abs(one), initial=0.0, where=np.isfinite(one)))
    return bool(np.allclose(one, other, rtol=1e-4, atol=1e-5 * max(1.0, largest), equal_nan=True))


def _as_array(x: Any) -> np.ndarray:
    array = np.asarray(ops.convert_to_numpy(x))
    # bfloat16 is no number to NumPy
    if array.dtype.kind == "V" or str(array.dtype) == "bfloat16":
        return array.astype("float32")
    return array


class _Caller(keras.layers.Layer):
    """Calls a layer as one that holds it would: so Keras tells it whether it trains."""

    def __init__(self, layer: keras.layers.Layer, arguments: Arguments, weights: Weights):
        super().__init__(autocast=False)
        # in a function, where Keras does not look for layers and variables
        self._held = lambda: (layer, arguments, weights)
        self.built = True

    def call(self, x: Any, training: bool) -> Outcome:
        layer, arguments, weights = self._held()
        with keras.StatelessScope(state_mapping=weights, collect_losses=True) as scope:
            outputs = layer(*arguments.args, **arguments.options)
            losses = [ops.sum(loss) for loss in layer.losses]
        loss = sum(losses, ops.zeros(()))
        states = [scope.get_current_value(variable) for variable, _ in weights]
        return Outcome(
            [_as_array(y) for y in keras.tree.flatten(outputs)],
            _as_array(loss),
            [_as_array(state) for state in states],
        )
