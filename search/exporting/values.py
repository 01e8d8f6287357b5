"""Which values an input can hold: a cast would silently make others of the rest."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from keras_acts.errors import DataError

Arrays = dict[str, np.ndarray]
# of the inputs of a signature, as the model card tells them
Specs = Mapping[str, Mapping[str, Any]]

_WHOLE = ("int", "uint", "bool")
# None is a gap
_REAL = (numbers.Real, np.bool_, Decimal, type(None))


def unlike(values: np.ndarray, dtype: str) -> str:
    """Return in words of which kind values are, if an input takes none of that kind; else nothing.

    NumPy makes days of dates, drops the imaginary part of complex numbers, and reads numbers out of
    words.

    Args:
        values: of any kind.
        dtype: of the input, as a model card has it.
    """
    if values.dtype != object:
        if _is_like(values.dtype, dtype):
            return ""
        return f"values of dtype {values.dtype}"
    for kind in sorted({type(value) for value in values.flat}, key=str):
        if not _is_object_like(kind, dtype):
            return f"a value of type {kind.__name__}"
    return ""


def _is_like(kind: np.dtype, dtype: str) -> bool:
    if dtype == "string":
        return kind.kind in "US"
    if dtype.startswith("complex") and kind.kind == "c":
        return True
    # bfloat16 and others of its package have a kind of their own, as records have
    return kind.kind in "biuf" or np.can_cast(kind, "float64")


def _is_object_like(kind: type, dtype: str) -> bool:
    if dtype == "string":
        return issubclass(kind, str | bytes)
    if dtype.startswith("complex") and issubclass(kind, numbers.Complex):
        return True
    # NumPy calls a span of time an integer
    return issubclass(kind, _REAL) and not issubclass(kind, np.timedelta64)


def misfit(values: np.ndarray, dtype: str) -> tuple[int, ...] | None:
    """Return where the first value stands that an input cannot hold; None if all fit.

    Of whole numbers: NaN, a fraction, or one beyond its limits. Of floats: a finite one that would
    become infinite.

    Args:
        values: of a kind that the input takes.
        dtype: of the input.
    """
    if values.dtype.kind == "b" or dtype == "string":
        return None
    fits = _fit_floats
    if dtype.startswith(_WHOLE):
        fits = _fit_whole
    misfits = np.argwhere(~fits(values, dtype))
    if not len(misfits):
        return None
    return tuple(map(int, misfits[0]))


def _fit_whole(values: np.ndarray, dtype: str) -> np.ndarray:
    given = values
    if values.dtype.kind not in "iub":
        given = values.astype("float64")
    fits = np.isfinite(given)
    if dtype != "bool":
        limits = np.iinfo(dtype)
        fits &= given == np.floor(given)
        # not <= limits.max: no float is just below the limit of 64 bits
        fits &= (given >= limits.min) & (given < limits.max + 1)
    return fits


def _fit_floats(values: np.ndarray, dtype: str) -> np.ndarray:
    given = values
    if values.dtype == object:
        widest = "float64"
        if dtype.startswith("complex"):
            widest = "complex128"
        given = values.astype(widest)
    return np.isfinite(cast(given, dtype)) | ~np.isfinite(given)


def cast(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return values as an input takes them."""
    # NumPy knows no dtype of the name "string"; TensorFlow takes its words as they are
    if dtype == "string":
        return values
    with np.errstate(over="ignore"):  # `misfit` tells it
        return values.astype(dtype)


def check_shapes(given: Arrays, specs: Specs) -> None:
    """Check that arrays have the shapes of a signature's inputs, and as many samples each.

    Raises:
        DataError: naming the input and its shape.
    """
    for name, values in given.items():
        shape = specs[name]["shape"]
        if not _has_shape(values, shape):
            expected = "of at least one sample"
            if shape is not None:
                expected = f"{tuple(map(_size, shape))}"
            raise DataError(
                f"The input {name!r} must have the shape {expected}. Received: {values.shape}"
            )
    counts = {name: len(values) for name, values in given.items()}
    if len(set(counts.values())) > 1:
        raise DataError(f"All inputs need as many samples. Received: {counts}")


def _size(size: int | None) -> int | str:
    """A size, or ``n`` where any will do."""
    if size is None:
        return "n"
    return size


def _has_shape(values: np.ndarray, shape: Sequence[int | None] | None) -> bool:
    """Whether an array holds at least one sample of a shape, of which the first axis is the batch."""
    if values.ndim == 0 or not len(values):
        return False
    if shape is None:  # any
        return True
    if len(shape) != values.ndim:
        return False
    sizes = zip(shape[1:], values.shape[1:], strict=True)
    return all(expected in (None, size) for expected, size in sizes)
