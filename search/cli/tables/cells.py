"""The cells of one column: which kind they are, and what they say.

All is looked at once a word, however many rows have it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from . import dates, numbers
from .errors import TableError
from .options import BOOLEAN, CATEGORY, DATE, EMPTY, NUMBER

if TYPE_CHECKING:
    import pandas

# what stands for a missing number, whoever wrote the file; in a column of words these are words
GAPS = frozenset(
    {"?", "-", "--", ".", "NA", "N/A", "n/a", "na", "#N/A", "<NA>", "NaN", "nan", "NULL", "null"}
    | {"None", "none", "missing"}
)
# numbers, of which so few are different, may be categories of which some are called by words
_FEW = 20
# among that share of numbers, words are gaps or slips
_MOSTLY = 0.9
# of more numbers than that, words are told
_HALF = 0.5
_NONE = -1


@dataclass(frozen=True)
class How:
    """How a column was read.

    Attributes:
        kind: one of the kinds of `options`.
        decimal: the sign before the decimals; empty where there are none.
        written: how dates are written.
        gaps: words that were taken for gaps, with how often.
        sign: a currency's or % that stands beside each number.
    """

    kind: str
    decimal: str = ""
    written: str = ""
    gaps: dict[str, int] = field(default_factory=dict)
    sign: str = ""

    def said(self) -> str:
        """Return in words what one should know of it; empty if there is nothing."""
        parts = []
        if self.sign:
            parts.append(f"without {self.sign}")
        if self.decimal == ",":
            parts.append("decimal comma")
        if self.kind == DATE and self.written != dates.ISO:
            parts.append(f"written as {self.written}")
        for word, count in self.gaps.items():
            parts.append(f"{word!r} is a gap ({count} times)")
        return "; ".join(parts)


class Cells:
    """The cells of a column as they are written, without spaces around them.

    Attributes:
        name: of the column.
        words: the different ones; an empty cell is none of them.
        codes: of each row, the place of its word; -1 for an empty cell.
        sign: a currency's or % that stands beside all numbers; empty if there is none. Words
            among the numbers do not count: they are what is to be told.
    """

    def __init__(self, name: str, cells: pandas.Series, gaps: Collection[str]):
        # not above: what is refused before a table is read need not wait for it
        import pandas

        self.name = name
        self._gaps = frozenset(gaps)
        stripped = cells.astype(object).where(cells.notna(), "").astype(str).str.strip()
        codes, words = pandas.factorize(stripped)
        self.words = [str(word) for word in words]
        self._places = {word: place for place, word in enumerate(self.words)}
        empty = {place for place, word in enumerate(self.words) if self._is_empty(word)}
        self.codes = np.where(np.isin(codes, sorted(empty)), _NONE, codes)
        self._counts = np.bincount(codes, minlength=len(self.words))
        self.sign = numbers.sign_of(self.numeric())

    def _is_empty(self, word: str) -> bool:
        return not word or word in self._gaps

    def count(self, word: str) -> int:
        """In how many rows a word stands."""
        return int(self._counts[self._places[word]])

    def row(self, word: str) -> int:
        """The first row with a word, counted from 1."""
        return int(np.argmax(self.codes == self._places[word])) + 1

    def filled(self) -> list[str]:
        """The words that stand for something."""
        return [word for word in self.words if not self._is_empty(word)]

    def numeric(self) -> list[str]:
        """The words that are no gaps, if the column is one of numbers."""
        return [word for word in self.filled() if word not in GAPS]

    def numerals(self) -> list[str]:
        """The same without the sign that all numbers have."""
        if not self.sign:
            return self.numeric()
        return [numbers.without_sign(word) for word in self.numeric()]

    def kind(self) -> str:
        """Return which kind the column is.

        Raises:
            TableError: if it has numbers and words, and it is not clear which are meant.
        """
        filled = self.filled()
        if not filled:
            return EMPTY
        numeric = self.numeric()
        if not numeric:
            return CATEGORY  # gaps alone are words, such as "none"
        if numbers.truths(numeric) is not None:
            return BOOLEAN
        numerals = self.numerals()
        if numbers.decimals_of(numerals):
            if numbers.is_code(numerals):
                return CATEGORY
            return NUMBER
        if dates.format_of(self.name, numeric):
            return DATE
        self._check_words(numeric)
        return CATEGORY

    def is_mostly_numbers(self) -> bool:
        """Whether more than half of what stands there are numbers, with signs beside them or not."""
        numeric = self.numeric()
        known, _ = _parted(numeric, _is_number)
        return not self._is_of_codes(known) and self._share(known, numeric) > _HALF

    def is_mostly_dates(self) -> bool:
        """Whether more than half of what stands there are dates."""
        numeric = self.numeric()
        known, _ = _parted(numeric, dates.is_date)
        return self._share(known, numeric) > _HALF

    def words_among_numbers(self) -> list[str]:
        """The words that are no numbers, the most frequent first."""
        _, others = _parted(self.numeric(), _is_number)
        return sorted(others, key=self.count, reverse=True)

    def words_among_dates(self) -> list[str]:
        """The words that are no dates, the most frequent first."""
        _, others = _parted(self.numeric(), dates.is_date)
        return sorted(others, key=self.count, reverse=True)

    def _is_of_codes(self, known: Sequence[str]) -> bool:
        return numbers.is_code(map(numbers.without_sign, known))

    def _share(self, some: Sequence[str], words: Sequence[str]) -> float:
        """In which share of the rows that have one of the words some of them stand."""
        return sum(map(self.count, some)) / max(1, sum(map(self.count, words)))

    def _check_words(self, numeric: Sequence[str]) -> None:
        """Check that a column that would be one of words is not one of numbers, or dates, with slips."""
        self._check_slips("dates", numeric, *_parted(numeric, dates.is_date))
        known, others = _parted(numeric, _is_number)
        if self._is_of_codes(known):
            return
        share = self._share(known, numeric)
        if share > _HALF and not _decimals_of(known):  # 1.5 and 1,5
            raise TableError(
                f"one decimal sign in the column {self.name!r}, not "
                f"{self._both(known)}; --column {self.name!r}=category takes words"
            )
        # of a currency, "$ -" is no category, but a program's way to write 0, or a gap
        dashes = [word for word in others if numbers.without_sign(word) in GAPS]
        if dashes and share > _HALF:
            raise TableError(
                f"numbers or gaps in the column {self.name!r}, not {dashes[0]!r} in row "
                f"{self.row(dashes[0])}: it may be a gap (--gaps {dashes[0]!r}), or 0, as spreadsheets "
                f"show it (then the file must say 0); --column {self.name!r}=category takes all for "
                "words"
            )
        self._check_slips("numbers", numeric, known, others)

    def _check_slips(
        self, what: str, words: Sequence[str], known: Sequence[str], others: Sequence[str]
    ) -> None:
        """Check that no few words stand among many numbers or dates, which are known."""
        is_few = len(known) <= _FEW or self._share(known, words) < _MOSTLY
        if is_few or not others:
            return
        raise TableError(
            f"{what} or words in the column {self.name!r}, not {others[0]!r} in row "
            f"{self.row(others[0])} among {what}: --gaps {others[0]!r} takes it for a gap, "
            f"--column {self.name!r}=category takes all for words"
        )

    def _both(self, known: Sequence[str]) -> str:
        point = next(word for word in known if "," not in _decimals_of([word]))
        comma = next(word for word in known if "." not in _decimals_of([word]))
        return f"{point!r} in row {self.row(point)} and {comma!r} in row {self.row(comma)}"

    def gaps_seen(self) -> dict[str, int]:
        """The words, besides an empty cell, that stand for a gap in a column of numbers."""
        words = [word for word in self.words if word in GAPS | self._gaps]
        return {word: self.count(word) for word in words}

    def as_numbers(self, decimal: str) -> np.ndarray:
        """Return the numbers, with NaN for gaps.

        Raises:
            TableError: naming a word that is none.
        """
        numeric = self.numeric()
        numerals = self.numerals()
        for word, numeral in zip(numeric, numerals, strict=True):
            if decimal not in numbers.decimals_of([numeral]):
                raise TableError(
                    f"numbers with the decimal sign {decimal!r} in the column {self.name!r}, not "
                    f"{word!r} in row {self.row(word)}"
                )
        return self._spread(numeric, numbers.values(numerals, decimal), np.nan)

    def as_truths(self) -> np.ndarray:
        """Return True and False, or 1.0, 0.0 and NaN where there are gaps.

        Raises:
            TableError: naming a word that is neither.
        """
        filled = self.numeric()
        for word in filled:
            if numbers.truths([word]) is None:
                raise TableError(
                    f"true or false in the column {self.name!r}, not {word!r} in row "
                    f"{self.row(word)}"
                )
        meant = np.array([word.lower() == "true" for word in filled], bool)
        return self._spread(filled, meant, np.nan)

    def as_dates(self, written: str) -> np.ndarray:
        """Return the dates, with NaT for gaps."""
        filled = self.numeric()
        return self._spread(filled, dates.days_of(self.name, filled, written), np.datetime64("NaT"))

    def as_words(self) -> np.ndarray:
        """Return the words, with None for gaps."""
        filled = self.filled()
        return self._spread(filled, np.array(filled, object), None)

    def alike(self) -> tuple[str, str] | None:
        """Two words that differ in capitals only, if there are such."""
        seen: dict[str, str] = {}
        for word in self.filled():
            first = seen.setdefault(word.casefold(), word)
            if first != word:
                return first, word
        return None

    def _spread(self, words: Sequence[str], values: np.ndarray, gap: object) -> np.ndarray:
        """The value of each row's word; the gap for what is none of the words."""
        place = {word: index for index, word in enumerate(words)}
        of_words = np.array([place.get(word, _NONE) for word in self.words], "int64")
        places = np.where(self.codes == _NONE, _NONE, of_words[self.codes])
        is_gap = places == _NONE
        if not is_gap.any():
            return values[places]
        dtype = values.dtype
        if dtype.kind in "bi":
            dtype = np.dtype("float64")
        spread = np.full(len(places), gap, dtype)
        spread[~is_gap] = values[places[~is_gap]]
        return spread


def _is_number(word: str) -> bool:
    """Whether a word is a number, with a sign beside it or not."""
    return numbers.is_number(numbers.without_sign(word))


def _parted(words: Sequence[str], is_one: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    """The words that are some, numbers or dates, and the others."""
    known = []
    others = []
    for word in words:
        if is_one(word):
            known.append(word)
        else:
            others.append(word)
    return known, others


def _decimals_of(known: Sequence[str]) -> tuple[str, ...]:
    """With which decimal signs all numbers are some, without the signs beside them."""
    return numbers.decimals_of(map(numbers.without_sign, known))
