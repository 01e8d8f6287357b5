"""Rules for layers without weights, and those that merely hold an activation."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from .batch import FOLDED, SHARED, Batch, from_merged
from .registry import RuleCall, vectorizes

# each acts on every channel alone, so that the slots' channels may lie side by side
_CHANNELWISE = tuple(
    getattr(layers, f"{kind}{rank}D")
    for rank in (1, 2, 3)
    for kind in (
        "MaxPooling",
        "AveragePooling",
        "GlobalMaxPooling",
        "GlobalAveragePooling",
        "ZeroPadding",
        "Cropping",
        "UpSampling",
    )
)
# each acts on every value alone, and keeps the place
_ELEMENTWISE = (layers.ReLU, layers.LeakyReLU, layers.ELU)
_MERGES = (
    layers.Add,
    layers.Subtract,
    layers.Multiply,
    layers.Average,
    layers.Maximum,
    layers.Minimum,
)
# each acts on every sample alone
_PER_SAMPLE = (
    *(layers.Flatten, layers.Reshape, layers.Permute, layers.RepeatVector),
    *(layers.Softmax, layers.Concatenate, layers.Dot),
)


def _once(call: RuleCall, *inputs: Any, **options: Any) -> Any:
    """Run the layer on the shared batch, or with the slots merged into the batch."""
    found = [x for x in keras.tree.flatten((inputs, options)) if isinstance(x, Batch)]
    slots, shared = found[0].slots, all(x.layout == SHARED for x in found)

    def given(x: Any) -> Any:
        return x if not isinstance(x, Batch) else x.value if shared else x.merged()

    args, kwargs = keras.tree.map_structure(given, (inputs, options))
    made = call.layer(*args, **kwargs)
    return keras.tree.map_structure(
        lambda y: Batch(y, SHARED, slots) if shared else from_merged(y, slots), made
    )


vectorizes(*_PER_SAMPLE)(_once)
# without weights these act on every sample alone
vectorizes(
    layers.Attention,
    layers.AdditiveAttention,
    accepts=lambda layer: not layer.weights and not layer.dropout,
)(_once)


def _within_a_sample(layer: Any) -> bool:
    axes = layer.axis if isinstance(layer.axis, list | tuple) else (layer.axis,)
    return all(axis % len(layer.input.shape) for axis in axes)


vectorizes(layers.UnitNormalization, accepts=_within_a_sample)(_once)


def _channels_last(layer: Any) -> bool:
    return getattr(layer, "data_format", "channels_last") == "channels_last"


@vectorizes(*_CHANNELWISE)
def channelwise(call: RuleCall, x: Batch) -> Batch:
    """On folded channels as they are."""
    return (
        x.mapped(call.layer)
        if x.layout == FOLDED and _channels_last(call.layer)
        else _once(call, x)
    )


@vectorizes(
    *_ELEMENTWISE, layers.Rescaling, accepts=lambda layer: _number(getattr(layer, "scale", 1.0))
)
def elementwise(call: RuleCall, x: Batch) -> Batch:
    """In any layout as it is."""
    return x.mapped(call.layer)


def _number(value: Any) -> bool:
    return isinstance(value, int | float)


@vectorizes(*_MERGES)
def merge(call: RuleCall, inputs: list[Batch]) -> Batch:
    """Elementwise, if all inputs have one rank and layout.

    Their sizes may broadcast only within a slot.
    """
    layouts = {x.layout for x in inputs}
    same = len({tuple(x.value.shape) for x in inputs}) == 1
    if len(layouts) == 1 and same:
        return Batch(call.layer([x.value for x in inputs]), inputs[0].layout, inputs[0].slots)
    return _once(call, inputs)


@vectorizes(layers.Activation)
def activation(call: RuleCall, x: Batch) -> Batch:
    """The slots' own activations, or the model's."""
    return call.activate(x)


@vectorizes(layers.Normalization, accepts=lambda layer: not layer.invert)
def normalization(call: RuleCall, x: Batch) -> Batch:
    """With the data's statistics, which are the same for every slot."""
    return _once(call, x)


@vectorizes(keras.layers.Identity)
def identity(call: RuleCall, x: Batch) -> Batch:
    """As it is."""
    return x
