"""A choice of activations, together with the learning rate at which it trains."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from .assignment import Choice


@dataclass(frozen=True)
class Rated:
    """A choice at a multiple of the model's own learning rate.

    Attributes:
        choice: the activation, or one for each group of slots.
        factor: what the rate of the model's optimizer is multiplied by, all through the training:
            of a schedule, each of its rates.
    """

    choice: Choice
    factor: float = 1.0

    @classmethod
    def of(cls, choice: Choice | Rated) -> Rated:
        """Return a choice at the model's own rate, if it is not at one already."""
        if isinstance(choice, Rated):
            return choice
        return cls(choice)

    @property
    def kind(self) -> Hashable:
        """What variants of one activation have in common: its name; each assignment is a kind of its own."""
        return getattr(self.choice, "name", self.choice)

    def __str__(self) -> str:
        if self.factor == 1:
            return str(self.choice)
        return f"{self.choice} at {self.factor:g} times the learning rate"
