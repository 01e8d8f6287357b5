"""Functions without a name, which Keras cannot save."""

from __future__ import annotations

import functools
from typing import Any


def is_anonymous(function: Any) -> bool:
    """Return whether the function is a lambda or a partial."""
    return (
        isinstance(function, functools.partial) or getattr(function, "__name__", "") == "<lambda>"
    )
