"""What a layer of a population is made from: its stacked variables, and the plan of the layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..space.assignment import Choice
from ..vectorize.segments import Segment
from .blueprint import Blueprint


@dataclass(frozen=True, eq=False)
class StackedVariable:
    """One variable of one layer, stacked over slots that lie next to each other inside.

    Attributes:
        variable: (n, ...), for the n slots from `start` on.
        start: the first slot.
        key: which of the layer's variables it is, as `variables_of` says.
        name: of the layer's variable.
        regularizer: of one slot's variable.
    """

    variable: Any
    start: int
    key: str
    name: str
    regularizer: Any

    @property
    def stop(self) -> int:
        """The slot after the last."""
        return self.start + self.variable.shape[0]


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """What a layer of a population is made from. A plain object, so that Keras tracks none of it.

    Attributes:
        path: of the layer, in the model.
        blueprint: the ordinary models.
        candidates: of each slot, in inside order.
        groups: of each activation slot of this layer that candidates go to, its own and those it
            holds; none if its activations are the same in all slots of the population.
        rule: how it runs; None for slot after slot.
        blocks: its variables.
        shared: whether it runs once for all slots, with the weights that all of them have: part of
            a frozen prefix.
        assigned: the trained variables that the layer itself assigned, the last time that it ran.
    """

    path: str
    blueprint: Blueprint
    candidates: tuple[Choice, ...]
    groups: dict[str, tuple[Segment, ...]]
    rule: Callable[..., Any] | None
    blocks: list[StackedVariable]
    shared: bool = False
    assigned: list[Any] = field(default_factory=list)

    @property
    def layer(self) -> Any:
        """The first slot's layer, for its settings."""
        return self.blueprint.layer(self.candidates[0], self.path)
