"""Checkpoints as Keras writes them, sooner where there are many of one model.

For a file of a frozen MobileNetV2 with a trained head Keras takes 233 ms of CPU time, a copy 2 ms
(medians of 7). A search of 32 such trials took 12.9 seconds with copies and 21.7 without, another
time 14.9 and 23.8 (28 November 2026: AMD EPYC, 2 cores that others worked on too). They stay while
``python -m benchmarks.pieces --only checkpoints`` shows a gain of 5 %.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_acts.compat import file_utils, saving_lib, set_global

from ..population.transfer import Contents
from ..runtime.kept_files import check_room, put_in_place
from .keeping import is_remote

Tensor = Any

_WEIGHTS = ".weights.h5"
_BYTES_OF_A_VALUE = 4
# what HDF5 writes around a variable, and before the first: measured some 2,000
_BYTES_OF_A_GROUP = 8192

# the classes of objects in a model for which Keras finds out what belongs to no file
_KINDS = ("Layer", "Functional", "Sequential", "Operation", "Metric", "Optimizer", "Loss")

# marks are this large where the dtype is that of floating-point numbers, whose fractions tell them
# apart
_LARGEST_MARK = 100


class _Pattern(NamedTuple):
    """A file, and where in it the value of each variable begins; None where it is not in it."""

    file: bytes
    places: list[int | None]


class Checkpoints:
    """Writes `.weights.h5` files of one model, each with values of its own.

    Keras walks through the model and makes the groups and arrays of each file anew. But all files
    of a model are alike except for the values. So Keras writes the first, and one with random
    values, which tell where the values of each variable lie; all others are copies of that with the
    bytes there replaced. If the first is not such a copy too, Keras writes all.

    Args:
        model: compiled and built, its optimizer too, as far as they are to be saved. Its variables
            are assigned to.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        self._first: tuple[str, list[bytes]] | None = None  # written by Keras, and what is in it
        self._tried = False
        self._pattern: _Pattern | None = None

    def write(self, path: str, contents: Contents) -> None:
        """Write a file in which the variables in `contents` have those values, in one step.

        Args:
            path: of the file; it ends in ``.weights.h5``.
            contents: of the same variables each time; the others have the values that they had with
                the second file.
        """
        values = [_bytes(value, variable) for variable, value in contents]
        if self._first is not None and not self._tried:
            self._tried = True
            self._find_pattern([variable for variable, _ in contents], *self._first)
        if is_remote(path):
            self._write(path, contents, values)
        else:
            # Keras asks for this ending
            partial = f"{path.removesuffix(_WEIGHTS)}.partial{_WEIGHTS}"
            try:
                self._write(partial, contents, values)
                put_in_place(Path(partial), Path(path))
            finally:
                # what is left of it would take the room that is missing
                Path(partial).unlink(missing_ok=True)
        if self._pattern is None and self._first is None:
            self._first = (path, values)

    def _write(self, path: str, contents: Contents, values: list[bytes]) -> None:
        if self._pattern is not None:
            with file_utils.File(path, "wb") as opened:
                opened.write(_with(self._pattern, values))
            return
        for variable, value in contents:
            variable.assign(value)
        if not is_remote(path):
            check_room(Path(path), size_of(self._model))
        save_weights(self._model, path)

    def _find_pattern(
        self, variables: list[keras.Variable], path: str, values: list[bytes]
    ) -> None:
        """Learn how to write files without Keras, if the one that it wrote could be written so."""
        # what goes wrong on the shortcut must not cost the trained population: Keras may still
        # be able to write
        with contextlib.suppress(AttributeError, OSError, TypeError, ValueError):
            pattern = _pattern(self._model, variables)
            if pattern is not None and _with(pattern, values) == _read(path):
                self._pattern = pattern


def size_of(model: keras.Model) -> int:
    """Return how many bytes a checkpoint takes at most."""
    variables = list(model.variables)
    # there is none before `compile`, which a model with a loop of its own need not call
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        variables += optimizer.variables
    size = _BYTES_OF_A_GROUP * (len(variables) + 1)
    for variable in variables:
        item = _BYTES_OF_A_VALUE
        if "64" in variable.dtype:
            item = 2 * _BYTES_OF_A_VALUE
        size += item * math.prod(variable.shape)
    return size


class RoomForCheckpoint(keras.callbacks.Callback):
    """Ends the training where the checkpoint of an epoch, which comes next, would have no room.

    Args:
        path: of the checkpoint.
    """

    def __init__(self, path: str):
        super().__init__()
        self._path = path

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Check it."""
        check_room(Path(self._path), size_of(self.model))


def save_weights(model: keras.Model, path: str) -> None:
    """Write a checkpoint as Keras does, sooner.

    What belongs to no file, Keras finds out for each object: it keeps the answer under another name
    than that under which it looks for it (3.12 to 3.15 at least).
    """
    # there need not be such a function, or such a kind
    with contextlib.suppress(AttributeError, ValueError):
        for kind in _KINDS:
            set_global(f"saving_attr_skiplist_{kind}", saving_lib.get_attr_skipset(kind))
    model.save_weights(path)


def _pattern(model: keras.Model, variables: list[keras.Variable]) -> _Pattern | None:
    """Return a file of the model, and where in it each variable begins, if anywhere.

    None if that is not certain.
    """
    before = [keras.ops.convert_to_numpy(variable) for variable in variables]
    try:
        file, starts, marks = _marked_file(model, variables)
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
    if len(set(marks)) < len(marks):
        return None  # two variables have the same mark
    places: list[int | None] = []
    for mark in marks:
        mark_starts = starts.get(mark, [])
        if len(mark_starts) > 1:
            return None
        # there is none of what Keras does not save
        places.append(next(iter(mark_starts), None))
    return _Pattern(file, places)


def _marked_file(
    model: keras.Model, variables: list[keras.Variable]
) -> tuple[bytes, dict[bytes, list[int]], list[bytes]]:
    """Write random values, the marks.

    Return the file, where its arrays begin, and the marks.
    """
    rng = np.random.default_rng(0)
    for variable in variables:
        variable.assign(_mark(variable, rng))
    marks = [_bytes(variable, variable) for variable in variables]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "marked.weights.h5"))
        save_weights(model, path)
        file = _read(path)
        return file, _arrays(path, file), marks


def _mark(variable: keras.Variable, rng: np.random.Generator) -> np.ndarray:
    largest = _LARGEST_MARK
    if "int" in variable.dtype:
        largest = np.iinfo(variable.dtype).max
    mark = rng.integers(0, largest, variable.shape)
    if "float" in variable.dtype:
        return mark + rng.random(variable.shape)
    return mark


def _arrays(path: str, file: bytes) -> dict[bytes, list[int]]:
    """Return where in a file the arrays with each content begin."""
    spans: list[tuple[int | None, int]] = []

    def note(_: str, entry: Any) -> None:
        # a group of arrays has no bytes of its own
        if hasattr(entry, "nbytes"):
            spans.append((entry.id.get_offset(), entry.nbytes))

    store = saving_lib.H5IOStore(path, mode="r")
    store.h5_file.visititems(note)
    store.close()
    starts = defaultdict[bytes, list[int]](list)
    for start, size in spans:
        if start is not None:  # else it is empty, or not in one piece
            starts[file[start : start + size]].append(start)
    return starts


def _with(pattern: _Pattern, values: list[bytes]) -> bytearray:
    """Return a copy with the values of the variables."""
    file = bytearray(pattern.file)
    for place, value in zip(pattern.places, values, strict=True):
        if place is not None:
            file[place : place + len(value)] = value
    return file


def _read(path: str) -> bytes:
    with file_utils.File(path, "rb") as opened:
        return bytes(opened.read())


def _bytes(value: Tensor, variable: keras.Variable) -> bytes:
    """The value as a file has it, in the variable's dtype."""
    return np.asarray(keras.ops.convert_to_numpy(value), variable.dtype).tobytes()
