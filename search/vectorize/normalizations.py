"""Rules for normalizations.

Over the batch, the channels or groups of channels, each slot by itself.
"""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from .batch import FOLDED, STACKED, Batch, broadcast_parameters, with_free_axis
from .registry import RuleCall, vectorizes

Tensor = Any


def _last_axis(layer: Any) -> bool:
    axis = (
        layer.axis
        if isinstance(layer.axis, int)
        else layer.axis[0]
        if len(layer.axis) == 1
        else None
    )
    return axis is not None and axis in (-1, len(layer.input.shape) - 1)


def _normalizes_batches(layer: Any) -> bool:
    return _last_axis(layer) and not layer.synchronized and not getattr(layer, "renorm", False)


@vectorizes(layers.BatchNormalization, accepts=_normalizes_batches)
def batch_normalization(call: RuleCall, x: Batch) -> Batch:
    """Each channel of each slot has its statistics.

    In the folded layout all of them are just more channels.
    """
    layer = call.layer
    value = x.value if x.layout == FOLDED else x.stacked()
    rank = len(value.shape)
    keep = (rank - 1,) if x.layout == FOLDED else (0, rank - 1)
    shape = [-1 if i == rank - 1 else x.slots if i in keep else 1 for i in range(rank)]

    def placed(name: str) -> Tensor:
        return ops.reshape(call.weights[name], shape)

    if call.training and layer.trainable:
        mean, variance = ops.moments(
            value, axes=[i for i in range(rank) if i not in keep], keepdims=True
        )
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


@vectorizes(
    layers.LayerNormalization, accepts=lambda layer: _last_axis(layer) and not layer.rms_scaling
)
def layer_normalization(call: RuleCall, x: Batch) -> Batch:
    """Each sample by itself, with the slot's gamma and beta."""
    x = Batch(x.stacked(), STACKED, x.slots)
    mean, variance = ops.moments(x.value, axes=[x.rank], keepdims=True)
    scale = ops.rsqrt(variance + call.layer.epsilon)
    scale = scale * broadcast_parameters(call.weights["gamma"], x) if call.layer.scale else scale
    offset = -mean * scale
    offset = offset + broadcast_parameters(call.weights["beta"], x) if call.layer.center else offset
    return x.mapped(lambda value: value * scale + offset)


@vectorizes(layers.RMSNormalization, accepts=_last_axis)
def rms_normalization(call: RuleCall, x: Batch) -> Batch:
    """Each sample by itself, with the slot's scale."""
    x = Batch(x.stacked(), STACKED, x.slots)
    power = ops.mean(ops.square(x.value), axis=-1, keepdims=True)
    scale = broadcast_parameters(call.weights["scale"], x)
    return x.mapped(lambda value: value * ops.rsqrt(power + call.layer.epsilon) * scale)


@vectorizes(layers.GroupNormalization, accepts=_last_axis)
def group_normalization(call: RuleCall, x: Batch) -> Batch:
    """Each group of channels of each sample by itself.

    Folded, the slots' groups are just more groups.
    """
    layer = call.layer
    x = x if x.layout == FOLDED else Batch(x.stacked(), STACKED, x.slots)
    folded = x.layout == FOLDED
    sizes = with_free_axis(x.value, 0 if folded else 1)
    groups = (layer.groups * (x.slots if folded else 1), x.channels // layer.groups)
    shape = (*sizes[:-1], *groups)
    apart = ops.reshape(x.value, shape)
    within = [axis for axis in range(1 if folded else 2, len(shape)) if axis != len(shape) - 2]
    mean, variance = ops.moments(apart, axes=within, keepdims=True)

    def placed(name: str) -> Tensor:
        return ops.reshape(
            call.weights[name], groups if folded else (x.slots, *(1,) * (len(shape) - 3), *groups)
        )

    scale = ops.rsqrt(variance + layer.epsilon)
    scale = scale * placed("gamma") if layer.scale else scale
    offset = -mean * scale
    offset = offset + placed("beta") if layer.center else offset
    return x.mapped(lambda _: ops.reshape(apart * scale + offset, sizes))
