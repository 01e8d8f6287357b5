"""Rules for layers with random numbers.

Each member has its own, so that it is the ordinary model in distribution.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from .batch import SHARED, Batch, Tensor, broadcast_parameters
from .registry import RuleCall, rule_for, vectorizes

# SELU's scale times alpha, negative: what its output tends to on the left, where dropped values go
_LOWEST_OF_SELU = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946

# by class, the attribute that says how strong the noise of a layer is
_STRENGTHS = {
    layers.Dropout: "rate",
    layers.SpatialDropout1D: "rate",
    layers.SpatialDropout2D: "rate",
    layers.SpatialDropout3D: "rate",
    layers.GaussianDropout: "rate",
    layers.AlphaDropout: "rate",
    layers.GaussianNoise: "stddev",
}


def strength_attribute(layer: object) -> str | None:
    """Return the attribute that says how strong the noise of a layer is.

    None for a layer whose rule does not know members with strengths of their own.
    """
    # the exact class: a user's own may do more
    attribute = _STRENGTHS.get(type(layer))
    if attribute is None or rule_for(layer) is None:
        return None
    return attribute


@vectorizes(layers.Dropout)
def dropout(call: RuleCall, x: Batch) -> Batch:
    """Each value of each member by itself: members share no mask."""
    shape = call.layer.noise_shape
    if shape is None:
        return _dropped(call, x, None)
    return _dropped(call, x.as_stacked(), (None, *shape))


@vectorizes(layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D)
def spatial_dropout(call: RuleCall, x: Batch) -> Batch:
    """Each channel of each sample of each member by itself."""
    channels_first = getattr(call.layer, "data_format", "channels_last") == "channels_first"
    if channels_first or x.layout == SHARED:
        x = x.as_stacked()
    ones = (1,) * (x.rank - 2)
    mask: tuple[int | None, ...] = (None, *ones, None)
    if channels_first:
        mask = (None, None, *ones)
    if len(x.value.shape) != x.rank:  # the members have an axis of their own
        mask = (None, *mask)
    return _dropped(call, x, mask)


@vectorizes(layers.GaussianDropout)
def gaussian_dropout(call: RuleCall, x: Batch) -> Batch:
    """Each value of each member times a number of its own."""
    if not call.training:
        return x
    if call.strengths is not None:
        x = _unshared(x)
        spreads = np.sqrt(call.strengths / (1 - call.strengths))
        return x.map(lambda value: value * (1 + _scaled_normal(call, spreads, x)))
    if call.layer.rate == 0:
        return x
    spread = math.sqrt(call.layer.rate / (1 - call.layer.rate))
    return _unshared(x).map(lambda value: value * _normal(call, value, 1.0, spread))


@vectorizes(layers.GaussianNoise)
def gaussian_noise(call: RuleCall, x: Batch) -> Batch:
    """Each value of each member plus a number of its own."""
    if not call.training:
        return x
    if call.strengths is not None:
        x = _unshared(x)
        stddevs = call.strengths
        return x.map(lambda value: value + _scaled_normal(call, stddevs, x))
    if call.layer.stddev == 0:
        return x
    return _unshared(x).map(lambda value: value + _normal(call, value, 0.0, call.layer.stddev))


@vectorizes(layers.AlphaDropout, accepts=lambda layer: layer.noise_shape is None)
def alpha_dropout(call: RuleCall, x: Batch) -> Batch:
    """Each value of each member by itself: members share no mask.

    Mean and variance of SELU's output stay, as in Keras.
    """
    if not call.training or (call.strengths is None and call.layer.rate == 0):
        return x
    x = _unshared(x)
    lowest = _LOWEST_OF_SELU
    rate = call.layer.rate
    if call.strengths is not None:
        rate = _beside(call.strengths, x)
    factor = ((1 - rate) * (1 + rate * lowest**2)) ** -0.5

    def masked(value: Tensor) -> Tensor:
        kept = keras.random.uniform(ops.shape(value), dtype=value.dtype, seed=call.random) >= rate
        return factor * ops.where(kept, value, lowest) - factor * lowest * rate

    return x.map(masked)


def _dropped(call: RuleCall, x: Batch, shape: tuple[int | None, ...] | None) -> Batch:
    """Each value, or each that a mask of a shape is for, dropped or scaled up."""
    rate = call.layer.rate
    if not call.training:
        return x
    if call.strengths is not None:
        return _dropped_by_member(call, _unshared(x), call.strengths, shape)
    if rate == 0:
        return x
    return _unshared(x).map(
        lambda value: keras.random.dropout(value, rate, shape, seed=call.random)
    )


def _dropped_by_member(
    call: RuleCall, x: Batch, strengths: np.ndarray, shape: tuple[int | None, ...] | None
) -> Batch:
    """As `keras.random.dropout`, each member at its own rate; at 0 a member keeps what it has."""
    rates = _beside(strengths, x)
    scale = _beside(1 / (1 - strengths), x)

    def dropped(value: Tensor) -> Tensor:
        sizes = list(ops.shape(value))
        if shape is not None:
            sizes = [_first_known(own, size) for own, size in zip(shape, sizes, strict=True)]
        # from 0 on, and below 1
        kept = keras.random.uniform(sizes, dtype=value.dtype, seed=call.random) >= rates
        return ops.where(kept, value * scale, ops.zeros_like(value))

    return x.map(dropped)


def _first_known(own: int | None, size: Any) -> Any:
    """A size of a mask: that of the values where it has none of its own."""
    if own is None:
        return size
    return own


def _beside(numbers: np.ndarray, x: Batch) -> np.ndarray:
    """One number a member, to compute with beside the values of a batch that is not shared."""
    dtype = keras.backend.standardize_dtype(x.value.dtype)
    return broadcast_parameters(numbers.astype(dtype), x)


def _scaled_normal(call: RuleCall, spreads: np.ndarray, x: Batch) -> Tensor:
    """A normal number for each value of a batch, with each member's standard deviation."""
    return _normal(call, x.value, 0.0, 1.0) * _beside(spreads, x)


def _normal(call: RuleCall, like: Tensor, mean: float, spread: float) -> Tensor:
    return keras.random.normal(ops.shape(like), mean, spread, dtype=like.dtype, seed=call.random)


def _unshared(x: Batch) -> Batch:
    """What the members share, once for each."""
    if x.layout == SHARED:
        return x.as_stacked()
    return x
