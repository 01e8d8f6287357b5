"""Attention with masks runs by a rule, and is what it is in an ordinary model."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.helpers.populations import check, settings
from tests.vectorize.test_population_rules import rules_of

LENGTH = 4


def tokens(samples=16):
    """Padded with 0; the first sample is nothing but padding."""
    rng = np.random.default_rng(0)
    x = rng.integers(1, 6, (samples, LENGTH))
    x[np.arange(LENGTH) >= rng.integers(0, LENGTH + 1, (samples, 1))] = 0
    x[0] = 0
    return x


def embedded():
    x = keras.Input((LENGTH,), dtype="int32")
    return x, layers.Embedding(6, 4, mask_zero=True)(x)


def classes(x, *found):
    # operations end masks: what is left out shall show
    flat = [ops.reshape(each, (-1, int(np.prod(each.shape[1:])))) for each in found]
    joined = flat[0]
    if len(flat) > 1:
        joined = layers.Concatenate()(flat)
    return keras.Model(x, layers.Dense(3, activation="softmax")(joined))


def transformer():
    """Padding of queries, keys and values, and the past; who comes next sees no mask."""
    x, h = embedded()
    own = layers.MultiHeadAttention(2, 4)(h, h, use_causal_mask=True)
    h = layers.LayerNormalization()(layers.Add()([h, own]))
    h = layers.Dense(4, activation="relu")(h)
    h = layers.MultiHeadAttention(1, 4)(h, h, h)
    return classes(x, layers.LSTM(3)(h))


def weights_returned():
    """Where nothing is left, what Keras returns is 0."""
    x, h = embedded()
    h = layers.Dense(4, activation="relu")(h)
    y, weights = layers.MultiHeadAttention(2, 4)(h, h, return_attention_scores=True)
    return classes(x, y, weights)


def masks_given():
    """Computed, of all members and of each, with heads or without, and a constant."""
    x, h = embedded()
    g = layers.Dense(4, activation="relu")(h)
    padding = ops.expand_dims(ops.not_equal(x, 0), 1)
    y = layers.MultiHeadAttention(2, 4)(g, h, attention_mask=padding)
    positive = ops.greater(y, 0.0)  # each member's own
    z = layers.MultiHeadAttention(2, 4)(y, y, attention_mask=positive)
    band = np.tri(LENGTH, k=1)[None].astype("bool")
    return classes(x, layers.MultiHeadAttention(1, 4)(z, h, attention_mask=band))


def one_head():
    """`Attention` and `AdditiveAttention` with trained scales."""
    x, h = embedded()
    h = layers.Dense(4, activation="relu")(h)
    y, weights = layers.Attention(use_scale=True)(
        [h, h], use_causal_mask=True, return_attention_scores=True
    )
    z = layers.AdditiveAttention()([y, h])
    return classes(x, z, weights, layers.AdditiveAttention()([h, y, z], use_causal_mask=True))


MODELS = {make.__name__: make for make in (transformer, weights_returned, masks_given, one_head)}
FAST = ("transformer",)


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in MODELS]
)
def test_members_are_their_ordinary_models(name, float64):
    x = tokens()
    y = np.random.default_rng(1).integers(0, 3, len(x))
    fitted = {"x": x, "y": y, "epochs": 1}
    population = check(MODELS[name](), ["relu", "mish"], settings(), fitted, members=(1,))
    rules = rules_of(population)
    attention = [path for path in rules if "attention" in path]
    assert attention
    assert all(rules[path] for path in attention)
