"""Rules for convolutions.

The slots folded into the channels of one grouped convolution, or products of patches.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from ..runtime.device import gpus
from .batch import FOLDED, SHARED, Batch, broadcast_parameters
from .dense import plain
from .patches import add_shifted, multiply_patches
from .registry import RuleCall, vectorizes

Tensor = Any

# so many values in a window, and products of patches are not the fastest any more: on a CPU, on a
# GPU
_VALUES = (256, 512)


@functools.cache
def grouped_convolution() -> bool:
    """Whether grouped convolutions and their gradients run as one TensorFlow kernel here, outside of XLA.

    `keras.ops.conv` would send them through XLA, 100 times slower on a CPU. Without oneDNN a CPU
    has no gradient.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    @tf.function
    def gradient(x: Tensor, kernel: Tensor) -> Tensor:
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            y = tf.nn.conv2d(x, kernel, 1, "SAME")
        return tape.gradient(y, kernel)

    try:
        gradient(tf.ones((1, 2, 2, 2)), tf.ones((1, 1, 1, 2)))
    except tf.errors.OpError:
        return False
    return True


def _convolves(layer: Any) -> bool:
    if not (plain(layer) and _pads_by_name(layer)):
        return False
    if keras.backend.backend() != "tensorflow":
        return (
            bool(gpus())
            or not hasattr(layer, "kernel")
            or _in_patches(layer.kernel.shape, layer.groups)
        )
    return (
        layer.rank < 3 and layer.compute_dtype == "float32" and grouped_convolution()
    )  # there is no other kernel


def _in_patches(kernel: Sequence[int], groups: int) -> bool:
    """Whether a convolution with a kernel (..., C, F) is the fastest as a product for each slot."""
    if keras.backend.backend() == "tensorflow" or groups > 1:
        return False
    *window, channels, _ = kernel
    return math.prod(window) == 1 or math.prod(window) * channels < _VALUES[bool(gpus())]


def patches_per_sample(layer: Any, output: Sequence[int | None]) -> int:
    """Return how many values lie in memory between a convolution's input and its output, (B, ..., F)."""
    if not isinstance(layer, layers.Conv1D | layers.Conv2D | layers.Conv3D):
        return 0
    *window, channels, _ = layer.kernel.shape
    if math.prod(window) == 1 or not (
        _in_patches(layer.kernel.shape, layer.groups) and _convolves(layer)
    ):
        return 0
    return math.prod(size or 1 for size in output[1:-1]) * math.prod(window) * channels


def _pads_by_name(layer: Any) -> bool:
    return layer.data_format == "channels_last" and isinstance(layer.padding, str)


@vectorizes(layers.Conv1D, layers.Conv2D, layers.Conv3D, accepts=_convolves, xla=False)
def convolution(call: RuleCall, x: Batch) -> Batch:
    """A convolution of the shared batch with all kernels side by side, then grouped ones or products of patches."""
    layer = call.layer
    y = _convolve(
        x, call.weights["kernel"], layer.strides, layer.padding, layer.dilation_rate, layer.groups
    )
    return _finish(call, y)


@vectorizes(layers.DepthwiseConv1D, layers.DepthwiseConv2D, accepts=_pads_by_name, xla=False)
def depthwise_convolution(call: RuleCall, x: Batch) -> Batch:
    """A depthwise convolution with more channels."""
    layer = call.layer
    return _finish(
        call,
        _depthwise(x, call.weights["kernel"], layer.strides, layer.padding, layer.dilation_rate),
    )


@vectorizes(layers.SeparableConv1D, layers.SeparableConv2D, accepts=_convolves, xla=False)
def separable_convolution(call: RuleCall, x: Batch) -> Batch:
    """A depthwise convolution, then a grouped one of one pixel."""
    layer = call.layer
    y = _depthwise(
        x, call.weights["depthwise_kernel"], layer.strides, layer.padding, layer.dilation_rate
    )
    one = (1,) * layer.rank
    return _finish(call, _convolve(y, call.weights["pointwise_kernel"], one, "valid", one, 1))


def _convolve(
    x: Batch,
    kernel: Tensor,
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int],
    groups: int,
) -> Batch:
    """Convolve, with kernels (P, ..., C, F)."""
    one = x.layout == SHARED or x.slots == 1  # an ordinary convolution
    if not one and _in_patches(kernel.shape[1:], groups):
        return multiply_patches(x, kernel, strides, padding, dilations)
    return in_groups(x, kernel, strides, padding, dilations, groups)


def in_groups(
    x: Batch,
    kernel: Tensor,
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int],
    groups: int = 1,
) -> Batch:
    """Convolve with all kernels side by side.

    Groups of the folded channels, or one that sees what all slots share.
    """
    value = x.value if x.layout == SHARED and groups == 1 else x.folded()
    kernel = _side_by_side(kernel)
    value, padding = _causal(value, padding, kernel.shape[0], dilations[0])
    if keras.backend.backend() != "tensorflow":
        return Batch(
            ops.conv(value, kernel, strides, padding, "channels_last", dilations), FOLDED, x.slots
        )
    import tensorflow as tf

    one_dimension = len(strides) == 1
    if one_dimension:
        value, kernel = tf.expand_dims(value, 1), tf.expand_dims(kernel, 0)
        strides, dilations = (1, *strides), (1, *dilations)
    y = tf.nn.conv2d(value, kernel, strides, padding.upper(), dilations=dilations)
    return Batch(tf.squeeze(y, 1) if one_dimension else y, FOLDED, x.slots)


def _depthwise(
    x: Batch, kernel: Tensor, strides: Sequence[int], padding: str, dilations: Sequence[int]
) -> Batch:
    """Convolve each channel, with kernels (P, ..., C, M)."""
    slots, *window, channels, multiplier = kernel.shape
    if keras.backend.backend() != "tensorflow":
        return add_shifted(x, kernel, strides, padding, dilations)
    rank = len(window)
    kernel = ops.transpose(kernel, (*range(1, rank + 1), 0, rank + 1, rank + 2))
    kernel = ops.reshape(kernel, (*window, slots * channels, multiplier))
    value, padding = _causal(x.folded(), padding, window[0], dilations[0])
    return Batch(
        ops.depthwise_conv(value, kernel, strides, padding, "channels_last", dilations),
        FOLDED,
        slots,
    )


def _side_by_side(kernel: Tensor) -> Tensor:
    """(P, ..., C, F) as (..., C, P*F)."""
    slots, *window, filters = kernel.shape
    kernel = ops.moveaxis(kernel, 0, -2)
    return ops.reshape(kernel, (*window, slots * filters))


def _causal(value: Tensor, padding: str, size: int, dilation: int) -> tuple[Tensor, str]:
    """Pad the past, as layers of one dimension can."""
    if padding != "causal":
        return value, padding
    return ops.pad(value, [(0, 0), ((size - 1) * dilation, 0), (0, 0)]), "valid"


def _finish(call: RuleCall, y: Batch) -> Batch:
    """Add the bias, and activate."""
    if "bias" in call.weights:
        y = y.mapped(lambda value: _with_bias(value, broadcast_parameters(call.weights["bias"], y)))
    return call.activate(y)


def _with_bias(value: Tensor, bias: Tensor) -> Tensor:
    """Add a bias to the channels.

    TensorFlow's own gradient of it becomes one kernel with that of the convolution, which takes
    oneDNN longer than two.
    """
    if keras.backend.backend() != "tensorflow" or len(bias.shape) != 1:
        return ops.add(value, bias)
    import tensorflow as tf

    @tf.custom_gradient
    def add(value: Tensor, bias: Tensor) -> Any:
        def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
            return upstream, tf.reduce_sum(upstream, axis=list(range(len(value.shape) - 1)))

        return tf.nn.bias_add(value, bias), gradient

    return add(value, bias)
