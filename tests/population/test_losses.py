"""Losses, metrics, weights and several outputs: one number a member, as an ordinary model has it."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_acts.errors import ModelError
from keras_acts.search.population.model import PopulationModel
from tests.helpers.populations import (
    Ordinary,
    _values,
    carry_into,
    check,
    compare,
    data,
    mlp,
    settings,
)


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


@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # of the output without a loss
@pytest.mark.parametrize("case", ["names", "order", "one"])
def test_targets_may_be_nested_otherwise_than_outputs(case):
    """As in Keras: by names beside a list, in the order of a dict's keys, and for some outputs."""
    x, y = data(classes=2)
    model = two_headed()
    targets = {"value": x.sum(axis=1), "kind": y}
    loss = {"value": "mse", "kind": "binary_crossentropy"}
    if case == "order":
        targets = [targets["kind"], targets["value"]]
    else:
        model = keras.Model(model.inputs, [model.output["value"], model.output["kind"]])
    if case == "one":
        del targets["kind"]
        loss = ["mse", None]
    population = PopulationModel(model, ["tanh"])
    alone = population.model(0)
    for one in (population, alone):
        one.compile(keras.optimizers.SGD(0.1), loss)
    given = {"epochs": 2, "batch_size": 32, "shuffle": False, "verbose": 0}
    inputs = keras.tree.pack_sequence_as(model.input, [x])
    history = population.fit(inputs, targets, **given).history
    expected = alone.fit(inputs, targets, **given).history
    for name, values in expected.items():
        np.testing.assert_allclose(np.ravel(history[f"members/{name}"]), values, rtol=1e-5)


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


def test_what_layers_add_is_told_for_each_member_and_of_the_last_call_only():
    population = PopulationModel(
        mlp(kernel_regularizer="l2", bias_regularizer="l1"), ["prelu", "relu", "mish", "relu"], [3]
    )
    for member in range(4):
        alone = population.model(member)
        alone.set_weights([(member + 1) * weight for weight in alone.get_weights()])
        carry_into(population, member, alone)
    expected = [population.model(member).losses for member in range(4)]
    for _ in range(2):
        population(np.zeros((1, 4), "float32"))
        assert len(population.losses) == len(expected[0])
        for loss, of_members in zip(population.losses, zip(*expected, strict=True), strict=True):
            np.testing.assert_allclose(loss, of_members, rtol=1e-5)


def test_the_loss_of_each_output_weights_batches_by_their_samples():
    """Where Keras does: eagerly, and on JAX."""
    inputs = keras.Input((4,))
    h = layers.Dense(3, activation="relu")(inputs)
    model = keras.Model(inputs, {name: layers.Dense(1, name=name)(h) for name in ("one", "two")})
    model.compile("sgd", "mse", run_eagerly=True)
    x = np.arange(12, dtype="float32").reshape(3, 4)
    y = {"one": x[:, :1], "two": -x[:, :1]}
    population = PopulationModel(model, ["relu"])
    given = {"batch_size": 2, "verbose": 0, "return_dict": True}
    found = population.evaluate(x, y, **given)
    for name, value in population.model(0).evaluate(x, y, **given).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)
