"""Rules for layers with weights: dense layers, convolutions, normalizations, embeddings."""

from __future__ import annotations

import functools
from typing import Any

import keras
from keras import layers, ops

from .layout import FOLDED, SHARED, STACKED, Batch
from .vectorize import Call, vectorizes

Tensor = Any


def _plain(layer: Any) -> bool:
    """Whether the layer computes with its own kernel: not quantized, no LoRA."""
    return not getattr(layer, "lora_enabled", False) and getattr(layer, "quantization_mode", None) is None


@vectorizes(layers.Dense, accepts=_plain)
def dense(call: Call, x: Batch) -> Batch:
    """A batched matrix product; the first layer's one shared batch is not copied."""
    kernel = call.weights["kernel"]
    value = ops.expand_dims(x.value, 0) if x.layout == SHARED else x.stacked()
    sizes = ops.shape(value)
    flat = value if len(sizes) == 3 else ops.reshape(value, (sizes[0], -1, sizes[-1]))
    y = ops.matmul(flat, kernel)
    if "bias" in call.weights:
        y = ops.add(y, ops.expand_dims(call.weights["bias"], 1))
    if len(sizes) != 3:
        y = ops.reshape(y, (x.slots, -1, *sizes[2:-1], kernel.shape[-1]))
    return call.activate(Batch(y, STACKED, x.slots))


def _convolves(layer: Any) -> bool:
    plain = _plain(layer) and layer.data_format == "channels_last" and layer.groups == 1
    return plain and layer.compute_dtype == "float32" and grouped_convolution()  # the kernel has no float64


@functools.cache
def grouped_convolution() -> bool:
    """Whether grouped convolutions and their gradients run as one TensorFlow kernel here, outside of XLA.

    `keras.ops.conv` would send them through XLA, 100 times slower on a CPU. Without oneDNN a CPU has no gradient.
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


@vectorizes(layers.Conv2D, accepts=_convolves, xla=False)
def conv2d(call: Call, x: Batch) -> Batch:
    """A convolution of the shared batch with all kernels side by side, then grouped ones on folded channels."""
    import tensorflow as tf

    layer, kernel = call.layer, call.weights["kernel"]
    slots, height, width, channels, filters = kernel.shape
    kernel = ops.reshape(ops.transpose(kernel, (1, 2, 3, 0, 4)), (height, width, channels, slots * filters))
    value = x.value if x.layout == SHARED else x.folded()
    y = tf.nn.conv2d(value, kernel, layer.strides, layer.padding.upper(), dilations=layer.dilation_rate)
    if "bias" in call.weights:
        y = ops.add(y, ops.reshape(call.weights["bias"], (slots * filters,)))
    return call.activate(Batch(y, FOLDED, x.slots))


@vectorizes(
    layers.DepthwiseConv2D,
    accepts=lambda layer: layer.data_format == "channels_last" and layer.dilation_rate == (1, 1),
    xla=False,
)
def depthwise_conv2d(call: Call, x: Batch) -> Batch:
    """A depthwise convolution with more channels."""
    layer, kernel = call.layer, call.weights["kernel"]
    slots, height, width, channels, multiplier = kernel.shape
    kernel = ops.reshape(ops.transpose(kernel, (1, 2, 0, 3, 4)), (height, width, slots * channels, multiplier))
    y = ops.depthwise_conv(x.folded(), kernel, layer.strides, layer.padding, "channels_last", layer.dilation_rate)
    if "bias" in call.weights:
        y = ops.add(y, ops.reshape(call.weights["bias"], (slots * channels * multiplier,)))
    return call.activate(Batch(y, FOLDED, x.slots))


def _last_axis(layer: Any) -> bool:
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0] if len(layer.axis) == 1 else None
    return axis is not None and axis in (-1, len(layer.input.shape) - 1)


def _normalizes_batches(layer: Any) -> bool:
    return _last_axis(layer) and not layer.synchronized and not getattr(layer, "renorm", False)


@vectorizes(layers.BatchNormalization, accepts=_normalizes_batches)
def batch_normalization(call: Call, x: Batch) -> Batch:
    """Each channel of each slot has its statistics: in the folded layout all of them are just more channels."""
    layer = call.layer
    value = x.value if x.layout == FOLDED else x.stacked()
    rank = len(value.shape)
    keep = (rank - 1,) if x.layout == FOLDED else (0, rank - 1)
    shape = [-1 if i == rank - 1 else x.slots if i in keep else 1 for i in range(rank)]

    def placed(name: str) -> Tensor:
        return ops.reshape(call.weights[name], shape)

    if call.training and layer.trainable:
        mean, variance = ops.moments(value, axes=[i for i in range(rank) if i not in keep], keepdims=True)
        for name, batch in (("moving_mean", mean), ("moving_variance", variance)):
            moved = placed(name) * layer.momentum + batch * (1.0 - layer.momentum)
            call.assign(name, ops.reshape(moved, call.weights[name].shape))
    else:
        mean, variance = placed("moving_mean"), placed("moving_variance")
    scale = ops.rsqrt(variance + layer.epsilon)
    scale = scale * placed("gamma") if layer.scale else scale
    offset = -mean * scale
    offset = offset + placed("beta") if layer.center else offset
    return Batch(value * scale + offset, FOLDED if x.layout == FOLDED else STACKED, x.slots)


@vectorizes(layers.LayerNormalization, accepts=lambda layer: _last_axis(layer) and not layer.rms_scaling)
def layer_normalization(call: Call, x: Batch) -> Batch:
    """Each sample by itself, with the slot's gamma and beta."""
    value = x.stacked()
    rank = len(value.shape)
    mean, variance = ops.moments(value, axes=[rank - 1], keepdims=True)
    scale = ops.rsqrt(variance + call.layer.epsilon)

    def placed(name: str) -> Tensor:
        return ops.reshape(call.weights[name], (x.slots, *(1,) * (rank - 2), -1))

    scale = scale * placed("gamma") if call.layer.scale else scale
    offset = -mean * scale
    offset = offset + placed("beta") if call.layer.center else offset
    return Batch(value * scale + offset, STACKED, x.slots)


@vectorizes(layers.Embedding, accepts=_plain)
def embedding(call: Call, x: Batch) -> Batch:
    """All slots' vectors of one token lie side by side: the shared tokens are looked up once."""
    vectors = call.weights["embeddings"]
    slots, tokens, size = vectors.shape
    indices = ops.cast(x.value, "int32")
    if x.layout == SHARED:
        together = ops.reshape(ops.transpose(vectors, (1, 0, 2)), (tokens, slots * size))
        return Batch(ops.take(together, indices, axis=0), FOLDED, slots)
    indices = ops.cast(x.stacked(), "int32")
    first = ops.reshape(ops.arange(slots, dtype="int32") * tokens, (slots, *(1,) * (len(indices.shape) - 1)))
    return Batch(ops.take(ops.reshape(vectors, (slots * tokens, size)), indices + first, axis=0), STACKED, slots)
