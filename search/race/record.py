"""What is known of one member of a race."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..strategy.curves import Values

if TYPE_CHECKING:  # what a kept search has found is told without TensorFlow
    from ..population.members import Member

# the weights of one member, by the path of the layer and the variable's key in it
Weights = dict[tuple[str, str], np.ndarray]
# called with a member, the number of its epoch from 1 on, and what it logged
Told: TypeAlias = "Callable[[Member, int, Mapping[str, float]], None]"


@dataclass
class MemberRecord:
    """What is known of one member.

    Attributes:
        epochs: how far it is.
        best: the objective at its best epoch.
        diverged: whether its loss or objective was not finite.
        seconds: its share of the time of its populations.
        error: why its candidate could not be trained; empty if it could.
        stopped: after how many epochs its callbacks ended its training; 0 if they did not. Then it
            is as far as those that train on.
        curve: what each of its epochs logged; empty where an earlier version of the package trained it.
    """

    epochs: int = 0
    best: float = np.nan
    diverged: bool = False
    seconds: float = 0.0
    error: str = ""
    stopped: int = 0
    curve: Values = field(default_factory=dict)


def tell_nobody(member: Member, epoch: int, metrics: Mapping[str, float]) -> None:
    """Tell nobody of an epoch."""
