"""Rules for convolutions.

The members folded into the channels of one grouped convolution, or products of patches.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from ..runtime import choices
from .batch import FOLDED, SHARED, Batch, Tensor, broadcast_parameters, plus
from .dense import plain
from .patches import add_shifted, multiply_patches
from .registry import RuleCall, vectorizes


class Window(NamedTuple):
    """How the window of a convolution moves."""

    strides: Sequence[int]
    padding: str
    dilations: Sequence[int]


@functools.cache
def grouped_convolution() -> bool:
    """Whether grouped convolutions and their gradients run as one TensorFlow kernel here.

    That is outside of XLA, through which `keras.ops.conv` would send them, 100 times slower on a
    CPU. Without oneDNN a CPU has no gradient.
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


def _convolves(layer: keras.layers.Layer) -> bool:
    if not plain(layer) or not _pads_by_name(layer):
        return False
    way = _way_of(layer)
    if way == "loop":
        return False
    if way == "grouped" and keras.backend.backend() == "tensorflow":
        # there is no other kernel
        return layer.rank < 3 and layer.compute_dtype == "float32" and grouped_convolution()
    return True


def _way_of(layer: keras.layers.Layer) -> str:
    """How a layer convolves for all members."""
    if hasattr(layer, "kernel"):
        return _way(layer.kernel.shape, layer.groups)
    # a separable one has two kernels, and none of this name
    way = _way(layer.pointwise_kernel.shape, 1)
    if way == "patches" and keras.backend.backend() == "tensorflow":
        return "grouped"  # its depthwise half has no other kernel there
    return way


def _way(kernel: Sequence[int], groups: int) -> str:
    """How members convolve with a kernel (..., C, F) each."""
    *window, channels, _ = kernel
    return choices.convolves_by(math.prod(window), channels, groups)


def patches_per_sample(layer: keras.layers.Layer, output: Sequence[int | None]) -> int:
    """Return how many values a convolution keeps between its input and its output, (B, ..., F)."""
    if not isinstance(layer, layers.Conv1D | layers.Conv2D | layers.Conv3D):
        return 0
    *window, channels, _ = layer.kernel.shape
    pixels = math.prod(window)
    if pixels == 1:  # the patches are the input itself
        return 0
    if _way(layer.kernel.shape, layer.groups) != "patches" or not _convolves(layer):
        return 0
    places = math.prod(size or 1 for size in output[1:-1])
    return places * pixels * channels


def _pads_by_name(layer: keras.layers.Layer) -> bool:
    return layer.data_format == "channels_last" and isinstance(layer.padding, str)


def _window(layer: keras.layers.Layer) -> Window:
    return Window(layer.strides, layer.padding, layer.dilation_rate)


@vectorizes(layers.Conv1D, layers.Conv2D, layers.Conv3D, accepts=_convolves, xla=False)
def convolution(call: RuleCall, x: Batch) -> Batch:
    """With all kernels side by side on the shared batch; then grouped, or products of patches."""
    y = _convolve(x, call.weights["kernel"], _window(call.layer), call.layer.groups)
    return _finish(call, y)


@vectorizes(layers.DepthwiseConv1D, layers.DepthwiseConv2D, accepts=_pads_by_name, xla=False)
def depthwise_convolution(call: RuleCall, x: Batch) -> Batch:
    """A depthwise convolution with more channels."""
    y = _convolve_depthwise(x, call.weights["kernel"], _window(call.layer))
    return _finish(call, y)


@vectorizes(layers.SeparableConv1D, layers.SeparableConv2D, accepts=_convolves, xla=False)
def separable_convolution(call: RuleCall, x: Batch) -> Batch:
    """A depthwise convolution, then a grouped one of one pixel."""
    y = _convolve_depthwise(x, call.weights["depthwise_kernel"], _window(call.layer))
    ones = (1,) * call.layer.rank
    one_pixel = Window(strides=ones, padding="valid", dilations=ones)
    return _finish(call, _convolve(y, call.weights["pointwise_kernel"], one_pixel, groups=1))


def _convolves_back(layer: keras.layers.Layer) -> bool:
    """Whether a transposed convolution has a kernel for groups here, TensorFlow's gradient."""
    if keras.backend.backend() != "tensorflow" or layer.data_format != "channels_last":
        return False
    if not plain(layer) or any(dilation != 1 for dilation in layer.dilation_rate):
        return False
    return layer.compute_dtype == "float32" and grouped_convolution()


@vectorizes(layers.Conv1DTranspose, layers.Conv2DTranspose, accepts=_convolves_back, xla=False)
def transposed_convolution(call: RuleCall, x: Batch) -> Batch:
    """The gradient of a grouped convolution; of all kernels side by side on the shared batch."""
    import tensorflow as tf

    layer = call.layer
    kernel = call.weights["kernel"]  # (P, ..., F, C)
    members, *sizes, filters, channels = kernel.shape
    if x.layout == SHARED:
        value = x.value
        kernel = ops.reshape(ops.moveaxis(kernel, 0, -3), (*sizes, members * filters, channels))
    else:
        value = x.folded()
        kernel = _side_by_side(kernel)
    of_member = [None, *_sizes(value)[1:-1], channels]
    places = layer.compute_output_shape(of_member)[1:-1]
    strides = tuple(layer.strides)
    if len(places) == 1:  # there is a kernel for two dimensions only
        value = tf.expand_dims(value, 1)
        kernel = tf.expand_dims(kernel, 0)
        places = (1, *places)
        strides = (1, *strides)
    y = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.stack([tf.shape(value)[0], *places, members * filters]),
        filter=kernel,
        out_backprop=value,
        strides=(1, *strides, 1),
        padding=layer.padding.upper(),
    )
    if layer.rank == 1:
        y = tf.squeeze(y, 1)
    known = [size if isinstance(size, int) else None for size in places[-layer.rank :]]
    y = tf.ensure_shape(y, (None, *known, members * filters))
    return _finish(call, Batch(y, FOLDED, members))


def _sizes(value: Tensor) -> list[Any]:
    """The sizes of a tensor, as numbers where the graph knows them."""
    dynamic = ops.shape(value)
    sizes = []
    for axis, size in enumerate(value.shape):
        sizes.append(dynamic[axis] if size is None else size)
    return sizes


def _convolve(x: Batch, kernel: Tensor, window: Window, groups: int) -> Batch:
    """Convolve, with kernels (P, ..., C, F)."""
    is_ordinary = x.layout == SHARED or x.members == 1
    if not is_ordinary and _way(kernel.shape[1:], groups) == "patches":
        return multiply_patches(x, kernel, *window)
    return in_groups(x, kernel, *window, groups)


def in_groups(
    x: Batch,
    kernel: Tensor,
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int],
    groups: int = 1,
) -> Batch:
    """Convolve with all kernels side by side.

    Groups of the folded channels, or one that sees what all members share.
    """
    if x.layout == SHARED and groups == 1:
        value = x.value
    else:
        value = x.folded()
    kernel = _side_by_side(kernel)
    value, padding = _causal(value, padding, kernel.shape[0], dilations[0])
    if keras.backend.backend() == "tensorflow":
        y = _convolve_in_tensorflow(value, kernel, Window(strides, padding, dilations))
    else:
        y = ops.conv(value, kernel, strides, padding, "channels_last", dilations)
    return Batch(y, FOLDED, x.members)


def _convolve_in_tensorflow(value: Tensor, kernel: Tensor, window: Window) -> Tensor:
    """Convolve; TensorFlow sees from the channels how many groups there are."""
    import tensorflow as tf

    padding = window.padding.upper()
    if len(window.strides) > 1:
        return tf.nn.conv2d(value, kernel, window.strides, padding, dilations=window.dilations)
    # there is a kernel for two dimensions only
    y = tf.nn.conv2d(
        tf.expand_dims(value, 1),
        tf.expand_dims(kernel, 0),
        (1, *window.strides),
        padding,
        dilations=(1, *window.dilations),
    )
    return tf.squeeze(y, 1)


def _convolve_depthwise(x: Batch, kernel: Tensor, window: Window) -> Batch:
    """Convolve each channel, with kernels (P, ..., C, M)."""
    if keras.backend.backend() != "tensorflow":
        return add_shifted(x, kernel, *window)
    members, *sizes, channels, multiplier = kernel.shape
    rank = len(sizes)
    kernel = ops.transpose(kernel, (*range(1, rank + 1), 0, rank + 1, rank + 2))
    kernel = ops.reshape(kernel, (*sizes, members * channels, multiplier))
    value, padding = _causal(x.folded(), window.padding, sizes[0], window.dilations[0])
    y = ops.depthwise_conv(
        value, kernel, window.strides, padding, "channels_last", window.dilations
    )
    return Batch(y, FOLDED, members)


def _side_by_side(kernel: Tensor) -> Tensor:
    """(P, ..., C, F) as (..., C, P*F)."""
    members, *sizes, filters = kernel.shape
    kernel = ops.moveaxis(kernel, 0, -2)
    return ops.reshape(kernel, (*sizes, members * filters))


def _causal(value: Tensor, padding: str, size: int, dilation: int) -> tuple[Tensor, str]:
    """Pad the past, as layers of one dimension can."""
    if padding != "causal":
        return value, padding
    before = (size - 1) * dilation
    return ops.pad(value, [(0, 0), (before, 0), (0, 0)]), "valid"


def _finish(call: RuleCall, y: Batch) -> Batch:
    """Add the bias, and activate."""
    if "bias" in call.weights:
        bias = broadcast_parameters(call.weights["bias"], y)
        y = y.map(lambda value: _with_bias(value, bias))
    return call.activate(y)


def _with_bias(value: Tensor, bias: Tensor) -> Tensor:
    """Add a bias to the channels.

    TensorFlow's own gradient of it becomes one kernel with that of the convolution, which takes
    oneDNN longer than two.
    """
    if keras.backend.backend() != "tensorflow" or len(bias.shape) != 1:
        return plus(value, bias)
    import tensorflow as tf

    @tf.custom_gradient
    def add(value: Tensor, bias: Tensor) -> Any:
        def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
            all_but_channels = list(range(len(value.shape) - 1))
            return upstream, tf.reduce_sum(upstream, axis=all_but_channels)

        return tf.nn.bias_add(value, bias), gradient

    return add(value, bias)
