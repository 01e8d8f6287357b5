"""Masks go through a population as through each ordinary model: into layers, losses and metrics."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_acts.search import PopulationModel
from tests.helpers.populations import check

TOKENS = 6


def sentences(samples=24, length=5):
    """Padded with 0, most of them."""
    rng = np.random.default_rng(0)
    x = rng.integers(1, TOKENS, (samples, length))
    x[np.arange(length) >= rng.integers(1, length + 1, (samples, 1))] = 0
    return x


def head(x, h):
    h = layers.Dense(4, activation="relu")(h)
    return keras.Model(x, layers.Dense(3, activation="softmax")(h))


def embedded(**options):
    x = keras.Input((5,), dtype="int32")
    return x, layers.Embedding(TOKENS, 4, mask_zero=True, **options)(x)


def recurrent():
    x, h = embedded()
    h = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(layers.Dropout(0.0)(h))
    h = layers.GRU(4, return_sequences=True, zero_output_for_mask=True)(h)
    h, state = layers.SimpleRNN(3, return_state=True)(h)
    return head(x, layers.Concatenate()([h, state]))


def other_layers():
    """Attention of three kinds, an average, a normalization, and merges of masks."""
    x, h = embedded()
    hidden = layers.Dense(4, activation="relu")(h)
    own = layers.MultiHeadAttention(2, 4)(hidden, h)
    added = layers.LayerNormalization()(layers.Add()([own, h]))
    scores = layers.Attention()([added, h])
    joined = layers.Concatenate()([scores, layers.AdditiveAttention()([h, added])])
    return head(x, layers.GlobalAveragePooling1D()(layers.BatchNormalization()(joined)))


def steps_of_values():
    """Masked where values are 0, behind trained layers too, and a loop over a cell."""
    x = keras.Input((5, 2))
    h = layers.LSTM(3, return_sequences=True, go_backwards=True)(layers.Masking()(x))
    h = layers.TimeDistributed(layers.Dense(3, activation="relu"))(h)
    h = layers.RNN(layers.GRUCell(3), return_sequences=True)(layers.Masking(0.0)(h))
    return head(x, layers.LSTM(3, unroll=True)(h))


@keras.saving.register_keras_serializable("tests")
class Weighs(layers.Layer):
    """A layer of a user's that takes a mask, and hands on another."""

    supports_masking = True

    def call(self, x, mask=None):
        return x * ops.cast(mask, x.dtype)[..., None]

    def compute_mask(self, x, mask=None):
        return ops.logical_and(mask, ops.sum(x, -1) > 0)


def of_a_user():
    x, h = embedded()
    h = Weighs()(layers.Dense(4, activation="relu")(h))
    return head(x, layers.LSTM(3)(h))


MODELS = {m.__name__: m for m in (recurrent, other_layers, steps_of_values, of_a_user)}


def compiled():
    return {
        "optimizer": keras.optimizers.Adam(0.01),
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_members_are_their_ordinary_models(name, float64):
    x = sentences()
    if name == "steps_of_values":
        x = np.random.default_rng(1).normal(size=(24, 5, 2)) * (x > 0)[..., None]
    y = np.random.default_rng(2).integers(0, 3, 24)
    fitted = {"x": x, "y": y, "epochs": 1, "validation_data": (x, y)}
    population = check(MODELS[name](), ["relu", "mish"], compiled, fitted)
    if name == "recurrent":
        layers_of_it = [one.plan for one in population.stacked]
        assert all(p.rule for p in layers_of_it if isinstance(p.layer, layers.Layer))


def tagger():
    """A label for each step: what is masked counts neither in the loss nor in the metrics."""
    x, h = embedded()
    h = layers.LSTM(3, return_sequences=True, activation="relu")(h)
    return keras.Model(x, layers.Dense(3, activation="softmax")(h))


def first_step(y, p):
    return p[:, :, 0] + ops.cast(y, p.dtype)


# made anew each time, in the precision of the test
LOSSES = {
    "classes": lambda: (
        "sparse_categorical_crossentropy",
        ["accuracy", keras.metrics.MeanMetricWrapper(first_step, name="first")],
    ),
    "sum": lambda: (keras.losses.SparseCategoricalCrossentropy(reduction="sum"), ["accuracy"]),
    "weighted": lambda: (keras.losses.MeanSquaredError("mean_with_sample_weight"), ["mae"]),
    "of a user": lambda: (lambda y, p: ops.mean(ops.abs(y - p), -1), []),
}


@pytest.mark.parametrize("weights", [None, 1, 5])
@pytest.mark.parametrize(
    "name",
    ["classes", *(pytest.param(n, marks=pytest.mark.slow) for n in LOSSES if n != "classes")],
)
def test_masked_steps_do_not_count(name, weights, float64):
    x = sentences()
    rng = np.random.default_rng(2)
    y = rng.integers(0, 3, (24, 5))
    if name in ("weighted", "of a user"):
        y = keras.utils.to_categorical(y, 3)
    fitted = {"x": x, "y": y, "epochs": 1}
    if weights is not None:
        fitted["sample_weight"] = rng.random((24, weights))

    def settings():
        loss, metrics = LOSSES[name]()
        return {
            "optimizer": "adam",
            "loss": loss,
            "metrics": metrics,
            "weighted_metrics": ["mae"] if name == "weighted" else [],
        }

    check(tagger(), ["relu", "tanh"], settings, fitted)


def test_an_operation_ends_a_mask():
    x, h = embedded()
    model = head(x, layers.LSTM(3)(h * 2.0))
    population = PopulationModel(model, ["relu"])
    tokens = sentences(4)
    expected = population.model(0)(tokens)
    np.testing.assert_allclose(population(tokens)[0], expected, rtol=1e-5, atol=1e-6)
