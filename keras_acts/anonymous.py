"""Functions without a name, which Keras cannot save."""

from __future__ import annotations

import functools


def is_anonymous(function: object) -> bool:
    """Return whether the function is a lambda or a partial."""
    if isinstance(function, functools.partial):
        return True
    return getattr(function, "__name__", "") == "<lambda>"
