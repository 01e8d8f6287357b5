"""The steps of a population on JAX: Keras' own, but for diverged members, and with batches of one size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np

from .diverged import Healthy, Rows, Tensor, rows_of

if TYPE_CHECKING:
    from .batch_view import Structure
    from .model import PopulationModel

# values of the trained variables, of the others, of the optimizer's, of the metrics'
State = tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]]


class Filled(NamedTuple):
    """A batch on JAX, as the program takes it.

    Attributes:
        data: what Keras feeds, with copies of the last sample behind the others.
        samples: how many samples count.
    """

    data: Structure
    samples: Tensor


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


class FilledBatches:
    """Keras' function for a step on JAX, which gets all batches in one size.

    The first batch of an epoch tells which. Only the batches behind it may be smaller; a larger one
    is taken as it is, and becomes another program.

    Args:
        step: takes the state, and an iterator of batches.
        may_fill: whether it is exact; asked once there is a batch.
    """

    def __init__(self, step: Callable[[Any, Any], Any], may_fill: Callable[[], bool]):
        self._step = step
        self._may_fill = may_fill
        self._size: int | None = None
        self._fills: bool | None = None

    def begin(self) -> None:
        """Hear that an epoch, or an evaluation, begins."""
        self._size = None
        self._fills = None

    def __call__(self, state: Any, iterator: Any) -> Any:
        """Take as many batches of the iterator as the step does."""
        return self._step(state, self._filled(iterator))

    def _filled(self, iterator: Any) -> Iterator[Any]:
        for batch in iterator:
            if self._fills is None:
                self._fills = self._may_fill()
            if self._fills:
                yield self._of_one_size(batch)
            else:
                yield batch

    def _of_one_size(self, batch: Structure) -> Structure:
        leaves = [leaf for leaf in keras.tree.flatten(batch) if leaf is not None]
        if not all(hasattr(leaf, "__array__") for leaf in leaves):  # sparse ones
            return batch
        samples = len(leaves[0])
        if self._size is None:
            self._size = samples
        missing = self._size - samples
        if missing > 0:
            batch = keras.tree.map_structure(lambda leaf: _with_copies(leaf, missing), batch)
        return Filled(batch, np.int32(samples))


def _with_copies(leaf: Any, missing: int) -> Any:
    """An array with copies of its last sample: what is finite there is finite here."""
    if leaf is None:
        return None
    array = np.asarray(leaf)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
