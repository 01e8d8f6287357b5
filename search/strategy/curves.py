"""Learning curves: what each epoch of a training logged. Names and numbers only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what a kept search has found is told without TensorFlow
    from ..space.rated import Rated

# digits that tell any two numbers in float32 apart
_DIGITS = 9

# for each name that Keras logs, a value an epoch
Values = dict[str, list[float]]


@dataclass(frozen=True)
class Curve:
    """The learning curve of one training.

    Attributes:
        rated: the candidate and its learning rate.
        seed: of initialization and batch order.
        metrics: for each name that Keras logs, a value an epoch; nan where one logged nothing.
    """

    rated: Rated
    seed: int
    metrics: Mapping[str, tuple[float, ...]]

    @classmethod
    def of(cls, rated: Rated, seed: int, values: Mapping[str, Sequence[float]]) -> Curve:
        """Return a curve of values that may change later."""
        return cls(rated, seed, {name: tuple(each) for name, each in values.items()})

    @property
    def epochs(self) -> int:
        """How many epochs it has."""
        return max((len(values) for values in self.metrics.values()), default=0)


def add_epoch(curve: Values, epoch: int, metrics: Mapping[str, float]) -> None:
    """Add what an epoch logged, its number from 0 on; of one that trains again, in its old place."""
    for name, value in metrics.items():
        values = curve.setdefault(name, [])
        # a name that no epoch before has logged
        values.extend([math.nan] * (epoch - len(values)))
        values[epoch : epoch + 1] = [value]


def plain_curve(curve: Mapping[str, Sequence[float]]) -> dict[str, list[float | str]]:
    """Return a learning curve for JSON, in which what is not finite is text."""
    plain: dict[str, list[float | str]] = {}
    for name, values in curve.items():
        plain[name] = [_plain(value) for value in values]
    return plain


def _plain(value: float) -> float | str:
    if not math.isfinite(value):
        return repr(float(value))
    return float(f"{value:.{_DIGITS}g}")


def curve_of(plain: Mapping[str, Sequence[float | str]]) -> Values:
    """Return the learning curve that `plain_curve` has written."""
    return {name: [float(value) for value in values] for name, values in plain.items()}


def is_plain_curve(curve: Any) -> bool:
    """Return whether something read from a file is a learning curve as `plain_curve` has it."""
    if not isinstance(curve, dict):
        return False
    for values in curve.values():
        if not isinstance(values, list):
            return False
        if not all(isinstance(value, int | float | str) for value in values):
            return False
    return True
