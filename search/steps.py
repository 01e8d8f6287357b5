"""One training step of a population on JAX: Keras' own, but a slot that has diverged stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

Tensor = Any


def jax_train_step(population: Any, step: Callable[..., Any], state: Any, data: Any) -> Any:
    """Take Keras' own step, then keep the old values of diverged slots."""
    logs, (trained, others, optimizer, metrics) = step(state, data)
    rows = rows_of(population)
    healthy = next(
        value for v, value in zip(population.non_trainable_variables, others, strict=True) if v is population.healthy
    )
    healthy = ops.not_equal(healthy, 0)

    def kept(variables: Any, new: Any, old: Any) -> list[Tensor]:
        return [
            where_healthy(healthy, rows[id(v)], n, o) if id(v) in rows else n
            for v, n, o in zip(variables, new, old, strict=True)
        ]

    trained = kept(population.trainable_variables, trained, state[0])
    others = kept(population.non_trainable_variables, others, state[1])
    return logs, (trained, others, optimizer, metrics)


def rows_of(population: Any) -> dict[int, tuple[int, int]]:
    """The slots that a variable is stacked over."""
    return {
        id(block.variable): (block.start, block.stop) for layer in population.stacked for block in layer.plan.blocks
    }


def where_healthy(healthy: Tensor, rows: tuple[int, int], new: Any, old: Any) -> Tensor:
    """Return a stacked value: `new` in the rows of healthy slots, `old` in those of diverged ones."""
    new = ops.convert_to_tensor(new)
    mask = ops.reshape(healthy[rows[0] : rows[1]], (-1, *(1,) * (len(new.shape) - 1)))
    return ops.where(mask, new, ops.cast(old, new.dtype))
