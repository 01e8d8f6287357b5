"""Functions that have the name of another: what a slot says of them, and that a copy keeps them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_acts.search import slots, with_activations


def test_functions_that_share_the_name_of_another_stay_what_they_are():
    """`keras.ops.gelu` approximates, `keras.activations.gelu` does not: by its name it would change."""
    inputs = keras.Input((5, 4))
    x = layers.Dense(4, activation=ops.gelu, name="held")(inputs)
    x = layers.Dense(4, activation="relu", name="other")(x)
    x = layers.LSTM(4, activation=ops.gelu, recurrent_activation=ops.hard_sigmoid, name="lstm")(x)
    x = layers.Activation(ops.gelu, name="layer")(ops.celu(ops.gelu(x), alpha=2.0))
    x = layers.Dense(4, activation=ops.relu, name="same")(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    found = {slot.name: slot.current for slot in slots(model)}
    assert [found[name] for name in ("held", "lstm", "layer")] == ["keras.ops.gelu"] * 3
    assert (found["same"], found["lstm.recurrent_activation"]) == ("relu", "hard_sigmoid")
    operations = sorted(now for name, now in found.items() if name.startswith(("gelu", "celu")))
    assert operations == ["celu(alpha=2.0)", "gelu(approximate=True)"]
    x = np.random.default_rng(0).normal(size=(8, 5, 4)).astype("float32")
    copy = with_activations(model, {"other": "relu"}, weights=True)
    np.testing.assert_array_equal(copy(x), model(x))
    for slot in slots(model).hidden:
        changed = with_activations(model, {slot.name: "tanh"}, weights=True)
        now = {other.name: other.current for other in slots(changed)}
        # an operation that is replaced becomes a layer of another name
        kept = {name: text for name, text in found.items() if name != slot.name}
        assert kept.items() <= now.items()
    exact = with_activations(model, {"held": "gelu", "lstm": "gelu"}, weights=True)
    assert exact.get_layer("held").activation is keras.activations.gelu
    assert exact.get_layer("lstm").cell.activation is keras.activations.gelu
    assert exact.get_layer("lstm").cell.recurrent_activation is ops.hard_sigmoid


@pytest.mark.parametrize("gate", [ops.sigmoid, tf.nn.sigmoid])
def test_a_gate_is_one_whoever_wrote_its_function(gate):
    inputs = keras.Input((4,))
    weights = layers.Dense(4, activation=gate, name="weights")(inputs)
    outputs = layers.Dense(2)(layers.multiply([layers.Dense(4)(inputs), weights]))
    (slot,) = slots(keras.Model(inputs, outputs))
    assert slot.role == "gate"
