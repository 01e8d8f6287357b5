"""A member of a population is the ordinary model of its candidate and seed.

The tests that hold population training.
"""

import contextlib
import functools
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
from keras import layers
from keras.src.backend.tensorflow.trainer import TFEpochIterator
from keras.src.trainers import epoch_iterator
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

import keras_acts as ka
from keras_acts.errors import ModelError
from keras_acts.search import Assignment, with_activations
from keras_acts.search.population import data as feed
from keras_acts.search.population import model as population_module
from keras_acts.search.population import step_tensorflow
from keras_acts.search.population.data import as_adapter
from keras_acts.search.population.model import PopulationModel
from keras_acts.search.runtime.seeding import isolated_seed
from keras_acts.search.vectorize import convolutions
from keras_acts.search.vectorize import dense as rules_weighted
from keras_acts.search.vectorize.batch import Batch
from keras_acts.search.vectorize.registry import forget, vectorizes, without_rule
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
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.01, amsgrad=True, clipvalue=0.05),
    "adam in one kernel": lambda: keras.optimizers.Adam(0.01, epsilon=1e-5),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "rmsprop": lambda: keras.optimizers.RMSprop(
        0.01, centered=True, use_ema=True, ema_overwrite_frequency=3
    ),
    "adagrad": lambda: keras.optimizers.Adagrad(0.05),
    "adadelta": lambda: keras.optimizers.Adadelta(0.5),
    "adamax": lambda: keras.optimizers.Adamax(
        keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.8)
    ),
    "nadam": lambda: keras.optimizers.Nadam(0.01, gradient_accumulation_steps=2),
    "lion": lambda: keras.optimizers.Lion(0.003),
}


@pytest.fixture
def float64():
    # Keras keeps the first default policy that was asked for
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def data(shape=(4,), classes=3, samples=32, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, *shape)).astype(keras.config.floatx()), rng.integers(
        0, classes, samples
    )


def mlp(**options):
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, activation="relu", name="first", **options),
            layers.BatchNormalization(),
            layers.Dense(6, use_bias=False),
            layers.Activation("relu", name="second"),
            layers.Dense(3, activation="softmax", name="output"),
        ]
    )


def two_slots():
    """An activation of a layer, and one that is a layer."""
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, activation="relu", name="first"),
            layers.Activation("relu", name="second"),
            layers.Dense(3, activation="softmax", name="output"),
        ]
    )


def cnn():
    return keras.Sequential(
        [
            keras.Input((7, 6, 2)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.DepthwiseConv2D(2, depth_multiplier=2, activation="relu"),
            layers.BatchNormalization(momentum=0.8),
            layers.Conv2D(3, 2, strides=1, use_bias=False, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def branches():
    """Merges of shared, stacked and folded values, operations, a layer used twice, a nested model, a gate."""
    x = keras.Input((6, 6, 2))
    h = layers.Conv2D(4, 3, activation="relu")(x)
    gate = layers.Dense(4, activation="sigmoid", name="gate")(layers.GlobalAveragePooling2D()(h))
    h = layers.Multiply()([h, layers.Reshape((1, 1, 4))(gate)])
    h = layers.Add()([h, layers.Cropping2D(1)(layers.Conv2D(4, 1)(x))])
    inner = keras.Input((4,))
    nested = keras.Model(inner, layers.Dense(4, activation="relu")(inner), name="nested")
    twice = layers.Dense(4, activation="relu", name="twice")
    h = twice(nested(layers.GlobalMaxPooling2D()(h)))
    h = layers.Concatenate()([twice(h), layers.Flatten()(x)])
    return keras.Model(x, layers.Dense(3, activation="softmax")(h * 0.5))


def tokens():
    return keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            layers.Embedding(7, 4),
            layers.LayerNormalization(),
            layers.Dense(6, activation="relu"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def without_rules():
    """Layers that run member after member.

    With a slot inside, with random numbers, with a regularizer.
    """
    return keras.Sequential(
        [
            keras.Input((5, 3)),
            layers.Conv1DTranspose(4, 2, activation="relu", name="conv"),
            layers.LSTM(
                4,
                name="lstm",
                activation="relu",
                kernel_regularizer="l2",
                recurrent_dropout=0.1,
                seed=3,
            ),
            layers.Dense(3, activation="softmax"),
        ]
    )


MODELS = {
    "mlp": (mlp, (4,)),
    "two_slots": (two_slots, (4,)),
    "regularized": (
        lambda: mlp(
            kernel_regularizer="l2",
            bias_regularizer=keras.regularizers.L1L2(0.01, 0.02),
            kernel_constraint="max_norm",
        ),
        (4,),
    ),
    "cnn": (cnn, (7, 6, 2)),
    "branches": (branches, (6, 6, 2)),
    "tokens": (tokens, (5,)),
    "without_rules": (without_rules, (5, 3)),
}


class Alone(NamedTuple):
    """What the training of one ordinary model ended with, by the paths of its variables, and its logs."""

    weights: list[tuple[str, np.ndarray]]
    optimizer: list[tuple[str, np.ndarray]]
    history: dict[str, list[float]]


class Ordinary:
    """What the user would do for each candidate and seed, once for each.

    Args:
        model: of which `with_activations` makes each.
        compiled: makes the arguments of `compile`.
    """

    def __init__(self, model, compiled):
        self.model = model
        self.compiled = compiled
        self.trained = {}

    def fit(self, member, fitted):
        key = (
            member.candidate,
            member.seed,
            keras.config.floatx(),
            *map(id, keras.tree.flatten(fitted)),
        )
        if key not in self.trained:
            self.trained[key] = self._fit(member, fitted), fitted  # which keeps the identities
        return self.trained[key][0]

    def _fit(self, member, fitted):
        with isolated_seed(member.seed):
            alone = with_activations(self.model, member.candidate)
        # eagerly: for so few steps that takes half as long as it does to trace them
        alone.compile(**self.compiled(), run_eagerly=True)
        history = alone.fit(**fitted, shuffle=False, verbose=0).history
        weights, optimizer = (
            list(zip([v.path for v in variables], _values(variables), strict=True))
            for variables in (alone.weights, alone.optimizer.variables)
        )
        return Alone(weights, optimizer, history)


def _values(variables):
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def settings(optimizer="adam", **options):
    def compiled():
        made = OPTIMIZERS[optimizer]()
        return {
            "optimizer": made,
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy"],
            **options,
        }

    return compiled


def check(
    model,
    candidates,
    compiled,
    fitted,
    *,
    seeds=1,
    members=None,
    rtol=1e-8,
    jit_compile="auto",
    ordinary=None,
):
    """Train a population and its members one by one, and compare weights, logs and optimizers.

    8 steps by default.

    Tests that train the same ordinary models share an `ordinary`.
    """
    fitted = {"batch_size": 8, "epochs": 2, **fitted}
    ordinary = ordinary or Ordinary(model, compiled)
    population = PopulationModel(model, candidates, seeds)
    population.compile(**compiled(), jit_compile=jit_compile)
    history = population.fit(**fitted, shuffle=False, verbose=0).history
    compare(population, history, ordinary, fitted, members, rtol)
    return population


def compare(population, history, ordinary, fitted, members, rtol):
    """Compare members of a trained population with their ordinary models."""
    tolerance = {"rtol": rtol, "atol": rtol * 1e-2}
    for p in range(len(population.members)) if members is None else members:
        member = population.members[p]
        alone, same = ordinary.fit(member, fitted), population.model(p)
        for expected, found in (
            (alone.weights, same.weights),
            (alone.optimizer, same.optimizer.variables),
        ):
            for (path, value), variable in zip(expected, found, strict=True):
                np.testing.assert_allclose(variable, value, **tolerance, err_msg=f"{member} {path}")
        for name, values in alone.history.items():
            key = f"val_members/{name[4:]}" if name.startswith("val_") else f"members/{name}"
            found = np.stack([np.atleast_1d(epoch) for epoch in history[key]])[:, p]
            np.testing.assert_allclose(found, values, rtol=max(rtol, 1e-6), err_msg=key)


SLOW = {name: pytest.param(name, marks=pytest.mark.slow) for name in ("branches", "without_rules")}


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


def test_averaged_weights_do_not_replace_those_of_a_diverged_member():
    x, y = data()
    population = PopulationModel(small(), ["relu", "mish"])
    population.compile(
        keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.9),
        "sparse_categorical_crossentropy",
    )
    population.fit(x, y, batch_size=8, verbose=0)
    population.healthy.assign([1, 0])
    before = [population.model(member).get_weights() for member in (0, 1)]
    population.fit(x, y, batch_size=8, verbose=0)
    for old, new in zip(before[1], population.model(1).get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert np.abs(before[0][0] - population.model(0).get_weights()[0]).max() > 0


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
    with contextlib.suppress(KeyboardInterrupt):
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
        monkeypatch.setattr(rules_weighted, "lacks_onednn", lambda without=without: without)
        check(model, ["mish", "tanh"], compiled, fitted, ordinary=ordinary)


def small():
    """Of what an optimizer sees: a kernel, a bias, and perhaps an alpha."""
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )


FAST = ("adam", "adam in one kernel", "adamw", "sgd")


@pytest.mark.parametrize(
    "optimizer",
    [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in OPTIMIZERS],
)
def test_every_optimizer(optimizer, float64):
    x, y = data()
    check(small(), ["relu", "prelu"], settings(optimizer), {"x": x, "y": y})


@pytest.mark.parametrize(
    "options",
    [
        {"clipnorm": 0.02},
        {"global_clipnorm": 0.1},
        pytest.param(
            {"global_clipnorm": 0.1, "gradient_accumulation_steps": 2}, marks=pytest.mark.slow
        ),
    ],
)
def test_norms_of_gradients_are_each_members_own(options, float64):
    x, y = data()

    def compiled():
        optimizer = keras.optimizers.SGD(0.5, **options)
        return {"optimizer": optimizer, "loss": "sparse_categorical_crossentropy"}

    check(small(), ["relu", "prelu", "tanh"], compiled, {"x": x, "y": y}, members=(1, 2))


@pytest.mark.slow
def test_every_activation(float64):
    x, y = data()
    candidates = (*ACTIVATIONS, "trelu(alpha=trained, theta=trained)", "elu(alpha=trained)")
    check(two_slots(), candidates, settings(), {"x": x, "y": y}, seeds=[5, 1])


@pytest.mark.slow
def test_weights_of_samples_and_classes(float64):
    x, y = data()
    weight = np.random.default_rng(1).uniform(size=32)

    def compiled():
        weighted = [
            "sparse_categorical_crossentropy",
            keras.metrics.SparseCategoricalAccuracy(name="a"),
        ]
        return settings()() | {"weighted_metrics": weighted}

    given = {
        "x": x,
        "y": y,
        "validation_data": (x[:17], y[:17], weight[:17]),
        "batch_size": 8,
        "epochs": 2,
    }
    model = mlp()
    ordinary, population = Ordinary(model, compiled), PopulationModel(model, ["relu", "mish"])
    population.compile(**compiled())
    population.optimizer.build(population.trainable_variables)
    state = [*population.variables, *population.optimizer.variables]
    start = _values(state)
    for weights in ({"sample_weight": weight}, {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}}):
        for variable, value in zip(state, start, strict=True):
            variable.assign(value)
        fitted = {**given, **weights}
        history = population.fit(**fitted, shuffle=False, verbose=0).history
        compare(population, history, ordinary, fitted, (1,), 1e-8)


def two_headed():
    x = keras.Input((4,), name="in")
    h = layers.Dense(6, activation="relu")(x)
    return keras.Model(
        {"in": x},
        {
            "value": layers.Dense(1, name="value")(h),
            "kind": layers.Dense(1, "sigmoid", name="kind")(h),
        },
    )


def test_several_outputs_and_any_metric(float64):
    x, y = data(classes=2)
    targets = {"value": x.sum(axis=1), "kind": y}

    def compiled():
        return {
            "optimizer": "sgd",
            "loss": {"value": keras.losses.Huber(reduction="sum"), "kind": "binary_crossentropy"},
            "loss_weights": {"value": 0.1, "kind": 2.0},
            "metrics": {"value": ["mae"], "kind": ["accuracy", keras.metrics.AUC(name="auc")]},
        }

    check(two_headed(), ["tanh", "relu"], compiled, {"x": {"in": x}, "y": targets}, members=(0, 1))


def test_a_batch_may_be_one_sample():
    x, y = data()
    population = PopulationModel(mlp(), ["relu", "mish"])
    population.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    logs = population.test_on_batch(x[:1], y[:1], return_dict=True)
    expected = population.predict_on_batch(x[:1]).argmax(axis=-1)[:, 0] == y[0]
    np.testing.assert_array_equal(logs["members/accuracy"], expected)


@pytest.mark.slow
def test_any_loss(float64):
    """One of which a rule knows nothing runs member after member."""
    x, y = data()
    onehot = keras.ops.convert_to_numpy(keras.ops.one_hot(y, 3))

    def own(y_true, y_pred):
        return keras.ops.max(keras.ops.abs(y_true - y_pred), axis=-1)

    losses = {
        "own": own,
        "dice": keras.losses.Dice(),
        "by_name": "categorical_crossentropy",
        "weighted": keras.losses.MeanSquaredError("mean_with_sample_weight"),
    }
    inputs = keras.Input((4,))
    h = layers.BatchNormalization()(layers.Dense(8, activation="relu")(inputs))
    model = keras.Model(inputs, {name: layers.Dense(3, "softmax", name=name)(h) for name in losses})
    weights = dict.fromkeys(losses, np.linspace(0, 1, 32))
    fitted = {"x": x, "y": dict.fromkeys(losses, onehot), "epochs": 1, "sample_weight": weights}
    check(model, ["relu", "tanh"], settings(loss=losses, metrics=None), fitted, members=(1,))


def test_steps_per_execution_and_datasets():
    import tensorflow as tf

    x, y = data()
    population = PopulationModel(small(), ["relu", "mish", "relu"])
    population.compile("sgd", "sparse_categorical_crossentropy", steps_per_execution=4)
    population.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    again = PopulationModel(small(), ["relu", "mish", "relu"])
    again.compile("sgd", "sparse_categorical_crossentropy")
    again.fit(
        tf.data.Dataset.from_tensor_slices((x, y)).batch(8), epochs=2, shuffle=False, verbose=0
    )
    one, two = population.predict(x, verbose=0), again.predict(x, verbose=0)
    np.testing.assert_allclose(one[0], one[2], rtol=1e-5)
    assert np.abs(one[0] - one[1]).max() > 1e-3
    assert one.shape == two.shape == (3, 32, 3)


def test_dropout_differs_between_members_and_drops_its_share():
    model = keras.Sequential(
        [keras.Input((1000,)), layers.Dropout(0.3), layers.Activation("relu"), layers.Dense(1)]
    )
    values = []
    with vectorized_probe(values):
        population = PopulationModel(model, ["relu", "leaky_relu(alpha=0.5)"])
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


@pytest.mark.parametrize(
    ("model", "seeds", "jit_compile", "optimizer"),
    [
        ("cnn", 1, "auto", "adam"),
        pytest.param("cnn", 2, "auto", "rmsprop", marks=pytest.mark.slow),
        pytest.param("mlp", 1, True, "adam", marks=pytest.mark.slow),
    ],
)
def test_a_diverged_member_is_frozen_and_its_neighbours_never_notice(
    model, seeds, jit_compile, optimizer
):
    """With one kernel, with a compiled update (8 members of an optimizer that has none), and under XLA."""
    x, y = data()
    made = {"cnn": cnn_of_features, "mlp": mlp}[model]()

    population = PopulationModel(made, ["relu", "prelu", "mish", "leaky_relu(alpha=0.1)"], seeds)
    population.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=jit_compile)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(step_tensorflow, "_STEPS_FOR_UPDATE", 1)
        population.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    if optimizer == "rmsprop":
        assert population.training_step._update_too
    variables = [*population.variables, *population.optimizer.variables]
    start, members = _values(variables), range(len(population.members))

    def train():
        """From the same start; the program is traced once."""
        logs = population.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0).history
        return [population.model(member).get_weights() for member in members], logs

    healthy, _ = train()
    assert population.diverged == ()
    for variable, value in zip(variables, start, strict=True):
        variable.assign(value)
    broken = population.model(seeds)
    broken.layers[-1].kernel.assign(np.full(broken.layers[-1].kernel.shape, 3e38))
    carry_into(population, seeds, broken)
    before = [np.copy(w) for w in population.model(seeds).get_weights()]
    poisoned, logs = train()
    others = [member for member in members if member != seeds]
    assert population.diverged == (seeds,)
    for member in others:
        for a, b in zip(healthy[member], poisoned[member], strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(poisoned[seeds], before, strict=True):
        np.testing.assert_array_equal(a, b)
    losses = logs["members/loss"][-1]
    np.testing.assert_allclose(logs["loss"][-1], np.mean(losses[others]), rtol=1e-5)
    assert population.select([len(others), seeds]).diverged == (1,)


def cnn_of_features():
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Reshape((2, 2, 1)),
            layers.Conv2D(3, 2, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def carry_into(population, member, model):
    """Set one member's weights."""
    from keras_acts.search.rewrite.walk import layers_of, variables_of

    inside = population.positions[member]
    plans = {layer.plan.path: layer.plan for layer in population.stacked}
    for path, layer in layers_of(model):
        for key, variable in variables_of(layer).items():
            for block in plans[path].blocks:
                if block.key == key and block.start <= inside < block.stop:
                    values = np.array(block.variable)
                    values[inside - block.start] = variable
                    block.variable.assign(values)


def test_saturated_outputs_keep_their_gradient():
    """Without its logits a softmax at ±200 has a gradient of 0, and a loss of 16 instead of 400."""
    model = keras.Sequential(
        [
            keras.Input((1,)),
            layers.Dense(1, activation="relu", kernel_initializer="ones"),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    population = PopulationModel(model, ["relu", "mish", "relu"])
    for member in range(3):
        alone = population.model(member)
        alone.layers[-1].kernel.assign([[200.0, -200.0]])
        carry_into(population, member, alone)
    x, y = np.ones((4, 1), "float32"), np.ones(4, "int32")
    np.testing.assert_allclose(
        population.evaluate(x, y, verbose=0, return_dict=True)["members/loss"][0], 400
    )
    before = population.model(0).layers[-1].bias.numpy()
    population.fit(x, y, verbose=0)
    np.testing.assert_allclose(
        population.model(0).layers[-1].bias - before, [-0.01, 0.01], rtol=1e-5
    )


def test_a_searched_output_has_logits_in_all_members_or_in_none():
    with pytest.raises(
        ModelError, match=r"in all members, or in none\. Received: \['linear', 'softmax'\]"
    ):
        PopulationModel(mlp(), ["softmax", "linear"], slots=["output"])
    population = PopulationModel(mlp(), ["softmax", "softmax"], slots=["output"])
    assert hasattr(population(np.zeros((1, 4), "float32")), "_keras_logits")


def test_a_layer_of_two_models_is_refused():
    with pytest.raises(
        ModelError, match=r"that a model and one inside of it share. Received: .*used_twice"
    ):
        PopulationModel(shared_between_models(), ["relu", "mish"])


CHOICES = {
    # the same function for neighbours, for others, for none; trained and fixed parameters; what is
    # for all slots
    "two_slots": [
        Assignment.of({"first": "leaky_relu(alpha=0.2)", "second": "prelu"}),
        Assignment.of({"first": "prelu", "second": "tanh"}),
        "relu",
        Assignment.of({"first": "leaky_relu(alpha=0.4)", "second": "tanh"}),
        Assignment.of({"second": "leaky_relu(alpha=0.1)", "first": "tanh"}),
    ],
    "without_rules": [
        Assignment.of(
            {
                "conv": "prelu",
                "lstm": "leaky_relu(alpha=0.2)",
                "lstm.recurrent_activation": "sigmoid",
            }
        ),
        Assignment.of(
            {
                "conv": "leaky_relu(alpha=0.2)",
                "lstm": "prelu",
                "lstm.recurrent_activation": "hard_sigmoid",
            }
        ),
        Assignment.of(
            {
                "conv": "leaky_relu(alpha=0.4)",
                "lstm": "leaky_relu(alpha=0.4)",
                "lstm.recurrent_activation": "hard_sigmoid",
            }
        ),
    ],
}


@pytest.mark.parametrize("name", [SLOW.get(name, name) for name in sorted(CHOICES)])
def test_each_layer_may_have_a_choice_of_its_own(name, float64):
    make, shape = MODELS[name]
    x, y = data(shape)
    population = check(make(), CHOICES[name], settings(), {"x": x, "y": y})
    part = population.select([1, 0])
    for one in (population, part) if name == "two_slots" else ():
        one.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    np.testing.assert_allclose(
        part.predict(x, verbose=0), population.predict(x, verbose=0)[[1, 0]], rtol=1e-8
    )


def test_choices_for_layers_are_for_the_same_ones():
    with pytest.raises(
        ModelError,
        match=r"must be for the same slots, \['first', 'second'\]. Received: \['first'\]",
    ):
        PopulationModel(mlp(), [CHOICES["two_slots"][0], Assignment.of({"first": "relu"})])


@pytest.mark.slow
def test_a_selection_trains_on_as_its_members_would_have(float64):
    x, y = data()
    candidates = [
        "relu",
        "prelu",
        "leaky_relu(alpha=0.2)",
        "prelu(alpha=0.1)",
        "leaky_relu(alpha=0.4)",
    ]

    def train(population):
        population.fit(x, y, batch_size=8, shuffle=False, verbose=0)

    whole = PopulationModel(mlp(), candidates, seeds=2)
    whole.compile("nadam", "sparse_categorical_crossentropy")
    train(whole)
    part = whole.select([8, 3, 7, 0])
    assert part.members == tuple(whole.members[member] for member in (8, 3, 7, 0))
    single = whole.model(3)
    train(whole), train(part), train(single)
    np.testing.assert_allclose(
        part.predict(x, verbose=0), whole.predict(x, verbose=0)[[8, 3, 7, 0]], rtol=1e-8
    )
    np.testing.assert_allclose(
        single.predict(x, verbose=0), whole.predict(x, verbose=0)[3], rtol=1e-8
    )


def test_populations_of_one_model_join_as_they_are(float64):
    x, y = data()
    model = small()

    def trained(candidates, times=1, rates=None):
        made = PopulationModel(model, candidates)
        made.compile("adam", "sparse_categorical_crossentropy")
        if rates:
            made.set_learning_rates(rates)
        for _ in range(times):
            made.fit(x, y, batch_size=8, shuffle=False, verbose=0)
        return made

    def predicted(population):
        return population.predict(x, verbose=0)

    whole = trained(["relu", "prelu", "mish", "prelu(alpha=0.1)"], times=2)
    one, other = trained(["relu", "prelu"]), trained(["mish", "prelu(alpha=0.1)"])
    other.random.state.assign([7, 9])
    joined = PopulationModel.join([(other, [1, 0]), (one, [1])])
    assert list(np.asarray(joined.random.state)) == [
        7,
        9,
    ]  # noise goes on, and does not begin again
    assert [str(m.candidate) for m in joined.members] == ["prelu(alpha=0.1)", "mish", "prelu"]
    np.testing.assert_allclose(
        predicted(joined), [*predicted(other)[::-1], predicted(one)[1]], rtol=1e-8
    )
    joined.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    np.testing.assert_allclose(predicted(joined), predicted(whole)[[3, 2, 1]], rtol=1e-8)
    rated = trained(["relu"], times=0, rates=[0.1])
    rated.optimizer.build(rated.trainable_variables)
    rated.optimizer.iterations.assign(one.optimizer.iterations)
    for parts in ([], [(one, [0]), (whole, [0])], [(one, [0]), (rated, [0])]):
        with pytest.raises(
            ModelError, match=f"Populations join if .* Received: {len(parts)} populations"
        ):
            PopulationModel.join(parts)


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


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_rates_may_be_set_again(optimizer):
    x, y = data()

    def trained(candidates, *rates):
        made = PopulationModel(small(), candidates)
        made.compile(optimizer, "sparse_categorical_crossentropy")
        for three in rates:
            made.set_learning_rates(three)
        made.fit(x, y, batch_size=8, shuffle=False, verbose=0)
        return made.predict(x, verbose=0)

    relu, mish, faster = trained(["relu", "mish", "relu"], [0.01, 0.1, 0.3])
    again = trained(["mish", "relu", "relu"], [0.5, 0.5, 0.5], [0.1, 0.3, 0.01])
    np.testing.assert_allclose(again, [mish, faster, relu], rtol=1e-5)
    assert np.abs(relu - faster).max() > 1e-3  # which differ in their rates alone


def test_rates_that_are_set_after_a_training_count():
    x, y = data()
    population = PopulationModel(small(), ["relu", "relu"])
    population.compile("sgd", "sparse_categorical_crossentropy")
    population.set_learning_rates([1e-6, 0.1])
    population.fit(x, y, batch_size=8, verbose=0)
    before = population.get_weights()
    population.set_learning_rates([0.1, 1e-6])
    population.fit(x, y, batch_size=8, verbose=0)
    after = population.get_weights()
    changes = [
        np.abs(a - b).max(axis=tuple(range(1, a.ndim))) for a, b in zip(after, before, strict=True)
    ]
    fast, slow = np.max(changes, axis=0)
    assert slow < 1e-4 < 1e-2 < fast


def test_a_compiled_model_makes_a_compiled_population_in_public_order():
    model = mlp()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    before = model.get_weights()
    population = PopulationModel(model, ["mish", "relu", "mish"], seeds=[4, 9])
    x, y = data()
    logs = population.evaluate(x, y, verbose=0, return_dict=True)
    predicted = population.predict(x, verbose=0)
    np.testing.assert_allclose(predicted, population(x), rtol=1e-5)
    np.testing.assert_allclose(predicted, population.predict_on_batch(x), rtol=1e-5)

    @functools.cache
    def evaluated(member):
        with isolated_seed(member.seed):
            alone = with_activations(model, member.candidate)
        alone.run_eagerly = True  # it is evaluated once
        return alone.evaluate(x, y, verbose=0, return_dict=True), np.asarray(alone(x))

    for p, member in enumerate(population.members):
        expected, outputs = evaluated(member)
        np.testing.assert_allclose(
            [logs["members/loss"][p], logs["members/accuracy"][p]],
            [expected["loss"], expected["accuracy"]],
            rtol=1e-5,
        )
        np.testing.assert_allclose(predicted[p], outputs, rtol=1e-4, atol=1e-6)
    assert [m.seed for m in population.members] == [4, 9, 4, 9, 4, 9]
    assert model.compiled
    assert not population.blueprint.made(
        population.members[0].candidate
    ).compiled  # which takes time
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


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


@pytest.mark.parametrize(
    ("optimizer", "rule"),
    [
        (lambda: keras.optimizers.Adafactor(), "Received: Adafactor"),
        (
            lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
            "Received: LossScaleOptimizer",
        ),
        (lambda: type("Mine", (keras.optimizers.SGD,), {})(), "Received: Mine"),
    ],
)
def test_optimizers_that_mix_members_are_refused(optimizer, rule):
    population = PopulationModel(mlp(), ["relu"])
    with pytest.raises(ModelError, match=rule):
        population.compile(optimizer(), "mse")


def test_what_cannot_be_exact_is_refused():
    masks = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Embedding(4, 2, mask_zero=True),
            layers.Dense(2, "relu"),
            layers.Dense(1),
        ]
    )
    with pytest.raises(ModelError, match=r"masks. Received: 'embedding"):
        PopulationModel(masks, ["relu"])
    with pytest.raises(ModelError, match=r"float32 or float64.*mixed_bfloat16"):
        PopulationModel(mlp(dtype="mixed_bfloat16"), ["relu"])
    with pytest.raises(ModelError, match=r"not activities. Received: 'first'"):
        PopulationModel(mlp(activity_regularizer="l2"), ["relu"])
    with pytest.raises(ModelError, match=r"SGD without clipping.*Received: Adam"):
        PopulationModel(tokens(), ["relu"]).compile("adam", "mse")
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


def test_a_population_that_is_not_compiled_gives_its_models():
    population = PopulationModel(mlp(), ["relu", "mish"])
    model = population.model(1)
    assert not population.compiled
    assert not model.compiled
    np.testing.assert_allclose(model(data()[0]), population(data()[0])[1], rtol=1e-5, atol=1e-6)


def test_members_read_as_they_are_written():
    population = PopulationModel(mlp(), [ka.Mish(), "trelu(theta=0.5)"], seeds=[7])
    assert [(str(m.candidate), m.seed) for m in population.members] == [
        ("mish", 7),
        ("trelu(alpha=0.0, theta=0.5)", 7),
    ]


def test_arrays_are_fed_in_the_order_that_keras_feeds_them(monkeypatch):
    x, y = np.random.default_rng(0).normal(size=(50, 3)).astype("float32"), np.arange(50) % 2
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2, "softmax")]
    )
    options = {
        "batch_size": 8,
        "epochs": 2,
        "verbose": 0,
        "validation_split": 0.2,
        "class_weight": {0: 1.0, 1: 3.0},
    }

    def history():
        keras.utils.set_random_seed(5)
        population = PopulationModel(model, ["relu", "mish"])
        population.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return population.fit(x, y, **options).history

    ours = [history()]
    with monkeypatch.context() as ending:  # while Python ends, no other thread takes work
        ending.setattr(feed, "_background", ThreadPoolExecutor(1))
        feed._background.shutdown()
        ours.append(history())
    monkeypatch.setattr(
        population_module, "as_adapter", lambda x, y, _, options, seeds: (x, y, options)
    )
    theirs = history()
    for one in ours:
        keras.tree.map_structure(np.testing.assert_array_equal, one, theirs)


@pytest.mark.parametrize("samples", [3, 8, 16, 21])
@pytest.mark.parametrize("kind", ["arrays", "tensors", "pandas", "several, weighted"])
def test_arrays_in_their_order_are_the_batches_that_keras_makes(samples, kind):
    x, y = np.arange(2.0 * samples).reshape(samples, 2), np.arange(samples)
    parts = {
        "arrays": (x, y),
        "tensors": (tf.constant(x), tf.constant(y)),
        "pandas": (pandas.DataFrame(x), pandas.Series(y)),
        "several, weighted": ({"a": x, "b": y}, [y, x], [y / 2, y / 3]),
    }[kind]
    weight = parts[2] if len(parts) > 2 else None
    ((validation,), theirs) = (
        as_adapter(*parts[:2], 8, {"validation_data": parts}, ())[2]["validation_data"],
        ArrayDataAdapter(*parts[:2], weight, batch_size=8).get_tf_dataset(),
    )
    assert validation.dataset.element_spec == theirs.element_spec
    ours, theirs = list(validation.dataset), list(theirs)
    assert len(ours) == -(-samples // 8)
    keras.tree.map_structure(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize(("steps", "most", "made"), [(None, None, 4), (2, None, 2), (None, 4, 4)])
@pytest.mark.filterwarnings("ignore:Limiting steps_per_epoch")
def test_an_epoch_takes_the_iterator_that_keras_made_at_the_end_of_the_one_before(
    monkeypatch, steps, most, made
):
    monkeypatch.setattr(keras.config, "max_steps_per_epoch", lambda: most)
    monkeypatch.setattr(epoch_iterator.config, "max_steps_per_epoch", lambda: most)
    x, y = np.arange(32.0).reshape(16, 2), np.arange(16)
    (adapter, _, _) = as_adapter(x, y, 4, {"steps_per_epoch": steps, "shuffle": False}, ())
    theirs = ArrayDataAdapter(x, y, batch_size=4, shuffle=False)
    strategy = tf.distribute.get_strategy()
    ours, keras_own = (
        TFEpochIterator(strategy, a, steps_per_epoch=steps) for a in (adapter, theirs)
    )
    count, create = [], type(adapter.dataset).__iter__
    monkeypatch.setattr(
        type(adapter.dataset), "__iter__", lambda self: count.append(self) or create(self)
    )

    def epochs(iterator):
        found = []
        for _ in range(3):
            with iterator.catch_stop_iteration():
                found += [next(batches)[1].numpy().tolist() for _, _, batches in iterator]
        return found

    assert epochs(ours) == epochs(keras_own) != []
    assert sum(dataset is adapter.dataset for dataset in count) == made
