"""The data of `keras-acts search`.

scikit-learn's bundled sets, .npz and .csv files, split in three.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_acts.errors import DataError

from .files import Pair, read_csv, read_npz

BUNDLED = ("digits", "breast_cancer", "iris", "wine", "diabetes")
TASKS = ("auto", "classes", "regression")
_SHARES = "60 % train, 20 % choose, 20 % test"


@dataclass(frozen=True)
class Parts:
    """The three parts, each ``(x, y)``.

    One trains, one ranks the candidates, one is looked at once.
    """

    train: Pair
    validation: Pair
    test: Pair


@dataclass(frozen=True)
class Dataset:
    """Data for a search.

    Attributes:
        name: of the bundled set or the file.
        x: float32, samples first; images have shape (height, width, channels).
        y: int64 classes from 0, or float32 values for a regression.
        classes: the names of the classes; empty for a regression.
        given_test: the file's own test part.
        features: the names of a table's columns.
        target: the name of the column that is predicted.
        renumbered: whether `y` numbers classes that were words, or other numbers, in the data.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]
    given_test: Pair | None = None
    features: tuple[str, ...] = ()
    target: str = ""
    renumbered: bool = False

    @property
    def images(self) -> bool:
        """Whether the samples are images."""
        return self.x.ndim == 4

    def split(self, seed: int) -> Parts:
        """Return 60 % to train, 20 % to choose by, 20 % to test; classes keep their shares."""
        from sklearn.model_selection import train_test_split

        def cut(x: np.ndarray, y: np.ndarray, share: float) -> Any:
            second = math.ceil(share * len(x))
            # each class in both parts, if it and they are large enough
            room = len(self.classes) <= min(second, len(x) - second)
            shares = (
                self.classes and room and np.bincount(y, minlength=len(self.classes)).min() >= 2
            )
            return train_test_split(
                x, y, test_size=share, random_state=seed, stratify=y if shares else None
            )

        least = 3 if self.given_test is None else 2
        if len(self.x) < least:
            raise DataError(
                f"The data must be enough for three parts ({_SHARES}). Received: {len(self.x)} samples"
            )
        x, y, test = self.x, self.y, self.given_test
        if test is None:
            x, x_test, y, y_test = cut(x, y, 0.2)
            test = (x_test, y_test)
        x, x_choose, y, y_choose = cut(x, y, 0.25)
        return Parts((x, y), (x_choose, y_choose), test)

    def describe(self, parts: Parts) -> str:
        """Return one line about the data."""
        what = f"{len(self.classes)} classes" if self.classes else "a regression"
        sizes = " / ".join(
            str(len(part[0])) for part in (parts.train, parts.validation, parts.test)
        )
        return f"{self.name}: samples of shape {self.x.shape[1:]}, {what}; {sizes} to train / choose / test"


def load(source: str, target: str | None = None, task: str = "auto") -> Dataset:
    """Load a bundled set by name, or a .npz or .csv file by path.

    Args:
        source: the name or path.
        target: the column of a .csv that is predicted; the last by default.
        task: ``"classes"``, ``"regression"``, or ``"auto"``: a target of fractions, or of more than
            20 different numbers that are also more than 10 % of the rows, is a regression.

    Raises:
        DataError: if there is no such data, or they are empty, not numbers, not finite, or without
            matching labels.
    """
    if task not in TASKS:
        raise DataError(f"task must be one of {', '.join(TASKS)}. Received: task={task!r}")
    path = Path(source)
    kind = path.suffix.lower()
    if source not in BUNDLED and kind not in (".npz", ".csv"):
        raise DataError(
            f"--data must be one of {', '.join(BUNDLED)}, or a .npz or .csv file. Received: {source!r}"
        )
    if target is not None and kind != ".csv":
        raise DataError(
            f"--target names a column of a .csv file. Received: --target {target!r}, --data {source!r}"
        )
    if source in BUNDLED:
        return _bundled(source, task)
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise DataError(
            f"--data must be a file that can be read. Received: {source!r} ({error})"
        ) from None
    if size is None:
        raise DataError(f"--data must be a file that exists. Received: {source!r}")
    if size == 0:
        raise DataError(f"--data must not be empty. Received: {source!r}, 0 bytes")
    if kind == ".npz":
        given, test = read_npz(path)
        return _dataset(path.stem, given, task, test=test)
    given, features, name = read_csv(path, target)
    return dataclasses.replace(_dataset(path.stem, given, task), features=features, target=name)


def _bundled(name: str, task: str) -> Dataset:
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")()
    x = found.images[..., None] if name == "digits" else found.data
    if name == "diabetes" and task == "auto":
        task = "regression"
    return _dataset(name, (x, found.target), task, getattr(found, "target_names", ()))


def _dataset(
    name: str, given: Pair, task: str, class_names: Any = (), test: Pair | None = None
) -> Dataset:
    x, y = _checked(name, "x", "y", *given)
    if test is not None:
        test = _checked(name, "x_test", "y_test", *test)
    if task == "regression" or (task == "auto" and _is_regression(y)):
        values = None if test is None else (test[0], _finite("labels", test[1]))
        return Dataset(name, x, _finite("labels", y), (), values)
    classes, labels = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise DataError(f"The labels must be of at least two classes. Received: only {classes[0]}")
    if test is not None:
        strange = np.setdiff1d(test[1], classes)
        if len(strange):
            raise DataError(
                f"The test labels must occur in the training labels. Received: {strange[:5].tolist()}"
            )
        test = (test[0], np.searchsorted(classes, test[1]).astype("int64"))
    names = class_names if len(class_names) == len(classes) else classes
    renumbered = classes.dtype.kind not in "fiub" or not np.array_equal(
        classes, np.arange(len(classes))
    )
    return Dataset(
        name, x, labels.astype("int64"), tuple(str(c) for c in names), test, renumbered=renumbered
    )


def _checked(name: str, x_name: str, y_name: str, x: np.ndarray, y: np.ndarray) -> Pair:
    """Return samples and labels that fit each other, all finite; the labels as they are."""
    if x.size == 0:
        raise DataError(f"--data must not be empty. Received: {name}, {x_name} of shape {x.shape}")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
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
    return _finite("data", x), y


def _is_regression(y: np.ndarray) -> bool:
    """Whether numbers are values rather than classes."""
    if y.dtype.kind not in "fiu":
        return False
    different = len(np.unique(y))
    return bool((y != np.floor(y)).any()) or different > max(20, 0.1 * len(y))


def _finite(what: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "fiub":
        raise DataError(f"The {what} must be numbers. Received: dtype {values.dtype}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        values = values.astype("float32")
    if not np.isfinite(values).all():
        raise DataError(
            f"The {what} must be finite. Received: {int((~np.isfinite(values)).sum())} NaN or infinite values"
        )
    return values
