"""Reading .npz files and inputs into plain arrays; writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_acts.errors import DataError

from .npz import Member, UnreadableFile, read_arrays
from .tables.cells import How
from .tables.labelled import AS_FOUND, read_frame
from .tables.options import Reading

if TYPE_CHECKING:
    import pandas

Pair = tuple[np.ndarray, np.ndarray]
_ARRAYS = {"x", "y", "x_train", "y_train", "x_test", "y_test"}


def read_npz(path: Path) -> tuple[Pair, Pair | None]:
    """Return ``(x, y)`` and, if the file has them, ``(x_test, y_test)``.

    They may be called ``x_train`` and ``y_train`` too, as those of Keras' own data are.

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
    given = (as_image(arrays["x"]), arrays["y"])
    if "x_test" not in arrays:
        return given, None
    if arrays["x_test"].shape[1:] != arrays["x"].shape[1:]:
        raise DataError(
            f"Samples of x and x_test must have one shape. Received: {arrays['x'].shape[1:]} and "
            f"{arrays['x_test'].shape[1:]}"
        )
    test = arrays["x_test"]
    if given[0].ndim > test.ndim:
        test = test[..., None]
    return given, (test, arrays["y_test"])


def _arrays(path: Path) -> dict[str, Member]:
    """The arrays of a .npz that we know, by name."""
    try:
        arrays, names = read_arrays(path, _ARRAYS)
    except UnreadableFile as reason:
        raise DataError(
            f"--data must be a .npz file of plain arrays. Received: {str(path)!r}, {reason}"
        ) from None
    # as Keras' own data call them
    other = {"x_train": "x", "y_train": "y"}
    both = set(names) & set(other) and set(names) & set(other.values())
    known = {other.get(name, name) for name in names}
    if both or not {"x", "y"} <= known or ("x_test" in known) != ("y_test" in known):
        raise DataError(
            "A .npz must hold the arrays x and y, or x_train and y_train (and x_test with y_test). "
            f"Received: {names}"
        )
    return {other.get(name, name): array for name, array in arrays.items()}


def as_image(x: np.ndarray) -> np.ndarray:
    """Return images of one channel with its axis; anything else as it is.

    Samples of two axes are images if they are square, or bytes; else they are time series, of which
    (20, 3) is 20 steps of 3 values.
    """
    if x.ndim != 3:
        return x
    is_square = x.shape[1] == x.shape[2]
    if is_square or x.dtype == np.uint8:
        return x[..., None]
    return x


def in_axes(x: np.ndarray, shape: Sequence[int | None] | None) -> np.ndarray:
    """Return samples with an axis for their one channel, if what takes them has one."""
    if shape is not None and len(shape) == x.ndim + 1 and shape[-1] == 1 and x.ndim > 2:
        return x[..., None]
    return x


def read_inputs(
    path: Path,
    names: list[str] | None = None,
    reading: Reading = AS_FOUND,
    expected: Mapping[str, How] | None = None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the inputs in a file without labels, and the names of its columns.

    A table, or the array x of a .npz.

    Args:
        path: the file.
        names: the columns that the model takes; others are left out. All by default.
        reading: what the user says of the file.
        expected: how the columns were read in the training, as far as it is known.

    Raises:
        DataError: if the file cannot be read, is empty, lacks a column, or holds what is no number.
    """
    if path.suffix.lower() == ".npz" and path.is_file():
        return _array_x(path), ()
    table = read_frame(path, names, reading, expected)
    for note in table.notes:
        print(f"Note: {note}.", file=sys.stderr)
    return _numbers(table.frame), tuple(table.frame.columns)


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


def _numbers(features: pandas.DataFrame) -> np.ndarray:
    import pandas

    is_numeric = pandas.api.types.is_numeric_dtype
    words = []
    for name in features.columns:
        # a column of gaps alone is of any kind
        if not is_numeric(features[name]) and features[name].notna().any():
            words.append(str(name))
    if words:
        raise DataError(
            "The features must be numbers. Received: other values in the columns "
            f"{', '.join(words[:5])}"
        )
    return features.astype("float64").to_numpy()


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


def check_new(path: Path, option: str, *, overwrite: bool) -> None:
    """Check that nothing is replaced unasked.

    Raises:
        DataError: if something is there.
    """
    if os.path.lexists(path) and not overwrite:
        raise DataError(
            f"{option} must be a new file; --overwrite replaces it. Received: {str(path)!r}"
        )


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
