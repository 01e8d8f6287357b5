"""What a layer of a population is made from: its stacked variables, and the plan of the layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from ..space.assignment import Choice
from ..vectorize.segments import Segment
from .blueprint import Blueprint


@dataclass(frozen=True, eq=False)
class StackedVariable:
    """One variable of one layer, stacked over members that lie next to each other inside.

    Attributes:
        variable: (n, ...), for the n members from `start` on.
        start: the first member.
        key: which of the layer's variables it is, as `variables_of` says.
        name: of the layer's variable.
        regularizer: of one member's variable.
    """

    variable: keras.Variable
    start: int
    key: str
    name: str
    regularizer: Any

    @property
    def stop(self) -> int:
        """The member after the last."""
        return self.start + self.size

    @property
    def size(self) -> int:
        """How many members it is stacked over."""
        return self.variable.shape[0]


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
        shared: whether it runs once for all members, with the weights that all of them have: part
            of a frozen prefix.
    """

    path: str
    blueprint: Blueprint
    candidates: tuple[Choice, ...]
    segments: dict[str, tuple[Segment, ...]]
    rule: Callable[..., Any] | None
    blocks: list[StackedVariable]
    shared: bool = False

    @property
    def layer(self) -> Any:
        """The first member's layer or operation, for its settings."""
        return self.blueprint.layer(self.candidates[0], self.path)

    @property
    def size(self) -> int:
        """How many members there are, P."""
        return len(self.candidates)
