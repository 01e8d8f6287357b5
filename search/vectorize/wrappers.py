"""Rules for layers that run another one."""

from __future__ import annotations

import keras
from keras import layers, ops

from .batch import STACKED, Batch, with_free_axis
from .registry import RuleCall, rule_for, vectorizes

# each runs every sample by itself, draws no numbers, and takes no mask
_STEP_LAYERS = (
    layers.Dense,
    layers.EinsumDense,
    layers.Conv1D,
    layers.Conv2D,
    layers.SeparableConv1D,
    layers.SeparableConv2D,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.MaxPooling1D,
    layers.MaxPooling2D,
    layers.AveragePooling1D,
    layers.AveragePooling2D,
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
    layers.GlobalAveragePooling2D,
    layers.Flatten,
    layers.Reshape,
    layers.Activation,
)


def _each_step_alone(layer: keras.layers.Layer) -> bool:
    inner = layer.layer
    # trained activations of the layer inside are not kept apart from its weights
    if isinstance(getattr(inner, "activation", None), keras.layers.Layer):
        return False
    return type(inner) in _STEP_LAYERS and rule_for(inner) is not None


@vectorizes(layers.TimeDistributed, accepts=_each_step_alone, xla=False)
def time_distributed(call: RuleCall, x: Batch, mask: Batch | None = None) -> Batch:
    """The steps of all samples as if they were samples, by the rule of the layer inside."""
    inner = call.layer.layer
    rule = rule_for(inner)
    assert rule is not None  # it is covered
    value = x.stacked()
    members, samples, steps, *sizes = ops.shape(value)
    merged = ops.reshape(value, (members, samples * steps, *sizes))
    y = rule(call.inside(inner), Batch(merged, STACKED, x.members)).stacked()
    outputs = with_free_axis(y, 1)[2:]
    apart = ops.reshape(y, (members, samples, steps, *outputs))
    return Batch(apart, STACKED, x.members)
