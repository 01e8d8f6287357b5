"""The training step of a population on JAX: Keras' own, but for diverged slots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .diverged import Healthy, Tensor, rows_of


def jax_train_step(population: Any, step: Callable[..., Any], state: Any, data: Any) -> Any:
    """Take Keras' own step, then keep the old values of diverged slots."""
    logs, (trained, others, optimizer, metrics) = step(state, data)
    rows = rows_of(population)
    now = next(
        value
        for v, value in zip(population.non_trainable_variables, others, strict=True)
        if v is population.healthy
    )
    healthy = Healthy(rows, now)

    def kept(variables: Any, new: Any, old: Any) -> list[Tensor]:
        return [
            healthy.where(v, n, o) if id(v) in rows else n
            for v, n, o in zip(variables, new, old, strict=True)
        ]

    trained = kept(population.trainable_variables, trained, state[0])
    others = kept(population.non_trainable_variables, others, state[1])
    return logs, (trained, others, optimizer, metrics)
