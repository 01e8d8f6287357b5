"""What a user should look at before a table trains."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

# what names rows
_ID = re.compile(r"unnamed: \d+|index|row.*|.*\bid|.*_id|id", re.IGNORECASE)
# in fewer rows, all are different by chance
_LEAST_ROWS = 20
# of measured fractions float32 makes one of some that are nearly the same, which costs nothing
_MOST_LOST = 0.01


def of_numbers(name: str, values: np.ndarray) -> Iterator[str]:
    """Yield what is odd about a column of numbers.

    Args:
        name: of the column.
        values: with NaN for gaps.
    """
    filled = values[~np.isnan(values)]
    different = np.unique(filled)
    is_whole = bool((filled == np.floor(filled)).all())
    if is_whole and len(filled) >= _LEAST_ROWS and len(different) == len(filled):
        counts = different[-1] - different[0] == len(different) - 1
        if counts or _ID.fullmatch(name):
            yield (
                f"{name!r} is another whole number in each row: if it names the rows, leave it "
                "out, or the model learns how they are sorted"
            )
        else:
            yield (
                f"{name!r} is another whole number in each row: leave it out if it only names them"
            )
    elif _ID.fullmatch(name) and is_whole and len(different) > _LEAST_ROWS:
        yield f"{name!r} is called as what names the rows is: leave it out if it does"
    yield from of_rounding(name, different)


def of_rounding(name: str, values: np.ndarray) -> Iterator[str]:
    """Yield whether float32, in which models take numbers, makes one of several, and of many so.

    Args:
        name: of the column.
        values: as they were read, without gaps.
    """
    different = np.unique(values)
    with np.errstate(over="ignore"):  # such are refused
        rounded = len(np.unique(different.astype("float32")))
    lost = len(different) - rounded
    if lost > _MOST_LOST * len(different):
        yield (
            f"{name!r} has {len(different)} different numbers, of which float32 can tell "
            f"{rounded} apart"
        )
