"""What each slot of a population sees of a batch.

The same samples as all others, or as those of its seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_acts.compat import standardize_inputs

from ..vectorize.batch import SEEDED, SHARED, Batch, with_free_axis
from .members import Member

Tensor = Any


@dataclass(frozen=True)
class BatchView:
    """Where the slots' samples lie in the tensors of a batch.

    Attributes:
        slots: how many slots there are, P.
        places: where each slot's seed lies in (S, B, ...), in public order; None for (B, ...),
            which all slots see.
    """

    slots: int
    places: tuple[int, ...] | None = None

    def inputs(self, graph: Any, inputs: Any, order: tuple[int, ...]) -> list[Batch]:
        """Return a model's inputs as its graph takes them; `order` is the inside one."""
        if self.places is None:
            return [Batch(x, SHARED, self.slots) for x in standardize_inputs(graph, inputs)]
        inside, seeds = tuple(self.places[p] for p in order), max(self.places) + 1
        merged = keras.tree.map_structure(
            lambda x: ops.reshape(x, with_free_axis(x, 1)[1:]), inputs
        )
        apart = [
            ops.reshape(x, (seeds, *with_free_axis(x, 0)))
            for x in standardize_inputs(graph, merged)
        ]
        return [Batch(x, SEEDED, self.slots, inside) for x in apart]

    def of_slots(self, values: Any) -> Any:
        """Return labels or weights as (P, B, ...)."""

        def each(value: Any) -> Any:
            if value is None:
                return None
            value = ops.convert_to_tensor(value)
            if self.places is not None:
                return ops.take(value, self.places, axis=0)
            return ops.broadcast_to(ops.expand_dims(value, 0), (self.slots, *ops.shape(value)))

        return keras.tree.map_structure(each, values)

    def specs(self, values: Any) -> Any:
        """Return what `of_slots` makes of labels or weights, without their values."""
        own = 0 if self.places is None else 1

        def each(value: Any) -> Any:
            return (
                None
                if value is None
                else keras.KerasTensor((self.slots, *value.shape[own:]), value.dtype)
            )

        return keras.tree.map_structure(each, values)

    def samples(self, x: Any) -> Any:
        """Return how many samples each slot sees."""
        first = next(value for value in keras.tree.flatten(x) if value is not None)
        return ops.shape(first)[0 if self.places is None else 1]


def seeds_of(members: tuple[Member, ...]) -> tuple[int, ...]:
    """Return the seeds, each once."""
    return tuple(dict.fromkeys(member.seed for member in members))


def by_seed(members: tuple[Member, ...]) -> BatchView:
    """Return the view of a batch that holds one for each of the members' seeds.

    Of a shared one if they have one.
    """
    seeds = seeds_of(members)
    return BatchView(
        len(members),
        tuple(seeds.index(member.seed) for member in members) if len(seeds) > 1 else None,
    )
