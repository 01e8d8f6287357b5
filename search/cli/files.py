"""Reading .npz and .csv files into plain arrays."""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_acts.errors import DataError
from keras_acts.search.runtime.ram import free_ram

from .npz import Member, UnreadableFile, read_arrays

if TYPE_CHECKING:
    import pandas

Pair = tuple[np.ndarray, np.ndarray]
_ARRAYS = {"x", "y", "x_test", "y_test"}
# what pandas raises where a file is no table
_OF_TABLES = (ValueError, OSError, OverflowError, IndexError, MemoryError, RecursionError)


def read_npz(path: Path) -> tuple[Pair, Pair | None]:
    """Return ``(x, y)`` and, if the file has them, ``(x_test, y_test)``.

    Raises:
        DataError: if the file is no .npz, or its arrays are missing or of too few axes.
    """
    members = _arrays(path)
    arrays: dict[str, np.ndarray] = {}
    for name, array in sorted(members.items()):
        least = 1
        if name.startswith("x"):
            least = 2
        if not isinstance(array, np.ndarray):
            raise DataError(
                f"The members of a .npz must be arrays. Received: {name}, {array} bytes that "
                "are none"
            )
        arrays[name] = array
        if array.ndim < least:
            raise DataError(
                f"{name} must have at least {least} axes, samples first. Received: shape "
                f"{array.shape}"
            )
    given = (_image(arrays["x"]), arrays["y"])
    if "x_test" not in arrays:
        return given, None
    if arrays["x_test"].shape[1:] != arrays["x"].shape[1:]:
        raise DataError(
            f"Samples of x and x_test must have one shape. Received: {arrays['x'].shape[1:]} and "
            f"{arrays['x_test'].shape[1:]}"
        )
    return given, (_image(arrays["x_test"]), arrays["y_test"])


def _arrays(path: Path) -> dict[str, Member]:
    """The arrays of a .npz that we know, by name."""
    try:
        arrays, names = read_arrays(path, _ARRAYS)
    except UnreadableFile as reason:
        raise DataError(
            f"--data must be a .npz file of plain arrays. Received: {str(path)!r}, {reason}"
        ) from None
    if not {"x", "y"} <= set(names) or ("x_test" in names) != ("y_test" in names):
        raise DataError(
            f"A .npz must hold the arrays x and y (and x_test with y_test). Received: {names}"
        )
    return arrays


def _image(x: np.ndarray) -> np.ndarray:
    """Images of one channel with its axis; anything else as it is."""
    if x.ndim == 3:
        return x[..., None]
    return x


def read_csv(path: Path, target: str | None) -> tuple[Pair, tuple[str, ...], str]:
    """Return the features and the target column, by default the last.

    The names of the features; and the target's.

    Raises:
        DataError: if the file is no table with a header line, or has features that are not numbers
            or rows without a label.
    """
    table = _table(path, "--data")
    if len(table.columns) < 2 or len(table) == 0:
        raise DataError(
            f"A .csv needs rows, features and a target column. Received: {str(path)!r}, shape "
            f"{table.shape}"
        )
    _check_names(_header(path))
    names = list(map(str, table.columns))
    label = names[-1]
    if target is not None:
        label = target
    if label not in names:
        raise DataError(f"--target must be a column: {', '.join(names)}. Received: {label!r}")
    _check_header(names, label, table[label])
    features = table.drop(columns=label)
    values = _numbers(features)
    empty = int(table[label].isna().sum())
    if empty:
        raise DataError(f"Every row needs a label. Received: {empty} empty ones in {label!r}")
    labels = table[label].to_numpy()
    # truth values beside floats would make an array of objects; labels of several types cannot be
    # sorted
    if labels.dtype.kind not in "fiub":
        labels = np.char.strip(labels.astype(str))
    return (values, labels), tuple(map(str, features.columns)), label


def read_inputs(path: Path, names: list[str] | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the inputs in a file without labels, and the names of its columns.

    A .csv, or the array x of a .npz.

    Args:
        path: the file.
        names: the columns that the model takes; others are left out. All by default.

    Raises:
        DataError: if the file cannot be read, is empty, lacks a column, or holds what is no number.
    """
    if not path.is_file():
        raise DataError(f"The data must be a file that exists. Received: {str(path)!r}")
    if path.suffix.lower() == ".npz":
        return _image(_array_x(path)), ()
    if path.suffix.lower() != ".csv":
        raise DataError(f"The data must be a .csv or .npz file. Received: {str(path)!r}")
    table = _table(path, "The data")
    if len(table) == 0:
        raise DataError(f"The data must have rows. Received: {str(path)!r}, shape {table.shape}")
    columns = list(map(str, table.columns))
    table.columns = columns
    missing = [name for name in names or () if name not in columns]
    if missing:
        raise DataError(
            f"The data must have the columns {names}. Received: {columns}, without {missing}"
        )
    if names:
        read = [name for name in _header(path) if name in names]
        _check_names(read)
        table = table[names]
    return _numbers(table), tuple(table.columns)


def _array_x(path: Path) -> np.ndarray:
    reason: UnreadableFile | str = "without x"
    try:
        arrays, _ = read_arrays(path, ["x"])
    except UnreadableFile as error:
        reason = error
        arrays = {}
    x = arrays.get("x")
    if isinstance(x, int):
        reason = f"x is {x} bytes that are no array"
    if not isinstance(x, np.ndarray):
        raise DataError(
            f"The data must be a .npz with an array x. Received: {str(path)!r}, {reason}"
        )
    return x


def _table(path: Path, what: str) -> pandas.DataFrame:
    import pandas

    try:
        size = path.stat().st_size
        free = free_ram()
        if size > free // 2:
            raise ValueError(f"{size:,} bytes, more than half of the {free:,} that are free")
        with warnings.catch_warnings():
            # more cells in a line than names in the header
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            return pandas.read_csv(path, low_memory=False, index_col=False)
    except (*_OF_TABLES, pandas.errors.ParserWarning) as error:
        raise DataError(
            f"{what} must be a .csv with a header line. Received: {str(path)!r} ({error})"
        ) from None


def _header(path: Path) -> list[str]:
    """The names of the columns as they are written.

    Pandas makes others of those that occur again, or are missing.
    """
    import pandas

    try:
        first = pandas.read_csv(
            path, header=None, nrows=1, index_col=False, dtype=str, keep_default_na=False
        )
        return list(map(str, first.iloc[0]))
    except _OF_TABLES as error:
        raise DataError(f"A .csv needs a header line. Received: {str(path)!r} ({error})") from None


def _check_names(names: list[str]) -> None:
    """Check that each column has a name of its own.

    Another column of the target's name would tell the answers.

    Raises:
        DataError: naming a column that has not.
    """
    for place, name in enumerate(names, start=1):
        if not name.strip():
            raise DataError(
                "Every column needs a name; leave out one of row numbers, which tell how the file "
                "is sorted "
                f"(pandas: to_csv(index=False)). Received: none for column {place} of {len(names)}"
            )
    for name, times in Counter(names).items():
        if times > 1:
            raise DataError(
                f"Each column needs a name of its own. Received: {name!r} {times} times"
            )


def _numbers(features: pandas.DataFrame) -> np.ndarray:
    import pandas

    is_numeric = pandas.api.types.is_numeric_dtype
    words = [str(name) for name in features.columns if not is_numeric(features[name])]
    if words:
        raise DataError(
            "The features must be numbers. Received: other values in the columns "
            f"{', '.join(words[:5])}"
        )
    return features.to_numpy("float64")


def _check_header(names: list[str], label: str, labels: pandas.Series) -> None:
    """Refuse a first line that is a sample; 0, 1, 2, … are names that pandas gives."""
    if names == list(map(str, range(len(names)))):
        return
    features = [name for name in names if name != label]
    if not all(map(_is_number, features)):
        return
    if _is_number(label) or label in set(labels):
        raise DataError(
            "A .csv needs a header line that names its columns. Received: a first line of values, "
            f"{', '.join(names)}"
        )


def check_no_gaps(x: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Check that no value is missing: a graph may make a number of NaN, and a prediction of it.

    Raises:
        DataError: naming the first row and its column.
    """
    if x.dtype.kind != "f":  # nothing else can hold NaN
        return
    gaps = np.argwhere(np.isnan(x))
    if not len(gaps):
        return
    row, column = _in_words(tuple(map(int, gaps[0])), names)
    others = len(np.unique(gaps[:, 0])) - 1
    more = ""
    if others:
        more = f", and {others} more such rows"
    raise DataError(
        "Every value must be there; --allow-nan predicts rows with gaps too, if the model knows "
        "what to do with NaN. "
        f"Received: {str(path)!r} with a gap in row {row}, {column}{more}"
    )


def check_place(
    place: tuple[int, ...] | None, dtype: str, x: np.ndarray, names: Sequence[str], path: Path
) -> None:
    """Check that there is no value that the model's input cannot hold.

    It would be another number there.

    Args:
        place: of the first such value; None if there is none.
        dtype: of the input.
        x: the values.
        names: of the columns.
        path: of the file.

    Raises:
        DataError: naming row and column.
    """
    if place is None:
        return
    row, column = _in_words(place, names)
    raise DataError(
        f"The model takes values that {dtype} can hold. Received: {str(path)!r} with {x[place]} in "
        f"row {row}, {column}"
    )


def _in_words(place: tuple[int, ...], names: Sequence[str]) -> tuple[int, str]:
    """The number of a row, and the column in words."""
    row, *rest = place
    if names:
        return row + 1, f"column {names[rest[0]]!r}"
    return row + 1, f"x[{', '.join(map(str, place))}]"


def check_writable(path: Path, option: str, inputs: Sequence[str | Path | None]) -> None:
    """Check, before any training, that a file can be written, and is none of those that are read.

    Args:
        path: the file.
        option: that names it.
        inputs: what the command reads: files, or names of something else.

    Raises:
        DataError: if it cannot.
    """
    for given in inputs:
        if given is not None and _is_same(path, Path(given)):
            raise DataError(
                f"{option} must be another file than the ones that are read. Received: "
                f"{str(path)!r}, which is {str(given)!r}"
            )
    try:
        # permissions do not say all: the disk may be read-only, or the name too long
        with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", dir=path.absolute().parent):
            pass
        if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
            raise PermissionError("what is there cannot be replaced")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{option} must lie in a folder that exists and can be written. Received: "
            f"{str(path)!r} ({error})"
        ) from None


def _is_same(path: Path, other: Path) -> bool:
    """Whether two paths lead to one file that is there, by whatever name."""
    try:
        return path.samefile(other)
    except (OSError, ValueError):
        return False


def write_text(path: Path, text: str, option: str) -> None:
    """Write a file in one step: what is there stays until the new one is whole.

    Raises:
        DataError: if it cannot be written.
    """
    write_bytes(path, text.encode("utf-8"), option)


def write_bytes(path: Path, content: bytes, option: str) -> None:
    """Write a file as `write_text` does.

    Raises:
        DataError: if it cannot be written.
    """
    partial = None
    try:
        with tempfile.NamedTemporaryFile(
            prefix=f".{path.name}.", dir=path.absolute().parent, delete=False
        ) as file:
            partial = Path(file.name)
            file.write(content)
        _copy_mode(path, partial)
        partial.replace(path)
    except BaseException as error:  # Ctrl-C leaves nothing behind either
        if partial is not None:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise DataError(
            f"{option} must be a file that can be written. Received: {str(path)!r} ({error})"
        ) from error


def _copy_mode(path: Path, partial: Path) -> None:
    """Give a new file the permissions of the one that it replaces, or those of any new one."""
    if path.exists():
        partial.chmod(path.stat().st_mode & 0o777)
        return
    mask = os.umask(0)
    os.umask(mask)
    partial.chmod(0o666 & ~mask)


def _is_number(name: str) -> bool:
    # pandas writes .1, .2, … behind names that occur again
    return _is_float(name) or _is_float(name.rpartition(".")[0])


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
