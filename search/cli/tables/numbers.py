"""Numbers as people write them: 1234.5, 1,234.5 or 1.234,5."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from .options import DECIMALS

# spaces and apostrophes between thousands, whatever the decimals are written with
_BLANK = " \u00a0\u2009\u202f'’"
_BLANKS = f"[{_BLANK}]"
# it may be a thousand and more, or a little more than one
_EITHER = re.compile(r"[+\-−]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)
# a code: no number is written so
_ZEROS = re.compile(r"[+\-−]?0\d+", re.ASCII)
# %, ‰ and the signs of currencies: $, €, £, ¥, ₹, …
_CURRENCIES = {chr(code) for code in range(0x20D0) if unicodedata.category(chr(code)) == "Sc"}
# signs that say what a number is a share of
SHARES = frozenset("%‰")
_SIGNS = _CURRENCIES | SHARES
_EACH_SIGN = tuple(_SIGNS)
_PLUS_MINUS = ("+", "-", "−")
_TRUE = {"true"}
_FALSE = {"false"}


def _pattern(decimal: str) -> re.Pattern[str]:
    (other,) = set(DECIMALS) - {decimal}
    of_thousands = f"{re.escape(other)}|{_BLANKS}"
    # the same sign between all of them
    groups = rf"[1-9]\d{{0,2}}(?P<mark>{of_thousands})\d{{3}}(?:(?P=mark)\d{{3}})*"
    point = re.escape(decimal)
    return re.compile(
        rf"[+\-−]?(?:(?:{groups}|\d+)(?:{point}\d*)?|{point}\d+)(?:[eE][+\-]?\d+)?", re.ASCII
    )


_PATTERNS = {decimal: _pattern(decimal) for decimal in DECIMALS}


def decimals_of(words: Iterable[str]) -> tuple[str, ...]:
    """Return with which decimal signs all words are numbers."""
    known = list(words)
    return tuple(sign for sign in DECIMALS if all(map(_PATTERNS[sign].fullmatch, known)))


def is_number(word: str) -> bool:
    """Whether a word is a number, however it is written."""
    return any(pattern.fullmatch(word) for pattern in _PATTERNS.values())


def sign_of(words: Iterable[str]) -> str:
    """Return the currency's or percent sign that all numbers among the words have.

    Empty if one has none, or another.

    Example:
        >>> sign_of(["$1,200.50", "-$3"]), sign_of(["12 %", "3%"]), sign_of(["$3", "€3"])
        ('$', '%', '')
        >>> sign_of(["$3", "($4.50)", "not known"])
        '$'
    """
    signs = signs_in(words)
    if len(signs) != 1:
        return ""
    return signs.pop()


def signs_in(words: Iterable[str]) -> set[str]:
    """Return the signs beside the numbers among the words; an empty one for a number without."""
    signs = set()
    for word in words:
        sign, number = _parted(word)
        if is_number(number):
            signs.add(sign)
    return signs


def without_sign(word: str) -> str:
    """Return a number without the sign beside it.

    Example:
        >>> without_sign("$ 1,200"), without_sign("($3.50)"), without_sign("(3.50)")
        ('1,200', '-3.50', '(3.50)')
    """
    return _parted(word)[1]


def is_in_brackets(word: str) -> bool:
    """Whether a word is a number below zero because of the brackets around it."""
    number = without_sign(word)
    return number.startswith("-") and "(" in word and is_number(number)


def _parted(word: str) -> tuple[str, str]:
    """The sign beside a number, and the number; the sign is empty if there is none."""
    # most words have none, and need no look at their ends
    if _SIGNS.isdisjoint(word):
        return "", word
    inside = _in_brackets(word)
    if inside:
        sign, number = _beside(inside)
    else:
        sign, number = _beside(word)
        inside = _in_brackets(number)
        if not inside:
            return sign, number
        number = inside
    # without a currency they may be anything: a standard error, a remark
    if sign not in _CURRENCIES:
        return "", word
    return sign, "-" + number


def _in_brackets(word: str) -> str:
    """What stands in the brackets around a word; empty if there are none.

    An accountant writes so what is less than zero: ($3.50), $ (3.50).
    """
    if not word.startswith("(") or not word.endswith(")"):
        return ""
    return word[1:-1].strip(_BLANK)


def _beside(word: str) -> tuple[str, str]:
    """The sign before or behind a word, and the word without it."""
    # no regular expression: on a cell of many blanks it would take its time
    if word.endswith(_EACH_SIGN):
        number = word[:-1].rstrip(_BLANK)
        if number:
            return word[-1], number
    minus = ""
    if word.startswith(_PLUS_MINUS):
        minus = word[0]
    number = word[len(minus) :]
    if number.startswith(_EACH_SIGN):
        behind = number[1:].lstrip(_BLANK)
        if behind:
            return number[0], minus + behind
    return "", word


def either(words: Iterable[str]) -> str:
    """Return a word that is another number with another decimal sign; empty if there is none."""
    return next(filter(_EITHER.fullmatch, words), "")


def is_code(words: Iterable[str]) -> bool:
    """Whether there are numbers that begin with 0, such as postal codes: 01 is not 1."""
    return any(map(_ZEROS.fullmatch, words))


def values(words: Sequence[str], decimal: str) -> np.ndarray:
    """Return words as numbers: int64 if all are whole and fit, else float64.

    Args:
        words: each a number with this decimal sign.
        decimal: the sign.
    """
    (other,) = set(DECIMALS) - {decimal}
    grouping = re.compile(f"{re.escape(other)}|{_BLANKS}")
    plain = [grouping.sub("", word).replace(decimal, ".").replace("−", "-") for word in words]
    numbers = np.array([float(word) for word in plain], "float64")
    is_whole = all(word.lstrip("+-").isdigit() for word in plain)
    if is_whole and (np.abs(numbers) < 2.0**62).all():
        return np.array([int(word) for word in plain], "int64")
    return numbers


def truths(words: Iterable[str]) -> dict[str, bool] | None:
    """Return what words such as true and False mean; None if any is another."""
    meant: dict[str, bool] = {}
    for word in words:
        lower = word.lower()
        if lower not in _TRUE | _FALSE:
            return None
        meant[word] = lower in _TRUE
    return meant or None
