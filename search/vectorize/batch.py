"""The values that flow through a population: one tensor for every member, and how it holds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import ops

from keras_acts.compat import attach_logits, logits_of

# what a backend computes with: a tensor of TensorFlow or JAX, or one that only stands for it
Tensor: TypeAlias = Any
# a size that a graph knows is a number, any other a tensor
Sizes: TypeAlias = tuple[Any, ...]

# the ways in which a tensor holds the members' values; see `Batch`
SHARED = "shared"
SEEDED = "seeded"
STACKED = "stacked"
FOLDED = "folded"


class Batch:
    """A batch of samples as every member of a population sees it.

    To Keras' graph walk it is one tensor.

    Args:
        value: the tensor.
        layout: ``"shared"``, (B, ...): all members see the same; ``"seeded"``, (S, B, ...): those
            of one seed do; ``"stacked"``, (P, B, ...); ``"folded"``, (B, ..., P*C): member after
            member in the channels, so that a grouped convolution or a pooling runs all of them at
            once.
        members: how many members there are, P.
        seed_rows: where each member's seed lies in a seeded batch, (P,).

    Attributes:
        mask: which steps of each sample count, as Keras attaches it to tensors; None for all.
    """

    def __init__(
        self, value: Tensor, layout: str, members: int, seed_rows: tuple[int, ...] = ()
    ) -> None:
        self.value = value
        self.layout = layout
        self.members = members
        self.seed_rows = seed_rows
        self.mask: Batch | None = None

    @property
    def channels(self) -> int:
        """The size of a member's last axis."""
        size: int = self.value.shape[-1]
        if self.layout == FOLDED:
            return size // self.members
        return size

    @property
    def rank(self) -> int:
        """The rank of what one member sees, (B, ...)."""
        rank = len(self.value.shape)
        if self.layout in (SEEDED, STACKED):
            return rank - 1
        return rank

    def stacked(self) -> Tensor:
        """Return it as (P, B, ...)."""
        if self.layout == STACKED:
            return self.value
        if self.layout == SEEDED:
            return ops.take(self.value, self.seed_rows, axis=0)
        if self.layout == SHARED:
            sizes = (self.members, *ops.shape(self.value))
            return ops.broadcast_to(ops.expand_dims(self.value, 0), sizes)
        sizes = with_free_axis(self.value, 0)
        # (B, ..., P, C), then the members to the front
        unfolded = ops.reshape(self.value, (*sizes[:-1], self.members, self.channels))
        last = len(self.value.shape)
        return ops.transpose(unfolded, (last - 1, *range(last - 1), last))

    def folded(self) -> Tensor:
        """Return it as (B, ..., P*C)."""
        if self.layout == FOLDED:
            return self.value
        x = self.stacked()
        last = len(x.shape) - 1
        # (B, ..., P, C): the members before the channels, so that each member's lie together
        x = ops.transpose(x, (*range(1, last), 0, last))
        sizes = with_free_axis(x, 0)
        return ops.reshape(x, (*sizes[:-2], self.members * self.channels))

    def merged(self) -> Tensor:
        """Return it as (P*B, ...), as if each member's samples were samples of their own."""
        x = self.stacked()
        return ops.reshape(x, with_free_axis(x, 1)[1:])

    def as_stacked(self) -> Batch:
        """Return the batch in the stacked layout."""
        return Batch(self.stacked(), STACKED, self.members)

    def as_folded_or_stacked(self) -> Batch:
        """Return the batch as it is if it is folded, else in the stacked layout."""
        if self.layout == FOLDED:
            return self
        return self.as_stacked()

    def per_member(self) -> list[Tensor]:
        """Return what each member sees, (B, ...)."""
        if self.layout == SHARED:
            return [self.value] * self.members
        # not slices: their gradients would each be as large as all members'
        if self.layout == STACKED:
            return ops.unstack(self.value, self.members)
        return ops.split(self.value, self.members, axis=-1)

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch of `function` of the tensor as it lies.

        For what acts on each value alone.
        """
        return Batch(function(self.value), self.layout, self.members, self.seed_rows)


def broadcast_parameters(value: Tensor, x: Batch) -> Tensor:
    """Return the members' parameters, shaped to broadcast against a batch that is not shared.

    Args:
        value: (P, ...), what follows P broadcasts against one member's sample from the last axis
            on, as in NumPy.
        x: the batch.
    """
    # NumPy reshapes an array at once, so that it comes as one constant into a graph
    xp = ops
    if isinstance(value, np.ndarray):
        xp = np
    members, *sizes = value.shape
    if not sizes:
        sizes = [1]
        value = xp.reshape(value, (members, 1))
    if x.layout == STACKED:
        ones = (1,) * (x.rank - len(sizes))
        return xp.reshape(value, (members, *ones, *sizes))
    value = xp.moveaxis(value, 0, -2)
    if sizes[-1] == 1:
        # channels of different members lie side by side: each needs its member's value
        value = xp.repeat(value, x.channels, axis=-1)
    return xp.reshape(value, (*sizes[:-1], -1))


def plus(x1: Tensor, x2: Tensor) -> Tensor:
    """Return the sum of two tensors, broadcast as in NumPy.

    On TensorFlow `ops.add` takes a second one with one size above 1 for a bias: of the last axis, or
    of axis 1 where that is as long. (P, 1, 1) would go to the samples if there are P of them.
    """
    dtype = keras.backend.result_type(x1.dtype, x2.dtype)
    total: Tensor = ops.cast(x1, dtype) + ops.cast(x2, dtype)
    return total


def from_merged(x: Tensor, members: int) -> Batch:
    """Return the batch that (P*B, ...) holds; the logits that a softmax left on it go along."""

    def unmerged(tensor: Tensor) -> Tensor:
        return ops.reshape(tensor, (members, *with_free_axis(tensor, 0)))

    return Batch(with_logits(unmerged, x), STACKED, members)


def with_logits(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return ``function(x)`` of a `function` that only moves values; logits of `x` move along.

    Keras' cross-entropies look for them: without, the gradient of a saturated softmax or sigmoid is
    0.
    """
    y = function(x)
    logits = logits_of(x)
    if logits is not None:
        attach_logits(y, function(logits))
    return y


def with_free_axis(x: Tensor, axis: int) -> Sizes:
    """Return the sizes of a tensor for `reshape`, with -1 for `axis`.

    The others stay known to a graph if they are.
    """
    others = (*x.shape[:axis], *x.shape[axis + 1 :])
    sizes = x.shape
    if None in others:
        # only where it must be: it is six nodes of a TensorFlow graph
        sizes = ops.shape(x)
    return (*sizes[:axis], -1, *sizes[axis + 1 :])
