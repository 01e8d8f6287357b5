"""The range of one searched parameter.

How it is written, and the way between its values and fractions of it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from keras_acts.errors import SearchError, shown
from keras_acts.specs import Parameter, SearchRange

_SCALES = ("log", "linear")


def override(key: str, parameter: Parameter, given: Any) -> Any:
    """Return what a user wrote instead of a parameter's range.

    Another `SearchRange`, or the value that fixes it.

    Raises:
        SearchError: if it is a range that contradicts itself.
        ActivationError: if a value in it is not valid for the parameter.
    """
    if not isinstance(given, tuple | list):
        return given
    rule = (
        f'{key}: expected a number, "trained", (low, high), (low, high, "log") or (low, high, "linear") with low < '
        f"high, and 0 < low if logarithmic. Received: {shown(given)}"
    )
    if len(given) not in (2, 3) or (len(given) == 3 and given[2] not in _SCALES):
        raise SearchError(rule)
    log = len(given) == 3 and given[2] == "log"
    low = parameter.check(given[0], key)
    high = parameter.check(given[1], key)
    if not low < high or (log and low <= 0):
        raise SearchError(rule)
    return SearchRange(low, high, log)


def start_of(parameter: Parameter, searched: SearchRange) -> SearchRange:
    """Return the range with the value that a search tries first.

    Its own, or the parameter's default, moved inside.
    """
    start = searched.start
    if start is None:
        start = parameter.default
    return replace(searched, start=_inside(searched, start))


def value_at(searched: SearchRange, fraction: float) -> float:
    """Return the value at a fraction of the range on its scale, rounded to what is printed."""
    fraction = min(max(fraction, 0.0), 1.0)
    if searched.log:
        value = math.exp(math.log(searched.low) + fraction * math.log(searched.high / searched.low))
    else:
        value = searched.low + fraction * (searched.high - searched.low)
    return _inside(searched, float(f"{value:.3g}"))


def fraction_of(searched: SearchRange, value: float) -> float:
    """Return where in the range a value lies, from 0 to 1 on its scale."""
    if searched.log:
        return math.log(value / searched.low) / math.log(searched.high / searched.low)
    return (value - searched.low) / (searched.high - searched.low)


def grid(searched: SearchRange, points: int) -> list[float]:
    """Return evenly spaced values with both ends, without repeats.

    The start alone if one is asked for.
    """
    if points == 1 and searched.start is not None:
        return [searched.start]
    values = [value_at(searched, index / (points - 1)) for index in range(points)]
    return list(dict.fromkeys(values))


def _inside(searched: SearchRange, value: float) -> float:
    return float(min(max(value, searched.low), searched.high))
