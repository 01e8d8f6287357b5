"""What a user's own parts of a model are told by: all that they are given, hold and do."""

import functools
import importlib.util
import itertools
import json
import logging
import os
import pathlib
import subprocess
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_acts.search.strategy.description import fingerprint_model, fingerprint_value
from keras_acts.search.strategy.fingerprints import is_of_a_library, is_of_python

VALUES = {
    "number": (0.01, 10.0),
    "tuple": ((1.0, 2.0), (5.0, 6.0)),
    "array": (np.ones(4), np.zeros(4)),
    "tensor": (tf.ones(4), tf.zeros(4)),
    "bytes": (b"one", b"two"),
    "range": (range(2), range(3)),
    "nested": ({"rates": [{"a": np.ones(2)}]}, {"rates": [{"a": np.zeros(2)}]}),
    "namespace": (types.SimpleNamespace(rates=[1]), types.SimpleNamespace(rates=[2])),
    "partial": (functools.partial(round, ndigits=1), functools.partial(round, ndigits=2)),
    "layer": (keras.layers.Dense(4), keras.layers.Dense(5)),
    "regularizer": (keras.regularizers.L2(0.1), keras.regularizers.L2(0.2)),
}


class Slotted:
    __slots__ = ("held",)

    def __init__(self, held):
        self.held = held


class Layer(keras.layers.Layer):
    def __init__(self, held):
        super().__init__()
        self.held = held

    def build(self, shape):
        if isinstance(self.held, keras.layers.Dense):
            self.held.build(shape)

    def call(self, x):
        return x


class Consuming(keras.layers.Layer):
    """Keeps nothing of what it is given."""

    def __init__(self, held):
        super().__init__()

    def call(self, x):
        return x


class Declaring(Layer):
    """Forgets in its config what it was given."""

    def get_config(self):
        return keras.layers.Layer.get_config(self)


class Regularizer(keras.regularizers.Regularizer):
    def __init__(self, held):
        self.held = held

    def __call__(self, x):
        return keras.ops.sum(x)


class Constraint(keras.constraints.Constraint):
    def __init__(self, held):
        self.held = held


class Initializer(keras.initializers.Initializer):
    def __init__(self, held):
        self.held = held

    def __call__(self, shape, dtype=None):
        return keras.ops.ones(shape, dtype)


class Loss(keras.losses.Loss):
    """Inherits a config that knows nothing of what it holds."""

    def __init__(self, held):
        super().__init__()
        self.held = held

    def call(self, y, p):
        return p


class Metric(keras.metrics.Mean):
    def __init__(self, held):
        super().__init__()
        self.held = held


class Optimizer(keras.optimizers.SGD):
    def __init__(self, held):
        super().__init__()
        self.held = held


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, held):
        self.held = held


def model_with(part):
    layers = [keras.Input((4,))]
    if isinstance(part, keras.layers.Layer):
        layers.append(part)
    names = {
        keras.regularizers.Regularizer: "kernel_regularizer",
        keras.constraints.Constraint: "kernel_constraint",
        keras.initializers.Initializer: "kernel_initializer",
    }
    options = {name: part for kind, name in names.items() if isinstance(part, kind)}
    return keras.Sequential([*layers, keras.layers.Dense(2, activation="relu", **options)])


IN_MODELS = [Layer, Declaring, Regularizer, Constraint, Initializer]
OTHERS = [Loss, Metric, Optimizer, Schedule, Slotted]


def described(kind, held):
    if isinstance(held, keras.layers.Dense):
        held = keras.layers.Dense(held.units)  # each model builds its own
    if kind not in OTHERS:
        return fingerprint_model(model_with(kind(held)))
    return fingerprint_value(kind(held))


CASES = list(itertools.product([*IN_MODELS, *OTHERS], VALUES))
# Keras records plain arguments only
CASES += [(Consuming, "number"), (Consuming, "tuple")]


@pytest.mark.parametrize(("kind", "value"), CASES)
def test_what_a_users_object_holds_tells_it_from_others(kind, value):
    first, second = VALUES[value]
    assert described(kind, first) == described(kind, first)
    assert described(kind, first) != described(kind, second)
    # no address: it would be another in the next process
    assert " at 0x" not in json.dumps(described(kind, first))


def regularizer(power):
    class Power(keras.regularizers.Regularizer):
        def __call__(self, x):
            return keras.ops.sum(keras.ops.abs(x) ** (2 if power == 2 else 1))

        def get_config(self):
            return {}

    return Power()


def test_a_changed_regularizer_is_another_though_its_config_is_the_same():
    def model(power):
        return model_with(regularizer(power))

    assert fingerprint_model(model(1)) == fingerprint_model(model(1))
    assert fingerprint_model(model(1)) != fingerprint_model(model(2))
    wrapped = [
        keras.layers.TimeDistributed(keras.layers.Dense(2, kernel_regularizer=regularizer(power)))
        for power in (1, 1, 2)
    ]
    first, same, other = (
        fingerprint_model(keras.Sequential([keras.Input((3, 4)), layer])) for layer in wrapped
    )
    assert first == same != other


def test_a_list_in_a_class_counts():
    def kind(rates):
        return type("Kind", (), {"RATES": rates, "__module__": __name__})

    assert fingerprint_value(kind([1])) == fingerprint_value(kind([1]))
    assert fingerprint_value(kind([1])) != fingerprint_value(kind([2]))


def test_what_holds_itself_is_described():
    ring = [1]
    ring.append(ring)
    assert fingerprint_value(ring) == [1, "itself"]
    holder = Slotted(0)
    holder.held = {"me": holder}
    assert " at 0x" not in json.dumps(fingerprint_value(holder))


@pytest.mark.parametrize("trained", [False, True])
def test_weights_that_are_not_trained_are_part_of_the_model(trained):
    """A pretrained part: each candidate keeps its weights."""

    def model(value):
        keras.utils.set_random_seed(0)
        frozen = keras.layers.Dense(3, trainable=trained)
        made = keras.Sequential([keras.Input((4,)), frozen, keras.layers.Dense(2)])
        frozen.set_weights([np.full((4, 3), value), np.zeros(3)])
        return made

    assert fingerprint_model(model(1.0)) == fingerprint_model(model(1.0))
    # those of a trained layer are drawn anew for each candidate
    assert (fingerprint_model(model(1.0)) == fingerprint_model(model(2.0))) == trained


def test_a_model_is_the_same_before_and_after_its_first_batch():
    model = model_with(Layer((1.0, 2.0)))
    before = fingerprint_model(model)
    model(np.ones((2, 4)))
    model.predict(np.ones((2, 4)), verbose=0)
    assert fingerprint_model(model) == before


LOG = logging.getLogger(__name__)
PLACE = pathlib.Path("here")


def logs(x):
    LOG.debug("%s in %s", x, PLACE)
    return x


PROCESS = """
import json, pathlib
from tests.strategy.test_description import Layer, logs, model_with, regularizer
from keras_acts.search.strategy.description import fingerprint_model, fingerprint_value
hash(pathlib.Path("here"))
layer = Layer([{1, "a", "b", "c"}, logs, regularizer(2)])
print(json.dumps([fingerprint_value(logs), fingerprint_model(model_with(layer))]))
"""


def test_pythons_own_is_told_by_its_name():
    """A logger reads when its module was imported."""
    assert is_of_a_library(logging.Logger)
    assert is_of_a_library(pathlib.Path)
    assert not is_of_a_library(Slotted)


def test_a_users_module_with_the_name_of_one_of_pythons_is_the_users(monkeypatch, tmp_path):
    file = tmp_path / "profile.py"
    file.write_text("def factor(): return 1")
    spec = importlib.util.spec_from_file_location("profile", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "profile", module)
    is_of_python.cache_clear()
    try:
        assert not is_of_a_library(module.factor)
    finally:
        is_of_python.cache_clear()


def test_what_was_executed_without_a_name_is_the_users():
    names: dict[str, type] = {}
    exec("class Mine:\n    def __call__(self): return 1", names)
    assert names["Mine"].__module__ == "builtins"
    assert not is_of_a_library(names["Mine"])
    for thing in (int, dict, type(None), len, types.FunctionType, object):
        assert is_of_a_library(thing)


@pytest.mark.slow
def test_another_process_says_the_same():
    said = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.getcwd()}
        ended = subprocess.run(
            [sys.executable, "-c", PROCESS], env=environment, capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stderr
        said.append(ended.stdout)
    assert said[0] == said[1]
