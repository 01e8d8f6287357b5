"""Numbers as people read them: four significant digits, no exponents."""

from __future__ import annotations

import math

_DIGITS = 4  # significant ones
_MOST_DIGITS = 15  # that a float holds
_LEAST = 1e-6  # what is smaller is written as a power of ten
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = _DIGITS, *, zeros: bool = False) -> str:
    """Return a number with so many significant digits; empty for nan.

    Args:
        value: the number.
        digits: how many.
        zeros: whether zeros at the end stay, as in the column of a table.

    Example:
        >>> number(469880672.0), number(0.012345678), number(3.0), number(0.9, zeros=True)
        ('469,900,000', '0.01235', '3', '0.9000')
    """
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "infinite"
    if value == 0:
        return "0"
    # first: 9.99996e-7 is 0.000001 in four digits, and 0.99996 is 1.000
    value = float(f"{value:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(value)))
    if abs(value) < _LEAST:
        mantissa = f"{value / 10.0**exponent:.{digits - 1}f}".rstrip("0").rstrip(".")
        return f"{_minus(mantissa)} × 10{str(exponent).translate(_SUPERSCRIPTS)}"
    decimals = digits - 1 - exponent
    text = f"{round(value, decimals):,.{max(decimals, 0)}f}"
    if "." in text and not zeros:
        text = text.rstrip("0").rstrip(".")
    return _minus(text)


def signed(value: float, decimals: int) -> str:
    """Return a difference with its sign and so many decimals; ``"0"`` where none of them shows.

    Example:
        >>> signed(0.981, 2), signed(-2e-08, 2), signed(2604504.0, -5)
        ('+0.98', '0.00', '+2,600,000')
    """
    if math.isnan(value):
        return ""
    text = rounded(abs(value), decimals)
    if not any(digit in text for digit in "123456789"):
        return text
    if value < 0:
        return _minus(f"-{text}")
    return f"+{text}"


def decimals_for(size: float, least: int | None = 0) -> int:
    """Return how many decimals show two significant digits of a size.

    Args:
        size: of what deserves them.
        least: the fewest that are returned; None for as few as two digits are, so that -1 stands for
            tens: see `rounded`.

    Example:
        >>> decimals_for(0.153), decimals_for(2345.0), decimals_for(2345.0, least=None)
        (2, 0, -2)
    """
    if not size > 0 or math.isinf(size):
        return 2  # of nothing, and of what is not known: as in per cent
    decimals = 1 - math.floor(math.log10(size))
    if least is None:
        return decimals
    return max(least, decimals)


def rounded(value: float, decimals: int) -> str:
    """Return a number with so many decimals; with -3, in whole thousands.

    Example:
        >>> rounded(2604504.0, -5), rounded(0.98123, 2)
        ('2,600,000', '0.98')
    """
    if decimals > -math.floor(math.log10(_LEAST)):
        if value == 0 or not math.isfinite(value):
            return number(value)
        # of 0.0123456 as many as tell it from 0.0123457, not two
        digits = decimals + math.floor(math.log10(abs(value))) + 1
        return number(value, min(max(digits, 1), _MOST_DIGITS))
    text = f"{round(value, decimals):,.{max(decimals, 0)}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return _minus(text)


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


def agreement(difference: float) -> str:
    """Return how near the predictions of an export are to the model's, in words.

    Example:
        >>> agreement(0.0), agreement(1.2e-7)
        ('exactly what the model does', 'what the model does, to within 1.2 × 10⁻⁷')
    """
    if difference == 0:
        return "exactly what the model does"
    return f"what the model does, to within {number(difference, 2)}"


def _minus(text: str) -> str:
    """A minus is as wide as a plus."""
    return text.replace("-", "−")
