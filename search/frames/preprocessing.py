"""A table's columns as what a model takes: fitted on the training's rows, inside the export."""

from __future__ import annotations

from collections.abc import Collection

import keras
import numpy as np

from keras_acts.errors import DataError

from ..runtime.ram import free_ram
from . import encoding
from .fit import FittedColumns
from .kinds import Frame

# rows at a time
_BATCH = 4096
_BYTES = 4


class TablePreprocessing(FittedColumns):
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
        _check_backend()
        super().__init__(frame, drop=drop)
        self.model = encoding.build(self.columns)

    @classmethod
    def of(cls, fit: FittedColumns) -> TablePreprocessing:
        """Return the same columns with the Keras model that does it."""
        _check_backend()
        made = cls.__new__(cls)
        made.columns = fit.columns
        made.notes = fit.notes
        made.model = encoding.build(fit.columns)
        return made

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


def _check_backend() -> None:
    if keras.backend.backend() != "tensorflow":
        raise DataError(
            "Words, dates and gaps need Keras on TensorFlow (KERAS_BACKEND=tensorflow), whose "
            f"graph takes them. Received: the backend {keras.backend.backend()}"
        )
