"""What stands between the cells of a line."""

from __future__ import annotations

import contextlib
import csv
import io
from dataclasses import dataclass
from itertools import islice

from .errors import TableError, WrongOption

_KNOWN = (",", ";", "\t", "|")
_WORDS = {"\t": "tab", " ": "space"}
# what a shell can hardly write
_ESCAPED = {"\\t": "\t", "tab": "\t", "space": " "}
# characters, and lines, that are looked at
_BEGIN = 200_000
_LINES = 200


def separator_of(text: str) -> str:
    """Return the separator with which all lines have as many cells as the first.

    If none is such, the one that makes most of the first line: what is wrong is said later.

    Raises:
        TableError: if several are.
    """
    widths = {separator: _widths(text, separator) for separator in _KNOWN}
    fitting = [separator for separator, counts in widths.items() if _fits(counts)]
    if len(fitting) > 1:
        first, second, *_ = fitting
        raise TableError(
            f"one separator, not {word(first)} and {word(second)}, which both make columns of all "
            "lines: --separator names it"
        )
    if fitting:
        return fitting[0]
    return max(_KNOWN, key=lambda separator: next(iter(widths[separator]), 0))


def checked_separator(given: str) -> str:
    """Return the separator that a user names.

    Raises:
        WrongOption: if it is no single character.
    """
    separator = _ESCAPED.get(given, given)
    if len(separator) != 1 or separator in '"\n\r':
        raise WrongOption(f"--separator must be one character, or tab. Received: {given!r}")
    return separator


@dataclass(frozen=True)
class Headed:
    """The text of a table, cut behind its header.

    Attributes:
        header: the cells of the first line that is not empty.
        rows: the text behind that line.
        first: how many lines stand before the rows.
    """

    header: list[str]
    rows: str
    first: int


def headed(text: str, separator: str) -> Headed:
    """Return the header and the rows of a table; lines of empty cells above are none of them.

    Raises:
        TableError: if there is no header.
    """
    file = io.StringIO(text)
    lines = csv.reader(file, delimiter=separator)
    try:
        for cells in lines:
            if any(cell.strip() for cell in cells):
                rows = text[file.tell() :]
                if len(cells) == 1:
                    # an empty line is a row with an empty cell; behind the last row it is none
                    rows = rows.rstrip()
                return Headed(cells, rows, lines.line_num)
    except csv.Error as error:
        raise TableError(f"cells separated by {word(separator)}, not {said(error)}") from None
    raise TableError("a header line, not nothing")


def said(error: csv.Error) -> str:
    """Return what Python's reader does not take, in words for who wrote the file."""
    text = str(error)
    if text.startswith("field larger than"):
        return (
            f"one of more than {csv.field_size_limit():,} characters, as a quote that is not closed "
            "makes it"
        )
    if text.startswith("new-line character seen"):
        return "a carriage return without quotes around it"
    return text


def word(separator: str) -> str:
    """Return a separator as a message names it."""
    return _WORDS.get(separator, repr(separator))


def _fits(counts: list[int]) -> bool:
    return bool(counts) and counts[0] > 1 and len(set(counts)) == 1


def _widths(text: str, separator: str) -> list[int]:
    """How many cells each of the first lines has."""
    lines = csv.reader(io.StringIO(text[:_BEGIN]), delimiter=separator)
    counts: list[int] = []
    # what cannot be read is told later; the lines above it say what separates cells
    with contextlib.suppress(csv.Error):
        for cells in islice(lines, _LINES):
            if cells:
                counts.append(len(cells))
    if len(text) > _BEGIN and len(counts) < _LINES:
        counts = counts[:-1]  # cut off
    return counts
