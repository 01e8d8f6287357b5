"""A choice of activations, together with the learning rate at which it trains."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from ..report.names import quoted
from .assignment import Choice


def written(factor: float, own: float | None) -> str:
    """Return a learning rate as one writes it; as a multiple where the model's own changes.

    Example:
        >>> written(2.0, 0.001), written(2.0, None)
        ('0.002', 'x2')
    """
    if own is None:
        return f"x{factor:.3g}"
    return f"{own * factor:.3g}"


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

    def told(self, own: float | None) -> str:
        """Return it for a person, who knows the model's own learning rate; None if that changes.

        ``"'relu at learning rate 0.002'"``; at the model's own rate the name alone.
        """
        if self.factor == 1:
            return quoted(self.choice)
        return quoted(f"{self.choice} at learning rate {written(self.factor, own)}")

    def __str__(self) -> str:
        if self.factor == 1:
            return str(self.choice)
        return f"{self.choice} at {self.factor:g} times the learning rate"
