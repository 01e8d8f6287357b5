"""Rules for layers with random numbers.

Each slot has its own, so that it is the ordinary model in distribution.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from .batch import SHARED, STACKED, Batch
from .registry import RuleCall, vectorizes


@vectorizes(layers.Dropout)
def dropout(call: RuleCall, x: Batch) -> Batch:
    """Each value of each slot by itself: slots share no mask."""
    shape = call.layer.noise_shape
    return _dropped(call, x if shape is None else _stacked(x), shape and (None, *shape))


@vectorizes(layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D)
def spatial_dropout(call: RuleCall, x: Batch) -> Batch:
    """Each channel of each sample of each slot by itself."""
    first = getattr(call.layer, "data_format", "channels_last") == "channels_first"
    x = _stacked(x) if first or x.layout == SHARED else x
    ones = (1,) * (x.rank - 2)
    sample = (None, None, *ones) if first else (None, *ones, None)
    return _dropped(call, x, sample if len(x.value.shape) == x.rank else (None, *sample))


@vectorizes(layers.GaussianDropout)
def gaussian_dropout(call: RuleCall, x: Batch) -> Batch:
    """Each value of each slot times a number of its own."""
    if not call.training or call.layer.rate == 0:
        return x
    spread = math.sqrt(call.layer.rate / (1 - call.layer.rate))
    return _apart(x).mapped(lambda value: value * _normal(call, value, 1.0, spread))


@vectorizes(layers.GaussianNoise)
def gaussian_noise(call: RuleCall, x: Batch) -> Batch:
    """Each value of each slot plus a number of its own."""
    if not call.training or call.layer.stddev == 0:
        return x
    return _apart(x).mapped(lambda value: value + _normal(call, value, 0.0, call.layer.stddev))


@vectorizes(layers.AlphaDropout, accepts=lambda layer: layer.noise_shape is None)
def alpha_dropout(call: RuleCall, x: Batch) -> Batch:
    """Each value of each slot by itself: slots share no mask.

    Mean and variance of SELU's output stay, as in Keras.
    """
    rate = call.layer.rate
    if not call.training or rate == 0:
        return x
    lowest = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946  # SELU's
    factor = ((1 - rate) * (1 + rate * lowest**2)) ** -0.5

    def masked(value: Any) -> Any:
        kept = keras.random.uniform(ops.shape(value), dtype=value.dtype, seed=call.random) >= rate
        return factor * ops.where(kept, value, lowest) - factor * lowest * rate

    return _apart(x).mapped(masked)


def _dropped(call: RuleCall, x: Batch, shape: tuple[int | None, ...] | None) -> Batch:
    rate = call.layer.rate
    if not call.training or rate == 0:
        return x
    return _apart(x).mapped(
        lambda value: keras.random.dropout(value, rate, shape, seed=call.random)
    )


def _normal(call: RuleCall, like: Any, mean: float, spread: float) -> Any:
    return keras.random.normal(ops.shape(like), mean, spread, dtype=like.dtype, seed=call.random)


def _stacked(x: Batch) -> Batch:
    return Batch(x.stacked(), STACKED, x.slots)


def _apart(x: Batch) -> Batch:
    """What the slots share, once for each."""
    return _stacked(x) if x.layout == SHARED else x
