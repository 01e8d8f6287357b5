"""Data for a search, and their three parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from keras_acts.errors import DataError
from keras_acts.search.frames.fit import FittedColumns
from keras_acts.search.frames.notes import of_numbers

from ..tables.cells import How
from ..tables.notes import of_target
from ..words import is_number
from .image_format import ImageFormat

if TYPE_CHECKING:
    import pandas

Rows: TypeAlias = "np.ndarray | pandas.DataFrame"
Pair: TypeAlias = "tuple[Any, np.ndarray]"

_SHARES = "60 % train, 20 % choose, 20 % test"


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
        images_as: how image files became numbers; None of other data.
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
    images_as: ImageFormat | None = None

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
        if self.guessed and self.renumbered and all(map(is_number, self.classes)):
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
