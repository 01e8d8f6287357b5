"""`clipnorm` and `global_clipnorm` of a population.

Norms of each slot's gradients, not of all slots' together.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_acts.compat import clip_by_norm, replace_clipping

Tensor = Any


def clip_per_member(optimizer: Any, rows: dict[int, tuple[int, int]], slots: int) -> None:
    """Have an optimizer of stacked variables clip as it would clip the gradients of each slot's model.

    Args:
        optimizer: a Keras optimizer; without one of the two options it stays as it is.
        rows: by the identity of a variable, the first of its slots and the one after the last.
        slots: how many there are.
    """
    if not (optimizer.clipnorm or optimizer.global_clipnorm):
        return

    def clip(gradients: list[Tensor], variables: list[Any]) -> list[Tensor]:
        return _clipped(optimizer, gradients, [rows[id(v)] for v in variables], slots)

    replace_clipping(optimizer, clip)


def _clipped(
    optimizer: Any, gradients: list[Tensor], rows: list[tuple[int, int]], slots: int
) -> list[Tensor]:
    if optimizer.clipnorm:
        return [clip_by_norm(optimizer, g, tuple(range(1, len(g.shape)))) for g in gradients]
    limit, squares = optimizer.global_clipnorm, ops.zeros((slots,), gradients[0].dtype)
    for gradient, (start, stop) in zip(gradients, rows, strict=True):
        square = ops.sum(ops.square(gradient), tuple(range(1, len(gradient.shape))))
        squares = squares + ops.pad(square, [(start, slots - stop)])
    norm = ops.sqrt(squares)
    scale = limit * ops.minimum(1.0 / norm, 1.0 / limit) + (
        norm - norm
    )  # NaN if the norm is not finite, as in Keras
    return [
        gradient * ops.reshape(scale[start:stop], (-1, *(1,) * (len(gradient.shape) - 1)))
        for gradient, (start, stop) in zip(gradients, rows, strict=True)
    ]
