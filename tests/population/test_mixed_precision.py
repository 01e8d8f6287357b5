"""Members compute in mixed_bfloat16 as their ordinary models do: weights in float32, the rest rounded."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_acts.errors import ModelError
from keras_acts.search import PopulationModel
from tests.helpers.populations import Ordinary, compare, data


def mixed(policy="mixed_bfloat16", output="float32"):
    x = keras.Input((6, 6, 2))
    h = layers.Conv2D(4, 3, activation="relu", dtype=policy)(x)
    h = layers.BatchNormalization(dtype=policy)(h)
    h = layers.MaxPooling2D(dtype=policy)(h)
    h = layers.Dense(8, activation="relu", dtype=policy)(layers.Flatten(dtype=policy)(h))
    h = layers.Activation("relu", dtype=policy)(layers.Dense(5, dtype=policy)(h))
    return keras.Model(x, layers.Dense(3, activation="softmax", dtype=output)(h))


def compiled():
    return {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}


def check_eagerly(model, candidates, shape):
    """In a graph TensorFlow fuses operations and leaves roundings out, for ordinary models too."""
    x, y = data(shape, samples=16)
    fitted = {"x": x, "y": y, "epochs": 1, "batch_size": 8}
    population = PopulationModel(model, candidates)
    population.compile(**compiled(), run_eagerly=True)
    history = population.fit(**fitted, shuffle=False, verbose=0).history
    compare(population, history, Ordinary(model, compiled), fitted, None, rtol=1e-5)


@pytest.mark.parametrize(
    "output", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)]
)
def test_members_are_their_ordinary_models(output):
    """To float32's precision: each value is rounded to bfloat16 where it is alone, and no other."""
    check_eagerly(mixed(output=output), ["relu", "prelu", "tanh"], (6, 6, 2))


@pytest.mark.slow
def test_a_global_policy_is_that_of_the_models_layers():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        x = keras.Input((4,))
        h = layers.Dense(5, activation="relu", dtype="float32")(x)
        h = layers.Dense(5, activation="relu")(layers.LayerNormalization()(h))
        model = keras.Model(x, layers.Dense(3, activation="softmax", dtype="float32")(h))
        check_eagerly(model, ["relu", "mish"], (4,))
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16", "float16"])
def test_other_half_precision_is_refused(policy):
    with pytest.raises(ModelError, match=f"or mixed_bfloat16: .* Received: .* with '{policy}'"):
        PopulationModel(mixed(policy), ["relu"])


@keras.saving.register_keras_serializable("tests")
class Classes(layers.Dense):
    """A user's own has no rule."""


def test_the_logits_of_a_layer_without_a_rule_reach_the_loss():
    """A saturated softmax has a gradient through them alone."""
    x = keras.Input((4,))
    h = layers.Dense(3, activation="relu", kernel_initializer="ones")(x)
    h = Classes(3, activation="softmax")(h)
    population = PopulationModel(keras.Model(x, h), ["relu"])
    population.compile("sgd", "sparse_categorical_crossentropy")
    before = population.model(0).layers[-1].get_weights()[0]
    values = np.full((3, 4), 1e3, "float32")
    population.fit(values, np.arange(3), verbose=0)
    after = population.model(0).layers[-1].get_weights()[0]
    assert np.abs(after - before).max() > 1


def held(policy):
    """A wrapper of another policy than the layer in it."""
    inputs = keras.Input((3, 4))
    h = layers.Dense(4, activation="relu")(inputs)
    return keras.Model(inputs, layers.Bidirectional(layers.SimpleRNN(3, dtype=policy))(h))


def test_a_layer_in_a_wrapper_computes_in_its_own_precision():
    population = PopulationModel(held("mixed_bfloat16"), ["relu", "tanh"])
    x, _ = data((3, 4), samples=4)
    for member, y in enumerate(np.asarray(population(x))):
        np.testing.assert_allclose(y, population.model(member)(x), rtol=1e-5, atol=1e-6)


def test_half_precision_in_a_wrapper_is_refused_too():
    with pytest.raises(ModelError, match=r"Received: 'bidirectional\w*' with 'mixed_float16'"):
        PopulationModel(held("mixed_float16"), ["relu", "tanh"])
