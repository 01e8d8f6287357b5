"""`clipnorm` and `global_clipnorm` of a population.

Norms of each member's gradients, not of all members' together.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_acts.compat import clip_by_norm, replace_clipping

from .axes import axes_within, column_shape
from .diverged import Rows

Tensor = Any


def clip_per_member(optimizer: keras.optimizers.Optimizer, rows: Rows, count: int) -> None:
    """Have an optimizer of stacked variables clip as it would clip the gradients of each member's model.

    Args:
        optimizer: a Keras optimizer; without one of the two options it stays as it is.
        rows: by the identity of a variable, the first of its members and the one after the last.
        count: how many members there are.
    """
    if not (optimizer.clipnorm or optimizer.global_clipnorm):
        return

    def clip(gradients: list[Tensor], variables: list[keras.Variable]) -> list[Tensor]:
        if optimizer.clipnorm:
            return [clip_by_norm(optimizer, g, axes_within(g)) for g in gradients]
        rows_of_gradients = [rows[id(variable)] for variable in variables]
        return _clip_globally(optimizer.global_clipnorm, gradients, rows_of_gradients, count)

    replace_clipping(optimizer, clip)


def _clip_globally(
    limit: float, gradients: list[Tensor], rows: list[tuple[int, int]], count: int
) -> list[Tensor]:
    """Scale all gradients of a member whose norm, over all of them, is above the limit."""
    squares = ops.zeros((count,), gradients[0].dtype)
    for gradient, (start, stop) in zip(gradients, rows, strict=True):
        square = ops.sum(ops.square(gradient), axes_within(gradient))
        squares = squares + ops.pad(square, [(start, count - stop)])
    norm = ops.sqrt(squares)
    scale = limit * ops.minimum(1.0 / norm, 1.0 / limit)
    # NaN if the norm is not finite, as in Keras
    scale = scale + (norm - norm)
    clipped = []
    for gradient, (start, stop) in zip(gradients, rows, strict=True):
        column = ops.reshape(scale[start:stop], column_shape(len(gradient.shape)))
        clipped.append(gradient * column)
    return clipped
