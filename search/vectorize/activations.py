"""Activations of a population.

Each group of slots pays for its own function only, its parameters are data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

import keras_acts
from keras_acts.functions import surrogate_theta
from keras_acts.layers import TrainedActivation

from ..space.known import as_written
from .batch import FOLDED, SHARED, STACKED, Batch, broadcast_parameters, from_merged
from .segments import Segment

Tensor = Any

# what Keras' own functions mix; a function in neither list runs slot after slot
_ELEMENTWISE = frozenset(
    getattr(keras.activations, name)
    for name in (
        *(
            "celu",
            "elu",
            "exponential",
            "gelu",
            "hard_shrink",
            "hard_sigmoid",
            "hard_silu",
            "hard_tanh",
            "leaky_relu",
        ),
        *(
            "linear",
            "log_sigmoid",
            "mish",
            "relu",
            "relu6",
            "selu",
            "sigmoid",
            "silu",
            "soft_shrink",
            "softplus",
        ),
        *(
            "softsign",
            "sparse_plus",
            "sparse_sigmoid",
            "squareplus",
            "tanh",
            "tanh_shrink",
            "threshold",
        ),
    )
)
_PER_SAMPLE = frozenset(
    getattr(keras.activations, name) for name in ("softmax", "log_softmax", "sparsemax", "glu")
)


def apply_to_all(activation: Callable[..., Any] | None, x: Batch) -> Batch:
    """Return one activation without variables, applied for all slots."""
    if activation is None or activation is keras.activations.linear:
        return x
    if is_elementwise(activation):
        return x.mapped(activation)
    if x.layout == SHARED:
        return Batch(activation(x.value), SHARED, x.slots)
    if _is_per_sample(activation):
        return from_merged(activation(x.merged()), x.slots)
    return Batch(ops.stack([activation(value) for value in x.apart()]), STACKED, x.slots)


def apply_by_segment(
    groups: tuple[Segment, ...], variables: list[dict[str, Any]], x: Batch
) -> Batch:
    """Return the groups' activations of their slots.

    Args:
        groups: the groups in inside order, which cover all slots.
        variables: of each group, the trained parameters by name, (n,) or (n, C).
        x: the batch.
    """
    folded = x.layout == FOLDED and all(is_elementwise(group.activation) for group in groups)
    value, layout = (x.value, FOLDED) if folded else (x.stacked(), STACKED)
    axis, unit = (-1, x.channels) if folded else (0, 1)
    sizes = [group.size * unit for group in groups]
    parts = _split(value, sizes, axis) if len(groups) > 1 else [value]
    made = [
        _apply(group, own, Batch(part, layout, group.size))
        for group, own, part in zip(groups, variables, parts, strict=True)
    ]
    return Batch(_joined(made, sizes, axis) if len(groups) > 1 else made[0], layout, x.slots)


def _split(value: Tensor, sizes: list[int], axis: int) -> list[Tensor]:
    """Split; not slices: the gradient of a split is one concatenation."""
    if keras.backend.backend() != "tensorflow":
        return ops.split(value, np.cumsum(sizes[:-1]).tolist(), axis=axis)
    import tensorflow as tf

    return tf.split(value, sizes, axis)  # Keras would have the graph compute the sizes


def _joined(parts: list[Tensor], sizes: list[int], axis: int) -> Tensor:
    """Concatenate; the gradient is one split, where TensorFlow's own is a slice for each part."""
    if keras.backend.backend() != "tensorflow" or len({part.dtype for part in parts}) > 1:
        return ops.concatenate(parts, axis=axis)
    import tensorflow as tf

    @tf.custom_gradient
    def join(*parts: Tensor) -> Any:
        return tf.concat(parts, axis), lambda upstream: tf.split(upstream, sizes, axis)

    return join(*parts)


def with_variables(activation: TrainedActivation, variables: dict[str, Any], x: Batch) -> Batch:
    """Return an activation that all slots have, each with trained parameters of its own.

    (P,) or (P, C) by name.
    """
    x = (
        x
        if x.layout == FOLDED and is_elementwise(activation)
        else Batch(x.stacked(), STACKED, x.slots)
    )
    values = {name: broadcast_parameters(value, x) for name, value in variables.items()}
    return x.mapped(lambda value: _trained(activation, values, value))


def _apply(group: Segment, variables: dict[str, Any], x: Batch) -> Tensor:
    activation = group.activation
    if isinstance(activation, TrainedActivation):
        return _trained(activation, _values(group, variables, x), x.value)
    if not isinstance(activation, keras_acts.Activation) or all(
        _same(values) for values in group.numbers.values()
    ):
        return apply_to_all(activation, x).value
    return activation.spec.function(x.value, **{**activation.parameters, **_values(group, {}, x)})


def _trained(activation: Any, values: dict[str, Tensor], x: Tensor) -> Tensor:
    """What the layer's `call` computes, with the parameters of several layers."""
    fixed = {p.name: activation.get_config()[p.name] for p in activation.spec.parameters}
    values = {**fixed, **values}
    y = activation.spec.function(x, **values)
    if "theta" not in activation.trained:
        return y
    return surrogate_theta(y, x, **values, bandwidth=activation.bandwidth, kernel=activation.kernel)


def _values(group: Segment, variables: dict[str, Any], x: Batch) -> dict[str, Tensor]:
    """The parameters, one or one a channel for each slot of the group, shaped to broadcast against the batch."""
    dtype = "float64" if keras.backend.standardize_dtype(x.value.dtype) == "float64" else "float32"
    given = {
        name: ops.convert_to_tensor(broadcast_parameters(column, x), dtype)
        for name, column in group.numbers.items()
    }
    return {**given, **{name: broadcast_parameters(value, x) for name, value in variables.items()}}


def _same(values: np.ndarray) -> bool:
    return bool((values == values[0]).all())


def is_elementwise(activation: Any) -> bool:
    """Whether each output depends on its own input only, for certain."""
    if isinstance(activation, keras_acts.Activation | TrainedActivation):
        return as_written(activation) and activation.spec.elementwise
    return _hashable(activation) and activation in _ELEMENTWISE


def last_axis(activation: TrainedActivation) -> bool:
    """Return whether the trained parameters belong to the last axis, or to all of the layer."""
    return (
        activation.per != "feature"
        and activation.data_format != "channels_first"
        and activation.axis in (None, -1)
    )


def _is_per_sample(activation: Any) -> bool:
    if isinstance(activation, keras_acts.Activation):
        return as_written(activation)
    return _hashable(activation) and activation in _PER_SAMPLE


def _hashable(activation: Any) -> bool:
    return type(activation).__hash__ is not None
