"""The data of `keras-acts search`: scikit-learn's bundled sets, .npz and .csv files, split in three."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_acts.errors import DataError

BUNDLED = ("digits", "breast_cancer", "iris", "wine", "diabetes")
_SHARES = "60 % train, 20 % choose, 20 % test"


@dataclass(frozen=True)
class Parts:
    """The three parts, each ``(x, y)``: one trains, one ranks the candidates, one is looked at once."""

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Dataset:
    """Data for a search.

    Attributes:
        name: of the bundled set or the file.
        x: float32, samples first; images have shape (height, width, channels).
        y: int64 classes from 0, or float32 values for a regression.
        classes: the names of the classes; empty for a regression.
        given_test: the file's own test part.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]
    given_test: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def images(self) -> bool:
        """Whether the samples are images."""
        return self.x.ndim == 4

    def split(self, seed: int) -> Parts:
        """Return 60 % to train, 20 % to choose by, 20 % to test; classes keep their shares."""
        from sklearn.model_selection import train_test_split

        def cut(x: np.ndarray, y: np.ndarray, share: float) -> Any:
            # a class with one sample cannot lie in both parts
            stratify = y if self.classes and np.bincount(y).min() >= 2 else None
            try:
                return train_test_split(x, y, test_size=share, random_state=seed, stratify=stratify)
            except ValueError as error:
                raise DataError(
                    f"The data must be enough for three parts ({_SHARES}). Received: {len(self.x)} samples of "
                    f"{len(self.classes) or 'no'} classes ({error})"
                ) from None

        x, y, test = self.x, self.y, self.given_test
        if test is None:
            x, x_test, y, y_test = cut(x, y, 0.2)
            test = (x_test, y_test)
        x, x_choose, y, y_choose = cut(x, y, 0.25)
        return Parts((x, y), (x_choose, y_choose), test)

    def describe(self, parts: Parts) -> str:
        """Return one line about the data."""
        what = f"{len(self.classes)} classes" if self.classes else "a regression"
        sizes = " / ".join(str(len(part[0])) for part in (parts.train, parts.validation, parts.test))
        return f"{self.name}: samples of shape {self.x.shape[1:]}, {what}; {sizes} to train / choose / test"


def load(source: str, target: str | None = None) -> Dataset:
    """Load a bundled set by name, or a .npz or .csv file by path.

    Raises:
        DataError: if there is no such data, or they are empty, not numbers, not finite, or without matching labels.
    """
    if source in BUNDLED:
        return _bundled(source)
    path = Path(source)
    if path.suffix not in (".npz", ".csv"):
        raise DataError(f"--data must be one of {', '.join(BUNDLED)}, or a .npz or .csv file. Received: {source!r}")
    if not path.is_file():
        raise DataError(f"--data must be a file that exists. Received: {source!r}")
    if path.stat().st_size == 0:
        raise DataError(f"--data must not be empty. Received: {source!r}, 0 bytes")
    return _npz(path) if path.suffix == ".npz" else _csv(path, target)


def _bundled(name: str) -> Dataset:
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")()
    if name == "digits":
        return _dataset(name, found.images[..., None], found.target, found.target_names)
    return _dataset(name, found.data, found.target, getattr(found, "target_names", ()))


def _npz(path: Path) -> Dataset:
    import zipfile

    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"--data must be a .npz file of plain arrays. Received: {str(path)!r} ({error})") from None
    if "x" not in arrays or "y" not in arrays:
        raise DataError(f"A .npz must hold the arrays x and y (and x_test, y_test). Received: {sorted(arrays)}")
    test = (arrays["x_test"], arrays["y_test"]) if {"x_test", "y_test"} <= set(arrays) else None
    x = arrays["x"][..., None] if arrays["x"].ndim == 3 else arrays["x"]
    if test is not None and arrays["x"].ndim == 3:
        test = (test[0][..., None], test[1])
    return _dataset(path.stem, x, arrays["y"], (), test)


def _csv(path: Path, target: str | None) -> Dataset:
    import pandas

    try:
        table = pandas.read_csv(path)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"--data must be a .csv with a header line. Received: {str(path)!r} ({error})") from None
    if len(table.columns) < 2 or len(table) == 0:
        raise DataError(
            f"A .csv needs rows, features and a target column. Received: {str(path)!r}, shape {table.shape}"
        )
    target = table.columns[-1] if target is None else target
    if target not in table.columns:
        raise DataError(f"--target must be a column: {', '.join(map(str, table.columns))}. Received: {target!r}")
    features = table.drop(columns=target)
    words = [str(name) for name in features.columns if not pandas.api.types.is_numeric_dtype(features[name])]
    if words:
        raise DataError(f"The features must be numbers. Received: other values in the columns {', '.join(words[:5])}")
    if table[target].isna().any():
        raise DataError(
            f"Every row needs a label. Received: {int(table[target].isna().sum())} empty ones in {target!r}"
        )
    return _dataset(path.stem, features.to_numpy(), table[target].to_numpy(), ())


def _dataset(name: str, x: np.ndarray, y: np.ndarray, class_names: Any, test: Any = None) -> Dataset:
    if len(x) == 0:
        raise DataError(f"--data must not be empty. Received: {name}, x of shape {x.shape}")
    if len(x) != len(y) or (test is not None and len(test[0]) != len(test[1])):
        raise DataError(f"Samples and labels must be as many. Received: {len(x)} samples and {len(y)} labels in {name}")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(f"The labels must be one a sample. Received: labels of shape {y.shape}")
    x = _finite(x)
    if (np.issubdtype(y.dtype, np.floating) and (y != np.floor(y)).any()) or name == "diabetes":
        values = None if test is None else (_finite(test[0]), _finite(test[1]))
        return Dataset(name, x, _finite(y), (), values)
    classes, labels = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise DataError(f"The labels must be of at least two classes. Received: only {classes[0]}")
    if test is not None:
        strange = np.setdiff1d(test[1], classes)
        if len(strange):
            raise DataError(f"The test labels must occur in the training labels. Received: {strange[:5].tolist()}")
        test = (_finite(test[0]), np.searchsorted(classes, test[1]).astype("int64"))
    names = class_names if len(class_names) == len(classes) else classes
    return Dataset(name, x, labels.astype("int64"), tuple(str(c) for c in names), test)


def _finite(values: np.ndarray) -> np.ndarray:
    if not np.issubdtype(values.dtype, np.number):
        raise DataError(f"The data must be numbers. Received: dtype {values.dtype}")
    values = values.astype("float32")
    if not np.isfinite(values).all():
        raise DataError(
            f"The data must be finite. Received: {int((~np.isfinite(values)).sum())} NaN or infinite values"
        )
    return values
