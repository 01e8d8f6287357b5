"""The values that flow through a population: one tensor for every slot, and how it holds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from keras_acts.compat import attach_logits, logits_of

Tensor = Any

SHARED, SEEDED, STACKED, FOLDED = "shared", "seeded", "stacked", "folded"


class Batch:
    """A batch of samples as every slot of a population sees it.

    To Keras' graph walk it is one tensor.

    Args:
        value: the tensor.
        layout: ``"shared"``, (B, ...): all slots see the same; ``"seeded"``, (S, B, ...): those of
            one seed do; ``"stacked"``, (P, B, ...); ``"folded"``, (B, ..., P*C): slot after slot in
            the channels, so that a grouped convolution or a pooling runs all of them at once.
        slots: how many slots there are, P.
        places: where each slot's seed lies in a seeded batch, (P,).
    """

    def __init__(self, value: Tensor, layout: str, slots: int, places: tuple[int, ...] = ()):
        self.value, self.layout, self.slots, self.places = value, layout, slots, places

    @property
    def channels(self) -> int:
        """The size of a slot's last axis."""
        return self.value.shape[-1] // (self.slots if self.layout == FOLDED else 1)

    @property
    def rank(self) -> int:
        """The rank of what one slot sees, (B, ...)."""
        return len(self.value.shape) - (self.layout in (SEEDED, STACKED))

    def stacked(self) -> Tensor:
        """Return it as (P, B, ...)."""
        if self.layout == STACKED:
            return self.value
        if self.layout == SEEDED:
            return ops.take(self.value, self.places, axis=0)
        if self.layout == SHARED:
            return ops.broadcast_to(
                ops.expand_dims(self.value, 0), (self.slots, *ops.shape(self.value))
            )
        apart = ops.reshape(
            self.value, (*with_free_axis(self.value, 0)[:-1], self.slots, self.channels)
        )
        last = len(self.value.shape)
        return ops.transpose(apart, (last - 1, *range(last - 1), last))

    def folded(self) -> Tensor:
        """Return it as (B, ..., P*C)."""
        if self.layout == FOLDED:
            return self.value
        x = self.stacked()
        last = len(x.shape) - 1
        x = ops.transpose(x, (*range(1, last), 0, last))
        return ops.reshape(x, (*with_free_axis(x, 0)[:-2], self.slots * self.channels))

    def merged(self) -> Tensor:
        """Return it as (P*B, ...), as if each slot's samples were samples of their own."""
        x = self.stacked()
        return ops.reshape(x, with_free_axis(x, 1)[1:])

    def apart(self) -> list[Tensor]:
        """Return what each slot sees, (B, ...).

        Not slices: their gradients would each be as large as all slots'.
        """
        if self.layout == SHARED:
            return [self.value] * self.slots
        if self.layout == STACKED:
            return ops.unstack(self.value, self.slots)
        return ops.split(self.value, self.slots, axis=-1)

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch of `function` of the tensor as it lies.

        For what acts on each value alone.
        """
        return Batch(function(self.value), self.layout, self.slots, self.places)


def broadcast_parameters(value: Tensor, x: Batch) -> Tensor:
    """Return the slots' parameters, shaped to broadcast against a batch that is not shared.

    Args:
        value: (P, ...), what follows P broadcasts against one slot's sample from the last axis on,
            as in NumPy.
        x: the batch.
    """
    xp = np if isinstance(value, np.ndarray) else ops  # arrays come as one constant into a graph
    slots, *own = value.shape
    if not own:
        own, value = [1], xp.reshape(value, (slots, 1))
    if x.layout == STACKED:
        return xp.reshape(value, (slots, *(1,) * (x.rank - len(own)), *own))
    value = xp.moveaxis(value, 0, -2)
    if own[-1] == 1:
        value = xp.repeat(value, x.channels, axis=-1)
    return xp.reshape(value, (*own[:-1], -1))


def from_merged(x: Tensor, slots: int) -> Batch:
    """Return the batch that (P*B, ...) holds; the logits that a softmax left on it go along."""

    def apart(tensor: Tensor) -> Tensor:
        return ops.reshape(tensor, (slots, *with_free_axis(tensor, 0)))

    return Batch(with_logits(apart, x), STACKED, slots)


def with_logits(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return ``function(x)``, where `function` only moves values, with the logits of `x` moved along.

    Keras' cross-entropies look for them: without, the gradient of a saturated softmax or sigmoid is
    0.
    """
    y = function(x)
    logits = logits_of(x)
    if logits is not None:
        attach_logits(y, function(logits))
    return y


def with_free_axis(x: Tensor, axis: int) -> tuple[Any, ...]:
    """Return the sizes of a tensor for `reshape`, with -1 for `axis`.

    The others stay known to a graph if they are.
    """
    known = None not in (*x.shape[:axis], *x.shape[axis + 1 :])
    sizes = x.shape if known else ops.shape(x)  # which is six nodes of a TensorFlow graph
    return (*sizes[:axis], -1, *sizes[axis + 1 :])
