"""The settings of a kept search, so that it goes on only as what it was."""

from __future__ import annotations

import functools
import json
import types
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_acts.compat import all_layers, compiled_with
from keras_acts.errors import SearchError

from .fingerprints import (
    Plain,
    body_of,
    code_of,
    is_function,
    is_of_a_library,
    of_array,
    of_plain,
    python_function,
)
from .runtime.kept_files import damaged, read_kept, with_checksum, write_whole
from .runtime.ownership import holds_search

_FILE = "keras_acts.json"
# what Keras numbers anew in every process, the names of layers inside a wrapped model among them
_NAMES = {
    "build_config",
    "compile_config",
    "inbound_nodes",
    "input_layers",
    "name",
    "output_layers",
    "registered_name",
    "shared_object_id",
}
# where something is written, which people name by the time of day
_PLACES = ("dir", "path", "file")
_CONFIGURED = (
    keras.optimizers.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
    keras.losses.Loss,
    keras.metrics.Metric,
)
# in an array of objects, what prints as what it is
_OF_OBJECTS = (str, bytes, bool, int, float, np.generic, type(None))
_MISSING = "nothing"
# Keras wraps these methods of each layer
_WRAPPED = ("build", "quantize")


def check_resume(project: Path, settings: dict[str, Plain]) -> bool:
    """Compare with the settings of the search that `project` holds, or keep these in it.

    Return whether it holds one.

    Raises:
        SearchError: naming what differs, or the file if it is missing or damaged.
    """
    path = project / _FILE
    if not path.is_file():
        if holds_search(project):
            raise damaged(path, "it is missing, and only it tells what was searched")
        text = with_checksum(settings, indent=1)
        write_whole(path, text.encode())
        return False
    kept = read_kept(path, signed=True)
    expected = dict(_parts(kept))
    # by way of JSON, as what was kept: a tuple is a list there
    received = dict(_parts(json.loads(json.dumps(settings))))
    # in the order in which they are given
    names = dict.fromkeys([*received, *expected])
    differing = [name for name in names if expected.get(name) != received.get(name)]
    if differing:
        raise SearchError(
            "A search goes on with the settings it began with; use another directory or "
            "overwrite=True. "
            f"Expected: {_listed(differing, expected)}. Received: {_listed(differing, received)}"
        )
    return True


def _parts(settings: Mapping[str, Plain], prefix: str = "") -> Iterator[tuple[str, Plain]]:
    """The settings with dotted names: ``optimizer.learning_rate``."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _parts(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _listed(names: list[str], settings: Mapping[str, Plain]) -> str:
    """Some settings as they are written in a call."""
    texts: list[str] = []
    for name in names:
        value = repr(settings[name]) if name in settings else _MISSING
        texts.append(f"{name}={value}")
    return ", ".join(texts)


def fingerprint_model(model: keras.Model | Callable[..., keras.Model]) -> Plain:
    """Return what makes two models the same for a search.

    Names of layers change from process to process.
    """
    return _Description().model(model)


def fingerprint_training(model: keras.Model) -> dict[str, Plain]:
    """Return what a model was compiled with: optimizer, its settings, loss, metrics."""
    # not by `get_compile_config`, which raises where something cannot be saved; a search saves none
    # of it
    given = compiled_with(model)
    return {name: fingerprint_value(value) for name, value in given.items()}


def fingerprint_value(value: object) -> Plain:
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

    def model(self, model: keras.Model | Callable[..., keras.Model]) -> Plain:
        """A model, by its layers; or a function that makes one."""
        if not isinstance(model, keras.Model):
            return self.value(model)
        described: list[Plain] = []
        if not is_of_a_library(type(model)):
            described.append(self.kind(type(model)))
        described += [self.layer(layer) for layer in model.layers]
        return described

    def layer(self, layer: keras.layers.Layer) -> list[Plain]:
        """A layer, by its class, weights and config."""
        shapes = [list(weight.shape) for weight in layer.weights]
        kind = self.kind(type(layer))
        if isinstance(layer, keras.Model):
            return [kind, shapes, self.model(layer)]
        parts = all_layers(layer) if isinstance(layer, keras.layers.Layer) else [layer]
        # no config tells what a function does
        functions = [self.functions(part) for part in parts]
        described = self.configuration(layer)
        return [kind, shapes, described, *filter(None, functions)]

    def configuration(self, thing: object) -> Plain:
        """What an object of Keras' says of itself, or else holds."""
        config = _config(thing)
        if config:
            return self.value(config)
        known: Collection[str] = ()
        if isinstance(thing, keras.layers.Layer):
            # made only here: it moves on the numbers that Keras gives to layers without a name
            known = vars(keras.layers.Layer())
        return self.attributes(thing, known)

    def value(self, value: object) -> Plain:
        """Any value."""
        if isinstance(value, float) and np.isnan(value):
            return repr(float(value))  # it would differ from itself
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, _CONFIGURED):
            return self.configured(value)
        if isinstance(value, functools.partial):
            return [self.value(value.func), self.value(value.args), self.value(value.keywords)]
        if isinstance(value, Mapping):
            return self.mapping(value)
        if isinstance(value, list | tuple):
            return [self.value(part) for part in value]
        if isinstance(value, set | frozenset):  # in another order in each process
            return sorted((self.value(part) for part in value), key=repr)
        if isinstance(value, np.generic):
            return value.item()
        array = _as_array(value)
        if array is not None:
            return [_of_array(array, hashed=True)]
        if isinstance(value, keras.callbacks.Callback):
            return self.callback(value)
        if is_function(value):
            return self.function(value)
        if isinstance(value, type):
            return self.kind(value)
        if isinstance(value, types.ModuleType):
            return value.__name__
        return self.thing(value)

    def configured(self, value: object) -> dict[str, Plain]:
        """An optimizer, a schedule, a loss or a metric, by its class, config and functions."""
        # in this order: what was seen already is told by its name only
        kind = self.kind(type(value))
        functions = self.functions(value)
        return {"class": kind, **self.configuration(value), **functions}

    def callback(self, callback: keras.callbacks.Callback) -> dict[str, Plain]:
        """A callback, by its class and settings."""
        # what Keras sets when a training begins is none of its settings
        running = vars(keras.callbacks.Callback())
        # what it reads besides is mostly what it shows: the time, a title
        kind = _Description(reads=False).kind(type(callback))
        described: dict[str, Plain] = {"class": kind}
        for name, value in vars(callback).items():
            if name.startswith("_") or name in running:
                continue
            if any(place in name for place in _PLACES):
                continue
            described[name] = self.value(value)
        return described

    def mapping(self, value: Mapping[Any, Any]) -> Plain:
        """A mapping, perhaps a config of Keras'."""
        kind = str(value.get("class_name"))
        if kind == "__lambda__" or _is_dumped(value):
            # its code names the file it was written in, which a notebook numbers; `functions` tells
            # what it does
            return "__lambda__"
        if kind.endswith("DTypePolicy"):  # whose name is what it is
            return json.dumps(value["config"], sort_keys=True, default=str)
        return {str(name): self.value(part) for name, part in value.items() if name not in _NAMES}

    def function(self, function: object) -> str:
        """The name of a function, and a hash of what it does if a user wrote it."""
        inner = python_function(function)
        name = str(getattr(inner, "__qualname__", type(inner).__name__))
        if not hasattr(inner, "__code__") or is_of_a_library(inner):
            return name
        if id(inner.__code__) in self._seen:
            return name
        self._seen.add(id(inner.__code__))
        owner = getattr(inner, "__self__", None)
        body = code_of(inner, self.value, self._reads)
        return f"{name} {of_plain([body, self.value(owner)])}"

    def kind(self, kind: type) -> str:
        """The name of a class, and a hash of what it does if a user wrote it."""
        if is_of_a_library(kind) or id(kind) in self._seen:
            return kind.__name__
        self._seen.add(id(kind))
        bodies: list[dict[str, Plain]] = []
        for base in kind.__mro__:
            if not is_of_a_library(base):
                bodies.append({name: self.value(value) for name, value in body_of(base)})
        return f"{kind.__name__} {of_plain(bodies)}"

    def functions(self, thing: object) -> dict[str, str]:
        """The functions that an object was given, by the names of its attributes."""
        described: dict[str, str] = {}
        for name, value in sorted(vars(thing).items()):
            if name in _WRAPPED or not is_function(value) or is_of_a_library(value):
                continue
            described[name] = self.function(value)
        return described

    def attributes(self, thing: object, known: Collection[str] = ()) -> dict[str, Plain]:
        """The plain values that an object holds, but for attributes that are known."""
        described: dict[str, Plain] = {}
        for name, value in vars(thing).items():
            if name in known or name.lstrip("_") in _NAMES:
                continue
            if isinstance(value, bool | int | float | str):
                described[name] = self.value(value)
        return described

    def thing(self, thing: object) -> Plain:
        """Any object: by its name or class, and, if that is the user's alone, by what it holds."""
        kind = type(thing)
        name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", kind.__name__)
        if (
            not _is_of_users_alone(kind)
            or id(thing) in self._seen
            or not hasattr(thing, "__dict__")
        ):
            return str(name)
        self._seen.add(id(thing))
        return {"class": self.kind(kind), **self.attributes(thing), **self.functions(thing)}


def _is_of_users_alone(kind: type) -> bool:
    return all(base is object or not is_of_a_library(base) for base in kind.__mro__)


def _is_dumped(config: Mapping[Any, Any]) -> bool:
    """Whether this is what Keras makes of a lambda that is an activation.

    Its code, defaults and closure.
    """
    if len(config) != 1:
        return False
    value = config.get("value")
    return isinstance(value, tuple | list) and len(value) == 3 and isinstance(value[0], str)


def _config(value: Any) -> Mapping[str, Any]:
    """What an object of Keras says of itself; nothing if it cannot: then its class tells it."""
    with warnings.catch_warnings():
        # nobody loads it
        warnings.filterwarnings("ignore", "The object being serialized includes a `lambda`")
        try:
            config: Mapping[str, Any] = value.get_config()
        except Exception:  # each of a user's own may raise what it likes
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


def _described(part: object, hashed: bool) -> str:
    array = _as_array(part)
    if array is None:
        return f"{type(part).__name__}{_batches(part)}"
    return _of_array(array, hashed)


def _of_array(array: np.ndarray, hashed: bool) -> str:
    if array.dtype == object and not all(isinstance(value, _OF_OBJECTS) for value in array.flat):
        return type(array).__name__  # what its objects hold nobody knows
    text = f"{array.dtype}{list(array.shape)}"
    return f"{text} {of_array(array)}" if hashed else text


def _batches(part: object) -> str:
    """How many batches there are, and what is in one, as far as data say so without being read."""
    if isinstance(part, keras.utils.PyDataset):
        return f" of {part.num_batches} batches"
    if not hasattr(part, "element_spec") or not hasattr(part, "cardinality"):
        return ""
    specs = [
        f"{spec.dtype.name}{spec.shape}"
        for spec in keras.tree.flatten(part.element_spec)
        if hasattr(spec, "dtype")
    ]
    return f" of {int(part.cardinality())} batches of {', '.join(specs)}"


def _as_array(part: object) -> np.ndarray | None:
    """The values of an array, a tensor or a table of pandas; None of anything else."""
    if isinstance(part, np.ndarray):
        return part
    if keras.ops.is_tensor(part):
        return np.asarray(keras.ops.convert_to_numpy(part))
    if hasattr(part, "to_numpy"):
        return np.asarray(part.to_numpy())
    return None
