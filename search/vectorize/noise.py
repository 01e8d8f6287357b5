"""Rules for layers with random numbers.

Each member has its own, so that it is the ordinary model in distribution.
"""

from __future__ import annotations

import math

import keras
from keras import layers, ops

from .batch import SHARED, Batch, Tensor
from .registry import RuleCall, vectorizes

# SELU's scale times alpha, negative: what its output tends to on the left, where dropped values go
_LOWEST_OF_SELU = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946


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
    if not call.training or call.layer.rate == 0:
        return x
    spread = math.sqrt(call.layer.rate / (1 - call.layer.rate))
    return _unshared(x).map(lambda value: value * _normal(call, value, 1.0, spread))


@vectorizes(layers.GaussianNoise)
def gaussian_noise(call: RuleCall, x: Batch) -> Batch:
    """Each value of each member plus a number of its own."""
    if not call.training or call.layer.stddev == 0:
        return x
    return _unshared(x).map(lambda value: value + _normal(call, value, 0.0, call.layer.stddev))


@vectorizes(layers.AlphaDropout, accepts=lambda layer: layer.noise_shape is None)
def alpha_dropout(call: RuleCall, x: Batch) -> Batch:
    """Each value of each member by itself: members share no mask.

    Mean and variance of SELU's output stay, as in Keras.
    """
    rate = call.layer.rate
    if not call.training or rate == 0:
        return x
    lowest = _LOWEST_OF_SELU
    factor = ((1 - rate) * (1 + rate * lowest**2)) ** -0.5

    def masked(value: Tensor) -> Tensor:
        kept = keras.random.uniform(ops.shape(value), dtype=value.dtype, seed=call.random) >= rate
        return factor * ops.where(kept, value, lowest) - factor * lowest * rate

    return _unshared(x).map(masked)


def _dropped(call: RuleCall, x: Batch, shape: tuple[int | None, ...] | None) -> Batch:
    rate = call.layer.rate
    if not call.training or rate == 0:
        return x
    return _unshared(x).map(
        lambda value: keras.random.dropout(value, rate, shape, seed=call.random)
    )


def _normal(call: RuleCall, like: Tensor, mean: float, spread: float) -> Tensor:
    return keras.random.normal(ops.shape(like), mean, spread, dtype=like.dtype, seed=call.random)


def _unshared(x: Batch) -> Batch:
    """What the members share, once for each."""
    if x.layout == SHARED:
        return x.as_stacked()
    return x
