"""The functions of candidates as one draws them, with their derivatives."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np

from keras_acts.errors import KerasActsError

from ..report.values import Shape
from .candidate import Activation, Candidate

_FROM = -4.0
_TO = 4.0
_POINTS = 321
_STEP = 2e-3  # of the derivative
# a jump of size 1 has this slope over one step, and any function that is searched far less elsewhere
_JUMP = 0.05 / _STEP


def shapes_of(names: Iterable[str]) -> tuple[Shape, ...]:
    """Return the functions of candidates by their texts; without those that are no function of one number.

    A trained parameter has the value from which it is trained.
    """
    shapes = []
    for name in names:
        try:
            candidate = Candidate.of(name)
        except KerasActsError:
            # what groups of layers have is written otherwise
            continue
        if candidate.elementwise:
            shapes.append(shape_of(candidate))
    return tuple(shapes)


def shape_of(candidate: Candidate) -> Shape:
    """Return the function of a candidate."""
    activation = candidate.activation()
    x = np.linspace(_FROM, _TO, _POINTS)
    y = _values(activation, x)
    slope = (_values(activation, x + _STEP) - _values(activation, x - _STEP)) / (2 * _STEP)
    slope[np.abs(slope) > _JUMP] = np.nan
    return Shape(str(candidate), *map(_numbers, (x, y, slope)))


def _values(activation: Activation, x: np.ndarray) -> np.ndarray:
    # one channel: that is what a layer with a trained parameter was made for
    column = keras.ops.convert_to_tensor(x[:, None].astype("float32"))
    return np.array(keras.ops.convert_to_numpy(activation(column)), float)[:, 0]


def _numbers(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
