"""What went wrong, in a line."""

from __future__ import annotations

import re

# an ANSI escape of a terminal
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def first_line(error: BaseException) -> str:
    """Return the class of an error and the first line of what it says, without what Keras adds."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    message = _first_line_of_message(error) or "no message"
    return f"{_class_of(error)}: {message}"


def reason_of(error: BaseException) -> str:
    """Return the first line of what an error says, without what Keras adds.

    Its class if it says nothing.
    """
    return _first_line_of_message(error) or _class_of(error)


def headline(message: str) -> str:
    """Return the first line of a message, which may be empty."""
    return message.strip().partition("\n")[0] or "no message"


def _class_of(error: BaseException) -> str:
    """The class of an error by a name that a user knows: a private one is called as its base."""
    for kind in type(error).__mro__:
        if not kind.__name__.startswith("_"):
            return kind.__name__
    return "Exception"


def _first_line_of_message(error: BaseException) -> str:
    """The first line that says something; empty if none does."""
    for line in _COLOUR.sub("", str(error)).splitlines():
        text = line.strip()
        # Keras puts the name of the layer before what went wrong, and colours it
        if text and not text.startswith("Exception encountered"):
            return text
    return ""
