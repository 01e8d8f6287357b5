"""Names of candidates inside a sentence. Nothing but text."""

from __future__ import annotations


def quoted(name: object) -> str:
    """Return a name as it stands in a sentence: in quotes where its end could not be seen.

    Example:
        >>> quoted("relu"), quoted("relu but conv3: mish")
        ('relu', "'relu but conv3: mish'")
    """
    text = str(name)
    if " " in text:
        return f"'{text}'"
    return text
