"""What tells models, trainings, values and data from others in another process, as plain data."""

from __future__ import annotations

import argparse
import collections
import datetime
import decimal
import fractions
import functools
import json
import types
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_acts.compat import (
    all_layers,
    compiled_with,
    is_tensorflow_variable,
    own_variables,
    recorded_arguments,
)

from .fingerprints import (
    Plain,
    body_of,
    code_of,
    is_function,
    is_of_a_library,
    is_of_python,
    of_array,
    of_plain,
    python_function,
)

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
    keras.regularizers.Regularizer,
    keras.initializers.Initializer,
    keras.constraints.Constraint,
)
# values that print as what they are
_PRINTED = (
    *(bytes, complex, range, slice),
    *(datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, fractions.Fraction),
)
# of Python's own library, what holds the settings of users
_NAMESPACES = (types.SimpleNamespace, argparse.Namespace)
_CONTAINERS = (Mapping, list, tuple, set, frozenset, collections.deque)
# in an array of objects, what prints as what it is
_OF_OBJECTS = (str, bytes, bool, int, float, np.generic, type(None))
# Keras wraps these methods of each layer
_WRAPPED = ("build", "quantize")
# TensorFlow's, of what it would save
_OF_TRACKING = "_self_"
# what Keras keeps in each layer, and the user may have given to one
_OF_LAYERS = ("trainable", "dtype_policy", "activity_regularizer")
_PLAIN = (bool, int, float, str)


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
        # by their ids, which belong to others once a thing is gone
        self._seen: dict[int, object] = {}
        self._around: set[int] = set()  # the containers that hold what is described

    def _is_new(self, thing: object) -> bool:
        """Whether something is described for the first time."""
        if id(thing) in self._seen:
            return False
        self._seen[id(thing)] = thing
        return True

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
        if not self._is_new(layer):
            return [kind, shapes]
        if isinstance(layer, keras.Model):
            return [kind, shapes, self.model(layer)]
        parts = all_layers(layer) if isinstance(layer, keras.layers.Layer) else [layer]
        described = self.configuration(layer)
        functions = [self.functions(part) for part in parts]
        own = [self.own_objects(part) for part in parts]
        kept = [_kept_weights(part) for part in parts]
        return [kind, shapes, described, *filter(None, [*functions, *own, *kept])]

    def own_objects(self, part: keras.layers.Layer) -> dict[str, Plain]:
        """What a layer holds that is of the user's own: a config tells its name, if anything."""
        if not is_of_a_library(type(part)):
            # the layer itself, or one that it holds, is described already
            return self.attributes(part) if self._is_new(part) else {}
        described: dict[str, Plain] = {}
        for name, value in sorted(vars(part).items()):
            if isinstance(value, _CONFIGURED) and not is_of_a_library(type(value)):
                described[name] = self.configured(value)
        return described

    def configuration(self, thing: object) -> dict[str, Plain]:
        """What an object of Keras' says of itself, and what it holds, if it may say too little.

        One of a user's that inherits its `get_config` says nothing of what it adds.
        """
        config = _config(thing)
        described = {
            str(name): self.value(value) for name, value in config.items() if name not in _NAMES
        }
        if config and is_of_a_library(type(thing)):
            return described
        return {**self.attributes(thing), **described}

    def value(self, value: object) -> Plain:
        """Any value."""
        if isinstance(value, float) and np.isnan(value):
            return repr(float(value))  # it would differ from itself
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, _PRINTED):
            return repr(value)
        if isinstance(value, keras.Variable) or is_tensorflow_variable(value):
            return _of_variable(value)
        if isinstance(value, keras.DTypePolicy):
            return str(value.name)
        if isinstance(value, keras.layers.Layer):
            return self.layer(value)
        if isinstance(value, _CONFIGURED):
            return self.configured(value)
        if isinstance(value, functools.partial):
            return [self.value(value.func), self.value(value.args), self.value(value.keywords)]
        if isinstance(value, _CONTAINERS):
            return self.container(value)
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

    def container(self, value: Any) -> Plain:
        """A mapping, a sequence or a set, which may hold itself."""
        if id(value) in self._around:
            return "itself"
        self._around.add(id(value))
        try:
            if isinstance(value, Mapping):
                return self.mapping(value)
            parts = [self.value(part) for part in value]
        finally:
            self._around.remove(id(value))
        if isinstance(value, set | frozenset):  # in another order in each process
            parts.sort(key=repr)
        return parts

    def configured(self, value: object) -> dict[str, Plain]:
        """An optimizer, a loss, a regularizer and such, by its class, config and functions."""
        # in this order: what was seen already is told by its name only
        kind = self.kind(type(value))
        if not self._is_new(value):
            return {"class": kind}
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
        if not self._is_new(inner.__code__):
            return name
        owner = getattr(inner, "__self__", None)
        body = code_of(inner, self.value, self._reads)
        return f"{name} {of_plain([body, self.value(owner)])}"

    def kind(self, kind: type) -> str:
        """The name of a class, and a hash of what it does if a user wrote it."""
        if is_of_a_library(kind) or not self._is_new(kind):
            return kind.__name__
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

    def attributes(self, thing: object) -> dict[str, Plain]:
        """What an object holds, but for what Keras keeps in each of its kind."""
        known = _attributes_of_keras(thing)
        described: dict[str, Plain] = {}
        for name, value in _held_by(thing):
            if name in known or name in _WRAPPED or name.lstrip("_") in _NAMES:
                continue
            if name.startswith(_OF_TRACKING):
                continue
            described[name] = self.value(value)
        if isinstance(thing, keras.layers.Layer):
            described["arguments"] = self.value(recorded_arguments(thing))
            for name in _OF_LAYERS:
                described[name] = self.value(getattr(thing, name, None))
        return described

    def thing(self, thing: object) -> Plain:
        """Any object: by its name or class, and, if that is a user's, by what it holds."""
        kind = type(thing)
        name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", kind.__name__)
        is_namespace = isinstance(thing, _NAMESPACES)
        if not self._is_new(thing):
            return str(name)
        if is_of_a_library(kind) and not is_namespace:
            if not is_of_python(kind.__module__.partition(".")[0]):
                return str(name)
            # no more than that: a logger, say, holds half of the process
            held = getattr(thing, "__dict__", {})
            plain = {key: one for key, one in held.items() if isinstance(one, _PLAIN)}
            return {"class": kind.__name__, **plain} if plain else str(name)
        if not dict(_held_by(thing)):
            return [self.kind(kind), str(name)]
        return {"class": self.kind(kind), **self.attributes(thing)}


def _held_by(thing: object) -> Iterator[tuple[str, Any]]:
    """The attributes of an object, by name."""
    yield from getattr(thing, "__dict__", {}).items()
    for kind in type(thing).__mro__:
        slots = vars(kind).get("__slots__", ())
        if isinstance(slots, str):
            slots = (slots,)
        for name in slots:
            if name not in ("__dict__", "__weakref__") and hasattr(thing, name):
                yield name, getattr(thing, name)


def _attributes_of_keras(thing: object) -> Collection[str]:
    """The names of what Keras keeps in each object of a kind, its state above all."""
    if isinstance(thing, keras.layers.Layer):
        # with a name: else it moves on the numbers that Keras gives
        return vars(keras.layers.Layer(name="known"))
    if isinstance(thing, keras.metrics.Metric):
        return vars(keras.metrics.Metric(name="known"))
    if isinstance(thing, keras.losses.Loss):
        return vars(keras.losses.Loss(name="known"))
    if isinstance(thing, keras.optimizers.Optimizer) and _config(thing):
        return vars(keras.optimizers.SGD(name="known"))
    return ()


def _of_variable(variable: Any) -> str:
    """As of weights: what it starts as is drawn, by the seed of a training."""
    return f"{variable.dtype}{list(variable.shape)}"


def _kept_weights(layer: keras.layers.Layer) -> list[str]:
    """Hashes of the weights that all copies of a layer have: those that are not trained."""
    # what else has a place among layers may know nothing of it
    is_trained = getattr(layer, "trainable", True)
    if is_trained and not isinstance(layer, keras.layers.Normalization):
        return []
    hashes: list[str] = []
    for variable in own_variables(layer):
        value = _as_array(variable)
        if value is not None:
            hashes.append(_of_array(value, hashed=True))
    return hashes


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
    try:
        if keras.ops.is_tensor(part) or isinstance(part, keras.Variable):
            return np.asarray(keras.ops.convert_to_numpy(part))
        if hasattr(part, "to_numpy"):
            return np.asarray(part.to_numpy())
    except Exception:  # a tensor of a trace has no values
        return None
    return None
