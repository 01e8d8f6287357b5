"""What becomes of each column, found out from the training's rows alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from keras_acts.errors import shown

from .kinds import CATEGORY, DATE, NUMBER

# of a column of words, the most frequent
MOST_CATEGORIES = 100
# what stands in one row only teaches nothing about itself
_LEAST_ROWS = 2
# words of which more than this share of rows has one of its own are names or texts
_MOST_OWN = 0.5
_FEW = 20
# a week, and the sine and cosine of the time of year and of the day
_OF_WEEK = 7
_OF_YEAR = 2
_OF_DAY = 2
_EPOCH = np.datetime64("1970-01-01")


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: minus its mean, divided by its standard deviation.

    Attributes:
        name: of the column.
        mean: of the rows that have one, which gaps are taken for.
        variance: of these rows; 1 where they are all the same.
        gaps: how many of the training's rows have none; with any, a column says which.
    """

    name: str
    mean: float
    variance: float
    gaps: int = 0
    kind = NUMBER

    @property
    def width(self) -> int:
        """How many numbers the model takes of it."""
        return 1 + (self.gaps > 0)

    def done(self) -> str:
        """Return in words what is done."""
        return f"minus {self.mean:.4g}, divided by {self.variance**0.5:.4g}{_of_gaps(self.gaps)}"


@dataclass(frozen=True)
class Categories:
    """A column of words: one number a category, which is 1 where it is that one.

    Attributes:
        name: of the column.
        words: the categories; an empty one stands for gaps.
        others: how many of the training's rows have a rarer one. They share a number, which those
            that the training has not seen have too; without any, these have 0 everywhere.
        gaps: how many rows have none.
    """

    name: str
    words: tuple[str, ...]
    others: int = 0
    gaps: int = 0
    kind = CATEGORY

    @property
    def width(self) -> int:
        """How many numbers the model takes of it."""
        return len(self.words) + (self.others > 0)

    def done(self) -> str:
        """Return in words what is done."""
        text = f"one of {len(self.words)} categories"
        if self.gaps:
            text += f", of which one is a gap ({self.gaps} rows)"
        if self.others:
            return f"{text}; rarer and unseen ones together ({self.others} rows)"
        return f"{text}; an unseen one is none of them"


@dataclass(frozen=True)
class Dates:
    """A column of dates: days since 1970-01-01, weekday, time of year, and of day if it has any.

    Attributes:
        name: of the column.
        mean: of the days; gaps are taken for it.
        variance: of the days.
        gaps: how many rows have none.
        times: whether there are times of day.
    """

    name: str
    mean: float
    variance: float
    gaps: int = 0
    times: bool = False
    kind = DATE

    @property
    def width(self) -> int:
        """How many numbers the model takes of it."""
        return 1 + _OF_WEEK + _OF_YEAR + _OF_DAY * self.times + (self.gaps > 0)

    def done(self) -> str:
        """Return in words what is done."""
        parts = "days since 1970-01-01 (UTC), scaled; weekday; time of year"
        if self.times:
            parts += "; time of day"
        return f"{parts}{_of_gaps(self.gaps)}"


@dataclass(frozen=True)
class LeftOut:
    """A column that the model does not take.

    Attributes:
        name: of the column.
        kind: of its values.
        why: in words.
    """

    name: str
    kind: str
    why: str
    width = 0
    gaps = 0

    def done(self) -> str:
        """Return in words what is done."""
        return f"left out: {self.why}"


Column: TypeAlias = Numbers | Categories | Dates | LeftOut


def fitted(name: str, kind: str, values: np.ndarray) -> Column:
    """Return what is done with a column.

    Args:
        name: of the column.
        kind: of its values.
        values: of the training's rows, as `values_of` returns them.
    """
    if kind == CATEGORY:
        return _categories(name, values)
    is_gap = np.isnan(values)
    gaps = int(is_gap.sum())
    filled = values[~is_gap]
    if not len(filled):
        return LeftOut(name, kind, "no training row has a value")
    # as the model takes them: what float32 cannot tell apart has no spread to divide by
    rounded = filled.astype("float32")
    is_same = bool((rounded == rounded[0]).all())
    if is_same and not gaps:
        return LeftOut(name, kind, f"{_value(filled[0], kind)} in all training rows")
    variance = 1.0
    if not is_same:
        # a spread that float64 cannot square
        variance = float(filled.var()) or 1.0
    if kind == DATE:
        times = bool((filled != np.floor(filled)).any())
        return Dates(name, float(filled.mean()), variance, gaps, times)
    return Numbers(name, float(filled.mean()), variance, gaps)


def _value(value: float, kind: str) -> str:
    if kind == DATE:
        return str(_EPOCH + int(value))
    return f"{value:g}"


def _categories(name: str, values: np.ndarray) -> Column:
    gaps = sum(value is None for value in values)
    counts = Counter(value for value in values if value is not None)
    filled = len(values) - gaps
    if not counts:
        return LeftOut(name, CATEGORY, "no training row has a value")
    if len(counts) == 1 and not gaps:
        return LeftOut(name, CATEGORY, f"{shown(next(iter(counts)))} in all training rows")
    alone = sum(count == 1 for count in counts.values())
    if len(counts) > _FEW and alone > _MOST_OWN * filled:
        return LeftOut(name, CATEGORY, f"{len(counts)} different words in {filled} rows")
    # the most frequent first, and equal ones by name, so that the order of rows does not matter
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    kept = [word for word in ranked[:MOST_CATEGORIES] if counts[word] >= _LEAST_ROWS]
    if not kept:
        return LeftOut(name, CATEGORY, "no two training rows have the same")
    words = sorted(kept)
    if gaps:
        words = ["", *words]
    others = filled - sum(counts[word] for word in kept)
    return Categories(name, tuple(words), others, gaps)


def _of_gaps(gaps: int) -> str:
    if not gaps:
        return ""
    return f"; gaps ({gaps} rows) are taken for the mean, and marked"


def input_names(names: Sequence[str]) -> list[str]:
    """Return what the inputs of columns are called: as they are, but Keras has no ``/`` in a name."""
    found: list[str] = []
    for name in names:
        plain = name.replace("/", "_")
        unique = plain
        while unique in found or (unique != name and unique in names):
            unique += "_"
        found.append(unique)
    return found
