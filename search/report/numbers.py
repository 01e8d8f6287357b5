"""Numbers as people read them: four significant digits, no exponents."""

from __future__ import annotations

import math

_DIGITS = 4  # significant ones
_LEAST = 1e-6  # what is smaller is written as a power of ten
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = _DIGITS) -> str:
    """Return a number with so many significant digits; empty for nan.

    Example:
        >>> number(469880672.0), number(0.012345678), number(3.0)
        ('469,900,000', '0.01235', '3')
    """
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "infinite"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if abs(value) < _LEAST:
        mantissa = f"{value / 10.0**exponent:.{digits - 1}f}".rstrip("0").rstrip(".")
        return f"{_minus(mantissa)} × 10{str(exponent).translate(_SUPERSCRIPTS)}"
    decimals = digits - 1 - exponent
    text = f"{round(value, decimals):,.{max(decimals, 0)}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return _minus(text)


def signed(value: float, decimals: int) -> str:
    """Return a difference with its sign and so many decimals; ``"0"`` where none of them shows.

    Example:
        >>> signed(0.981, 2), signed(-2e-08, 2)
        ('+0.98', '0.00')
    """
    if math.isnan(value):
        return ""
    text = f"{value:+.{decimals}f}"
    if float(text) == 0:
        return text[1:]
    return _minus(text)


def decimals_for(size: float) -> int:
    """Return how many decimals show two significant digits of a size.

    Example:
        >>> decimals_for(0.153), decimals_for(23.4)
        (2, 0)
    """
    if not size > 0 or math.isinf(size):
        return 2
    return max(0, 1 - math.floor(math.log10(size)))


def seconds(value: float) -> str:
    """Return a time in words: ``"4.2 ms"``, ``"12 s"``, ``"3 min 5 s"``; empty for nan."""
    if math.isnan(value):
        return ""
    if value < 1:
        return f"{number(1000 * value, 3)} ms"
    if value < 120:
        return f"{number(value, 3)} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def counted(count: int, singular: str, plural: str = "") -> str:
    """Return a number of things: ``"1 epoch"``, ``"12 epochs"``."""
    if count == 1:
        return f"1 {singular}"
    return f"{count:,} {plural or singular + 's'}"


def _minus(text: str) -> str:
    """A minus is as wide as a plus."""
    return text.replace("-", "−")
