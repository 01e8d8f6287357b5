"""The training step of a population on JAX: Keras' own, but for diverged members."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras

from .diverged import Healthy, Rows, Tensor, rows_of

if TYPE_CHECKING:
    from .model import PopulationModel

# values of the trained variables, of the others, of the optimizer's, of the metrics'
State = tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]]


def jax_train_step(
    population: PopulationModel,
    step: Callable[[State, Any], tuple[dict[str, Tensor], State]],
    state: State,
    data: Any,
) -> tuple[dict[str, Tensor], State]:
    """Take Keras' own step, then keep the old values of diverged members."""
    logs, (trained, others, optimizer, metrics) = step(state, data)
    rows = rows_of(population)
    healthy = Healthy(rows, _value_after(population, others))
    trained_before, others_before, _, _ = state
    trained = _where_healthy(healthy, rows, population.trainable_variables, trained, trained_before)
    others = _where_healthy(
        healthy, rows, population.non_trainable_variables, others, others_before
    )
    return logs, (trained, others, optimizer, metrics)


def _value_after(population: PopulationModel, others: Sequence[Tensor]) -> Tensor:
    """What `population.healthy` is after the step: on JAX the variable itself does not know yet."""
    for variable, value in zip(population.non_trainable_variables, others, strict=True):
        if variable is population.healthy:
            return value
    raise AssertionError("a population has the variable `healthy`")


def _where_healthy(
    healthy: Healthy,
    rows: Rows,
    variables: Sequence[keras.Variable],
    after: Sequence[Tensor],
    before: Sequence[Tensor],
) -> list[Tensor]:
    """The values after the step; in the rows of diverged members, those before it."""
    values = []
    for variable, new, old in zip(variables, after, before, strict=True):
        if id(variable) in rows and not rows[id(variable)].goes_on:
            new = healthy.where(variable, new, old)
        values.append(new)
    return values
