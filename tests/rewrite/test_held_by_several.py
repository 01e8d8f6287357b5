"""An activation that several layers of a user's hold."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_acts.errors import ModelError
from keras_acts.search import slots, with_activations


@keras.saving.register_keras_serializable("tests")
class Holds(layers.Layer):
    """Keras makes it again, with the very layer that it was given."""

    def __init__(self, act, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(4)
        self.act = act

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.act(self.dense(x))


@keras.saving.register_keras_serializable("tests")
class ReadsItself(Holds):
    """It makes a layer of its own of what its config has."""

    def get_config(self):
        act = keras.saving.serialize_keras_object(self.act)
        return {**super().get_config(), "act": act}

    @classmethod
    def from_config(cls, config):
        config["act"] = keras.saving.deserialize_keras_object(config["act"])
        return cls(**config)


def two(kind, in_model):
    act = layers.ReLU(name="relu")
    x = keras.Input((4,))
    h = layers.Dense(4)(x)
    if in_model:
        h = act(h)
    h = kind(act, name="b")(kind(act, name="a")(h))
    return keras.Model(x, layers.Dense(2)(h))


def current(model):
    return {slot.name: slot.current for slot in slots(model).hidden}


@pytest.mark.parametrize("kind", [Holds, ReadsItself])
@pytest.mark.parametrize("name", ["a/act", "b/act"])
def test_one_of_two_slots_that_share_a_layer_is_exchanged(kind, name):
    model = two(kind, in_model=False)
    one = with_activations(model, {name: "tanh"}, weights=True)
    assert current(one) == {"a/act": "relu", "b/act": "relu", name: "tanh"}
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    expected = x @ np.array(model.layers[1].kernel) + np.array(model.layers[1].bias)
    for block in ("a", "b"):
        dense = model.get_layer(block).dense
        expected = expected @ np.array(dense.kernel) + np.array(dense.bias)
        if name == f"{block}/act":
            expected = np.tanh(expected)
        else:
            expected = np.maximum(expected, 0)
    last = model.layers[-1]
    expected = expected @ np.array(last.kernel) + np.array(last.bias)
    np.testing.assert_allclose(one(x), expected, rtol=1e-4, atol=1e-5)


def test_one_that_the_model_calls_too_is_one_slot():
    assert current(with_activations(two(Holds, in_model=True), "tanh")) == {"relu": "tanh"}
    with pytest.raises(ModelError, match=r"leave from_config\(\) to Keras.* Received: 'relu'"):
        with_activations(two(ReadsItself, in_model=True), "tanh")


# ---- functions that a class calls, wherever its code has them


def passed_on(function):
    def call(self, x):
        return function(self, x)

    return call


def wrapped(function):
    @functools.wraps(function)
    def call(self, x):
        return function(self, x)

    return call


def helper(x):
    return keras.ops.gelu(x)


class Called(layers.Layer):
    def call(self, x):
        return helper(x)


class OfTensorFlow(Called):
    @tf.function
    def call(self, x):
        return keras.activations.silu(x)


class Decorated(Called):
    @passed_on
    def call(self, x):
        return keras.activations.elu(x)


class Wrapped(Called):
    @wrapped
    def call(self, x):
        return keras.activations.selu(x)


class Static(Called):
    @staticmethod
    def bent(x):
        return tf.nn.relu(x)

    def call(self, x):
        return self.bent(x)


def test_each_function_that_the_code_of_a_class_calls_is_named():
    kinds = {
        Called: "gelu",
        OfTensorFlow: "gelu and silu",
        Decorated: "elu and gelu",
        Wrapped: "gelu and selu",
        Static: "gelu and relu",
    }
    x = h = keras.Input((3,))
    for kind in kinds:
        h = kind()(h)
    found = slots(keras.Model(x, layers.Dense(1)(h))).left_alone
    said = {sentence.partition(" in ")[0] for sentence in found}
    assert said == set(kinds.values())
