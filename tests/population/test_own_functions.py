"""Layers that give their code to `tf.function`, which keeps what it saw first."""

import keras
import pytest
import tensorflow as tf
from keras import layers

from keras_acts.errors import ModelError
from keras_acts.search import slots
from keras_acts.search.population.model import check_model
from tests.helpers.populations import check, data, settings


@keras.saving.register_keras_serializable("tests")
class Traced(layers.Layer):
    """Calls an activation in a function, and holds another one."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(3)
        self.inner = layers.Dense(3, activation="relu")

    def build(self, shape):
        self.dense.build(shape)
        self.inner.build(shape)

    @tf.function
    def call(self, x):
        return keras.activations.silu(self.dense(x)) + self.inner(x)


@keras.saving.register_keras_serializable("tests")
class Decides(Traced):
    @tf.function
    def call(self, x):
        y = self.dense(x)
        if tf.reduce_sum(y) > 0:
            y = 2.0 * y
        return y


def model(block):
    x = keras.Input((4,))
    h = block(layers.Dense(5, activation="relu", name="first")(x))
    return keras.Model(x, layers.Dense(3, activation="softmax")(h))


def test_each_member_has_its_own_weights_there(float64):
    """A function that is traced for the first member has that one's weights in it."""
    x, y = data(samples=16)
    made = model(Traced(name="block"))
    assert [slot.name for slot in slots(made).hidden] == ["first", "block/inner"]
    (left_alone,) = slots(made).left_alone
    assert left_alone.startswith("silu in 'block' of class Traced is left alone: the code of")
    check(made, ["relu", "tanh"], settings("sgd"), {"x": x, "y": y, "epochs": 1}, members=(1,))


def test_a_tensor_that_decides_in_an_if_is_refused_with_what_to_write_instead():
    match = "no `if` and no loop: use keras.ops.cond.* Received: 'block' of class Decides"
    with pytest.raises(ModelError, match=match):
        check_model(model(Decides(name="block")))
