"""The data of `keras-acts search`.

scikit-learn's bundled sets, .npz and .csv files, split in three.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_acts.errors import DataError

from .files import Pair, read_csv, read_npz

BUNDLED = ("digits", "breast_cancer", "iris", "wine", "diabetes")
TASKS = ("auto", "classes", "regression")
_SHARES = "60 % train, 20 % choose, 20 % test"
# with task="auto", a target of more different numbers than both, the second a share of the rows, is
# a regression
_MANY_NUMBERS = 20
_MANY_OF_ROWS = 0.1


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
        least = 2
        if self.given_test is None:
            least = 3
        if len(self.x) < least:
            raise DataError(
                f"The data must be enough for three parts ({_SHARES}). Received: {len(self.x)} "
                "samples"
            )
        rest = (self.x, self.y)
        test = self.given_test
        if test is None:
            rest, test = self._cut(*rest, 0.2, seed)
        # a quarter of the 80 % that are left
        train, validation = self._cut(*rest, 0.25, seed)
        return Parts(train, validation, test)

    def _cut(self, x: np.ndarray, y: np.ndarray, share: float, seed: int) -> tuple[Pair, Pair]:
        from sklearn.model_selection import train_test_split

        stratify = None
        if self._is_enough_of_each(y, share):
            stratify = y
        x_first, x_second, y_first, y_second = train_test_split(
            x, y, test_size=share, random_state=seed, stratify=stratify
        )
        return (x_first, y_first), (x_second, y_second)

    def _is_enough_of_each(self, y: np.ndarray, share: float) -> bool:
        """Whether each class can be in both parts: they are large enough, and so are the classes."""
        if not self.classes:
            return False
        second = math.ceil(share * len(y))
        if len(self.classes) > min(second, len(y) - second):
            return False
        return bool(np.bincount(y, minlength=len(self.classes)).min() >= 2)

    def describe(self, parts: Parts) -> str:
        """Return one line about the data."""
        what = "a regression"
        if self.classes:
            what = f"{len(self.classes)} classes"
        parts_in_order = (parts.train, parts.validation, parts.test)
        sizes = " / ".join(str(len(x)) for x, _ in parts_in_order)
        return (
            f"{self.name}: samples of shape {self.x.shape[1:]}, {what}; "
            f"{sizes} to train / choose / test"
        )


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
            f"--data must be one of {', '.join(BUNDLED)}, or a .npz or .csv file. Received: "
            f"{source!r}"
        )
    if target is not None and kind != ".csv":
        raise DataError(
            f"--target names a column of a .csv file. Received: --target {target!r}, --data "
            f"{source!r}"
        )
    if source in BUNDLED:
        return _bundled(source, task)
    _check_readable(path, source)
    if kind == ".npz":
        given, test = read_npz(path)
        return _dataset(path.stem, given, task, test=test)
    given, features, name = read_csv(path, target)
    return dataclasses.replace(_dataset(path.stem, given, task), features=features, target=name)


def _check_readable(path: Path, source: str) -> None:
    try:
        if not path.is_file():
            raise DataError(f"--data must be a file that exists. Received: {source!r}")
        size = path.stat().st_size
    except OSError as error:
        raise DataError(
            f"--data must be a file that can be read. Received: {source!r} ({error})"
        ) from None
    if size == 0:
        raise DataError(f"--data must not be empty. Received: {source!r}, 0 bytes")


def _bundled(name: str, task: str) -> Dataset:
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    x = bunch.data
    if name == "digits":
        # images have a channel; scikit-learn's own rows are flat
        x = bunch.images[..., None]
    if name == "diabetes" and task == "auto":
        task = "regression"
    return _dataset(name, (x, bunch.target), task, getattr(bunch, "target_names", ()))


def _dataset(
    name: str,
    given: Pair,
    task: str,
    class_names: Sequence[str] | np.ndarray = (),
    test: Pair | None = None,
) -> Dataset:
    x, y = _checked(name, "x", "y", *given)
    if test is not None:
        test = _checked(name, "x_test", "y_test", *test)
    if task == "regression" or (task == "auto" and _is_regression(y)):
        if test is not None:
            test = (test[0], _finite("labels", test[1]))
        return Dataset(name, x, _finite("labels", y), (), test)
    classes, labels = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise DataError(f"The labels must be of at least two classes. Received: only {classes[0]}")
    if test is not None:
        test = (test[0], _numbered(test[1], classes))
    names: Sequence[str] | np.ndarray = classes
    if len(class_names) == len(classes):
        names = class_names
    return Dataset(
        name,
        x,
        labels.astype("int64"),
        tuple(map(str, names)),
        test,
        renumbered=not _counts_from_0(classes),
    )


def _numbered(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The labels of the test part as numbers of the classes that train."""
    unknown = np.setdiff1d(labels, classes)
    if len(unknown):
        raise DataError(
            f"The test labels must occur in the training labels. Received: {unknown[:5].tolist()}"
        )
    return np.searchsorted(classes, labels).astype("int64")


def _counts_from_0(classes: np.ndarray) -> bool:
    if classes.dtype.kind not in "fiub":
        return False
    return np.array_equal(classes, np.arange(len(classes)))


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
    return bool((y != np.floor(y)).any()) or different > max(_MANY_NUMBERS, _MANY_OF_ROWS * len(y))


def _finite(what: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "fiub":
        raise DataError(f"The {what} must be numbers. Received: dtype {values.dtype}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        values = values.astype("float32")
    others = int((~np.isfinite(values)).sum())
    if others:
        raise DataError(f"The {what} must be finite. Received: {others} NaN or infinite values")
    return values
