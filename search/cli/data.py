"""The data of `keras-acts search`.

scikit-learn's bundled sets, .npz files and tables, split in three.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from keras_acts.errors import DataError
from keras_acts.search.frames.fit import FittedColumns, is_plain
from keras_acts.search.frames.notes import of_numbers, of_rounding

from .files import read_npz
from .tables.cells import How
from .tables.endings import ENDINGS, ending_of, stem_of
from .tables.labelled import AS_FOUND, read_labelled
from .tables.notes import of_parts, of_target
from .tables.options import Reading

if TYPE_CHECKING:
    import pandas

Rows: TypeAlias = "np.ndarray | pandas.DataFrame"
Pair: TypeAlias = "tuple[Any, np.ndarray]"

BUNDLED = ("digits", "breast_cancer", "iris", "wine", "diabetes")
TASKS = ("auto", "classes", "regression")
_SHEETS = (".xlsx", ".xls", ".ods")
_SHARES = "60 % train, 20 % choose, 20 % test"
# with task="auto", a target of more different numbers than both, the second a share of the rows, is
# a regression
_MANY_NUMBERS = 20
_MANY_OF_ROWS = 0.1


@dataclass(frozen=True)
class Parts:
    """The three parts, each ``(x, y)``.

    One trains, one ranks the candidates, one is looked at once.

    Attributes:
        columns: what is done with a table's columns, fitted on the first part alone; None where the
            model takes the data as they are. The parts are frames until `encoded` has done it.
        unseen: what the second and third part have that the first has not, a line each.
    """

    train: Pair
    validation: Pair
    test: Pair
    columns: FittedColumns | None = None
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """Data for a search.

    Attributes:
        name: of the bundled set or the file.
        x: float32, samples first; images have shape (height, width, channels). A frame where
            columns have words, dates or gaps.
        y: int64 classes from 0, or float32 values for a regression.
        classes: the names of the classes; empty for a regression.
        given_test: the file's own test part, or another file's.
        features: the names of a table's columns.
        target: the name of the column that is predicted.
        renumbered: whether `y` numbers classes that were words, or other numbers, in the data.
        given_validation: of another file.
        how: how a table's columns were read, by name.
        notes: what a user should look at before anything trains.
        guessed: whether the values decided if it is a regression.
    """

    name: str
    x: np.ndarray | pandas.DataFrame
    y: np.ndarray
    classes: tuple[str, ...]
    given_test: Pair | None = None
    features: tuple[str, ...] = ()
    target: str = ""
    renumbered: bool = False
    given_validation: Pair | None = None
    how: Mapping[str, How] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    guessed: bool = False

    @property
    def images(self) -> bool:
        """Whether the samples are images."""
        return self.x.ndim == 4

    def split(self, seed: int) -> Parts:
        """Return 60 % to train, 20 % to choose by, 20 % to test; classes keep their shares."""
        given = [part for part in (self.given_validation, self.given_test) if part is not None]
        least = 3 - len(given)
        if len(self.x) < least:
            raise DataError(
                f"The data must be enough for three parts ({_SHARES}). Received: {len(self.x)} "
                "samples"
            )
        train = (self.x, self.y)
        test = self.given_test
        validation = self.given_validation
        if test is None:
            train, test = self._cut(*train, 0.2, seed)
        if validation is None:
            # a quarter of the 80 % that are left
            train, validation = self._cut(*train, 0.25, seed)
        if isinstance(self.x, np.ndarray):
            return Parts(train, validation, test)
        columns = FittedColumns(train[0])
        unseen = []
        for part, (x, _) in (("validation", validation), ("test", test)):
            unseen += [f"In the {part} rows, {line}" for line in columns.unseen(x)]
        return Parts(train, validation, test, columns, tuple(unseen))

    def _cut(self, x: Rows, y: np.ndarray, share: float, seed: int) -> tuple[Pair, Pair]:
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
        what = self._what()
        if self.target:
            what = f"{self.target!r} is {what}"
        parts_in_order = (parts.train, parts.validation, parts.test)
        sizes = " / ".join(str(len(x)) for x, _ in parts_in_order)
        samples = f"samples of shape {self.x.shape[1:]}"
        if parts.columns is not None:
            samples = f"{self.x.shape[1]} columns, {parts.columns.width} numbers a row"
        return f"{self.name}: {samples}, {what}; {sizes} to train / choose / test"

    def _what(self) -> str:
        """What is predicted, and how to have it otherwise where the values alone decided it."""
        if not self.classes:
            what = "a regression"
            if self.guessed and bool((self.y == np.floor(self.y)).all()):
                different = len(np.unique(self.y))
                what += f" ({different} different numbers; --task classes takes them for classes)"
            return what
        what = f"{len(self.classes)} classes"
        if self.guessed and self.renumbered and all(map(_is_number, self.classes)):
            what += " (--task regression takes them for numbers)"
        return what

    def warnings(self, parts: Parts) -> list[str]:
        """Return what a user should look at, a line each."""
        found = [*self.notes, *of_target(self, parts)]
        if parts.columns is not None:
            found += parts.columns.notes
            found += parts.columns.left_out()
            found += parts.unseen
        elif self.features:
            for name, values in zip(self.features, np.asarray(parts.train[0]).T, strict=True):
                found += of_numbers(name, values.astype("float64"))
        return found


def load(
    source: str,
    target: str | None = None,
    task: str = "auto",
    *,
    reading: Reading = AS_FOUND,
    validation: Path | None = None,
    test: Path | None = None,
) -> Dataset:
    """Load a bundled set by name, or a .npz file or a table by path.

    Args:
        source: the name or path.
        target: the column of a table that is predicted; the last by default.
        task: ``"classes"``, ``"regression"``, or ``"auto"``: a target of fractions, or of more than
            20 different numbers that are also more than 10 % of the rows, is a regression.
        reading: what the user says of a table.
        validation: a file whose rows rank the candidates.
        test: a file whose rows are looked at once.

    Raises:
        DataError: if there is no such data, or they are empty, not finite, or without matching
            labels.
    """
    if task not in TASKS:
        raise DataError(f"task must be one of {', '.join(TASKS)}. Received: task={task!r}")
    path = Path(source)
    others = {"--validation": validation, "--test": test}
    _check_kind(source, path, target, reading, others)
    if source in BUNDLED:
        return _bundled(source, task)
    for option, file in (("--data", path), *others.items()):
        if file is not None:
            _check_readable(file, option)
    if path.suffix.lower() == ".npz":
        return _of_arrays(path, task, others)
    return _of_tables(path, target, task, reading, others)


def _check_kind(
    source: str,
    path: Path,
    target: str | None,
    reading: Reading,
    others: Mapping[str, Path | None],
) -> None:
    """Check that what is said of the data suits their kind."""
    is_table = bool(ending_of(path)) and source not in BUNDLED
    is_npz = path.suffix.lower() == ".npz"
    if source not in BUNDLED and not is_table and not is_npz:
        raise DataError(
            f"--data must be one of {', '.join(BUNDLED)}, or a .npz or {', '.join(ENDINGS)} "
            f"file. Received: {source!r}{_hint(path)}"
        )
    if target is not None and not is_table:
        raise DataError(
            f"--target names a column of a table. Received: --target {target!r}, --data {source!r}"
        )
    if reading != AS_FOUND and not is_table:
        raise DataError(
            "--drop, --column, --gaps, --separator, --decimal and --encoding are of a table. "
            f"Received: --data {source!r}"
        )
    for option, file in others.items():
        if file is None:
            continue
        if source in BUNDLED:
            raise DataError(f"{option} is of files. Received: --data {source!r}")
        if bool(ending_of(file)) != is_table:
            raise DataError(
                f"{option} must be of the kind that --data is. Received: {str(file)!r} beside "
                f"{source!r}"
            )


def _hint(path: Path) -> str:
    """What to do with data of another kind that people have."""
    if path.suffix.lower() in _SHEETS:
        return ": save the sheet as .csv"
    if os.path.isdir(path):
        return (
            ", a folder: keras.utils.image_dataset_from_directory reads one of images; save its "
            "arrays as x and y of a .npz"
        )
    return ""


def _of_tables(
    path: Path,
    target: str | None,
    task: str,
    reading: Reading,
    others: Mapping[str, Path | None],
) -> Dataset:
    table = read_labelled(path, target, reading)
    frames = {"--data": table.frame}
    labels: dict[str, np.ndarray] = {}
    notes = [*table.notes]
    for option, file in others.items():
        if file is not None:
            other = read_labelled(file, table.target, reading, table, option)
            frames[option] = other.frame
            labels[option] = other.labels
            notes += [note for note in other.notes if note not in notes]
    rows: dict[str, Rows] = dict(frames)
    if all(map(is_plain, frames.values())):
        rows = {option: frame.to_numpy("float64") for option, frame in frames.items()}
        # later they are float32, and nothing tells what that has changed
        for name, values in table.frame.items():
            notes += of_rounding(str(name), values.to_numpy("float64"))
    given = {option: (rows[option], labels[option]) for option in labels}
    dataset = _dataset(
        stem_of(path),
        (rows["--data"], table.labels),
        task,
        test=given.get("--test"),
        validation=given.get("--validation"),
    )
    if not dataset.classes:
        notes += of_rounding(table.target, table.labels)
    return dataclasses.replace(
        dataset,
        features=tuple(table.frame.columns),
        target=table.target,
        guessed=task == "auto",
        how=table.how,
        notes=(*notes, *of_parts(frames)),
    )


def _of_arrays(path: Path, task: str, others: Mapping[str, Path | None]) -> Dataset:
    given, own_test = read_npz(path)
    parts: dict[str, Pair | None] = {"--test": own_test}
    for option, file in others.items():
        if file is None:
            continue
        if parts.get(option) is not None:
            raise DataError(
                f"{option} is of data without x_test. Received: {str(path)!r}, which has it"
            )
        other, _ = read_npz(file)
        if other[0].shape[1:] != given[0].shape[1:]:
            raise DataError(
                f"Samples of --data and {option} must have one shape. Received: "
                f"{given[0].shape[1:]} and {other[0].shape[1:]}"
            )
        parts[option] = other
    return _dataset(
        path.stem, given, task, test=parts["--test"], validation=parts.get("--validation")
    )


def _check_readable(path: Path, option: str) -> None:
    source = str(path)
    try:
        if not path.is_file():
            raise DataError(f"{option} must be a file that exists. Received: {source!r}")
        size = path.stat().st_size
    except OSError as error:
        raise DataError(
            f"{option} must be a file that can be read. Received: {source!r} ({error})"
        ) from None
    if size == 0:
        raise DataError(f"{option} must not be empty. Received: {source!r}, 0 bytes")


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
    given: tuple[Rows, np.ndarray],
    task: str,
    class_names: Sequence[str] | np.ndarray = (),
    test: tuple[Rows, np.ndarray] | None = None,
    validation: tuple[Rows, np.ndarray] | None = None,
) -> Dataset:
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


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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
        raise DataError(f"The {what} must be finite. Received: {others} NaN or infinite values")
    return values
