"""Constraints on parameters as data.

They validate, print themselves, and name values that break them, for tests.
"""

from __future__ import annotations

import functools
import math
import numbers
from dataclasses import dataclass

# what axes and sizes are counted with
_TOO_LARGE = 2**31


@dataclass(frozen=True)
class Real:
    """A finite real number in ``[low, high]``."""

    low: float = -math.inf
    high: float = math.inf

    def check(self, value: object) -> float:
        """Return the value as a float, or raise `ValueError`."""
        # NumPy's scalars are numbers.Real; bool is one too, and always a slip
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ValueError(str(self))
        try:
            number = float(value)
        except OverflowError:  # a whole number of hundreds of digits
            raise ValueError(str(self)) from None
        if not math.isfinite(number) or not self.low <= number <= self.high:
            raise ValueError(str(self))
        return number

    def __str__(self) -> str:
        if math.isinf(self.low) and math.isinf(self.high):
            return "a finite number"
        if math.isinf(self.high):
            return f"a finite number >= {self.low:g}"
        return f"a number in [{self.low:g}, {self.high:g}]"

    def invalid(self) -> tuple[object, ...]:
        """Return values that break the constraint."""
        values: list[object] = [math.nan, math.inf, -math.inf, "a word", None, True, [0.1]]
        if not math.isinf(self.low):
            values.append(self.low - 1.0)
        if not math.isinf(self.high):
            values.append(self.high + 1.0)
        return tuple(values)


@dataclass(frozen=True)
class Integer:
    """An integer, at least `low` where that is given."""

    low: int | None = None

    def check(self, value: object) -> int:
        """Return the value as an int, or raise `ValueError`."""
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise ValueError(str(self))
        number = int(value)
        if abs(number) >= _TOO_LARGE:
            raise ValueError(f"{self} below 2**31")
        if self.low is not None and number < self.low:
            raise ValueError(str(self))
        return number

    def __str__(self) -> str:
        if self.low is None:
            return "an integer"
        return f"an integer >= {self.low}"

    def invalid(self) -> tuple[object, ...]:
        """Return values that break the constraint."""
        values: list[object] = [1.5, math.nan, "a word", None, True]
        if self.low is not None:
            values.append(self.low - 1)
        return tuple(values)


@dataclass(frozen=True)
class Options:
    """One of a few strings."""

    values: tuple[str, ...]

    def check(self, value: object) -> str:
        """Return the value, or raise `ValueError`."""
        if not isinstance(value, str) or value not in self.values:
            raise ValueError(str(self))
        return value

    def __str__(self) -> str:
        return "one of " + ", ".join(repr(value) for value in self.values)

    def invalid(self) -> tuple[object, ...]:
        """Return values that break the constraint."""
        return ("a word", 1.5, None, True)


Constraint = Real | Integer | Options


def is_anonymous(function: object) -> bool:
    """Return whether a function is a lambda or a partial, which Keras cannot save."""
    if isinstance(function, functools.partial):
        return True
    return getattr(function, "__name__", "") == "<lambda>"
