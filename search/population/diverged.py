"""Keeps diverged slots as they are, on every backend."""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any


def rows_of(population: Any) -> dict[int, tuple[int, int]]:
    """The slots that a variable is stacked over."""
    return {
        id(block.variable): (block.start, block.stop)
        for layer in population.stacked
        for block in layer.plan.blocks
    }


class Healthy:
    """Which slots are healthy, as masks of stacked variables: one for all that are stacked alike.

    Args:
        rows: the slots that each variable is stacked over.
        healthy: (P,), 0 for diverged slots.
    """

    def __init__(self, rows: dict[int, tuple[int, int]], healthy: Tensor):
        self._rows, self._healthy = rows, ops.not_equal(healthy, 0)
        self._masks: dict[tuple[int, int, int], Tensor] = {}

    def where(self, variable: Any, new: Any, old: Any) -> Tensor:
        """Return a value of a stacked variable.

        `new` in the rows of healthy slots, `old` in those of others.
        """
        new = ops.convert_to_tensor(new)
        start, stop = self._rows[id(variable)]
        key = start, stop, len(new.shape)
        if key not in self._masks:
            whole = (start, stop) == (0, self._healthy.shape[0])
            mine = self._healthy if whole else self._healthy[start:stop]
            self._masks[key] = ops.reshape(mine, (-1, *(1,) * (len(new.shape) - 1)))
        return ops.where(
            self._masks[key], new, old if isinstance(old, int) else ops.cast(old, new.dtype)
        )
