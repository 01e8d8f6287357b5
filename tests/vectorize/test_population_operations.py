"""Operations of `keras.ops` between layers run for all members at once, and are what they are alone."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_acts.search import PopulationModel
from tests.helpers.populations import check, data, settings
from tests.vectorize.test_population_rules import rules_of

RNG = np.random.default_rng(0)
CONSTANT = RNG.normal(size=(4, 3)).astype("float64")


def head(x, *found):
    flat = [layers.Flatten()(h) if len(h.shape) > 2 else h for h in found]
    joined = layers.Concatenate()(flat) if len(flat) > 1 else flat[0]
    return keras.Model(x, layers.Dense(3, activation="softmax")(joined))


def arithmetic():
    """Of shared, stacked and folded values, with numbers, constants and other ranks."""
    x = keras.Input((4, 3))
    h = layers.Dense(3, activation="relu")(x)
    folded = layers.DepthwiseConv1D(1, activation="relu")(h)
    pooled = layers.GlobalAveragePooling1D()(h)
    mixed = ops.maximum(h * 2.0 + x, 0.1 - x) / (1.5 + ops.square(folded))
    mixed = mixed + CONSTANT - ops.expand_dims(pooled, 1) * (folded * 0.5)
    row = ops.mean(h, axis=(1, 2))  # (B,): broadcast against the last axis, as in NumPy
    square = ops.matmul(h, ops.transpose(h, (0, 2, 1)))
    return head(x, mixed, ops.where(h > 0.2, h, -x), square, ops.expand_dims(row, -1))


def shapes():
    x = keras.Input((4, 6))
    h = layers.Dense(6, activation="relu")(x)
    heads = ops.transpose(ops.reshape(h, (-1, 4, 2, 3)), (0, 2, 1, 3))
    scores = ops.softmax(ops.matmul(heads, ops.swapaxes(heads, -1, -2)) * 0.5, axis=-1)
    seen = ops.einsum("bhts,bhsc->bthc", scores, heads)
    other = ops.einsum("bhtc,bts->bhsc", heads, ops.matmul(x, ops.transpose(x, (0, 2, 1))))
    first, second = ops.split(h, 2, axis=-1)
    token = ops.concatenate([h[:, :1], x, h[:, 1::2, :]], axis=1)
    stacked = ops.stack([first, second], axis=2)
    last = ops.squeeze(h[:, -1:, ...], axis=1)
    return head(x, seen, other, token, stacked, last, ops.max(h, axis=-1), ops.sum(x, axis=-1))


@pytest.mark.parametrize("make", [arithmetic, pytest.param(shapes, marks=pytest.mark.slow)])
def test_members_are_their_ordinary_models(make, float64):
    model = make()
    x, y = data(model.input_shape[1:], samples=20)
    fitted = {"x": x, "y": y, "epochs": 1}
    population = check(model, ["relu", "prelu", "tanh"], settings(), fitted)
    assert [path for path, rule in rules_of(population).items() if rule is None] == []


@pytest.mark.parametrize(
    "mixes",
    [
        lambda h: h - ops.mean(h, axis=0, keepdims=True),
        lambda h: ops.reshape(ops.reshape(h, (4, -1)), (-1, 4)),
        lambda h: ops.transpose(ops.transpose(h)),
        lambda h: ops.flip(h, axis=-2),
        lambda h: ops.concatenate([h[2:, :], h[:2, :]], axis=0),
        lambda h: ops.cumsum(h, axis=0),
        lambda h: ops.matmul(ops.matmul(h, ops.transpose(h)), h),
        lambda h: h + ops.ones((8, 1)) * np.arange(8)[:, None],
    ],
)
def test_what_mixes_samples_is_what_it_is_alone(mixes):
    """By a loop, or all at once where that is right."""
    x = keras.Input((4,))
    h = mixes(layers.Dense(4, activation="relu")(x))
    model = keras.Model(x, layers.Dense(2)(h))
    population = PopulationModel(model, ["relu", "tanh"])
    values, _ = data((4,), samples=8)
    outputs = population(values)
    for member in (0, 1):
        expected = population.model(member)(values)
        np.testing.assert_allclose(outputs[member], expected, rtol=1e-4, atol=1e-5)


def test_each_step_of_time_is_a_sample(float64):
    x = keras.Input((3, 4, 2))
    dense = layers.Dense(3, activation="relu")
    h = layers.TimeDistributed(dense)(x)
    h = layers.TimeDistributed(layers.GlobalMaxPooling1D())(h)
    h = layers.TimeDistributed(layers.Dense(2))(layers.Masking(-9.0)(h))
    model = head(x, layers.LSTM(2)(h))
    values, y = data((3, 4, 2), samples=20)
    fitted = {"x": values, "y": y, "epochs": 1}
    population = check(model, ["relu", "tanh"], settings(), fitted)
    kinds = {layer.plan.path: type(layer.plan.layer) for layer in population.stacked}
    rules = rules_of(population)
    assert all(rules[path] for path, kind in kinds.items() if kind is layers.TimeDistributed)
