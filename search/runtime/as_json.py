"""Numbers as JSON has them.

It knows neither NaN nor infinity, and what Python writes for them others cannot read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

# what `json` writes: mappings, lists, words, numbers
Plain: TypeAlias = Any


def finite(value: Plain) -> Plain:
    """Return plain data with None for each number that is not finite."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
