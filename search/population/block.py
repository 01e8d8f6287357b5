"""What a layer of a population is made from: its stacked variables, and the plan of the layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from ..space.assignment import Choice
from ..vectorize.segments import Segment
from .blueprint import Blueprint


@dataclass(frozen=True, eq=False)
class StackedVariable:
    """One variable of one layer, stacked over members that lie next to each other inside.

    It is (n, ...), or a *table*, (n*T, ...): the members' rows one below the other. Of a table that
    a layer looks up tokens in, TensorFlow gives a gradient with one row for each occurrence of a
    token, and Keras' optimizers do not only add these. They take them for tables alone: their rows
    are the first axis.

    Attributes:
        variable: for the n members from `start` on.
        start: the first member.
        size: how many members it is stacked over, n.
        key: which of the layer's variables it is, as `variables_of` says.
        name: of the layer's variable.
        regularizer: of one member's variable.
        is_table: whether it is (n*T, ...).
        goes_on: whether it changes for diverged members too: a random state, which they share with
            others.
    """

    variable: keras.Variable
    start: int
    size: int
    key: str
    name: str
    regularizer: Any
    is_table: bool = False
    goes_on: bool = False

    @property
    def stop(self) -> int:
        """The member after the last."""
        return self.start + self.size

    @property
    def rows(self) -> int:
        """How many rows of the variable are one member's."""
        return int(self.variable.shape[0]) // self.size

    def by_member(self, value: Any) -> Any:
        """Return a value of the variable, or one that is shaped alike, as (n, ...).

        Args:
            value: the variable itself, its gradient, what an optimizer keeps of it; an array or a
                tensor.
        """
        if not self.is_table:
            return value
        # the variable's: a gradient out of a loop may not know its own
        sizes = (self.size, self.rows, *self.variable.shape[1:])
        if isinstance(value, np.ndarray):
            return value.reshape(sizes)
        return ops.reshape(value, sizes)

    def assign(self, value: Any) -> None:
        """Set the variable to the values of its members, (n, ...)."""
        self.variable.assign(self.as_stored(value))

    def as_stored(self, value: Any) -> Any:
        """Return values of the members, (n, ...), in the shape of the variable."""
        if not self.is_table:
            return value
        if isinstance(value, np.ndarray):
            return value.reshape(self.variable.shape)
        return ops.reshape(value, self.variable.shape)


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """What a layer of a population is made from. A plain object, so that Keras tracks none of it.

    Attributes:
        path: of the layer, in the model.
        blueprint: the ordinary models.
        candidates: of each member, in inside order.
        segments: of each activation slot of this layer that candidates go to, its own and those it
            holds; none if its activations are the same in all members of the population.
        rule: how it runs; None for member after member.
        blocks: its variables.
        shared: whether it runs once for all members, or once for those that draw the same random
            numbers, with the weights that all of them have: part of a frozen prefix. Then its
            blocks are the states of its random number generators.
        strengths: of a layer of noise, each member's rate or standard deviation, in inside order;
            None if all have the layer's.
    """

    path: str
    blueprint: Blueprint
    candidates: tuple[Choice, ...]
    segments: dict[str, tuple[Segment, ...]]
    rule: Callable[..., Any] | None
    blocks: list[StackedVariable]
    shared: bool = False
    strengths: np.ndarray | None = None

    @property
    def layer(self) -> Any:
        """The first member's layer or operation, for its settings."""
        return self.blueprint.layer(self.candidates[0], self.path)

    @property
    def size(self) -> int:
        """How many members there are, P."""
        return len(self.candidates)


def column_shape(rank: int) -> tuple[int, ...]:
    """Return (-1, 1, ..., 1): the shape of one number a member beside tensors of so many axes."""
    return (-1,) + (1,) * (rank - 1)


def axes_within(x: Any) -> tuple[int, ...]:
    """Return all axes of a stacked tensor but the members'."""
    return tuple(range(1, len(x.shape)))
