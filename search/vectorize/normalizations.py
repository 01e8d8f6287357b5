"""Rules for normalizations.

Over the batch, the channels or groups of channels, each member by itself.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers, ops

from .batch import FOLDED, Batch, Tensor, broadcast_parameters, with_free_axis
from .registry import RuleCall, input_ranks, vectorizes


def _normalizes_last_axis(layer: keras.layers.Layer) -> bool:
    axes = layer.axis
    if isinstance(axes, int):
        axes = [axes]
    if len(axes) != 1:
        return False
    ranks = input_ranks(layer)
    return bool(ranks) and all(axes[0] in (-1, rank - 1) for rank in ranks)


def _normalizes_batches(layer: keras.layers.Layer) -> bool:
    if layer.synchronized or getattr(layer, "renorm", False):
        return False
    return _normalizes_last_axis(layer)


def _normalizes_samples(layer: keras.layers.Layer) -> bool:
    return _normalizes_last_axis(layer) and not layer.rms_scaling


def _scale_and_offset(
    layer: keras.layers.Layer, mean: Tensor, variance: Tensor, weight: Callable[[str], Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the factors and summands that normalize, with the layer's gamma and beta in them.

    Args:
        layer: with `epsilon`, `scale` and `center`.
        mean: of the values.
        variance: of the values.
        weight: returns a weight by its name, in a shape that broadcasts against the values.
    """
    # the mean goes into the offset: one product and one sum a value, as Keras does it
    scale = ops.rsqrt(variance + layer.epsilon)
    if layer.scale:
        scale = scale * weight("gamma")
    offset = -mean * scale
    if layer.center:
        offset = offset + weight("beta")
    return scale, offset


@vectorizes(layers.BatchNormalization, accepts=_normalizes_batches)
def batch_normalization(call: RuleCall, x: Batch) -> Batch:
    """Each channel of each member has its statistics.

    In the folded layout all of them are just more channels.
    """
    layer = call.layer
    x = x.as_folded_or_stacked()
    rank = len(x.value.shape)
    shape = [1] * rank
    shape[-1] = -1
    # over all samples and places: what is left are the channels, and the members if apart
    if x.layout == FOLDED:
        axes = list(range(rank - 1))
    else:
        shape[0] = x.members
        axes = list(range(1, rank - 1))

    def weight(name: str) -> Tensor:
        return ops.reshape(call.weights[name], shape)

    if call.training and layer.trainable:
        mean, variance = ops.moments(x.value, axes=axes, keepdims=True)
        for name, of_batch in (("moving_mean", mean), ("moving_variance", variance)):
            updated = weight(name) * layer.momentum + of_batch * (1.0 - layer.momentum)
            call.assign(name, ops.reshape(updated, call.weights[name].shape))
    else:
        mean = weight("moving_mean")
        variance = weight("moving_variance")
    scale, offset = _scale_and_offset(layer, mean, variance, weight)
    return x.map(lambda value: value * scale + offset)


@vectorizes(layers.LayerNormalization, accepts=_normalizes_samples)
def layer_normalization(call: RuleCall, x: Batch) -> Batch:
    """Each sample by itself, with the member's gamma and beta."""
    x = x.as_stacked()
    mean, variance = ops.moments(x.value, axes=[x.rank], keepdims=True)

    def weight(name: str) -> Tensor:
        return broadcast_parameters(call.weights[name], x)

    scale, offset = _scale_and_offset(call.layer, mean, variance, weight)
    return x.map(lambda value: value * scale + offset)


@vectorizes(layers.RMSNormalization, accepts=_normalizes_last_axis)
def rms_normalization(call: RuleCall, x: Batch) -> Batch:
    """Each sample by itself, with the member's scale."""
    x = x.as_stacked()
    power = ops.mean(ops.square(x.value), axis=-1, keepdims=True)
    scale = broadcast_parameters(call.weights["scale"], x)
    return x.map(lambda value: value * ops.rsqrt(power + call.layer.epsilon) * scale)


@vectorizes(layers.GroupNormalization, accepts=_normalizes_last_axis)
def group_normalization(call: RuleCall, x: Batch) -> Batch:
    """Each group of channels of each sample by itself.

    Folded, the members' groups are just more groups.
    """
    layer = call.layer
    x = x.as_folded_or_stacked()
    groups = layer.groups
    batch_axis = 1
    if x.layout == FOLDED:
        groups = layer.groups * x.members
        batch_axis = 0
    sizes = with_free_axis(x.value, batch_axis)
    channels = (groups, x.channels // layer.groups)
    grouped = ops.reshape(x.value, (*sizes[:-1], *channels))

    # everything but the members, the samples and the groups
    rank = len(sizes) + 1
    axes = [*range(batch_axis + 1, rank - 2), rank - 1]
    mean, variance = ops.moments(grouped, axes=axes, keepdims=True)

    shape = channels
    if x.layout != FOLDED:
        shape = (x.members, *(1,) * (rank - 3), *channels)

    def weight(name: str) -> Tensor:
        return ops.reshape(call.weights[name], shape)

    scale, offset = _scale_and_offset(layer, mean, variance, weight)
    return x.map(lambda _: ops.reshape(grouped * scale + offset, sizes))
