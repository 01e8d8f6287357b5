"""One call of a population: what each member sees of the batch, and what layers leave behind.

A member sees the same samples as all others, or as those of its seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
from keras import ops

from keras_acts.compat import standardize_inputs

from ..vectorize.batch import SEEDED, SHARED, Batch, with_free_axis
from .members import Member

Tensor = Any
Structure = Any  # of tensors, as Keras nests them


@dataclass(frozen=True)
class BatchView:
    """Where the members' samples lie in the tensors of a batch.

    Attributes:
        size: how many members there are, P.
        seed_rows: where each member's seed lies in (S, B, ...), in public order; None for (B, ...),
            which all members see.
    """

    size: int
    seed_rows: tuple[int, ...] | None = None

    @property
    def _sample_axis(self) -> int:
        """The axis of the samples in the tensors of a batch."""
        if self.seed_rows is None:
            return 0
        return 1

    def inputs(self, graph: Any, inputs: Structure, order: tuple[int, ...]) -> list[Batch]:
        """Return a model's inputs as its graph takes them; `order` is the inside one."""
        if self.seed_rows is None:
            return [Batch(x, SHARED, self.size) for x in standardize_inputs(graph, inputs)]
        seed_rows = tuple(self.seed_rows[member] for member in order)
        seeds = max(self.seed_rows) + 1
        # Keras standardizes inputs of the model's rank: the seeds' samples one after the other
        merged = keras.tree.map_structure(
            lambda x: ops.reshape(x, with_free_axis(x, 1)[1:]), inputs
        )
        batches = []
        for x in standardize_inputs(graph, merged):
            by_seed = ops.reshape(x, (seeds, *with_free_axis(x, 0)))
            batches.append(Batch(by_seed, SEEDED, self.size, seed_rows))
        return batches

    def per_member(self, values: Structure) -> Structure:
        """Return labels or weights as (P, B, ...)."""

        def stack(value: Tensor | None) -> Tensor | None:
            if value is None:
                return None
            value = ops.convert_to_tensor(value)
            if self.seed_rows is not None:
                return ops.take(value, self.seed_rows, axis=0)
            return ops.broadcast_to(ops.expand_dims(value, 0), (self.size, *ops.shape(value)))

        return keras.tree.map_structure(stack, values)

    def specs(self, values: Structure) -> Structure:
        """Return what `per_member` makes of labels or weights, without their values."""

        def spec(value: Tensor | None) -> keras.KerasTensor | None:
            if value is None:
                return None
            return keras.KerasTensor((self.size, *value.shape[self._sample_axis :]), value.dtype)

        return keras.tree.map_structure(spec, values)

    def samples(self, x: Structure) -> Any:
        """Return how many samples each member sees."""
        first = next(value for value in keras.tree.flatten(x) if value is not None)
        return ops.shape(first)[self._sample_axis]


def seeds_of(members: tuple[Member, ...]) -> tuple[int, ...]:
    """Return the seeds, each once."""
    return tuple(dict.fromkeys(member.seed for member in members))


def by_seed(members: tuple[Member, ...]) -> BatchView:
    """Return the view of a batch that holds one for each of the members' seeds.

    Of a shared one if they have one.
    """
    seeds = seeds_of(members)
    if len(seeds) == 1:
        return BatchView(len(members))
    return BatchView(len(members), tuple(seeds.index(member.seed) for member in members))


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """Lives for one call of a population, and is handed down to each layer that the call runs.

    Attributes:
        view: how the batch is seen.
        losses: what layers add to the members' losses, (P,) in inside order each.
        assigned: the trained variables that layers themselves assign.
    """

    view: BatchView
    losses: list[Tensor] = field(default_factory=list)
    assigned: list[keras.Variable] = field(default_factory=list)
