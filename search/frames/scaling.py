"""Columns minus their means, divided by their standard deviations, whatever unit they are in."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

# Keras divides by 1e-7 at least
LEAST_SPREAD = 1e-6
# float32 cannot square more
MOST_SPREAD = 1e18
# powers of two that float32 holds
_LARGEST_POWER = 126


def scaling(
    mean: np.ndarray | float, variance: np.ndarray | float, name: str | None = None
) -> list[keras.layers.Layer]:
    """Return the layers that do it, mostly one.

    Args:
        mean: of each column.
        variance: of each column, above 0.
        name: of the last layer.
    """
    spread = np.sqrt(np.asarray(variance, "float64"))
    is_usual = (spread >= LEAST_SPREAD) & (spread <= MOST_SPREAD)
    if is_usual.all():
        return [layers.Normalization(mean=mean, variance=variance, name=name)]
    exponents = np.clip(np.round(np.log2(spread)), -_LARGEST_POWER, _LARGEST_POWER)
    # of a power of two the product is exact
    powers = np.where(is_usual, 1.0, 2.0**-exponents)
    normalization = layers.Normalization(
        mean=mean * powers, variance=variance * powers**2, name=name
    )
    return [layers.Rescaling(powers.tolist()), normalization]


def variance_of(x: np.ndarray) -> np.ndarray:
    """Return the variance of each column as float64; 1 where all rows have the same."""
    is_same = x.max(axis=0) == x.min(axis=0)
    return np.where(is_same, 1.0, x.var(axis=0, dtype="float64"))
