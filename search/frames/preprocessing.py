"""A table's columns as what a model takes: fitted on the training's rows, inside the export."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import keras
import numpy as np

from keras_acts.errors import DataError

from ..report.tables import COLUMNS, TextTable, plain_text
from ..runtime.memory import free_ram
from . import encoding, notes
from .columns import Categories, Column, LeftOut, fitted
from .kinds import CATEGORY, NUMBER, Frame, as_pandas, kind_of, values_of

# rows at a time
_BATCH = 4096
_BYTES = 4
# of the table as text
_WIDTH = 100


class TablePreprocessing:
    """What is done with each column of a table, by Keras' own layers.

    Numbers are normalized, words become one number a category, dates become days, weekday and time
    of year. Gaps in numbers are taken for the mean, and marked by a number of their own; in words
    they are a category. All of it is found out from `frame` alone: give the training's rows, and
    validation and test rows have no say in it.

    Args:
        frame: the training's rows without the target: a frame of pandas or polars, or arrays by
            name.
        drop: columns that are left out.

    Attributes:
        columns: what is done with each.
        model: the Keras model that does it: from columns by name (with ``_`` for ``/``), each of
            shape (n, 1), to one array of shape (n, `width`). As ``preprocessing=`` of an export it comes first inside
            the graph, which then takes the columns as they are.
        notes: what one should look at before training.

    Raises:
        DataError: if a column is of no known kind, or none is left.

    Example:
        >>> table = TablePreprocessing(train.drop(columns="price"))
        >>> print(table)
        >>> x, x_test = table(train), table(test)
        >>> result = search_activations(build(table.width), x, train["price"], ...)
        >>> result.export("prices", preprocessing=table.model, samples=table.inputs(test))
    """

    def __init__(self, frame: Frame, *, drop: Collection[str] = ()):
        if keras.backend.backend() != "tensorflow":
            raise DataError(
                "Words, dates and gaps need Keras on TensorFlow (KERAS_BACKEND=tensorflow), whose "
                f"graph takes them. Received: the backend {keras.backend.backend()}"
            )
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
        self.model = encoding.build(self.columns)

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the columns that the model takes."""
        return tuple(each.name for each in self.columns if not isinstance(each, LeftOut))

    @property
    def width(self) -> int:
        """How many numbers a row becomes."""
        return sum(each.width for each in self.columns)

    def inputs(self, frame: Frame) -> dict[str, np.ndarray]:
        """Return the columns as `model` takes them, each of shape (n, 1).

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
        names = dict(zip(self.features, encoding.input_names(self.features), strict=True))
        arrays: dict[str, np.ndarray] = {}
        for column in self.columns:
            if not isinstance(column, LeftOut):
                values = values_of(column.name, table[column.name], column.kind)
                arrays[names[column.name]] = as_input(values, column.kind)
        return arrays

    def __call__(self, frame: Frame) -> np.ndarray:
        """Return the rows of a frame as numbers, float32 of shape (n, `width`)."""
        inputs = self.inputs(frame)
        rows = len(next(iter(inputs.values())))
        if not rows:
            return np.zeros((0, self.width), "float32")
        needed = rows * self.width * _BYTES
        free = free_ram()
        if needed > free // 2:
            raise DataError(
                f"The table as numbers must fit into half of the {free:,} bytes of memory that are "
                f"free: leave columns out. Received: {rows:,} rows of {self.width:,} numbers"
            )
        return encoding.encoded(self.model, inputs, _BATCH)

    def unseen(self, frame: Frame) -> list[str]:
        """Return what other rows have that the training's had not, a line each."""
        table = as_pandas(frame)
        found = []
        for column in self.columns:
            if not isinstance(column, LeftOut):
                values = values_of(column.name, table[column.name], column.kind)
                found += _unseen(column, values)
        return found

    def table(self) -> TextTable:
        """Return what is done with each column, to be drawn."""
        rows = [(each.name, each.kind, str(each.width), each.done()) for each in self.columns]
        return TextTable(COLUMNS, rows)

    def __str__(self) -> str:
        return plain_text(self.table().drawn(), _WIDTH)

    def card(self) -> dict[str, Any]:
        """Return the facts for a model card: which columns the model takes, and what is done."""
        names = dict(zip(self.features, encoding.input_names(self.features), strict=True))
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
    words = ["" if word is None else word for word in values]
    return np.array(words, str)[:, None]


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
    first = ", ".join(map(repr, list(counts)[:3]))
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
