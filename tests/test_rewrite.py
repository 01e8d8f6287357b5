"""Finding the activations of a model, and the same model with others."""

import keras
import numpy as np
import pytest

import keras_acts as ka
from keras_acts.errors import ModelError
from keras_acts.search import slots, with_activations
from tests.models import mlp


def functional():
    x = keras.Input((8, 8, 3))
    h = keras.layers.Conv2D(4, 3, activation="silu", name="conv")(x)
    h = keras.layers.ReLU(name="relu_layer")(h)
    gate = keras.layers.Dense(4, activation="sigmoid", name="squeeze")(keras.layers.GlobalAveragePooling2D()(h))
    h = keras.layers.Multiply()([h, keras.layers.Reshape((1, 1, 4))(gate)])
    h = keras.layers.Conv2D(5, 3, name="conv2")(h)
    h = ka.layers.PReLU(name="mine")(h)
    out = keras.layers.Dense(2, activation="softmax", name="out")(keras.layers.Flatten()(h))
    return keras.Model(x, out)


def test_slots_of_a_functional_model():
    found = {slot.name: (slot.current, slot.role, slot.channels) for slot in slots(functional())}
    assert found == {
        "conv": ("silu", "hidden", 4),
        "relu_layer": ("relu", "hidden", 4),
        "squeeze": ("sigmoid", "gate", 4),
        "mine": ("prelu", "hidden", 5),
        "out": ("softmax", "output", 2),
    }


@pytest.mark.parametrize("make", [mlp, functional])
def test_every_hidden_slot_changes_and_nothing_else(make):
    model = make()
    before = {slot.name: slot for slot in slots(model)}
    after = {slot.name: slot for slot in slots(with_activations(model, "trelu(alpha=0.1, theta=0.5)"))}
    assert before.keys() == after.keys()
    for name, slot in after.items():
        expected = "trelu(alpha=0.1, theta=0.5)" if slot.role == "hidden" else before[name].current
        assert slot.current == expected
    assert {slot.name: slot for slot in slots(model)} == before


def test_the_same_activation_with_the_same_weights_is_the_same_model():
    model = mlp("relu")
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    again = with_activations(model, "relu")
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(x), model(x))
    other = with_activations(model, "mish")
    other.set_weights(model.get_weights())
    assert np.abs(other(x) - model(x)).max() > 1e-3


def test_a_trained_activation_has_one_alpha_a_channel():
    model = with_activations(mlp(), "prelu")
    assert model.count_params() == mlp().count_params() + 8 + 6
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())


def test_a_mapping_names_its_slots():
    model = with_activations(mlp(), {"first": "mish", "output": "sigmoid"})
    assert [slot.current for slot in slots(model)] == ["mish", "relu", "sigmoid"]


def test_bad_models_are_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ModelError, match=r"subclassed.*Received: Subclassed"):
        slots(Subclassed())
    with pytest.raises(ModelError, match="input shape"):
        slots(keras.Sequential([keras.layers.Dense(1, activation="relu")]))
    with pytest.raises(ModelError, match=r"hidden activation slot.*'output'"):
        with_activations(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid")]), "mish")
    with pytest.raises(ModelError, match=r"\['first', 'output', 'second'\]. Received: 'third'"):
        with_activations(mlp(), {"third": "mish"})
