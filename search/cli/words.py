"""Words that are numbers, and names that are no text."""

from __future__ import annotations


def printable(name: str) -> str:
    r"""Return a name that any file and terminal takes, also where that of a file is no UTF-8.

    Example:
        >>> printable(os.fsdecode(b"caf\xe9"))
        'caf\\udce9'
    """
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def is_number(text: str) -> bool:
    """Whether a word can be read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
