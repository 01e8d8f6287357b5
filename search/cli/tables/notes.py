"""What a user should look at before a search trains on data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from keras_acts.errors import shown

from ..words import is_number
from .cells import GAPS

if TYPE_CHECKING:
    import pandas

    from ..data import Dataset, Parts

_MANY_CLASSES = 100
# who always says the largest class is right in so many cases
_UNEVEN = 0.8
_FEW = 5


def of_target(dataset: Dataset, parts: Parts) -> Iterator[str]:
    """Yield what is odd about what is predicted."""
    target = dataset.target or "y"
    y = dataset.y
    if not dataset.classes:
        return
    counts = np.bincount(y, minlength=len(dataset.classes))
    if len(counts) > _MANY_CLASSES:
        yield _many(target, dataset, int(np.median(counts)))
    for name, count in zip(dataset.classes, counts, strict=True):
        if not name.strip() or name in GAPS:
            yield (
                f"{name!r} is taken for a class of {target!r}, with {count} rows: leave them out if it "
                "stands for a label that nobody knows"
            )
    share = counts.max() / counts.sum()
    if share > _UNEVEN:
        largest = dataset.classes[int(counts.argmax())]
        yield (
            f"{100 * share:.0f} % of the rows are {largest!r}: a model that always says so has that "
            "accuracy"
        )
    trained = np.bincount(parts.train[1], minlength=len(counts))
    unseen = [name for name, count in zip(dataset.classes, trained, strict=True) if not count]
    alone = [name for name, count in zip(dataset.classes, counts, strict=True) if count == 1]
    if alone:
        yield f"{_listed(alone)} with one row only: it trains, or it is tested, not both"
    if unseen:
        yield f"{_listed(unseen)} with no row in the training part: it is never predicted"


def _many(target: str, dataset: Dataset, rows: int) -> str:
    numbers = ""
    # words are no regression
    if all(map(is_number, dataset.classes)):
        numbers = "; --task regression takes it for numbers"
    return (
        f"{target!r} is taken for {len(dataset.classes)} classes, half of which have {rows} rows or "
        f"fewer{numbers}"
    )


def _listed(names: list[str]) -> str:
    """Classes in words, the first few by name."""
    first = ", ".join(map(shown, names[:_FEW]))
    if len(names) == 1:
        return f"There is a class, {first},"
    more = ""
    if len(names) > _FEW:
        more = f" and {len(names) - _FEW} more"
    return f"There are {len(names)} classes, {first}{more},"


def of_parts(frames: Mapping[str, pandas.DataFrame]) -> Iterator[str]:
    """Yield which rows of other files are among those that train."""
    import pandas

    train = frames["--data"]
    known = set(pandas.util.hash_pandas_object(train.astype(str), index=False))
    for option, frame in frames.items():
        if option == "--data":
            continue
        hashed = pandas.util.hash_pandas_object(frame.astype(str), index=False)
        same = int(hashed.isin(known).sum())
        if same:
            yield (
                f"{same} of {len(frame)} rows of {option} are in --data too: a score on them says "
                "less about new rows"
            )
