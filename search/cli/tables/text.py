"""The text in a file: its encoding, a byte order mark, and gzip around it."""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from .errors import TableError, UnreadableTable, WrongOption

_GZIP = b"\x1f\x8b"
_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
# what Windows writes where it does not write UTF-8
_FALLBACK = "cp1252"
# letters beyond ASCII as UTF-8 has them; other encodings hardly ever have such bytes in a row
_OF_UTF8 = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
# cells as Python's texts, and then as numbers, take so many times the bytes of the file
_TIMES = 6


@dataclass(frozen=True)
class Text:
    """What is written in a file.

    Attributes:
        text: without a byte order mark.
        note: what a user should know of how it was read; empty if it is plain UTF-8.
    """

    text: str
    note: str = ""


def read_text(path: Path, encoding: str, free: int) -> Text:
    """Return the text in a file, packed by gzip or not.

    Args:
        path: the file.
        encoding: empty to find it out.
        free: how many bytes of memory there are.

    Raises:
        TableError: with the reason.
        OSError: if the file cannot be read.
    """
    read = _read(_bytes(path, free), encoding)
    if "\n" in read.text:
        return read
    # as Excel's "CSV (Macintosh)" ends lines
    return Text(read.text.replace("\r", "\n"), read.note)


def _read(data: bytes, encoding: str) -> Text:
    if encoding:
        return Text(_decoded(data, encoding).removeprefix("\ufeff"))
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            return Text(_decoded(data, name))
    if b"\0" in data:
        raise TableError(
            f"text, not a zero byte in line {_line(data, data.index(0))}; UTF-16 has them "
            "(--encoding utf-16)"
        )
    try:
        return Text(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        return _other(data, error.start)


def _bytes(path: Path, free: int) -> bytes:
    most = free // 2 // _TIMES
    with path.open("rb") as file:
        is_packed = file.read(len(_GZIP)) == _GZIP
    if not is_packed:
        size = path.stat().st_size
        if size > most:
            raise _too_large(f"{size:,} bytes", size, free)
        return path.read_bytes()
    try:
        with gzip.open(path, "rb") as packed:
            # not more: a small file may unpack to any size
            data = packed.read(most + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TableError(f"gzip that can be unpacked, not one with {error}") from None
    if len(data) > most:
        raise _too_large(f"more than {most:,} bytes once it is unpacked", most, free)
    return data


def _too_large(size: str, count: int, free: int) -> UnreadableTable:
    return UnreadableTable(
        f"{size}, which take about {count * _TIMES:,} of memory: more than half of the {free:,} "
        "that are free"
    )


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except LookupError:
        raise WrongOption(
            f"--encoding must be one that Python knows. Received: {encoding!r}"
        ) from None
    except UnicodeError as error:
        place = getattr(error, "start", 0)
        raise TableError(
            f"text in the encoding {encoding}, not line {_line(data, place)}"
        ) from None


def _other(data: bytes, place: int) -> Text:
    """Text that is no UTF-8."""
    line = _line(data, place)
    utf8 = _OF_UTF8.search(data)
    if utf8 is not None:
        raise TableError(
            f"one encoding, not UTF-8 in line {_line(data, utf8.start())} and another in line "
            f"{line}: --encoding names one"
        )
    try:
        text = data.decode(_FALLBACK)
    except UnicodeDecodeError:
        raise TableError(
            f"text in UTF-8, or another encoding that --encoding names, not line {line}"
        ) from None
    letter = text[place]
    return Text(
        text,
        f"It is no UTF-8 from line {line} on, and is read as {_FALLBACK} (Windows), in which that "
        f"letter is {letter!r}; --encoding names another",
    )


def _line(data: bytes, place: int) -> int:
    return data.count(b"\n", 0, place) + 1
