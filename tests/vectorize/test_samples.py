"""Which layers and operations look at each sample by itself: they may be put into another batch."""

import functools

import keras
import pytest
from keras import layers, ops

from keras_acts.compat import operation_behind
from keras_acts.search.vectorize.registry import rule_for
from keras_acts.search.vectorize.samples import acts_on_each_sample, is_known_activation

FLAT = (4,)
SEQUENCE = (4, 4)


def centred(x):
    return x - ops.mean(x, axis=0)


class Centred:
    """A user's object, called like a function."""

    def __call__(self, x):
        return centred(x)


@functools.wraps(keras.activations.relu)
def called_relu(x):
    return centred(x)


def acts(compute, shape):
    """What is said of the last layer or operation of a model."""
    x = keras.Input(shape)
    last = operation_behind(compute(x))
    return acts_on_each_sample(last, rule_for(last))


MIXES = {
    "einsum of all pairs": (lambda x: ops.einsum("bd,cd->bc", x, x), FLAT),
    "einsum with samples behind": (lambda x: ops.einsum("bd,bd->db", x, x), FLAT),
    "einsum over the samples": (lambda x: ops.einsum("bd,bc->dc", x, x), FLAT),
    "einsum of a diagonal": (lambda x: ops.einsum("bbd->bd", x), SEQUENCE),
    "matrix of samples": (lambda x: ops.matmul(x[:, 0], x), SEQUENCE),
    "constant in front": (lambda x: ops.matmul(ops.ones((4, 4)), x), FLAT),
    "differences of all pairs": (lambda x: x[:, :1] - x[:, 0], FLAT),
    "one number a sample of a batch": (lambda x: x * ops.ones((8, 1)), FLAT),
    "an axis more in front": (lambda x: x * ops.ones((2, 1, 4)), FLAT),
    "softmax over samples": (lambda x: layers.Dense(3, activation=layers.Softmax(0))(x), FLAT),
    "Keras' unit length": (lambda x: layers.UnitNormalization(axis=0)(x), FLAT),
    "a user's object": (lambda x: layers.Dense(3, activation=Centred())(x), FLAT),
    "a user's method": (lambda x: layers.Dense(3, activation=Centred().__call__)(x), FLAT),
    "a partial": (lambda x: layers.Dense(3, activation=functools.partial(centred))(x), FLAT),
    "what looks like Keras' own": (lambda x: layers.Dense(3, activation=called_relu)(x), FLAT),
}

EACH = {
    "einsum": (lambda x: ops.einsum("btd,bsd->bts", x, x), SEQUENCE),
    "einsum with a constant": (lambda x: ops.einsum("bd,dc->bc", x, ops.ones((4, 2))), FLAT),
    "matmul": (lambda x: ops.matmul(x, x), SEQUENCE),
    "matmul with a constant": (lambda x: ops.matmul(x, ops.ones((4, 2))), FLAT),
    "a constant in front": (lambda x: ops.matmul(ops.ones((2, 4)), x), SEQUENCE),
    "a sum": (lambda x: x + x, FLAT),
    "numbers": (lambda x: 1.0 - x, FLAT),
    "one number a value": (lambda x: x * ops.ones((4,)), FLAT),
    "a part": (lambda x: x[:, 0], FLAT),
    "put together": (lambda x: ops.concatenate([x, x], axis=1), FLAT),
    "softmax": (lambda x: layers.Dense(3, activation=layers.Softmax())(x), FLAT),
    "softmax over steps": (lambda x: layers.Softmax(axis=1)(x), SEQUENCE),
    "attention": (lambda x: layers.MultiHeadAttention(2, 2)(x, x), SEQUENCE),
    "an EinsumDense": (lambda x: layers.EinsumDense("...b,bc->...c", 3)(x), FLAT),
    "both ways": (lambda x: layers.Bidirectional(layers.LSTM(2))(x), SEQUENCE),
    "regularized": (lambda x: layers.Dense(3, "mish", kernel_regularizer="l2")(x), FLAT),
}


@pytest.mark.parametrize(("compute", "shape"), MIXES.values(), ids=MIXES)
def test_what_mixes_samples_is_seen(compute, shape):
    assert not acts(compute, shape)


@pytest.mark.parametrize(("compute", "shape"), EACH.values(), ids=EACH)
def test_what_looks_at_each_sample_is_seen(compute, shape):
    assert acts(compute, shape)


def test_a_rule_of_a_users_may_mix_samples():
    layer = layers.Dense(3)
    layer.build((None, 4))
    assert acts_on_each_sample(layer, rule_for(layer))
    assert not acts_on_each_sample(layer, lambda call, x: x)
    assert not acts_on_each_sample(layer, None)


def test_activations_of_keras_along_the_last_axis_are_known():
    for name in ("relu", "softmax", "mish"):
        assert is_known_activation(keras.activations.get(name))
    assert is_known_activation(layers.PReLU())
    assert is_known_activation(layers.Softmax())
    assert not is_known_activation(layers.Softmax(axis=0))
    assert not is_known_activation(functools.partial(keras.activations.softmax, axis=0))
