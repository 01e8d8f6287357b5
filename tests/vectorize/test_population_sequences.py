"""Recurrent layers and attention in a population are what they are in an ordinary model."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_acts.search.population.model import PopulationModel
from tests.helpers.populations import check, data, settings
from tests.vectorize.test_population_rules import rules_of


def classes(x, *found):
    joined = layers.Concatenate()(list(found)) if len(found) > 1 else found[0]
    return keras.Model(x, layers.Dense(3, activation="softmax")(layers.Flatten()(joined)))


def chain(*found):
    x = h = keras.Input((4, 3))
    for layer in found:
        h = layer(h)
    return classes(x, h)


def lstm():
    return chain(
        layers.LSTM(4, return_sequences=True),
        layers.LSTM(3, use_bias=False, kernel_regularizer="l2"),
    )


def gru():
    return chain(
        layers.GRU(3, return_sequences=True),
        layers.GRU(3, use_bias=False, return_sequences=True, go_backwards=True),
        layers.GRU(
            3,
            reset_after=False,
            return_sequences=True,
            unroll=True,
            recurrent_activation="hard_sigmoid",
        ),
        layers.GRU(3, reset_after=False, use_bias=False),
    )


def simple():
    return chain(layers.SimpleRNN(4, return_sequences=True), layers.SimpleRNN(3, use_bias=False))


def folded():
    """After channels that lie side by side."""
    return chain(
        layers.DepthwiseConv1D(2, depth_multiplier=2, activation="relu"), layers.SimpleRNN(3)
    )


def both_ways():
    x = keras.Input((4, 3))
    h = layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode="ave")(x)
    there, back = layers.Bidirectional(layers.GRU(3, return_sequences=True), merge_mode=None)(h)
    there, *states = layers.LSTM(3, return_state=True)(there)
    back = layers.LSTM(3)(back, initial_state=states)
    return classes(x, there, back, layers.Bidirectional(layers.SimpleRNN(2))(h))


def attention(value_dim=2):
    """Keys of 4 values: their scale, 1/2, is the same in Keras' float32."""
    x = keras.Input((4, 3))
    h = layers.Dense(4, activation="relu")(x)
    own = layers.MultiHeadAttention(2, 4, value_dim=value_dim)(h, x, use_causal_mask=True)
    other = layers.MultiHeadAttention(1, 4, use_bias=False, output_shape=3)(own, h, x)
    last, scores = layers.Attention()(
        [other, x], use_causal_mask=True, return_attention_scores=True
    )
    return classes(x, own, other, last, scores, layers.AdditiveAttention(use_scale=False)([h, own]))


MODELS = {make.__name__: make for make in (lstm, gru, simple, folded, both_ways, attention)}


FAST = ("lstm",)


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in MODELS]
)
def test_sequences(name, float64):
    x, y = data((4, 3))
    candidates = ["relu", "mish" if name == "both_ways" else "prelu", "tanh"]
    fitted = {"x": x, "y": y}
    population = check(
        MODELS[name](), candidates, settings(), fitted, members=(1,) if name in FAST else (0, 1, 2)
    )
    assert all(rules_of(population).values())


@pytest.mark.slow
@pytest.mark.parametrize("candidates", [("relu", "prelu"), ("prelu", "relu")])
def test_both_ways_with_trained_activations_run_member_after_member(candidates, float64):
    x, y = data((4, 3))
    population = check(both_ways(), candidates, settings(), {"x": x, "y": y})
    assert not all(rules_of(population).values())


def test_attention_drops_weights_of_each_member_by_itself():
    x = keras.Input((40, 1))
    copies = {"kernel_initializer": "ones", "use_bias": False}
    y = layers.MultiHeadAttention(1, 1, dropout=0.3, **copies)(x, x)
    searched = layers.Dense(1)(layers.Dense(1, activation="relu")(x))
    population = PopulationModel(keras.Model(x, [y, searched]), ["relu", "tanh"])
    assert all(rules_of(population).values())
    ones = np.ones((100, 40, 1), "float32")
    np.testing.assert_allclose(
        population(ones, training=False)[0], np.ones((2, *ones.shape)), rtol=1e-5
    )
    one, other = keras.ops.convert_to_numpy(population(ones, training=True)[0]).reshape(2, -1)
    for mean in (one, other):  # of 40 numbers, each 1 / 0.7 or 0
        np.testing.assert_allclose(
            (mean.mean(), mean.std()), (1, (0.3 / 0.7 / 40) ** 0.5), rtol=0.05
        )
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.06


@pytest.mark.parametrize(
    ("layer", "options"),
    [
        (lambda: layers.LSTM(2), {"slots": ["tested", "tested.recurrent_activation"]}),
        (lambda: layers.GRU(2, recurrent_dropout=0.1), {}),
        (lambda: layers.Bidirectional(layers.LSTM(2, return_state=True)), {}),
        (lambda: layers.Bidirectional(layers.LSTM(2, recurrent_dropout=0.1)), {}),
        (lambda: layers.RNN(layers.LSTMCell(2)), {}),
    ],
)
def test_what_no_rule_covers_runs_member_after_member(layer, options):
    made = layer()
    made.name = "tested"
    x = keras.Input((3, 2))
    model = keras.Model(x, layers.Dense(1)(keras.tree.flatten(made(x))[0]))
    assert rules_of(PopulationModel(model, ["relu", "sigmoid"], **options))["tested"] is None


@pytest.mark.slow
def test_a_call_with_a_mask_runs_member_after_member():
    """With candidates of one function, whose models are made while the population's step is traced."""
    x, mask = keras.Input((4, 3)), keras.Input((4,), dtype="bool")
    h = layers.LSTM(4, activation="relu")(x, mask=mask)
    model = keras.Model([x, mask], layers.Dense(3, activation="softmax")(h))
    model.compile(**settings("sgd")())
    values, y = data((4, 3), samples=24)
    seen = np.random.default_rng(1).random((24, 4)) < 0.7
    seen[:, 0] = True
    candidates = ["leaky_relu(alpha=0.2)", "leaky_relu(alpha=0.05)"]
    check(
        model,
        candidates,
        settings("sgd"),
        {"x": [values, seen], "y": y, "epochs": 1},
        members=(1,),
        rtol=1e-4,
    )


def test_loops_are_unrolled_whatever_the_size_of_a_batch():
    """A data set's last batch may be smaller, and so its size unknown to the graph."""
    inputs = keras.Input((2, 3))
    h = layers.Dense(3, activation="relu")(inputs)
    population = PopulationModel(keras.Model(inputs, layers.SimpleRNN(2, unroll=True)(h)), ["relu"])
    spec = tf.TensorSpec((None, 2, 3), "float32")
    traced = tf.function(lambda x: population(x)).get_concrete_function(spec)
    x = tf.ones((5, 2, 3))
    np.testing.assert_allclose(traced(x), population(x), rtol=1e-5)
