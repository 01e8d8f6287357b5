"""What is done with the columns of a table, found out from the training's rows alone. No Keras."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from keras_acts.errors import DataError, shown

from ..report.tables import COLUMNS, TextTable, plain_text
from . import notes
from .columns import Categories, Column, LeftOut, fitted, input_names
from .kinds import CATEGORY, NUMBER, Frame, as_pandas, kind_of, values_of

# columns that are left out, and told one by one
_FEW = 5


class FittedColumns:
    """The columns of a table with what is done with each.

    Args:
        frame: the training's rows without the target: a frame of pandas or polars, or arrays by
            name.
        drop: columns that are left out.

    Attributes:
        columns: what is done with each.
        notes: what one should look at before training.

    Raises:
        DataError: if a column is of no known kind, or none is left.
    """

    def __init__(self, frame: Frame, *, drop: Collection[str] = ()):
        table = as_pandas(frame)
        for name in drop:
            if name not in table.columns:
                raise DataError(
                    f"drop must name columns: {', '.join(table.columns)}. Received: {name!r}"
                )
        columns: list[Column] = []
        self.notes: list[str] = []
        for name in table.columns:
            if name in drop:
                continue
            kind = kind_of(name, table[name])
            values = values_of(name, table[name], kind)
            columns.append(fitted(name, kind, values))
            if kind == NUMBER:
                self.notes += notes.of_numbers(name, values)
        self.columns = tuple(columns)
        if not self.features:
            raise DataError(
                "At least one column must tell something. Received: "
                f"{', '.join(f'{each.name!r} {each.done()}' for each in columns) or 'none'}"
            )

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the columns that the model takes."""
        return tuple(each.name for each in self.columns if not isinstance(each, LeftOut))

    @property
    def width(self) -> int:
        """How many numbers a row becomes."""
        return sum(each.width for each in self.columns)

    def inputs(self, frame: Frame) -> dict[str, np.ndarray]:
        """Return the columns as the graph takes them, each of shape (n, 1).

        Raises:
            DataError: if a column is missing, or of another kind than in the training.
        """
        table = as_pandas(frame)
        missing = [name for name in self.features if name not in table.columns]
        if missing:
            raise DataError(
                f"The table must have the columns {list(self.features)}. Received: "
                f"{list(table.columns)}, without {missing}"
            )
        names = dict(zip(self.features, input_names(self.features), strict=True))
        arrays: dict[str, np.ndarray] = {}
        for column in self.columns:
            if not isinstance(column, LeftOut):
                values = values_of(column.name, table[column.name], column.kind)
                arrays[names[column.name]] = as_input(values, column.kind)
        return arrays

    def unseen(self, frame: Frame) -> list[str]:
        """Return what other rows have that the training's had not, a line each."""
        table = as_pandas(frame)
        found = []
        for column in self.columns:
            if not isinstance(column, LeftOut):
                values = values_of(column.name, table[column.name], column.kind)
                found += _unseen(column, values)
        return found

    def left_out(self) -> list[str]:
        """Return which columns tell nothing, a line each, and the rest of many in one."""
        left = [column for column in self.columns if isinstance(column, LeftOut)]
        found = [f"{column.name!r} is {column.done()}" for column in left[:_FEW]]
        more = left[_FEW:]
        if more:
            found.append(
                f"{len(more)} more columns are left out, {more[0].name!r} … {more[-1].name!r}"
            )
        return found

    def table(self) -> TextTable:
        """Return what is done with each column, to be drawn."""
        rows = [(each.name, each.kind, str(each.width), each.done()) for each in self.columns]
        return TextTable(COLUMNS, rows)

    def __str__(self) -> str:
        return plain_text(self.table().drawn())

    def card(self) -> dict[str, Any]:
        """Return the facts for a model card: which columns the model takes, and what is done."""
        names = dict(zip(self.features, input_names(self.features), strict=True))
        described = []
        for column in self.columns:
            entry: dict[str, Any] = {
                "name": column.name,
                "kind": column.kind,
                "numbers": column.width,
                "gaps": column.gaps > 0,
                "input": names.get(column.name),
                "done": column.done(),
            }
            if isinstance(column, Categories):
                entry["categories"] = list(column.words)
            described.append(entry)
        return {"features": list(self.features), "columns": described}


def as_input(values: np.ndarray, kind: str) -> np.ndarray:
    """Return the values of a column as the graph takes them, of shape (n, 1)."""
    if kind != CATEGORY:
        return values.astype("float32")[:, None]
    words = np.array(values, object)
    words[[word is None for word in words]] = ""
    # not as NumPy's own text, in which each would be as long as the longest: one long remark among
    # 100,000 rows would take gigabytes
    return words[:, None]


def _unseen(column: Column, values: np.ndarray) -> list[str]:
    """What a column has that none of the training's rows had."""
    gaps = len(rows_with_gaps(values))
    found = []
    if gaps and not column.gaps:
        taken = "the mean"
        if isinstance(column, Categories):
            taken = "an unseen category"
        found.append(
            f"{column.name!r} has gaps in {gaps} rows, and none in the training: they "
            f"are taken for {taken}"
        )
    if isinstance(column, Categories):
        found += unseen_words(column.name, set(column.words), values)
    return found


def unseen_words(name: str, known: Collection[str], values: np.ndarray) -> list[str]:
    """Return a line on the words that are none of the categories, if there are any."""
    counts: dict[str, int] = {}
    for value in values:
        if value is not None and value not in known:
            counts[value] = counts.get(value, 0) + 1
    if not counts:
        return []
    first = ", ".join(map(shown, list(counts)[:3]))
    return [
        f"{name!r} has {sum(counts.values())} rows with a category that the training has not, or "
        f"hardly: {first}"
    ]


def is_plain(frame: Frame) -> bool:
    """Whether all columns are numbers without a gap, which a model takes as they are."""
    table = as_pandas(frame)
    kinds = [kind_of(name, table[name]) for name in table.columns]
    return set(kinds) <= {NUMBER} and not table.isna().any(axis=None)


def rows_with_gaps(values: np.ndarray) -> np.ndarray:
    """Return the rows in which a column has none, counted from 0."""
    return np.flatnonzero([value is None or value != value for value in values])
