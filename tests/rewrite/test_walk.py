"""What a layer's name says of where it is, and what a layer keeps that no config tells."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_acts.errors import ModelError
from keras_acts.search import slots, with_activations
from keras_acts.search.rewrite.walk import slots_at


def test_a_dot_in_a_name_makes_no_layer_part_of_another():
    names = ("dense", "dense.1", "lstm.recurrent_activation", "block/dense.1")
    assert slots_at("dense", names) == ("dense",)
    assert slots_at("dense.1", names) == ("dense.1",)
    assert slots_at("lstm", names) == ("lstm.recurrent_activation",)
    assert slots_at("block", names) == ("block/dense.1",)


class Sine:
    def __call__(self, x):
        return ops.sin(x)


@pytest.mark.parametrize(
    "activation",
    [functools.partial(keras.activations.leaky_relu, negative_slope=0.3), Sine()],
    ids=["partial", "object"],
)
def test_activations_without_a_config_may_stand_in_a_model(activation):
    """No file holds them, but a model with them can be searched, and stays as it is elsewhere."""
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(3, activation=activation, name="own"),
            layers.Dense(3, activation="relu", name="other"),
        ]
    )
    assert [slot.name for slot in slots(model)] == ["own", "other"]
    x = np.ones((1, 2), "float32")
    copy = with_activations(model, {"other": "relu"}, weights=True)
    np.testing.assert_array_equal(copy(x), model(x))
    searched = with_activations(model, {"own": "mish"}, weights=True)
    assert searched.get_layer("own").activation.spec.name == "mish"


class Tied(layers.Layer):
    """Multiplies by the kernel of another layer, which it does not hold."""

    def __init__(self, source, **kwargs):
        super().__init__(**kwargs)
        self.kernel = source.kernel
        self._source = [source.name, source.units]

    def call(self, x):
        return ops.matmul(x, ops.transpose(self.kernel))

    def get_config(self):
        source = layers.Dense(self._source[1], name=self._source[0])
        source.build((None, 2))
        return {**super().get_config(), "source": source}


def test_tied_weights_that_a_copy_would_not_tie_are_refused():
    inputs = keras.Input((2,))
    source = layers.Dense(3, activation="relu", name="source")
    h = layers.Dense(3, activation="relu")(source(inputs))
    model = keras.Model(inputs, Tied(source, name="tied")(h))
    assert len(model.trainable_variables) == 4
    with pytest.raises(ModelError, match=r"share a variable.*'source/kernel', which 'tied' shares"):
        with_activations(model, "tanh")
