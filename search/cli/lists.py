"""Lists as they are typed: with commas."""

from __future__ import annotations

import re


def split_list(text: str) -> list[str]:
    """Split at the commas that are not inside parentheses."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def split_words(text: str) -> tuple[str, ...]:
    """Split at all commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
