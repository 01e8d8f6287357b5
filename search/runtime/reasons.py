"""What went wrong, in a line."""

from __future__ import annotations

import re


def first_line(error: BaseException) -> str:
    """Return the class of an error and the first line of what it says, without what Keras adds."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return f"{type(error).__name__}: {_first_said(error) or 'no message'}"


def reason_of(error: BaseException) -> str:
    """Return the first line of what an error says, without what Keras adds.

    Its class if it says nothing.
    """
    return _first_said(error) or type(error).__name__


def headline(message: str) -> str:
    """Return the first line of a message, which may be empty."""
    return message.strip().partition("\n")[0] or "no message"


def _first_said(error: BaseException) -> str:
    # Keras puts the name of the layer before what went wrong, and colours it
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines()]
    said = [line for line in lines if line and not line.startswith("Exception encountered")]
    return said[0] if said else ""
