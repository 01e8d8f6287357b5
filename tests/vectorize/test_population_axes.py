"""Members never meet samples: sizes that happen to be alike, other ranks, and the axis of samples.

Tensors whose axes lie below each other by accident broadcast without an error, to wrong values.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_acts.search.population.model import PopulationModel
from tests.helpers.populations import check, data, settings


def searched(x, size=4):
    return layers.Dense(size, activation="relu", name="searched")(x)


def masked(x):
    """What `Masking` masks, as it is behind another layer."""
    return searched(layers.Masking(0.0)(x))


def image():
    return keras.Input((2, 3, 4))


def numbers():
    return keras.Input((4,))


def biases(x):
    h = layers.EinsumDense("bc,cd->bd", 1, bias_axes="d")(searched(x))
    return layers.Dense(1)(h)


def narrow_and_wide(x):
    h = searched(x)
    return layers.Average()([layers.Add()([h, layers.Dense(1)(h)]), layers.Dense(1)(h)])


def sum_of_columns(x):
    h = searched(x, 2)
    return h + layers.Dense(1)(h)


def attention_to_images(x):
    h = searched(x)
    y = layers.Attention(use_scale=True)([h, h], use_causal_mask=True)
    return layers.AdditiveAttention()([y, h])


def masked_attention_to_images(x):
    h = masked(x)
    y = layers.Attention(use_scale=True)([h, h], use_causal_mask=True)
    return layers.AdditiveAttention()([y, h], use_causal_mask=True)


def attention_of_two_ranks(x):
    h = searched(x)
    return layers.Attention(use_scale=True)([ops.expand_dims(h, 2), h[:, 0]])


def softmax_of_samples(x):
    return layers.Softmax(axis=0)(searched(x))


def mask_without_samples(x):
    h = searched(x)
    return layers.Softmax()(h, mask=ops.greater(h[:, 0], 0.0))


def samples_side_by_side(x):
    h = searched(x)
    both = layers.Concatenate(axis=0)([h, 2.0 * h])
    return ops.max(ops.reshape(both, (2, -1, 4)), axis=0)


# inputs, what is made of them, and how many samples there are; of members there are 2
CASES = {
    "a bias, of as many samples": (numbers, biases, 2),
    "a column, of as many samples of all members as values": (numbers, narrow_and_wide, 2),
    "a column, of as many members as values": (numbers, sum_of_columns, 1),
    "attention to images": (image, attention_to_images, 2),
    "masked attention to images": (image, masked_attention_to_images, 2),
    "attention of two ranks": (image, attention_of_two_ranks, 2),
    "softmax of samples": (numbers, softmax_of_samples, 3),
    "a mask without samples": (image, mask_without_samples, 2),
    "samples side by side": (numbers, samples_side_by_side, 3),
}


def differ(population):
    """Make the members' weights different ones: both begin alike."""
    rng = np.random.default_rng(1)
    for _, block in population.blocks():
        block.variable.assign(rng.normal(size=block.variable.shape))


def attends_to_images():
    """Whether this Keras' own layer does: that of 3.12 takes series only."""
    pixels = np.zeros((1, 2, 3, 4), "float32")
    try:
        layers.Attention()([pixels, pixels])
    except tf.errors.InvalidArgumentError:
        return False
    return True


@pytest.mark.parametrize("case", CASES)
def test_members_are_what_they_are_alone(case):
    if case.endswith("attention to images") and not attends_to_images():
        pytest.skip(f"Keras {keras.__version__} has no attention to images")
    inputs, make, samples = CASES[case]
    x = inputs()
    model = keras.Model(x, make(x))
    values, _ = data(x.shape[1:], samples=samples)
    if len(x.shape) > 2:
        values[0, 0, -1] = 0.0  # which `Masking` masks
    population = PopulationModel(model, ["relu", "tanh"])
    differ(population)
    outputs = population(values)
    for member in (0, 1):
        expected = population.model(member)(values)
        np.testing.assert_allclose(outputs[member], expected, rtol=1e-4, atol=1e-5)


def test_a_batch_of_as_many_samples_as_members_trains_each_as_alone(float64):
    """Numbers are predicted by one unit with a bias."""
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, activation="relu"), layers.Dense(1)]
    )
    x, _ = data(samples=6)
    fitted = {"x": x, "y": x[:, :1] + 1, "batch_size": 2, "epochs": 1}
    check(model, ["relu", "tanh"], settings("sgd", loss="mse", metrics=[]), fitted)
