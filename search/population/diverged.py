"""Keeps diverged members as they are, on every backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from .axes import column_shape

if TYPE_CHECKING:
    from .model import PopulationModel

Tensor = Any
# by the identity of a stacked variable: the first of its members inside and the one after the last
Rows = Mapping[int, tuple[int, int]]


def rows_of(population: PopulationModel) -> dict[int, tuple[int, int]]:
    """Return the members that each variable is stacked over."""
    return {id(block.variable): (block.start, block.stop) for _, block in population.blocks()}


class Healthy:
    """Which members are healthy, as masks of stacked variables: one for all that are stacked alike.

    Args:
        rows: the members that each variable is stacked over.
        healthy: (P,), 0 for diverged members.
    """

    def __init__(self, rows: Rows, healthy: Tensor):
        self._rows = rows
        self._healthy = ops.not_equal(healthy, 0)
        self._masks: dict[tuple[int, int, int], Tensor] = {}

    def where(self, variable: keras.Variable, new: Tensor, old: Tensor) -> Tensor:
        """Return a value of a stacked variable.

        `new` in the rows of healthy members, `old` in those of others.
        """
        new = ops.convert_to_tensor(new)
        mask = self._mask(variable, rank=len(new.shape))
        if not isinstance(old, int):
            old = ops.cast(old, new.dtype)
        return ops.where(mask, new, old)

    def _mask(self, variable: keras.Variable, rank: int) -> Tensor:
        start, stop = self._rows[id(variable)]
        key = (start, stop, rank)
        if key not in self._masks:
            healthy = self._healthy
            if (start, stop) != (0, healthy.shape[0]):  # most variables: no slice in the graph
                healthy = healthy[start:stop]
            self._masks[key] = ops.reshape(healthy, column_shape(rank))
        return self._masks[key]
