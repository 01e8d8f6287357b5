"""Checkpoints as Keras writes them, sooner where there are many of one model."""

from __future__ import annotations

import contextlib
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_acts.compat import file_utils, saving_lib, set_global

from ..population.transfer import Contents

Pattern = tuple[
    bytes, list[int | None]
]  # a file, and where in it the value of each variable begins


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
        self._written: list[tuple[str, list[bytes]]] = []  # by Keras
        self._pattern: Pattern | None = None

    def write(self, path: str, contents: Contents) -> None:
        """Write a file in which the variables in `contents` have those values.

        Args:
            path: of the file; it ends in ``.weights.h5``.
            contents: of the same variables each time; the others have the values that they had with
                the second file.
        """
        variables, values = (
            [variable for variable, _ in contents],
            [_bytes(value, v) for v, value in contents],
        )
        if len(self._written) == 1 and self._pattern is None:
            first, known = self._written[0]
            # what goes wrong on the shortcut must not cost the trained population: Keras may still
            # be able to write
            with contextlib.suppress(AttributeError, OSError, TypeError, ValueError):
                pattern = _pattern(self._model, variables)
                if pattern is not None and _with(pattern, known) == _read(first):
                    self._pattern = pattern
        if self._pattern is not None:
            with file_utils.File(path, "wb") as opened:
                opened.write(_with(self._pattern, values))
            return
        for variable, value in contents:
            variable.assign(value)
        save_weights(self._model, path)
        self._written.append((path, values if not self._written else []))


def save_weights(model: keras.Model, path: str) -> None:
    """Write a checkpoint as Keras does, sooner.

    What belongs to no file, Keras finds out for each object: it keeps the answer under another name
    than that under which it looks for it (3.12 to 3.15 at least).
    """
    with contextlib.suppress(
        AttributeError, ValueError
    ):  # there need not be such a function, or such a kind
        for kind in (
            "Layer",
            "Functional",
            "Sequential",
            "Operation",
            "Metric",
            "Optimizer",
            "Loss",
        ):
            set_global(f"saving_attr_skiplist_{kind}", saving_lib.get_attr_skipset(kind))
    model.save_weights(path)


def _pattern(model: keras.Model, variables: list[Any]) -> Pattern | None:
    """Return a file of the model, and where in it each variable begins, if anywhere.

    None if that is not certain.
    """
    rng, before = (
        np.random.default_rng(0),
        [keras.ops.convert_to_numpy(variable) for variable in variables],
    )
    try:
        for variable in variables:
            whole = np.iinfo(variable.dtype).max if "int" in variable.dtype else 100
            mark = rng.integers(0, whole, variable.shape)
            variable.assign(
                mark + rng.random(variable.shape) if "float" in variable.dtype else mark
            )
        marks = [_bytes(variable, variable) for variable in variables]
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "marked.weights.h5"))
            save_weights(model, path)
            file = _read(path)
            found = _arrays(path, file)
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
    places = [found.get(mark, []) for mark in marks]
    alone = len(set(marks)) == len(marks) and all(len(those) < 2 for those in places)
    return (file, [those[0] if those else None for those in places]) if alone else None


def _arrays(path: str, file: bytes) -> dict[bytes, list[int]]:
    """Return where in a file the arrays with each content begin."""
    found = defaultdict[bytes, list[int]](list)
    store = saving_lib.H5IOStore(path, mode="r")
    spans: list[tuple[int | None, int]] = []
    store.h5_file.visititems(
        lambda _, entry: (
            spans.append((entry.id.get_offset(), entry.nbytes))
            if hasattr(entry, "nbytes")
            else None
        )
    )
    store.close()
    for place, size in spans:
        if place is not None:  # else it is empty, or not in one piece
            found[file[place : place + size]].append(place)
    return found


def _with(pattern: Pattern, values: list[bytes]) -> bytearray:
    """Return a copy with the values of the variables."""
    file, places = pattern
    made = bytearray(file)
    for place, data in zip(places, values, strict=True):
        if place is not None:
            made[place : place + len(data)] = data
    return made


def _read(path: str) -> bytes:
    with file_utils.File(path, "rb") as opened:
        return bytes(opened.read())


def _bytes(value: Any, variable: Any) -> bytes:
    """The value as a file has it, in the variable's dtype."""
    return np.asarray(keras.ops.convert_to_numpy(value), variable.dtype).tobytes()
