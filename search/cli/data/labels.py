"""Arrays with their labels as a dataset: classes or a regression, finite, and fitting each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_acts.errors import DataError

from .dataset import Dataset, Pair, Rows

# with task="auto", a target of more different numbers than both, the second a share of the rows, is
# a regression
_MANY_NUMBERS = 20
_MANY_OF_ROWS = 0.1


def labelled(
    name: str,
    given: tuple[Rows, np.ndarray],
    task: str,
    class_names: Sequence[str] | np.ndarray = (),
    test: tuple[Rows, np.ndarray] | None = None,
    validation: tuple[Rows, np.ndarray] | None = None,
) -> Dataset:
    """Return arrays with their labels as a dataset.

    Args:
        name: of the data.
        given: samples and labels.
        task: as `load` takes it.
        class_names: of classes that are numbers.
        test: the same of the test part, if it is given.
        validation: the same of the part that ranks.

    Raises:
        DataError: if they are empty, not finite, of one class, or not as many.
    """
    x, y = _checked(name, "x", "y", *given)
    others: dict[str, Pair] = {}
    for part, rows in (("test", test), ("validation", validation)):
        if rows is not None:
            others[part] = _checked(name, f"x_{part}", f"y_{part}", *rows)
    if task == "regression" or (task == "auto" and _is_regression(y)):
        values = {part: (rows, _finite("labels", other)) for part, (rows, other) in others.items()}
        return Dataset(
            name,
            x,
            _finite("labels", y),
            (),
            values.get("test"),
            given_validation=values.get("validation"),
        )
    classes, labels = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise DataError(f"The labels must be of at least two classes. Received: only {classes[0]}")
    numbered = {
        part: (rows, _numbered(part, other, classes)) for part, (rows, other) in others.items()
    }
    names: Sequence[str] | np.ndarray = classes
    if len(class_names) == len(classes):
        names = class_names
    return Dataset(
        name,
        x,
        labels.astype("int64"),
        tuple(map(str, names)),
        numbered.get("test"),
        renumbered=not _counts_from_0(classes),
        given_validation=numbered.get("validation"),
    )


def _numbered(part: str, labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The labels of another part as numbers of the classes that train."""
    if (labels.dtype.kind in "US") != (classes.dtype.kind in "US"):
        unknown = labels[:1]  # words and numbers are never the same
    else:
        unknown = np.setdiff1d(labels, classes)
    if len(unknown):
        raise DataError(
            f"The {part} labels must occur in the training labels. Received: {unknown[:5].tolist()}"
        )
    return np.searchsorted(classes, labels).astype("int64")


def _counts_from_0(classes: np.ndarray) -> bool:
    if classes.dtype.kind not in "fiub":
        return False
    return np.array_equal(classes, np.arange(len(classes)))


def _checked(name: str, x_name: str, y_name: str, x: Rows, y: np.ndarray) -> Pair:
    """Return samples and labels that fit each other, all finite; the labels as they are."""
    if x.size == 0:
        raise DataError(f"--data must not be empty. Received: {name}, {x_name} of shape {x.shape}")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.dtype.kind == "S":
        # as text: a class is called cat, not b'cat'
        y = np.char.decode(y, "utf-8", "backslashreplace")
    if y.ndim != 1:
        raise DataError(f"The labels must be one a sample. Received: {y_name} of shape {y.shape}")
    if len(x) != len(y):
        raise DataError(
            f"Samples and labels must be as many. Received: {len(x)} samples and {len(y)} labels "
            f"in {x_name} and {y_name} of {name}"
        )
    if y.dtype.kind not in "fiubUS":
        raise DataError(
            f"The labels must be numbers or words. Received: {y_name} of dtype {y.dtype}"
        )
    if y.dtype.kind == "f":
        _finite("labels", y)
    if not isinstance(x, np.ndarray):
        return x, y  # each column is checked by itself
    return _finite("data", x), y


def _is_regression(y: np.ndarray) -> bool:
    """Whether numbers are values rather than classes."""
    if y.dtype.kind not in "fiu":
        return False
    different = len(np.unique(y))
    return bool((y != np.floor(y)).any()) or different > max(_MANY_NUMBERS, _MANY_OF_ROWS * len(y))


def _finite(what: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "fiub":
        raise DataError(f"The {what} must be numbers. Received: dtype {values.dtype}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        values = values.astype("float32")
    others = int((~np.isfinite(values)).sum())
    if others:
        raise DataError(
            f"The {what} must be finite, and such as float32 can hold. Received: {others} NaN, "
            "infinite or larger values"
        )
    return values
