"""Tables with and without a target, as data of a search and of predictions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_acts.errors import DataError, shown
from keras_acts.search.frames.kinds import CATEGORY, DATE, NUMBER, kind_of
from keras_acts.search.runtime.ram import free_ram

from . import files as tables
from .cells import How
from .endings import ENDINGS, ending_of
from .errors import TableError
from .files import Table
from .options import Reading

if TYPE_CHECKING:
    import pandas

# nothing is said of the file
AS_FOUND = Reading()
# what is longer names no class
_LONGEST_LABEL = 1000


@dataclass(frozen=True)
class Labelled:
    """A table whose target is known.

    Attributes:
        frame: the other columns.
        labels: of each row: numbers, truth values or words.
        target: the name of the target.
        how: how each column was read.
        notes: what a user should know of it.
    """

    frame: pandas.DataFrame
    labels: np.ndarray
    target: str
    how: Mapping[str, How]
    notes: tuple[str, ...]


def read_labelled(
    path: Path,
    target: str | None,
    reading: Reading,
    like: Labelled | None = None,
    what: str = "--data",
) -> Labelled:
    """Return the features and the target column, by default the last.

    Args:
        path: of a table.
        target: the name of the column.
        reading: what the user says of the file.
        like: the training's table: this one is read as it was, and has its columns.
        what: the option that names the file.

    Raises:
        DataError: if the file is no table with a header line, or has rows without a label.
    """
    with _of_file(what, path):
        names = tables.header(path, reading, free_ram())
        label = _target(names, target, reading, path, what)
        only = None
        expected: Mapping[str, How] = {}
        if like is not None:
            only = [*like.frame.columns, label]
            _check_columns(names, only, what, path)
            expected = like.how
        table = tables.read_table(path, reading, free_ram(), expected=expected, only=only)
    if not len(table.frame):
        raise DataError(f"{what} needs rows. Received: {str(path)!r} with a header line only")
    labels = table.frame[label]
    _check_header(names, label, table.frame)
    empty = int(labels.isna().sum())
    if empty:
        raise DataError(f"Every row needs a label. Received: {empty} empty ones in {label!r}")
    frame = table.frame.drop(columns=label)
    notes = table.notes
    if like is not None:
        more = [name for name in names if name not in table.frame and name not in reading.drop]
        if more:
            notes = (*notes, f"{what} has columns that --data has not: {', '.join(more[:5])}")
    return Labelled(frame, _labels(label, labels), label, table.how, notes)


def _target(names: list[str], target: str | None, reading: Reading, path: Path, what: str) -> str:
    left = [name for name in names if name not in reading.drop]
    if len(left) < 2:
        raise DataError(
            f"{what} needs rows, features and a target column. Received: {str(path)!r} with the "
            f"columns {', '.join(left)}"
        )
    if target is None:
        return left[-1]
    if target not in left:
        raise DataError(f"--target must be a column: {', '.join(left)}. Received: {target!r}")
    return target


def _check_columns(names: Sequence[str], wanted: Sequence[str], what: str, path: Path) -> None:
    missing = [name for name in wanted if name not in names]
    if missing:
        raise DataError(
            f"{what} must have the columns of --data. Received: {str(path)!r} without "
            f"{', '.join(map(repr, missing[:5]))}"
        )


def _labels(name: str, labels: pandas.Series) -> np.ndarray:
    """The labels as numbers, truth values or words."""
    kind = kind_of(name, labels)
    if kind == DATE:
        raise DataError(f"--target must be numbers or words. Received: {name!r} of dates")
    if kind == CATEGORY:
        words = labels.astype(str).tolist()
        longest = max(words, key=len)
        # the target is the last column unless it is said, which may well be one of texts
        if len(longest) > _LONGEST_LABEL:
            raise DataError(
                f"--target must be numbers, or words of at most {_LONGEST_LABEL:,} characters. "
                f"Received: {name!r} with {shown(longest)}"
            )
        return np.array(words)
    return np.asarray(labels.to_numpy())


@contextlib.contextmanager
def _of_file(what: str, path: Path) -> Iterator[None]:
    """Say of which file an error is."""
    try:
        yield
    except TableError as error:
        raise DataError(error.of_file(what, path)) from None


def read_frame(
    path: Path,
    names: Sequence[str] | None,
    reading: Reading,
    expected: Mapping[str, How] | None = None,
) -> Table:
    """Return the columns of a table without labels.

    Args:
        path: the file.
        names: the columns that are wanted, in order; all by default.
        reading: what the user says of the file.
        expected: how the columns were read in the training, as far as it is known.

    Raises:
        DataError: if it cannot be read, is empty, or lacks a column.
    """
    if not path.is_file():
        raise DataError(f"The data must be a file that exists. Received: {str(path)!r}")
    if not ending_of(path):
        raise DataError(
            f"The data must be a {', '.join(ENDINGS)} or .npz file. Received: {str(path)!r}"
        )
    with _of_file("The data", path):
        found = tables.header(path, reading, free_ram())
        missing = [name for name in names or () if name not in found]
        if missing:
            raise DataError(
                f"The data must have the columns {names}. Received: {found}, without {missing}"
            )
        table = tables.read_table(path, reading, free_ram(), expected=expected, only=names)
    if table.frame.empty:
        raise DataError(
            f"The data must have rows. Received: {str(path)!r}, shape {table.frame.shape}"
        )
    return table


def _check_header(names: list[str], label: str, frame: pandas.DataFrame) -> None:
    """Refuse a first line that is a sample; 0, 1, 2, … are names that pandas gives."""
    if names == list(map(str, range(len(names)))):
        return
    features = [name for name in names if name != label]
    of_numbers = [name for name in frame if name != label and kind_of(name, frame[name]) == NUMBER]
    is_sample = False
    if all(map(_is_number, features)):
        is_sample = _is_number(label) or _is_own(label, frame)
    elif of_numbers and all(map(_is_number, of_numbers)):
        # years name columns too: what tells a sample is a word that its own column has again
        is_sample = any(_is_own(name, frame) for name in frame if name not in of_numbers)
    if is_sample:
        raise DataError(
            "A table needs a header line that names its columns. Received: a first line of values, "
            f"{', '.join(names)}"
        )


def _is_own(name: str, frame: pandas.DataFrame) -> bool:
    """Whether the name of a column is one of its values."""
    # True is a truth value by then
    return name.casefold() in {str(value).casefold() for value in frame[name].unique()}


def _is_number(name: str) -> bool:
    # pandas writes .1, .2, … behind names that occur again
    return _is_float(name) or _is_float(name.rpartition(".")[0])


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
