"""Activations of a population.

Each segment of members pays for its own function only, its parameters are data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

import keras_acts
from keras_acts.functions import surrogate_theta
from keras_acts.layers import TrainedActivation

from ..space.known import as_written
from .batch import FOLDED, SHARED, STACKED, Batch, Tensor, broadcast_parameters, from_merged
from .segments import Activation, Segment

# what Keras' own functions mix; a function in neither list runs member after member
_ELEMENTWISE_NAMES = (
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "leaky_relu",
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
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "tanh",
    "tanh_shrink",
    "threshold",
)
_PER_SAMPLE_NAMES = ("softmax", "log_softmax", "sparsemax", "glu")
_ELEMENTWISE = frozenset(getattr(keras.activations, name) for name in _ELEMENTWISE_NAMES)
_PER_SAMPLE = frozenset(getattr(keras.activations, name) for name in _PER_SAMPLE_NAMES)


def apply_to_all(activation: Activation | None, x: Batch) -> Batch:
    """Return one activation without variables, applied for all members."""
    if activation is None or activation is keras.activations.linear:
        return x
    if is_elementwise(activation):
        return x.map(activation)
    if x.layout == SHARED:
        return Batch(activation(x.value), SHARED, x.members)
    if _is_per_sample(activation):
        return from_merged(activation(x.merged()), x.members)
    outputs = [activation(value) for value in x.per_member()]
    return Batch(ops.stack(outputs), STACKED, x.members)


def apply_by_segment(
    segments: Sequence[Segment], variables: Sequence[Mapping[str, Tensor]], x: Batch
) -> Batch:
    """Return the segments' activations of their members.

    Args:
        segments: in inside order, they cover all members.
        variables: of each segment, the trained parameters by name, (n,) or (n, C).
        x: the batch.
    """
    # an activation of a whole sample must not see the channels of other members
    if x.layout != FOLDED or not all(is_elementwise(each.activation) for each in segments):
        x = x.as_stacked()
    if len(segments) == 1:
        return Batch(_apply(segments[0], variables[0], x), x.layout, x.members)
    axis = 0
    sizes = [segment.size for segment in segments]
    if x.layout == FOLDED:
        axis = -1
        sizes = [size * x.channels for size in sizes]
    outputs = []
    parts = _split(x.value, sizes, axis)
    for segment, of_segment, part in zip(segments, variables, parts, strict=True):
        outputs.append(_apply(segment, of_segment, Batch(part, x.layout, segment.size)))
    return Batch(_join(outputs, sizes, axis), x.layout, x.members)


def _split(value: Tensor, sizes: Sequence[int], axis: int) -> list[Tensor]:
    """Split; not slices: the gradient of a split is one concatenation."""
    if keras.backend.backend() != "tensorflow":
        return ops.split(value, np.cumsum(sizes[:-1]).tolist(), axis=axis)
    import tensorflow as tf

    return tf.split(value, sizes, axis)  # Keras would have the graph compute the sizes


def _join(parts: Sequence[Tensor], sizes: Sequence[int], axis: int) -> Tensor:
    """Concatenate; the gradient is one split, where TensorFlow's own is a slice for each part."""
    dtypes = {part.dtype for part in parts}
    if keras.backend.backend() != "tensorflow" or len(dtypes) > 1:
        return ops.concatenate(parts, axis=axis)
    import tensorflow as tf

    @tf.custom_gradient
    def join(*parts: Tensor) -> Any:
        return tf.concat(parts, axis), lambda upstream: tf.split(upstream, sizes, axis)

    return join(*parts)


def with_variables(
    activation: TrainedActivation, variables: Mapping[str, Tensor], x: Batch
) -> Batch:
    """Return an activation that all members have, each with trained parameters of its own.

    (P,) or (P, C) by name.
    """
    if x.layout != FOLDED or not is_elementwise(activation):
        x = x.as_stacked()
    values = {name: broadcast_parameters(value, x) for name, value in variables.items()}
    return x.map(lambda value: _trained(activation, values, value))


def _apply(segment: Segment, variables: Mapping[str, Tensor], x: Batch) -> Tensor:
    """Apply a segment's activation to the values of its members."""
    activation = segment.activation
    if isinstance(activation, TrainedActivation):
        return _trained(activation, _parameter_tensors(segment, variables, x), x.value)
    if not isinstance(activation, keras_acts.Activation) or _is_of_all(activation, segment):
        return apply_to_all(activation, x).value
    parameters = {**activation.parameters, **_parameter_tensors(segment, {}, x)}
    return activation.spec.function(x.value, **parameters)


def _is_of_all(activation: keras_acts.Activation, segment: Segment) -> bool:
    """Whether all members have its parameters too."""
    own = activation.parameters
    return all(bool((column == own[name]).all()) for name, column in segment.numbers.items())


def _trained(activation: TrainedActivation, values: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """What the layer's `call` computes, with the parameters of several layers."""
    config = activation.get_config()
    parameters = {p.name: config[p.name] for p in activation.spec.parameters}
    parameters |= values
    y = activation.spec.function(x, **parameters)
    if "theta" not in activation.trained:
        return y
    return surrogate_theta(
        y, x, **parameters, bandwidth=activation.bandwidth, kernel=activation.kernel
    )


def _parameter_tensors(
    segment: Segment, variables: Mapping[str, Tensor], x: Batch
) -> dict[str, Tensor]:
    """The parameters, one or one a channel for each member of the segment.

    Shaped to broadcast against the batch.
    """
    # float64 stays; half precision would round them before the activation does
    dtype = "float32"
    if keras.backend.standardize_dtype(x.value.dtype) == "float64":
        dtype = "float64"
    tensors = {}
    for name, column in segment.numbers.items():
        tensors[name] = ops.convert_to_tensor(broadcast_parameters(column, x), dtype)
    for name, variable in variables.items():
        tensors[name] = broadcast_parameters(variable, x)
    return tensors


def is_elementwise(activation: Activation) -> bool:
    """Whether each output depends on its own input only, for certain."""
    if isinstance(activation, keras_acts.Activation | TrainedActivation):
        return as_written(activation) and activation.spec.elementwise
    return _is_hashable(activation) and activation in _ELEMENTWISE


def last_axis(activation: TrainedActivation) -> bool:
    """Return whether the trained parameters belong to the last axis, or to all of the layer."""
    if activation.per == "feature" or activation.data_format == "channels_first":
        return False
    return activation.axis in (None, -1)


def _is_per_sample(activation: Activation) -> bool:
    if isinstance(activation, keras_acts.Activation):
        return as_written(activation)
    return _is_hashable(activation) and activation in _PER_SAMPLE


def _is_hashable(activation: Activation) -> bool:
    return type(activation).__hash__ is not None
