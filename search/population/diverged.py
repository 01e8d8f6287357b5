"""Keeps diverged members as they are, on every backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from .block import StackedVariable, column_shape
from .tables import has_occurrences, of_occurrences, with_values

if TYPE_CHECKING:
    from .model import PopulationModel

Tensor = Any
# by the identity of a stacked variable: which members it is stacked over, and how
Rows = Mapping[int, StackedVariable]


def rows_of(population: PopulationModel) -> dict[int, StackedVariable]:
    """Return the members that each variable is stacked over."""
    return {id(block.variable): block for _, block in population.blocks()}


class Healthy:
    """Which members are healthy, as masks of stacked variables: one for all that are stacked alike.

    Args:
        rows: the members that each variable is stacked over.
        healthy: (P,), 0 for diverged members.
    """

    def __init__(self, rows: Rows, healthy: Tensor):
        self._blocks = rows
        self._healthy = ops.not_equal(healthy, 0)
        self._masks: dict[tuple[int, int, int], Tensor] = {}

    def where(self, variable: keras.Variable, new: Tensor, old: Tensor) -> Tensor:
        """Return a value of a stacked variable.

        `new` in the rows of healthy members, `old` in those of others.
        """
        block = self._blocks[id(variable)]
        new = block.by_member(ops.convert_to_tensor(new))
        mask = self._mask(block, rank=len(new.shape))
        if not isinstance(old, int):
            old = block.by_member(ops.cast(old, new.dtype))
        return block.as_stored(ops.where(mask, new, old))

    def gradient(self, variable: keras.Variable, gradient: Tensor) -> Tensor:
        """Return the gradient of a stacked variable, 0 for members that are not healthy."""
        if not has_occurrences(gradient):
            return self.where(variable, gradient, 0)
        block = self._blocks[id(variable)]
        mask = of_occurrences(block, self._mask(block, rank=1), gradient)
        values = gradient.values
        return with_values(gradient, ops.where(mask, values, ops.zeros_like(values)))

    def _mask(self, block: StackedVariable, rank: int) -> Tensor:
        start, stop = block.start, block.stop
        key = (start, stop, rank)
        if key not in self._masks:
            healthy = self._healthy
            if (start, stop) != (0, healthy.shape[0]):  # most variables: no slice in the graph
                healthy = healthy[start:stop]
            self._masks[key] = ops.reshape(healthy, column_shape(rank))
        return self._masks[key]
