"""An activation as a vector.

Its values on a fixed grid, so that two ways of writing a function are one point.
"""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np

from .assignment import Choice
from .candidate import Candidate
from .rated import Rated

# where a normalized layer's inputs lie; what they rarely are counts little
_GRID = np.linspace(-4, 4, 33)
_WEIGHTS = np.exp(-0.5 * (_GRID / 1.5) ** 2)
# what a function reaches outside of this would hide all other differences
_LARGEST = 20
# how far twice the learning rate is
_DOUBLED = 0.25
# how far a trained activation is from the fixed one that it starts as
_TRAINED = 0.5


def embed(candidate: Candidate) -> np.ndarray:
    """Return the values on the grid, weighted by how often inputs are near.

    Then whether the activation is trained.

    Distances between such vectors are root mean squares of the difference of the functions.
    """
    values = np.clip(np.nan_to_num(_values_on_grid(candidate)), -_LARGEST, _LARGEST)
    weights = np.sqrt(_WEIGHTS / _WEIGHTS.sum())
    return np.append(values * weights, _TRAINED * candidate.trained)


def embeddings(candidates: Iterable[Candidate]) -> np.ndarray:
    """Return the vector of each, (N, D)."""
    return np.stack([embed(candidate) for candidate in candidates])


def rated_embeddings(candidates: Iterable[Rated]) -> np.ndarray:
    """Return the vector of each activation, and behind it the logarithm of its learning rate."""
    listed = list(candidates)
    shapes: dict[Choice, np.ndarray] = {}
    rows = []
    for rated in listed:
        if rated.choice not in shapes:
            assert isinstance(rated.choice, Candidate)  # a race is for one activation everywhere
            shapes[rated.choice] = embed(rated.choice)
        rows.append(np.append(shapes[rated.choice], _DOUBLED * np.log2(rated.factor)))
    return np.stack(rows)


def _values_on_grid(candidate: Candidate) -> np.ndarray:
    x = keras.ops.convert_to_tensor(_GRID[:, None], "float32")
    try:
        y = keras.ops.convert_to_numpy(candidate.activation(1)(x))
        return np.asarray(y, float).reshape(len(_GRID), -1).mean(axis=1)
    except Exception:  # it will fail in training too, where that is told
        return np.zeros(len(_GRID))
