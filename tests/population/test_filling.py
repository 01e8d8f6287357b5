"""An epoch's smaller last batch: filled up where that is exact, and nowhere else."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_acts.search import PopulationModel
from keras_acts.search.population.batch_view import may_fill_up
from keras_acts.search.rewrite.compiling import compile_arguments
from keras_acts.search.runtime import choices
from tests.helpers.populations import data

SAMPLES = 20  # in batches of 8, so that the last one has 4


def mlp(*between, activation="relu", classes=3):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, activation=activation),
            *between,
            layers.Dense(classes, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.1),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        weighted_metrics=["sparse_categorical_crossentropy"],
    )
    return model


def trained(model, *, fills, jit_compile=True, **options):
    """Train as one program a batch size, or one for all; return the population, logs and traces."""
    x, y = data(samples=SAMPLES)
    population = PopulationModel(model, ["relu", "tanh"])
    population.compile(**population_settings(model), jit_compile=jit_compile)
    traces = []
    call = population.call

    def counted_call(inputs, training=None, forward=None):
        if training:
            traces.append(inputs.shape)
        return call(inputs, training, forward)

    population.call = counted_call
    with choices.using(fill_batches=fills):
        history = population.fit(x, y, 8, verbose=0, shuffle=False, **options).history
    return population, history, traces


def population_settings(model):
    settings = dict(compile_arguments(model))
    settings.pop("jit_compile", None)
    return settings


def assert_same(one, other):
    for found, expected in zip(one[0].weights, other[0].weights, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6, err_msg=found.path)
    for name, values in other[1].items():
        np.testing.assert_allclose(one[1][name], values, rtol=2e-5, atol=1e-6, err_msg=name)


def test_the_loss_the_metrics_and_the_weights_are_those_of_the_smaller_batch():
    model = mlp()
    weight = np.linspace(0.5, 2, SAMPLES, dtype="float32")
    filled = trained(model, fills=True, sample_weight=weight)
    assert filled[2] == [(8, 4)]
    # in a graph, the last batch is as it is
    as_it_is = trained(model, fills=False, jit_compile=False, sample_weight=weight)
    assert as_it_is[2] == [(None, 4)]
    assert_same(filled, as_it_is)


@pytest.mark.slow
def test_a_program_of_one_size_takes_no_larger_batch():
    population, _, traces = trained(mlp(), fills=True)
    x, y = data(samples=19)
    again = PopulationModel(mlp(), ["relu", "tanh"])
    again.compile(**population_settings(mlp()), jit_compile=False)
    again.set_weights(population.get_weights())
    for model in (population, again):
        model.fit(x, y, 16, verbose=0, shuffle=False)
        model.train_on_batch(x, y)
    assert traces[:2] == [(8, 4), (16, 4)]
    for found, expected in zip(population.weights, again.weights, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)


@keras.saving.register_keras_serializable("tests")
def of_the_batch(x):
    return x - keras.ops.mean(x, axis=0)


NORMALIZED = [layers.BatchNormalization()]
DROPPED = [layers.Dropout(0.5)]
ADDED = [layers.ActivityRegularization(0.1)]
NOISY = [layers.GaussianNoise(0.1)]


@pytest.mark.parametrize(
    ("between", "in_training", "in_validation"),
    [
        ([layers.LayerNormalization()], True, True),
        (NORMALIZED, False, True),
        (DROPPED, False, True),
        (NOISY, False, True),
        (ADDED, False, False),
        ([layers.Activation(of_the_batch)], False, False),
        ([layers.Lambda(of_the_batch)], False, False),
    ],
    ids=["LayerNormalization", "BatchNormalization", "Dropout", "noise", "loss", "own", "Lambda"],
)
def test_what_looks_at_the_whole_batch_gets_the_batch_as_it_is(between, in_training, in_validation):
    model = mlp(*between)
    slots = [layer.name for layer in model.layers[:1]]
    population = PopulationModel(model, ["relu", "tanh"], slots=slots)
    _built(population)
    assert may_fill_up(population, training=True) is in_training
    assert may_fill_up(population, training=False) is in_validation


def _built(population):
    """As they are once a batch has come."""
    _, y = data(samples=8)
    for part in (population._compile_loss, population._compile_metrics):
        part.build(np.stack([y, y]), population.output_spec)


def model_of(shape, outputs):
    x = keras.Input(shape)
    h = layers.Dense(2, activation="relu", name="searched")(x)
    model = keras.Model(x, outputs(layers.Dense(2)(h)))
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def seen_population(model):
    """As it is once a batch has come."""
    population = PopulationModel(model, ["relu", "tanh"], slots=["searched"])
    population.compile("sgd", "mse", metrics=["mae"] * len(model.outputs))
    labels = keras.tree.map_structure(
        lambda y: np.zeros((2, 8, *y.shape[2:]), "float32"), population.output_spec
    )
    population._compile_loss.build(labels, population.output_spec)
    population._compile_metrics.build(labels, population.output_spec)
    return population


@pytest.mark.parametrize(
    ("shape", "outputs", "fills"),
    [
        ((4,), lambda h: h, True),
        ((4,), lambda h: [h, layers.Dense(1)(h)], True),
        ((4,), lambda h: h[:, 0], False),
        ((8, 4), lambda h: h, False),
        ((5, 5, 4), lambda h: h, False),
        ((8, 4), lambda h: [h, layers.Flatten()(h)], False),
    ],
    ids=["values", "two", "one for all", "steps", "pixels", "steps and values"],
)
def test_outputs_with_more_values_than_samples_get_the_batch_as_it_is(shape, outputs, fills):
    """Keras lays a mask of samples along the steps: with 8 of both it says nothing."""
    population = seen_population(model_of(shape, outputs))
    assert may_fill_up(population, training=True) is fills
    assert may_fill_up(population, training=False) is fills


@pytest.mark.parametrize(
    "outputs",
    [
        # (B, 2) each, so that nothing but the operation stands in the way
        lambda h: keras.ops.matmul(keras.ops.einsum("bd,cd->bc", h, h), h),
        lambda h: keras.ops.mean(h[:, None] - h, axis=1),
    ],
    ids=["einsum", "differences"],
)
def test_operations_across_samples_get_the_batch_as_it_is(outputs):
    population = seen_population(model_of((4,), outputs))
    assert not may_fill_up(population, training=False)


@pytest.mark.slow
@pytest.mark.parametrize("outputs", [lambda h: h, lambda h: h[:, 0, 0]], ids=["steps", "rank 1"])
def test_sequences_train_as_without_filling(outputs):
    model = model_of((8, 4), outputs)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(14, 8, 4)).astype("float32")
    y = rng.normal(size=(14, *model.output_shape[1:])).astype("float32")
    losses = []
    for fills in (True, False):
        population = PopulationModel(model, ["relu", "tanh"])
        population.compile(**population_settings(model), jit_compile=True)
        with choices.using(fill_batches=fills):
            history = population.fit(x, y, 8, verbose=0, shuffle=False, validation_data=(x, y))
        losses.append({name: np.ravel(values) for name, values in history.history.items()})
    for name, values in losses[1].items():
        np.testing.assert_allclose(losses[0][name], values, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    "settings",
    [
        {"metrics": [keras.metrics.AUC()]},
        {"weighted_metrics": ["f1_score"]},
        {"loss": "dice"},
        {"loss": lambda y, y_pred: keras.ops.mean((y - y_pred) ** 2)},
    ],
    ids=["AUC", "F1", "Dice", "own"],
)
def test_losses_and_metrics_of_the_whole_batch_get_the_batch_as_it_is(settings):
    model = mlp(classes=1)
    population = PopulationModel(model, ["relu", "tanh"])
    population.compile(**{"optimizer": "sgd", "loss": "mse", "metrics": ["mae"], **settings})
    y = np.zeros((2, 8, 1), "float32")
    population._compile_loss.build(y, population.output_spec)
    population._compile_metrics.build(y, population.output_spec)
    assert not may_fill_up(population, training=True)
    population.compile("sgd", "mse", metrics=["mae"])
    assert not may_fill_up(population, training=True)  # nobody knows yet what they are
    population._compile_loss.build(y, population.output_spec)
    population._compile_metrics.build(y, population.output_spec)
    assert may_fill_up(population, training=True)


@pytest.mark.slow
def test_batch_normalization_and_dropout_train_as_without_filling():
    for between in (NORMALIZED, DROPPED):
        model = mlp(*between)
        filled = trained(model, fills=True)
        assert filled[2] == [(None, 4), (None, 4)]  # one for XLA, one of any size
        assert_same(filled, trained(model, fills=False))


@pytest.mark.slow
def test_each_seeds_own_batches_are_filled_up_too():
    x, y = data(samples=SAMPLES)
    weights = []
    for fills in (True, False):
        population = PopulationModel(mlp(), ["relu", "tanh"], seeds=2)
        population.compile(**population_settings(mlp()), jit_compile=fills)
        with choices.using(fill_batches=fills):
            population.fit(x, y, 8, epochs=2, verbose=0, shuffle="seed")
        weights.append([np.array(variable) for variable in population.trainable_variables])
    for found, expected in zip(*weights, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
