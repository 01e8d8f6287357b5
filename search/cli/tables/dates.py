"""Dates as people write them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from .errors import TableError, WrongOption

_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+\-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
_OTHER = re.compile(
    r"(?P<first>\d{1,4})(?P<sign>[./\-])(?P<second>\d{1,2})(?P=sign)(?P<third>\d{4}|\d{1,2})"
    r"(?P<time> \d{1,2}:\d{2}(?P<seconds>:\d{2})?)?",
    re.ASCII,
)
ISO = "ISO8601"
_MONTHS = 12


def is_iso(words: Sequence[str]) -> bool:
    """Whether all words are dates of the form year-month-day."""
    return all(map(_ISO.fullmatch, words))


def is_date(word: str) -> bool:
    """Whether a word is a date with a year of four figures, however it is written."""
    if _ISO.fullmatch(word) is not None:
        return True
    match = _OTHER.fullmatch(word)
    return match is not None and 4 in (len(match["first"]), len(match["third"]))


def format_of(name: str, words: Sequence[str]) -> str:
    """Return how dates are written; empty if not all words are dates.

    Args:
        name: of the column, for the message.
        words: different ones.

    Raises:
        TableError: if it cannot be told which is the day and which the month.
    """
    if is_iso(words):
        return ISO
    matches = []
    for word in words:
        match = _OTHER.fullmatch(word)
        if match is None:
            return ""
        matches.append(match)
    signs = {match["sign"] for match in matches}
    times = {(match["time"] is not None, match["seconds"] is not None) for match in matches}
    if len(signs) != 1 or len(times) != 1:
        return ""
    (sign,) = signs
    ((has_time, has_seconds),) = times
    time = ""
    if has_time:
        time = " %H:%M"
    if has_seconds:
        time += ":%S"
    day = _day(name, matches, sign)
    if not day:
        return ""
    return day + time


def _day(name: str, matches: Sequence[re.Match[str]], sign: str) -> str:
    """The format of the day itself."""
    years_first = {len(match["first"]) == 4 for match in matches}
    years_last = {len(match["third"]) == 4 for match in matches}
    if years_first == {True} and years_last == {False}:
        return sign.join(("%Y", "%m", "%d"))
    if years_first != {False} or years_last != {True}:
        return ""
    if sign == ".":
        return "%d.%m.%Y"
    firsts = max(int(match["first"]) for match in matches)
    seconds = max(int(match["second"]) for match in matches)
    day_first = sign.join(("%d", "%m", "%Y"))
    month_first = sign.join(("%m", "%d", "%Y"))
    if firsts > _MONTHS and seconds > _MONTHS:
        return ""
    if firsts > _MONTHS:
        return day_first
    if seconds > _MONTHS:
        return month_first
    raise TableError(
        "a date that tells the day from the month: "
        f"--column {name!r}={day_first} or ={month_first} says it, =category takes words, "
        f"not {matches[0][0]!r} in the column {name!r}"
    )


def days_of(name: str, words: Sequence[str], written: str) -> np.ndarray:
    """Return words as dates in UTC; those without a zone are taken as they are.

    Args:
        name: of the column, for the message.
        words: dates.
        written: what `format_of` returned, or a format of `strptime`.

    Raises:
        TableError: naming a word that is no such date.
    """
    import pandas

    try:
        dates = pandas.to_datetime(list(words), format=written, errors="coerce", utc=True)
    except (ValueError, TypeError) as error:
        raise WrongOption(
            f"--column must say how a date is written. Received: {name}={written} ({error})"
        ) from None
    missing = np.flatnonzero(dates.isna())
    if len(missing):
        how = written
        if written == ISO:
            how = "year-month-day"
        raise TableError(
            f"dates written as {how} in the column {name!r}, not {words[missing[0]]!r}"
        )
    # not nanoseconds, of which 64 bits end in 2262: 9999-12-31 would be a day of 1816
    return dates.tz_localize(None).to_numpy("datetime64[us]")
