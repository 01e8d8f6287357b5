"""Shapes and axes of stacked tensors, whose first axis is the members'."""

from __future__ import annotations

from typing import Any

Tensor = Any


def column_shape(rank: int) -> tuple[int, ...]:
    """Return (-1, 1, ..., 1): the shape of one number a member beside tensors of so many axes."""
    return (-1,) + (1,) * (rank - 1)


def axes_within(x: Tensor) -> tuple[int, ...]:
    """Return all axes of a stacked tensor but the members'."""
    return tuple(range(1, len(x.shape)))
