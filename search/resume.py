"""The settings of a kept search, so that it goes on only as what it was."""

from __future__ import annotations

import functools
import json
import os
import types
import warnings
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_acts.compat import all_layers, compiled_with
from keras_acts.errors import SearchError

from .fingerprints import (
    body_of,
    code_of,
    is_function,
    is_of_a_library,
    of_array,
    of_plain,
    python_function,
)

_FILE = "keras_acts.json"
# what Keras numbers anew in every process, the names of layers inside a wrapped model among them
_NAMES = (
    *("name", "build_config", "compile_config", "registered_name", "shared_object_id"),
    *("input_layers", "output_layers", "inbound_nodes"),
)
# where something is written, which people name by the time of day
_PLACES = ("dir", "path", "file")
_CONFIGURED = (
    keras.optimizers.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
    keras.losses.Loss,
    keras.metrics.Metric,
)
_OF_OBJECTS = (str, bytes, bool, int, float, np.generic, type(None))
_MISSING = "nothing"
# Keras wraps these methods of each layer
_WRAPPED = ("build", "quantize")


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
            raise SearchError(
                f"The project cannot be read; overwrite=True begins again. Received: {path}"
            ) from None
        expected, received = dict(_parts(kept)), dict(_parts(json.loads(json.dumps(settings))))
        # in the order in which they are given
        names = [
            name
            for name in dict.fromkeys([*received, *expected])
            if expected.get(name) != received.get(name)
        ]
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
    return ", ".join(
        f"{name}={settings[name]!r}" if name in settings else f"{name}={_MISSING}" for name in names
    )


def fingerprint_model(model: Any) -> Any:
    """Return what makes two models the same for a search.

    Names of layers change from process to process.
    """
    return _Description().model(model)


def fingerprint_training(model: keras.Model) -> dict[str, Any]:
    """Return what a model was compiled with: optimizer, its settings, loss, metrics."""
    # not by `get_compile_config`, which raises where something cannot be saved; a search saves none
    # of it
    given = compiled_with(model)
    return {name: fingerprint_value(value) for name, value in given.items()}


def fingerprint_value(value: Any) -> Any:
    """Return what tells a value from others in another process, as plain data."""
    return _Description().value(value)


class _Description:
    """Tells values from others, each function and object once: they may hold each other.

    Args:
        reads: whether what functions read from their modules counts.
    """

    def __init__(self, reads: bool = True):
        self._reads = reads
        self._seen: set[int] = set()

    def model(self, model: Any) -> Any:
        """A model, by its layers; or a function that makes one."""
        if not isinstance(model, keras.Model):
            return self.value(model)
        own = [] if is_of_a_library(type(model)) else [self.kind(type(model))]
        return [*own, *(self.layer(layer) for layer in model.layers)]

    def layer(self, layer: Any) -> list[Any]:
        """A layer, by its class, weights and config."""
        shapes = [list(weight.shape) for weight in layer.weights]
        kind = self.kind(type(layer))
        if isinstance(layer, keras.Model):
            return [kind, shapes, self.model(layer)]
        # no config tells what a function does
        parts = all_layers(layer) if isinstance(layer, keras.layers.Layer) else [layer]
        functions = [found for part in parts if (found := self.functions(part))]
        config = _config(layer)
        own = self.value(config) if config else self.attributes(layer, vars(keras.layers.Layer()))
        return [kind, shapes, own, *functions]

    def value(self, value: Any) -> Any:
        """Any value."""
        if isinstance(value, float) and np.isnan(value):
            return repr(float(value))  # it would differ from itself
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, _CONFIGURED):
            kind, own = self.kind(type(value)), self.functions(value)
            config = _config(value)
            return {
                "class": kind,
                **(self.value(config) if config else self.attributes(value)),
                **own,
            }
        if isinstance(value, functools.partial):
            return [self.value(part) for part in (value.func, value.args, value.keywords)]
        if isinstance(value, Mapping):
            return self.mapping(value)
        if isinstance(value, list | tuple):
            return [self.value(one) for one in value]
        if isinstance(value, set | frozenset):  # in another order in each process
            return sorted((self.value(one) for one in value), key=repr)
        if isinstance(value, np.generic):
            return value.item()
        array = _as_array(value)
        if array is not None:
            return [_of_array(array, hashed=True)]
        if isinstance(value, keras.callbacks.Callback):
            # what Keras sets when a training begins is none of its settings
            running = vars(keras.callbacks.Callback())
            own = {
                name: one
                for name, one in vars(value).items()
                if not name.startswith("_") and name not in running
            }
            own = {
                name: one
                for name, one in own.items()
                if not any(place in name for place in _PLACES)
            }
            # what it reads besides is mostly what it shows: the time, a title
            kind = _Description(reads=False).kind(type(value))
            return {"class": kind, **{name: self.value(one) for name, one in own.items()}}
        if is_function(value):
            return self.function(value)
        if isinstance(value, type):
            return self.kind(value)
        if isinstance(value, types.ModuleType):
            return value.__name__
        return self.thing(value)

    def mapping(self, value: Mapping[Any, Any]) -> Any:
        """A mapping, perhaps a config of Keras'."""
        kind = str(value.get("class_name"))
        if kind == "__lambda__" or _is_dumped(value):
            # its code names the file it was written in, which a notebook numbers; `functions` tells
            # what it does
            return "__lambda__"
        if kind.endswith("DTypePolicy"):  # whose name is what it is
            return json.dumps(value["config"], sort_keys=True, default=str)
        return {str(name): self.value(one) for name, one in value.items() if name not in _NAMES}

    def function(self, function: Any) -> str:
        """The name of a function, and a hash of what it does if a user wrote it."""
        function = python_function(function)
        name = str(getattr(function, "__qualname__", type(function).__name__))
        if (
            not hasattr(function, "__code__")
            or is_of_a_library(function)
            or id(function.__code__) in self._seen
        ):
            return name
        self._seen.add(id(function.__code__))
        owner = getattr(function, "__self__", None)
        return f"{name} {of_plain([code_of(function, self.value, self._reads), self.value(owner)])}"

    def kind(self, kind: type) -> str:
        """The name of a class, and a hash of what it does if a user wrote it."""
        if is_of_a_library(kind) or id(kind) in self._seen:
            return kind.__name__
        self._seen.add(id(kind))
        own = [base for base in kind.__mro__ if not is_of_a_library(base)]
        bodies = [{name: self.value(value) for name, value in body_of(base)} for base in own]
        return f"{kind.__name__} {of_plain(bodies)}"

    def functions(self, thing: Any) -> dict[str, Any]:
        """The functions that an object was given, by the names of its attributes."""
        found = {
            name: one
            for name, one in vars(thing).items()
            if is_function(one) and name not in _WRAPPED
        }
        return {
            name: self.function(one)
            for name, one in sorted(found.items())
            if not is_of_a_library(one)
        }

    def attributes(self, thing: Any, known: Collection[str] = ()) -> dict[str, Any]:
        """The plain values that an object holds, but for attributes that are known."""
        plain = {
            name: one
            for name, one in vars(thing).items()
            if isinstance(one, bool | int | float | str)
        }
        told = {
            name: one
            for name, one in plain.items()
            if name not in known and name.lstrip("_") not in _NAMES
        }
        return {name: self.value(one) for name, one in told.items()}

    def thing(self, thing: Any) -> Any:
        """Any object: by its name or class, and, if that is the user's alone, by what it holds."""
        kind = type(thing)
        name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", kind.__name__)
        own = all(base is object or not is_of_a_library(base) for base in kind.__mro__)
        if not own or id(thing) in self._seen or not hasattr(thing, "__dict__"):
            return str(name)
        self._seen.add(id(thing))
        return {"class": self.kind(kind), **self.attributes(thing), **self.functions(thing)}


def _is_dumped(config: Mapping[Any, Any]) -> bool:
    """Whether this is what Keras makes of a lambda that is an activation.

    Its code, defaults and closure.
    """
    value = config.get("value") if len(config) == 1 else None
    return isinstance(value, tuple | list) and len(value) == 3 and isinstance(value[0], str)


def _config(value: Any) -> Mapping[str, Any]:
    """What an object of Keras says of itself; nothing if it cannot: then its class tells it."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "The object being serialized includes a `lambda`"
        )  # nobody loads it
        try:
            config: Mapping[str, Any] = value.get_config()
        except Exception:
            return {}
    return config


def fingerprint_data(*parts: Any, hashed: bool) -> list[str]:
    """Return the type and shape of each array, and a fingerprint.

    Of batches what they are and how many.

    The values of batches are not read: they may be in another order, or augmented in another way,
    each time.

    Args:
        *parts: arrays, or structures of them.
        hashed: whether to make fingerprints, for which all values are read.
    """
    return [_described(part, hashed) for part in keras.tree.flatten(parts)]


def _described(part: Any, hashed: bool) -> str:
    array = _as_array(part)
    return f"{type(part).__name__}{_batches(part)}" if array is None else _of_array(array, hashed)


def _of_array(array: np.ndarray, hashed: bool) -> str:
    if array.dtype == object and not all(isinstance(one, _OF_OBJECTS) for one in array.flat):
        return type(array).__name__  # what its objects hold nobody knows
    text = f"{array.dtype}{list(array.shape)}"
    return f"{text} {of_array(array)}" if hashed else text


def _batches(part: Any) -> str:
    """How many batches there are, and what is in one, as far as data say so without being read."""
    if isinstance(part, keras.utils.PyDataset):
        return f" of {part.num_batches} batches"
    if not hasattr(part, "element_spec") or not hasattr(part, "cardinality"):
        return ""
    specs = (spec for spec in keras.tree.flatten(part.element_spec) if hasattr(spec, "dtype"))
    return f" of {int(part.cardinality())} batches of {', '.join(f'{spec.dtype.name}{spec.shape}' for spec in specs)}"


def _as_array(part: Any) -> np.ndarray | None:
    """The values of an array, a tensor or a table of pandas; None of anything else."""
    if isinstance(part, np.ndarray):
        return part
    if keras.ops.is_tensor(part):
        return np.asarray(keras.ops.convert_to_numpy(part))
    return np.asarray(part.to_numpy()) if hasattr(part, "to_numpy") else None
