"""Rules for layers without weights, and those that merely hold an activation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

from .batch import FOLDED, SHARED, Batch, Sizes, Tensor, from_merged
from .registry import RuleCall, input_ranks, vectorizes


def _channelwise_layers() -> Iterator[type]:
    kinds = (
        "MaxPooling",
        "AveragePooling",
        "GlobalMaxPooling",
        "GlobalAveragePooling",
        "ZeroPadding",
        "Cropping",
        "UpSampling",
    )
    for rank in (1, 2, 3):
        for kind in kinds:
            yield getattr(layers, f"{kind}{rank}D")


# each acts on every channel alone, so that the members' channels may lie side by side
_CHANNELWISE = tuple(_channelwise_layers())
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
    layers.Flatten,
    layers.Reshape,
    layers.Permute,
    layers.RepeatVector,
    layers.Dot,
    layers.Resizing,
    layers.CenterCrop,
)


def run_once(call: RuleCall, *inputs: Any, **options: Any) -> Any:
    """Run a layer or operation on the shared batch, or with the members merged into the batch."""
    batches = [x for x in keras.tree.flatten((inputs, options)) if isinstance(x, Batch)]
    members = batches[0].members
    shared = all(x.layout == SHARED for x in batches)

    def value_of(x: Any) -> Any:
        if not isinstance(x, Batch):
            return x
        if shared:
            return x.value
        return x.merged()

    def batch_of(y: Tensor) -> Batch:
        if shared:
            return Batch(y, SHARED, members)
        return from_merged(y, members)

    args, kwargs = keras.tree.map_structure(value_of, (inputs, options))
    return keras.tree.map_structure(batch_of, call.layer(*args, **kwargs))


def _within_a_sample(layer: keras.layers.Layer) -> bool:
    axes = layer.axis
    if not isinstance(axes, list | tuple):
        axes = (axes,)
    ranks = input_ranks(layer)
    for rank in ranks:
        if any(axis % rank == 0 for axis in axes):
            return False
    return bool(ranks)


vectorizes(*_PER_SAMPLE)(run_once)
vectorizes(layers.UnitNormalization, layers.Concatenate, accepts=_within_a_sample)(run_once)


@vectorizes(layers.Softmax, accepts=_within_a_sample)
def softmax(call: RuleCall, x: Batch, mask: Batch | Tensor | None = None) -> Batch:
    """Of each sample by itself, with a mask that has an axis of samples too."""
    if mask is None:
        alone: Batch = run_once(call, x)
        return alone
    if not isinstance(mask, Batch) or mask.rank != x.rank:
        return NotImplemented
    masked: Batch = run_once(call, x, mask=mask)
    return masked


def _is_channels_last(layer: keras.layers.Layer) -> bool:
    return getattr(layer, "data_format", "channels_last") == "channels_last"


@vectorizes(*_CHANNELWISE)
def channelwise(call: RuleCall, x: Batch, mask: Batch | None = None) -> Batch:
    """On folded channels as they are."""
    if mask is not None:
        return run_once(call, x, mask=mask)
    if x.layout == FOLDED and _is_channels_last(call.layer):
        return x.map(call.layer)
    return run_once(call, x)


def _scales_by_a_number(layer: keras.layers.Layer) -> bool:
    """Whether a layer has no scale, or one for all values: a list has one for each channel."""
    return isinstance(getattr(layer, "scale", 1.0), int | float)


@vectorizes(*_ELEMENTWISE, layers.Rescaling, accepts=_scales_by_a_number)
def elementwise(call: RuleCall, x: Batch) -> Batch:
    """In any layout as it is."""
    return x.map(call.layer)


@vectorizes(*_MERGES)
def merge(call: RuleCall, inputs: list[Batch]) -> Batch:
    """Elementwise, if all inputs have one rank and layout.

    Their sizes may broadcast only within a member.
    """
    # (P, B, C) with (B, P*C) would broadcast the members of one against the samples of the other
    layouts = {x.layout for x in inputs}
    shapes = {tuple(x.value.shape) for x in inputs}
    if len(layouts) == 1 and len(shapes) == 1:
        merged = call.layer([x.value for x in inputs])
        return Batch(merged, inputs[0].layout, inputs[0].members)
    # on TensorFlow `ops.add` takes (P*B, 1) for a bias of the last axis where that is P*B long
    sizes = {_sizes_of_sample(x) for x in inputs}
    adds = isinstance(call.layer, layers.Add | layers.Average)
    if adds and len(sizes) > 1 and layouts != {SHARED}:
        return NotImplemented
    return run_once(call, inputs)


def _sizes_of_sample(x: Batch) -> Sizes:
    """The sizes of what one member sees of one sample."""
    return (*x.value.shape[-x.rank :][1:-1], x.channels)


@vectorizes(layers.Activation)
def activation(call: RuleCall, x: Batch) -> Batch:
    """The members' own activations, or the model's."""
    return call.activate(x)


@vectorizes(layers.Normalization, accepts=lambda layer: not layer.invert)
def normalization(call: RuleCall, x: Batch) -> Batch:
    """With the data's statistics, which are the same for every member."""
    return run_once(call, x)


@vectorizes(layers.Identity, layers.ActivityRegularization)
def identity(call: RuleCall, x: Batch) -> Batch:
    """As it is."""
    return x


@vectorizes(layers.Masking)
def masking(call: RuleCall, x: Batch) -> Batch:
    """Each step of each sample by itself."""
    if x.layout == FOLDED:
        x = x.as_stacked()
    return x.map(call.layer.call)
