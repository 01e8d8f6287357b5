"""An export again in Keras: callable, with its model card."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_acts.compat import reloaded_object
from keras_acts.errors import DataError, ExportError

from . import card as model_card
from .savedmodel import by_export_names

Arrays = dict[str, np.ndarray]


class LoadedModel(keras.layers.TFSMLayer):
    """An export as a Keras layer.

    Call it, or use it inside a model, with what the exported model took.

    Make one with `load`.
    """

    def __init__(self, filepath: str, call_endpoint: str = "serve", **kwargs: Any):
        self._card = json.dumps(
            model_card.read(Path(filepath))
        )  # as text: Keras would track a dict
        super().__init__(filepath, call_endpoint=call_endpoint, **kwargs)

    @property
    def card(self) -> dict[str, Any]:
        """The model card: activations, data, metrics, versions."""
        return json.loads(self._card)

    def predict(self, x: Any, batch_size: int = 256, *, allow_nan: bool = False) -> Arrays:
        """Return the outputs by name, and ``label`` if the export knows its classes.

        Args:
            x: one array, or a dict by the names of the inputs: those of the export, or the model's
                own.
            batch_size: how many samples at a time.
            allow_nan: whether samples may hold NaN. Refused by default: what computes with it often
                makes a number of it, ReLU for one, and then the prediction looks like any other.

        Raises:
            DataError: if `x` is not what the model takes: NaN or a fraction for an input of whole
                numbers, for one.
        """
        signatures = self.card["signatures"]
        name = "classify" if "classify" in signatures else "serving_default"
        specs = signatures[name]["inputs"]
        as_given = _checked(x, specs)
        if not allow_nan:
            _check_no_gaps(as_given)  # a cast to integers would make a number of NaN
        for key, value in as_given.items():
            _check_fits(key, value, specs[key]["dtype"])
        given = _cast(as_given, specs)
        if not allow_nan:
            _check_no_gaps(given)  # arrays of objects show theirs only as numbers
        run = reloaded_object(self).signatures[name]
        count = len(next(iter(given.values())))
        parts = [
            run(
                **{
                    key: keras.ops.convert_to_tensor(value[start : start + batch_size])
                    for key, value in given.items()
                }
            )
            for start in range(0, count, batch_size)
        ]
        found = {key: np.concatenate([part[key].numpy() for part in parts]) for key in parts[0]}
        return {
            key: _words(value) if value.dtype == object else value for key, value in found.items()
        }


def load(path: str | os.PathLike[str]) -> LoadedModel:
    """Return the export at `path` as a Keras layer with its card.

    Of a folder of versions, the newest.

    Raises:
        ExportError: if there is no export of keras_acts, or Keras does not run on TensorFlow.

    Example:
        >>> model = load("saved_models/best")
        >>> model.card["activations"], model(x), model.predict(x)
    """
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            "An export loads where Keras runs on TensorFlow (KERAS_BACKEND=tensorflow). "
            f"Received: the backend {keras.backend.backend()}"
        )
    folder = _newest(Path(path))
    if not (folder / "saved_model.pb").is_file():
        raise ExportError(f"The path must be a folder with an export. Received: path={str(path)!r}")
    return LoadedModel(str(folder))


def misfit(values: np.ndarray, dtype: str) -> tuple[int, ...] | None:
    """Return where the first value stands that an input of integers or truth values cannot hold.

    None if all fit.

    Args:
        values: numbers.
        dtype: of the input.
    """
    if values.dtype.kind == "b" or not dtype.startswith(("int", "uint", "bool")):
        return None
    found = values if values.dtype.kind in "iub" else values.astype("float64")
    fits = np.isfinite(found)
    if dtype != "bool":
        limits = np.iinfo(dtype)
        # no float is just below the limit of 64 bits
        fits &= (found == np.floor(found)) & (found >= limits.min) & (found < limits.max + 1)
    misfits = np.argwhere(~fits)
    return tuple(map(int, misfits[0])) if len(misfits) else None


def _check_fits(name: str, values: np.ndarray, dtype: str) -> None:
    try:
        place = misfit(values, dtype)
    except (TypeError, ValueError) as error:
        raise DataError(f"The input {name!r} must be numbers, {dtype}. Received: {error}") from None
    if place is not None:
        raise DataError(
            f"The input {name!r} must be of values that {dtype} can hold. Received: {values[place]} at {list(place)}"
        )


def _check_no_gaps(given: Arrays) -> None:
    for name, value in given.items():
        if value.dtype.kind != "f":
            continue
        gaps = np.argwhere(np.isnan(value))
        if len(gaps):
            raise DataError(
                "Every value must be there; allow_nan=True is for models that know what to do with NaN. "
                f"Received: NaN in the input {name!r} at {gaps[0].tolist()}, and {len(gaps) - 1} more"
            )


def _words(values: np.ndarray) -> np.ndarray:
    """TensorFlow's bytes as text."""
    return np.array([word.decode() for word in values.ravel()]).reshape(values.shape)


def _newest(folder: Path) -> Path:
    versions = (
        [e for e in folder.iterdir() if e.name.isdecimal() and e.is_dir()]
        if folder.is_dir()
        else []
    )
    if versions and not (folder / "saved_model.pb").exists():
        return max(versions, key=lambda entry: int(entry.name))
    return folder


def _checked(x: Any, specs: Mapping[str, Any]) -> Arrays:
    by_name = isinstance(x, Mapping)
    if by_name:
        x = by_export_names(x, {name: spec.get("given", name) for name, spec in specs.items()}) or x
    if x.keys() != specs.keys() if by_name else len(specs) > 1:
        received = sorted(x) if by_name else type(x).__name__
        raise DataError(f"The inputs must be given by name: {sorted(specs)}. Received: {received}")
    given = {name: np.asarray(x[name] if by_name else x) for name in specs}
    for name, value in given.items():
        shape = specs[name]["shape"]
        fits = len(shape) == value.ndim and all(
            s in (None, v) for s, v in zip(shape[1:], value.shape[1:], strict=True)
        )
        if not fits or not len(value):
            wanted = tuple("n" if size is None else size for size in shape)
            raise DataError(
                f"The input {name!r} must have the shape {wanted}. Received: {value.shape}"
            )
    if len({len(value) for value in given.values()}) > 1:
        raise DataError(
            f"All inputs need as many samples. Received: { {k: len(v) for k, v in given.items()} }"
        )
    return given


def _cast(given: Arrays, specs: Mapping[str, Any]) -> Arrays:
    return {
        name: v if specs[name]["dtype"] == "string" else v.astype(specs[name]["dtype"])
        for name, v in given.items()
    }
