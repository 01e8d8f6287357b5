"""A member of a population is the ordinary model of its candidate and seed: for every layer, shape and activation."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_acts.errors import ModelError
from keras_acts.search.population.model import PopulationModel
from keras_acts.search.runtime import choices
from keras_acts.search.vectorize import convolutions
from keras_acts.search.vectorize.batch import Batch
from keras_acts.search.vectorize.registry import forget, vectorizes, without_rule
from tests.helpers.populations import (
    MODELS,
    SLOW,
    Ordinary,
    check,
    cnn,
    data,
    mlp,
    settings,
    small,
    two_slots,
)
from tests.helpers.zoo import shared_between_models

ACTIVATIONS = (
    *(
        "relu",
        "mish",
        "tanh",
        "sigmoid",
        "elu",
        "elu(alpha=0.5)",
        "leaky_relu(alpha=0.2)",
        "leaky_relu(alpha=0.05)",
    ),
    *(
        "trelu(alpha=0.1, theta=0.5)",
        "trelu(alpha=0.1, theta=-0.3)",
        "prelu",
        "prelu(alpha=0.1)",
        "gelu",
        "silu",
    ),
)


@pytest.mark.parametrize("name", ["regularized", "tokens", SLOW["branches"]])
def test_a_member_is_its_ordinary_model(name, float64):
    """The last batch of an epoch is a smaller one."""
    make, shape = MODELS[name]
    x, y = data(shape, samples=28)
    x = np.minimum(np.abs(x * 2), 6).astype("int32") if name == "tokens" else x
    compiled = settings("sgd" if name == "tokens" else "adam")
    check(
        make(),
        ["prelu", "leaky_relu(alpha=0.2)", "leaky_relu(alpha=0.4)"],
        compiled,
        {"x": x, "y": y},
        members=(0, 2),
    )


@pytest.mark.slow
def test_a_member_is_its_ordinary_model_under_xla_and_for_batches_of_another_size(float64):
    x, y = data(samples=28)
    check(
        mlp(),
        ["prelu", "mish", "relu"],
        settings(),
        {"x": x, "y": y},
        members=(0, 1),
        jit_compile=True,
    )


def test_data_of_another_shape_is_traced_anew():
    x, y = data()
    population = PopulationModel(small(), ["relu", "mish"])
    population.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    population.fit(x[:8], y[:8], batch_size=8, verbose=0)
    population.fit(x, y, batch_size=16, sample_weight=np.ones(32), verbose=0)
    assert population.optimizer.iterations == 3


def test_inputs_keep_their_names_whatever_came_before():
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    model = keras.Model(
        [b, a], layers.Dense(1)(layers.Dense(4, "relu")(layers.Subtract()([2 * a, b])))
    )
    model.compile(keras.optimizers.SGD(0.0), "mse")
    population = PopulationModel(model, ["relu", "tanh"])
    rng = np.random.default_rng(0)
    x, y = {"a": rng.normal(size=(8, 3)), "b": rng.normal(size=(8, 3))}, rng.normal(size=8)
    expected = population.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    for inputs in ([x["b"], x["a"]], x):
        assert population.fit(inputs, y, verbose=0).history["loss"] == pytest.approx(
            [expected], rel=1e-5
        )


@pytest.mark.parametrize(
    ("make", "members", "epochs", "whole", "update"),
    [
        (mlp, 8, 160, True, False),
        (cnn, 8, 80, False, True),
        (mlp, 8, 9, False, False),
        (mlp, 7, 80, False, False),
    ],
)
def test_xla_compiles_where_it_pays(make, members, epochs, whole, update):
    class Stop(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            if not (whole or update):  # XLA is to compile nothing: other tests train so
                raise KeyboardInterrupt

        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    x, y = data(MODELS[make.__name__][1], samples=160)
    population = PopulationModel(make(), ["relu"], seeds=members)
    population.compile("sgd", "sparse_categorical_crossentropy")
    # where members have lanes, XLA compiles nothing by itself
    with contextlib.suppress(KeyboardInterrupt), choices.using(lanes=1):
        population.fit(x, y, batch_size=8, epochs=epochs, verbose=0, callbacks=Stop())
    step = population.training_step
    assert (step._whole, step._update_too) == (whole, update)
    assert population.optimizer.iterations == (whole or update)


@pytest.mark.parametrize("name", ["cnn", SLOW["branches"]])
def test_a_member_is_its_ordinary_model_with_folded_channels(name):
    make, shape = MODELS[name]
    x, y = data(shape)
    candidates = ["prelu", "trelu(theta=0.5)", "elu(alpha=0.5)", "trelu(theta=0.1)", "gelu"]
    check(
        make(),
        candidates,
        settings("sgd"),
        {"x": x, "y": y},
        seeds=[3, 4],
        members=(1, 6),
        rtol=2e-4,
    )


def test_convolutions_run_member_after_member_where_there_are_no_grouped_ones(monkeypatch):
    monkeypatch.setattr(convolutions, "grouped_convolution", lambda: False)
    x, y = data((7, 6, 2))
    model, candidates = cnn(), ["leaky_relu(alpha=0.2)", "leaky_relu(alpha=0.05)", "relu"]
    model.compile(**settings("sgd")())  # no trace can clone a compiled model
    check(
        model, candidates, settings("sgd"), {"x": x, "y": y, "epochs": 1}, members=(1,), rtol=2e-4
    )


def test_dense_layers_of_any_size_with_and_without_onednn(float64, monkeypatch):
    x, y = data((32,))
    model = keras.Sequential(
        [keras.Input((32,)), *(layers.Dense(32, "relu") for _ in range(2)), layers.Dense(3)]
    )
    compiled = settings("sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    ordinary, fitted = Ordinary(model, compiled), {"x": x, "y": y, "epochs": 1}
    for without in (True, False):
        monkeypatch.setattr(choices, "lacks_onednn", lambda without=without: without)
        check(model, ["mish", "tanh"], compiled, fitted, ordinary=ordinary)


@pytest.mark.slow
def test_every_activation(float64):
    x, y = data()
    candidates = (*ACTIVATIONS, "trelu(alpha=trained, theta=trained)", "elu(alpha=trained)")
    check(two_slots(), candidates, settings(), {"x": x, "y": y}, seeds=[5, 1])


def test_dropout_at_the_beginning_differs_between_seeds_and_drops_its_share():
    """As in ordinary models; behind trained layers each member has its own (`tests/vectorize`)."""
    model = keras.Sequential(
        [keras.Input((1000,)), layers.Dropout(0.3), layers.Activation("relu"), layers.Dense(1)]
    )
    values = []
    with vectorized_probe(values):
        population = PopulationModel(model, ["relu"], seeds=2)
        population(np.ones((8, 1000), "float32"), training=True)
        population(np.ones((8, 1000), "float32"), training=False)
    trained, tested = values
    assert trained.shape == (2, 8, 1000)
    assert 0.27 < np.mean(trained == 0) < 0.33
    assert np.mean(trained[0] != trained[1]) > 0.3
    np.testing.assert_allclose(trained[trained > 0], 1 / 0.7, rtol=1e-6)
    np.testing.assert_array_equal(tested, np.ones_like(tested))


@contextlib.contextmanager
def vectorized_probe(values):
    """Records what reaches Dense layers."""
    with without_rule(layers.Dense) as rule:

        @vectorizes(layers.Dense)
        def dense(call, x):
            values.append(keras.ops.convert_to_numpy(x.stacked()))
            return rule(call, x)

        yield


def test_a_layer_of_two_models_is_refused():
    with pytest.raises(
        ModelError, match=r"that a model and one inside of it share. Received: .*used_twice"
    ):
        PopulationModel(shared_between_models(), ["relu", "mish"])


def test_an_activation_on_the_input_itself():
    """What all members share has one shape, and parameters of the members another."""
    x, y = data()
    model = keras.Sequential(
        [keras.Input((4,)), layers.Activation("relu"), layers.Dense(3, activation="softmax")]
    )
    candidates = [
        "elu(alpha=0.3)",
        "leaky_relu(alpha=0.2)",
        "elu(alpha=0.7)",
        "trelu(theta=0.1)",
        "mish",
    ]
    check(model, candidates, settings("sgd"), {"x": x, "y": y}, members=(0, 1, 2, 3, 4), rtol=2e-4)


def test_a_rule_of_ones_own():
    @keras.saving.register_keras_serializable("tests")
    class Scale(layers.Layer):
        def build(self, shape):
            self.factor = self.add_weight(shape=(), initializer="ones", name="factor")

        def call(self, x):
            return x * self.factor

    calls = []
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, "relu"), Scale(), layers.Dense(3, "softmax")]
    )
    x, y = data()
    compiled, fitted = settings("sgd"), {"x": x, "y": y, "epochs": 1}
    ordinary = Ordinary(model, compiled)
    check(
        model, ["relu", "mish"], compiled, fitted, members=(1,), rtol=1e-4, ordinary=ordinary
    )  # member after member

    @vectorizes(Scale)
    def scale(call, x):
        calls.append(x.members)
        return Batch(x.stacked() * call.weights["factor"][:, None, None], "stacked", x.members)

    try:
        check(model, ["relu", "mish"], compiled, fitted, members=(1,), rtol=1e-4, ordinary=ordinary)
        assert set(calls) == {2}
        with pytest.raises(ModelError, match=r"one rule. Received: Scale"):
            vectorizes(Scale)
    finally:
        forget(Scale)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (([],), "at least one candidate.*Received: 0 candidates"),
        (("relu",), "a list of activations. Received: candidates='relu'"),
        ((["relu"], 0), "one seed.*seeds=0"),
        ((["relu"], [-1]), r"integers from 0.*seeds=\[-1\]"),
        ((["relu"], 1.5), "one seed.*seeds=1.5"),
    ],
)
def test_bad_members_are_refused(arguments, rule):
    with pytest.raises(ModelError, match=rule):
        PopulationModel(mlp(), *arguments)


def test_what_cannot_be_exact_is_refused():
    with pytest.raises(ModelError, match=r"or mixed_bfloat16: .*Received.*mixed_float16"):
        PopulationModel(mlp(dtype="mixed_float16"), ["relu"])
    population = PopulationModel(mlp(), ["relu", "mish"])
    with pytest.raises(ModelError, match=r"from 0 to 1. Received: \[2\]"):
        population.model(2)
    with pytest.raises(ModelError, match=r"Received: \[1, 1\]"):
        population.select([1, 1])
    with pytest.raises(ModelError, match=r"save population.model\(member\)"):
        population.get_config()
    population.compile("sgd", keras.losses.MeanSquaredError(reduction=None))
    with pytest.raises(ModelError, match="reduction=None"):
        population.train_on_batch(*data())


def test_sizes_that_the_graph_does_not_know():
    x = keras.Input((None, 4))
    y = layers.Conv1D(8, 3, padding="same", activation="relu")(x)
    y = layers.Dense(8, activation="relu")(
        layers.GroupNormalization(2)(layers.MaxPooling1D(padding="same")(y))
    )
    y = layers.GroupNormalization(4)(layers.Conv1D(8, 3, padding="same", activation="relu")(y))
    model = keras.Model(x, layers.Dense(3, "softmax")(layers.GlobalAveragePooling1D()(y)))
    population = PopulationModel(model, ["relu", "mish", "prelu"])
    predict = tf.function(lambda x: population(x)).get_concrete_function(
        tf.TensorSpec([None, None, 4])
    )
    for length in (5, 8):
        x = data((length, 4), samples=6)[0]
        expected = [population.model(member)(x) for member in range(3)]
        np.testing.assert_allclose(predict(tf.constant(x)), expected, rtol=2e-5, atol=2e-6)


def test_an_activation_may_return_another_dtype():
    @keras.saving.register_keras_serializable("tests")
    def wide_swish(x):
        return keras.ops.multiply(x, keras.ops.sigmoid(keras.ops.multiply(x, np.array(1.5))))

    population, x = PopulationModel(mlp(), ["relu", wide_swish]), data()[0]
    np.testing.assert_allclose(population(x)[1], population.model(1)(x), rtol=1e-5, atol=1e-6)
