"""The columns of a frame as plain arrays: numbers, words and dates."""

from __future__ import annotations

import datetime
import numbers
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_acts.errors import DataError, shown

if TYPE_CHECKING:
    import pandas

NUMBER = "number"
CATEGORY = "category"
DATE = "date"

# a frame of pandas or polars, or arrays by name
Frame = Any
_DAY = np.timedelta64(1, "D")
_EPOCH = np.datetime64("1970-01-01")


def as_pandas(frame: Frame) -> pandas.DataFrame:
    """Return a frame of pandas or polars, or a mapping of arrays, as one of pandas.

    Raises:
        DataError: if it is none, or a name stands for two columns.
    """
    import pandas

    if not isinstance(frame, pandas.DataFrame):
        frame = _from_other(frame)
    names = list(map(str, frame.columns))
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"Each column needs a name of its own. Received: {name!r} twice")
    return frame.set_axis(names, axis=1)


def _from_other(frame: Frame) -> pandas.DataFrame:
    import pandas

    if type(frame).__module__.partition(".")[0] == "polars" and hasattr(frame, "get_columns"):
        frame = {column.name: column.to_list() for column in frame.get_columns()}
    if not isinstance(frame, Mapping):
        raise DataError(
            "A table must be a frame of pandas or polars, or a mapping of arrays. Received: "
            f"{shown(frame)}"
        )
    try:
        return pandas.DataFrame(dict(frame))
    except ValueError as error:
        raise DataError(f"All columns need as many rows. Received: {error}") from None


def kind_of(name: str, column: pandas.Series) -> str:
    """Return whether a column is of numbers, words or dates.

    Raises:
        DataError: if it is of something else, or of several.
    """
    import pandas

    types = pandas.api.types
    dtype = column.dtype
    if isinstance(dtype, pandas.CategoricalDtype):
        return CATEGORY
    if types.is_bool_dtype(dtype) or (
        types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype)
    ):
        return NUMBER
    if types.is_datetime64_any_dtype(dtype):
        return DATE
    filled = column[column.notna()]
    is_object = types.is_object_dtype(dtype)
    if types.is_string_dtype(dtype) and not is_object:
        return CATEGORY
    if not is_object:
        raise _unknown(name, str(dtype))
    for kind, allowed in (
        (CATEGORY, str),
        (NUMBER, numbers.Real | Decimal | np.bool_),
        (DATE, datetime.date),
    ):
        if all(isinstance(value, allowed) for value in filled):
            return kind
    raise _unknown(name, " and ".join(sorted({type(value).__name__ for value in filled})))


def _unknown(name: str, what: str) -> DataError:
    return DataError(
        f"A column must be of numbers, truth values, words or dates. Received: {name!r} of {what}"
    )


def values_of(name: str, column: pandas.Series, kind: str) -> np.ndarray:
    """Return a column as an array of its kind.

    Numbers are float64 with NaN for gaps, words objects with None for gaps, dates days since
    1970-01-01 (UTC) in float64 with NaN for gaps.

    Raises:
        DataError: if it is of another kind, or infinite.
    """
    found = kind_of(name, column)
    # a column of gaps alone is of any kind
    if found != kind and column.notna().any():
        raise DataError(
            f"The column {name!r} must be of {_WORDS[kind]}, as in the training. Received: "
            f"{_WORDS[found]}"
        )
    if kind == CATEGORY:
        return _words(column)
    if not column.notna().any():
        return np.full(len(column), np.nan)
    if kind == DATE:
        return _days(name, column)
    return _finite(name, column)


_WORDS = {NUMBER: "numbers", CATEGORY: "words", DATE: "dates"}


def _finite(name: str, column: pandas.Series) -> np.ndarray:
    values = column.to_numpy("float64", na_value=np.nan)
    with np.errstate(over="ignore"):
        infinite = np.flatnonzero(np.isinf(values.astype("float32")))
    if len(infinite):
        raise DataError(
            "Numbers must be finite, and such as float32 can hold. Received: "
            f"{values[infinite[0]]:g} in row {infinite[0] + 1}, column {name!r}"
        )
    return values


def _words(column: pandas.Series) -> np.ndarray:
    is_gap = column.isna().to_numpy()
    values = column.astype(object).to_numpy()
    words = np.array([str(value) for value in values], object)
    words[is_gap] = None
    return words


def _days(name: str, column: pandas.Series) -> np.ndarray:
    import pandas

    try:
        dates = pandas.to_datetime(column, utc=True).dt.tz_localize(None)
    except ValueError as error:  # pandas before 3 knows the years 1678 to 2261 only
        raise DataError(
            f"Dates must be such as pandas knows. Received: {name!r} ({error})"
        ) from None
    # not nanoseconds, of which 64 bits end in 2262: 9999-12-31 would be a day of 1816
    array = dates.to_numpy("datetime64[us]")
    days = (array - _EPOCH) / _DAY
    days[np.isnat(array)] = np.nan
    return days
