"""Words that are numbers, and lists of names in a line."""

from __future__ import annotations


def is_number(text: str) -> bool:
    """Whether a word can be read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
