"""The settings of a kept search, so that it goes on only as what it was."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_acts.errors import SearchError

_FILE = "keras_acts.json"
_CHUNK = 2**24  # bytes of an array that are copied at once, where its values do not lie next to each other
# what Keras numbers anew in every process, the names of layers inside a wrapped model among them
_NAMES = (
    *("name", "build_config", "compile_config", "registered_name", "shared_object_id"),
    *("input_layers", "output_layers", "inbound_nodes"),
)
# where callbacks write, which people name by the time of day
_PLACES = ("dir", "path", "file")
_CONFIGURED = (
    keras.optimizers.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
    keras.losses.Loss,
    keras.metrics.Metric,
)
_MISSING = "nothing"


def check_resume(project: Path, settings: dict[str, Any]) -> None:
    """Compare with the settings of the search that `project` holds, or keep these for the next time.

    Raises:
        SearchError: naming what differs.
    """
    path = project / _FILE
    if path.is_file():
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise SearchError(f"The project cannot be read; overwrite=True begins again. Received: {path}") from None
        expected, received = dict(_parts(kept)), dict(_parts(json.loads(json.dumps(settings))))
        # in the order in which they are given
        names = [name for name in dict.fromkeys([*received, *expected]) if expected.get(name) != received.get(name)]
        if names:
            raise SearchError(
                "A search goes on with the settings it began with; use another directory or overwrite=True. "
                f"Expected: {_told(names, expected)}. Received: {_told(names, received)}"
            )
        return
    project.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    os.replace(partial, path)


def _parts(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The settings with dotted names: ``optimizer.learning_rate``."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _parts(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _told(names: list[str], settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={settings[name]!r}" if name in settings else f"{name}={_MISSING}" for name in names)


def describe_model(model: Any) -> Any:
    """Return what makes two models the same for a search; names of layers change from process to process."""
    if not isinstance(model, keras.Model):
        return getattr(model, "__qualname__", type(model).__name__)
    return [_layer(layer) for layer in model.layers]


def _layer(layer: Any) -> list[Any]:
    shapes = [list(weight.shape) for weight in layer.weights]
    if isinstance(layer, keras.Model):
        return [type(layer).__name__, shapes, describe_model(layer)]
    try:
        config = layer.get_config()
    except Exception:  # a layer without a config is known by its class and weights
        config = {}
    return [type(layer).__name__, shapes, describe_value(config)]


def describe_training(model: keras.Model) -> dict[str, Any]:
    """Return what a model was compiled with: optimizer, its settings, loss, metrics."""
    # not by `get_compile_config`, which raises where something cannot be saved; a search saves none of it
    given = getattr(getattr(model, "_compile_config", None), "config", None) or {}
    return {name: describe_value(value) for name, value in given.items()}


def describe_value(value: Any) -> Any:
    """Return what tells a value from others in another process, as plain data."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, _CONFIGURED):
        return {"class": type(value).__name__, **describe_value(_config(value))}
    if isinstance(value, functools.partial):
        return [describe_value(part) for part in (value.func, value.args, value.keywords)]
    if isinstance(value, Mapping):
        kind = str(value.get("class_name"))
        if kind == "__lambda__":  # its code names the file it was written in, which a notebook numbers
            return kind
        if kind.endswith("DTypePolicy"):  # whose name is what it is
            return json.dumps(value["config"], sort_keys=True, default=str)
        return {str(name): describe_value(one) for name, one in value.items() if name not in _NAMES}
    if isinstance(value, list | tuple):
        return [describe_value(one) for one in value]
    if isinstance(value, np.generic):
        return value.item()
    if _as_array(value) is not None:
        return describe_data(value, hashed=True)
    if isinstance(value, keras.callbacks.Callback):
        # what Keras sets when a training begins is none of its settings
        running = vars(keras.callbacks.Callback())
        own = {name: one for name, one in vars(value).items() if not name.startswith("_") and name not in running}
        own = {name: one for name, one in own.items() if not any(place in name for place in _PLACES)}
        return {"class": type(value).__name__, **{name: _simple(one) for name, one in own.items()}}
    return _simple(value)


def _config(value: Any) -> Mapping[str, Any]:
    """What an object of Keras says of itself; nothing if it cannot: then its class tells it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The object being serialized includes a `lambda`")  # nobody loads it
        try:
            config: Mapping[str, Any] = value.get_config()
        except Exception:
            return {}
    return config


def _simple(value: Any) -> Any:
    """A value that is the same in every process, else its class."""
    plain = value is None or isinstance(value, bool | int | float | str)
    if plain:
        return value
    return getattr(value, "__qualname__", type(value).__name__)


def describe_data(*parts: Any, hashed: bool) -> list[str]:
    """Return the type and shape of each array, and a fingerprint; the type of anything else.

    Args:
        *parts: arrays, or structures of them.
        hashed: whether to make fingerprints, for which all values are read.
    """
    return [_described(part, hashed) for part in keras.tree.flatten(parts)]


def _described(part: Any, hashed: bool) -> str:
    array = _as_array(part)
    if array is None or array.dtype == object:
        return type(part).__name__
    text = f"{array.dtype}{list(array.shape)}"
    return f"{text} {_fingerprint(array)}" if hashed else text


def _as_array(part: Any) -> np.ndarray | None:
    """The values of an array, a tensor or a table of pandas; None of anything else."""
    if isinstance(part, np.ndarray):
        return part
    if keras.ops.is_tensor(part):
        return np.asarray(keras.ops.convert_to_numpy(part))
    return np.asarray(part.to_numpy()) if hasattr(part, "to_numpy") else None


def _fingerprint(array: np.ndarray) -> str:
    """A hash of the values, of which at most a small part is copied."""
    made = hashlib.sha256()
    if array.flags.c_contiguous:
        made.update(array.reshape(-1).view(np.uint8).data)
    else:
        rows = max(1, _CHUNK // max(1, array[:1].nbytes))
        for start in range(0, len(array), rows):
            made.update(np.ascontiguousarray(array[start : start + rows]).reshape(-1).view(np.uint8).data)
    return made.hexdigest()[:16]
