"""Checkpoints as Keras writes them, sooner where there are many of one model."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.saving import saving_lib
from keras.src.utils import file_utils

from .carry import Contents

Pattern = tuple[bytes, dict[int, list[int]]]  # a file, and where in it the values of a variable begin


class Checkpoints:
    """Writes `.weights.h5` files of one model, each with values of its own.

    Keras walks through the model and makes the groups and arrays of each file anew. But all files of a model are alike
    except for the values. So Keras writes the first, and two with random values, which tell where the values of each
    variable lie; all others are copies of those with the bytes there replaced. If more than these differs, Keras writes
    all.

    Args:
        model: compiled and built, its optimizer too, as far as they are to be saved. Its values may change.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        self._written = 0
        self._pattern: Pattern | None = None

    def write(self, path: str, contents: Contents) -> None:
        """Write a file in which the variables in `contents` have those values, the others what they have now.

        Args:
            path: of the file; it ends in ``.weights.h5``.
            contents: of the same variables each time.
        """
        if self._written == 1:
            self._pattern = _pattern(self._model, [variable for variable, _ in contents])
        self._written += 1
        if self._pattern is None:
            for variable, value in contents:
                variable.assign(value)
            save_weights(self._model, path)
            return
        file, places = self._pattern
        filled = [(variable, _bytes(value, variable)) for variable, value in contents if id(variable) in places]
        with file_utils.File(path, "wb") as opened:
            opened.write(_with(file, places, filled))


def save_weights(model: keras.Model, path: str) -> None:
    """Write a checkpoint as Keras does, in two thirds of the time.

    What belongs to no file, Keras finds out for each object: it keeps the answer under another name than that under
    which it looks for it (3.12 to 3.15 at least).
    """
    with contextlib.suppress(AttributeError, ValueError):  # there need not be such a function, or such a kind
        for kind in ("Layer", "Functional", "Sequential", "Operation", "Metric", "Optimizer", "Loss"):
            global_state.set_global_attribute(f"saving_attr_skiplist_{kind}", saving_lib.get_attr_skipset(kind))
    model.save_weights(path)


def _pattern(model: keras.Model, variables: list[Any]) -> Pattern | None:
    """Return a file of the model, and where in it the values of each variable lie; None if that is not certain."""
    variables = [variable for variable in variables if math.prod(variable.shape)]
    before = [keras.ops.convert_to_numpy(variable) for variable in variables]
    try:
        file, marks = _marked(model, variables, 0)
        again, others = _marked(model, variables, 1)
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
    places = {id(v): _found(mark, file) for v, mark in zip(variables, marks, strict=True)}
    # the proof: nothing but the values found differs in another file
    return (file, places) if _with(file, places, zip(variables, others, strict=True)) == again else None


def _marked(model: keras.Model, variables: list[Any], seed: int) -> tuple[bytes, list[bytes]]:
    """Return a file with random values, which are hardly twice in it, and the bytes of each variable."""
    rng = np.random.default_rng(seed)
    for variable in variables:
        whole = np.iinfo(variable.dtype).max if "int" in variable.dtype else 100
        mark = rng.integers(0, whole, variable.shape)
        variable.assign(mark + rng.random(variable.shape) if "float" in variable.dtype else mark)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "marked.weights.h5")
        save_weights(model, str(path))
        return path.read_bytes(), [_bytes(variable, variable) for variable in variables]


def _found(mark: bytes, file: bytes) -> list[int]:
    places, place = list[int](), file.find(mark)
    while place >= 0:
        places.append(place)
        place = file.find(mark, place + len(mark))
    return places


def _with(file: bytes, places: dict[int, list[int]], values: Iterable[tuple[Any, bytes]]) -> bytes:
    """Return a file with other values in the places of the variables."""
    made = bytearray(file)
    for variable, data in values:
        for place in places[id(variable)]:
            made[place : place + len(data)] = data
    return bytes(made)


def _bytes(value: Any, variable: Any) -> bytes:
    """The value as a file has it, in the variable's dtype."""
    return np.asarray(keras.ops.convert_to_numpy(value), variable.dtype).tobytes()
