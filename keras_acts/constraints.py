"""Constraints on parameters as data.

They validate, print themselves, and name values that break them, for tests.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Real:
    """A finite real number in ``[low, high]``."""

    low: float = -math.inf
    high: float = math.inf

    def check(self, value: Any) -> float:
        """Return the value as a float, or raise `ValueError`."""
        # NumPy's scalars are numbers.Real; bool is one too, and always a slip
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ValueError(f"{self}")
        number = float(value)
        if not math.isfinite(number) or not self.low <= number <= self.high:
            raise ValueError(f"{self}")
        return number

    def __str__(self) -> str:
        if math.isinf(self.low) and math.isinf(self.high):
            return "a finite number"
        if math.isinf(self.high):
            return f"a finite number >= {self.low:g}"
        return f"a number in [{self.low:g}, {self.high:g}]"

    def invalid(self) -> tuple[Any, ...]:
        """Return values that break the constraint."""
        below = () if math.isinf(self.low) else (self.low - 1.0,)
        above = () if math.isinf(self.high) else (self.high + 1.0,)
        return (math.nan, math.inf, -math.inf, "a word", None, True, [0.1], *below, *above)


@dataclass(frozen=True)
class Integer:
    """An integer, at least `low` where that is given."""

    low: int | None = None

    def check(self, value: Any) -> int:
        """Return the value as an int, or raise `ValueError`."""
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise ValueError(f"{self}")
        number = int(value)
        if self.low is not None and number < self.low:
            raise ValueError(f"{self}")
        return number

    def __str__(self) -> str:
        return "an integer" if self.low is None else f"an integer >= {self.low}"

    def invalid(self) -> tuple[Any, ...]:
        """Return values that break the constraint."""
        below = () if self.low is None else (self.low - 1,)
        return (1.5, math.nan, "a word", None, True, *below)


@dataclass(frozen=True)
class Options:
    """One of a few strings."""

    values: tuple[str, ...]

    def check(self, value: Any) -> str:
        """Return the value, or raise `ValueError`."""
        if not isinstance(value, str) or value not in self.values:
            raise ValueError(f"{self}")
        return value

    def __str__(self) -> str:
        return "one of " + ", ".join(repr(value) for value in self.values)

    def invalid(self) -> tuple[Any, ...]:
        """Return values that break the constraint."""
        return ("a word", 1.5, None, True)


Constraint = Real | Integer | Options
