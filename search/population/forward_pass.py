"""One call of a population: what it is told, and what its layers leave behind for the step around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras

from .batch_view import BatchView

Tensor = Any


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
