"""What a constant answer has: computed by hand, and in whole verdicts."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_acts.search import compare_activations
from keras_acts.search.verdict.guessing import (
    best_guess,
    constant_guess,
    loss_of,
    validation_part,
    weighs,
)
from keras_acts.search.verdict.judge import judge
from keras_acts.search.verdict.verdict import Guess
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs(150)
SHARES = np.bincount(Y) / len(Y)
ENTROPY = -(SHARES * np.log(SHARES)).sum()
BINARY = (Y == 0).astype("float32")
SKEWED = np.random.default_rng(0).exponential(size=150).astype("float32")
CLASS, MEAN, MEDIAN = "most frequent class", "mean of the targets", "median of the targets"


def made(units, loss, metrics=(), activation=None, shape=(4,)):
    model = keras.Sequential([keras.Input(shape), keras.layers.Dense(units, activation=activation)])
    # a guess is evaluated once: tracing that takes longer. Whole verdicts, below, trace it
    model.compile("sgd", loss, metrics=list(metrics), run_eagerly=True)
    return model


def binary_entropy(share):
    return -(share * np.log(share) + (1 - share) * np.log(1 - share))


@pytest.mark.parametrize(
    ("model", "targets", "metric", "maximize", "score", "what"),
    [
        (lambda: eager(mlp()), Y, "accuracy", True, SHARES.max(), CLASS),
        (lambda: eager(mlp()), Y[:, None], "loss", False, ENTROPY, CLASS),
        (
            lambda: made(3, keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
            Y,
            "loss",
            False,
            ENTROPY,
            CLASS,
        ),
        (
            lambda: made(3, "categorical_crossentropy", ["acc"]),
            np.eye(3)[Y],
            "acc",
            True,
            SHARES.max(),
            CLASS,
        ),
        (
            lambda: made(1, "binary_crossentropy", ["accuracy"]),
            BINARY,
            "accuracy",
            True,
            1 - BINARY.mean(),
            CLASS,
        ),
        (
            lambda: made(1, keras.losses.BinaryCrossentropy(from_logits=True)),
            BINARY[:, None],
            "loss",
            False,
            binary_entropy(BINARY.mean()),
            CLASS,
        ),
        (lambda: made(1, "mse"), SKEWED, "loss", False, SKEWED.var(), MEAN),
        (
            lambda: made(1, "mse", ["mae"]),
            SKEWED,
            "mae",
            False,
            np.abs(SKEWED - np.median(SKEWED)).mean(),
            MEDIAN,
        ),
        (
            lambda: made(1, "mse", [keras.metrics.R2Score()]),
            SKEWED[:, None],
            "r2_score",
            True,
            0.0,
            MEAN,
        ),
        (lambda: made(4, "mse"), X, "loss", False, X.var(axis=0).mean(), MEAN),
    ],
)
def test_the_best_constant_is_that_of_the_textbook(model, targets, metric, maximize, score, what):
    found = constant_guess(model(), (X, targets), metric, maximize)
    assert found.score == pytest.approx(score, abs=1e-5)
    assert found.what == f"always the {what}"


def test_labels_of_tokens_and_several_outputs():
    tokens = np.random.default_rng(0).choice(3, (20, 5), p=(0.2, 0.5, 0.3))
    model = made(3, "sparse_categorical_crossentropy", ["accuracy"], "softmax", shape=(5, 4))
    found = constant_guess(model, (np.zeros((20, 5, 4)), tokens), "accuracy", True)
    assert found.score == pytest.approx((tokens == 1).mean())
    # a part that is ignored is no class
    ignoring = keras.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    some = np.where(tokens == 1, -1, tokens)
    model = made(3, ignoring, activation="softmax", shape=(5, 4))
    shares = np.bincount(some[some >= 0]) / (some >= 0).sum()
    expected = -np.log(shares[[0, 2]]) @ shares[[0, 2]]
    assert constant_guess(
        model, (np.zeros((20, 5, 4)), some), "loss", False
    ).score == pytest.approx(expected, rel=1e-4)
    x = keras.Input((4,))
    outputs = {
        "kind": keras.layers.Dense(3, "softmax", name="kind")(x),
        "size": keras.layers.Dense(1, name="size")(x),
    }
    model = keras.Model(x, outputs)
    losses = {"kind": "sparse_categorical_crossentropy", "size": "mse"}
    model.compile("sgd", losses, metrics={"kind": ["accuracy"]}, run_eagerly=True)
    targets = {"kind": Y, "size": SKEWED}
    of_kind = constant_guess(model, (X, targets), "kind_accuracy", True)
    assert of_kind.score == pytest.approx(SHARES.max())
    # what is answered is said of the output that is scored
    assert of_kind.what == "always the most frequent class"
    of_size = constant_guess(model, (X, targets), "size_loss", False)
    assert of_size.what == "always the mean of the targets"
    of_both = constant_guess(model, (X, targets), "loss", False)
    assert of_both.score == pytest.approx(ENTROPY + SKEWED.var(), rel=1e-5)
    assert of_both.what == "always the mean of the targets, and the most frequent class"


def test_an_output_without_an_axis_of_units_is_guessed():
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Reshape(())(keras.layers.Dense(1, "sigmoid")(x)))
    model.compile("sgd", "binary_crossentropy", run_eagerly=True)
    found = constant_guess(model, (X, BINARY), "loss", False)
    assert found.score == pytest.approx(binary_entropy(BINARY.mean()), rel=1e-4)
    assert found.what == f"always the {CLASS}"


def test_what_cannot_be_guessed_is_not_said():
    def failing(targets, outputs):
        raise ArithmeticError("no metric of constants")

    assert (
        best_guess(made(3, "sparse_categorical_crossentropy", [failing]), (X, Y), "accuracy", True)
        is None
    )
    assert (
        best_guess(eager(mlp()), (X, Y), "accuracy", True)
        == constant_guess(eager(mlp()), (X, Y), "accuracy", True)
        is not None
    )
    assert constant_guess(eager(mlp()), (X, Y), "no_such", True) is None
    assert constant_guess(eager(mlp()), (X, None), "accuracy", True) is None
    assert constant_guess(eager(mlp()), iter([(X, Y)]), "accuracy", True) is None
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(40)
    assert constant_guess(eager(mlp()), data.repeat(), "accuracy", True) is None
    assert constant_guess(eager(mlp()), data, "accuracy", True).score == pytest.approx(SHARES.max())


def test_weights_count_samples():
    weights = np.where(Y == 0, 5.0, 1.0)
    model = mlp()
    loss = "sparse_categorical_crossentropy"
    model.compile("sgd", loss, weighted_metrics=["accuracy"], run_eagerly=True)
    share = weights[Y == 0].sum() / weights.sum()
    assert constant_guess(model, (X, Y, weights), "accuracy", True).score == pytest.approx(share)
    mean = np.average(SKEWED, weights=weights)
    expected = np.average((SKEWED - mean) ** 2, weights=weights) * weights.mean()
    assert constant_guess(
        made(1, "mse"), (X, SKEWED, weights), "loss", False
    ).score == pytest.approx(expected, rel=1e-4)


def test_outputs_are_told_apart_by_their_names_and_have_weights_of_their_own():
    x = keras.Input((4,))
    size, kind = (
        keras.layers.Dense(1, name="size")(x),
        keras.layers.Dense(3, "softmax", name="kind")(x),
    )
    losses = {"kind": "sparse_categorical_crossentropy", "size": "mse"}
    targets = {"kind": Y, "size": SKEWED}
    weights = {"kind": np.ones(150), "size": np.where(SKEWED > 1, 1.0, 0.0)}
    # the names are not in the order of the alphabet
    model, named = keras.Model(x, [size, kind]), keras.Model(x, {"size": size, "kind": kind})
    for one in (model, named):
        metrics = {"metrics": {"kind": ["accuracy"]}, "weighted_metrics": {"size": ["mae"]}}
        one.compile("sgd", losses, **metrics, run_eagerly=True)
        assert constant_guess(one, (X, targets), "kind_accuracy", True).score == pytest.approx(
            SHARES.max()
        )
    counted = SKEWED[SKEWED > 1]
    found = constant_guess(named, (X, targets, weights), "size_mae", False)
    assert found.score == pytest.approx(np.abs(counted - np.median(counted)).mean(), rel=1e-4)


def test_a_loss_with_penalties_or_sums_is_not_guessed():
    class Adds(keras.layers.Layer):
        def call(self, inputs):
            self.add_loss(keras.ops.mean(inputs**2))
            return inputs

    class Own(keras.Model):
        def compute_loss(self, *args, **kwargs):
            return super().compute_loss(*args, **kwargs) + 1.0

    options = {"metrics": ["accuracy"], "run_eagerly": True}

    def with_layer(layer):
        model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(3, "softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy", **options)
        return model

    x = keras.Input((4,))
    own = Own(x, keras.layers.Dense(3, "softmax")(x))
    own.compile("sgd", "sparse_categorical_crossentropy", **options)
    penalized = [
        with_layer(keras.layers.Dense(4, kernel_regularizer="l2")),
        with_layer(keras.layers.Dense(4, activity_regularizer="l1")),
        with_layer(keras.layers.ActivityRegularization(l2=0.1)),
        with_layer(Adds()),
        own,
    ]
    for model in penalized:
        assert constant_guess(model, (X, Y), "loss", False) is None
        assert constant_guess(model, (X, Y), "accuracy", True).score == pytest.approx(SHARES.max())
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(50)
    assert constant_guess(penalized[3], data, "loss", False) is None
    assert constant_guess(with_layer(keras.layers.Dense(4)), data, "loss", False) is not None
    summed = made(1, keras.losses.MeanSquaredError(reduction="sum"), ["mae"])
    assert constant_guess(summed, (X, SKEWED), "loss", False) is None
    assert constant_guess(summed, (X, SKEWED), "mae", False) is not None
    as_metric = made(1, "mse", [keras.losses.MeanSquaredError(reduction="sum", name="total")])
    assert constant_guess(as_metric, (X, SKEWED), "total", False) is None


def test_training_with_weights_is_seen():
    weights = np.ones(150)
    assert not weighs({"x": X, "y": Y})
    assert weighs({"x": X, "y": Y, "class_weight": {0: 5.0}})
    assert weighs({"x": X, "y": Y, "sample_weight": weights})
    assert weighs({"x": tf.data.Dataset.from_tensor_slices((X, Y, weights)).batch(50)})
    assert not weighs({"x": tf.data.Dataset.from_tensor_slices((X, Y)).batch(50)})
    assert not weighs({"x": [X, X, X], "y": Y})
    assert weighs({"x": [(X, Y, weights)]})
    assert not weighs({"x": iter([(X, Y, weights)])})


@pytest.mark.once
def test_a_training_with_weights_is_not_measured_by_guessing():
    found = compare_activations(
        *(mlp(), X, Y, ["elu", "relu"]),
        **{
            "class_weight": {0: 9.0, 1: 1.0, 2: 1.0},
            "epochs": 1,
            "seeds": 2,
            "looks": 1,
            "verbose": 0,
        },
        learning_rates=None,
    )
    assert found.guess is None
    assert "guessing" not in found.sentence


def test_what_learned_in_the_loss_has_learned():
    scores = {"relu": np.array([0.30, 0.31, 0.29]), "elu": np.array([0.32, 0.30, 0.33])}
    losses = {"relu": np.array([0.5, 0.6, 0.5]), "elu": np.array([0.5, 0.5, 0.6])}
    options = {"guess": Guess(0.4, "always the most frequent class"), "losses": losses}
    for loss, learned in ((1.0, True), (0.4, False)):
        found = judge(scores, **options, loss_guess=Guess(loss, "always the most frequent class"))
        assert ("guessing" not in found.sentence) == learned
    assert "guessing" in judge(scores, **options).sentence
    x = keras.Input((4,))
    model = keras.Model(
        x, [keras.layers.Dense(1, name="a")(x), keras.layers.Dense(1, name="a_b")(x)]
    )
    assert [loss_of(model, name) for name in ("a_mae", "a_b_mae", "loss")] == [
        "a_loss",
        "a_b_loss",
        "loss",
    ]
    assert loss_of(mlp(), "accuracy") == "loss"


def test_an_unweighted_metric_of_weighted_data_has_the_unweighted_constant():
    rare = np.argmin(SHARES)
    weights = np.where(rare == Y, 50.0, 1.0)
    assert constant_guess(eager(mlp()), (X, Y, weights), "accuracy", True).score == pytest.approx(
        SHARES.max()
    )
    mae = constant_guess(
        made(1, "mse", ["mae"]), (X, SKEWED, np.where(SKEWED > 1, 50.0, 1.0)), "mae", False
    )
    assert mae.score == pytest.approx(np.abs(SKEWED - np.median(SKEWED)).mean(), rel=1e-5)


def test_validation_data_are_those_that_keras_takes():
    assert validation_part({"validation_data": (1, 2)}) == (1, 2)
    x, y = validation_part({"x": X, "y": Y, "validation_split": 0.27})
    seen = []
    model = mlp()
    model.test_step = lambda data: seen.append(data) or {"loss": 0.0}
    model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    model.fit(X, Y, validation_split=0.27, verbose=0, batch_size=150)
    (batch,) = seen
    np.testing.assert_array_equal(y, batch[1])
    np.testing.assert_array_equal(x, batch[0])
    *_, weights = validation_part(
        {"x": X, "y": Y, "sample_weight": SKEWED, "validation_split": 0.27}
    )
    model.fit(X, Y, sample_weight=SKEWED, validation_split=0.27, verbose=0, batch_size=150)
    np.testing.assert_array_equal(weights, seen[-1][2])
    assert validation_part({"x": tf.data.Dataset.from_tensors((X, Y))}) is None


@pytest.mark.once
def test_a_model_that_cannot_learn_gets_no_verdict():
    def dead(inputs, outputs):
        model = keras.Sequential(
            [
                keras.Input((inputs,)),
                keras.layers.Dense(
                    4, activation="relu", bias_initializer=keras.initializers.Constant(-1e3)
                ),
                keras.layers.Dense(outputs, activation="softmax"),
            ]
        )
        model.compile(
            keras.optimizers.SGD(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        return model

    found = compare_activations(
        *(dead(4, 3), X[:90], Y[:90], ["elu", "relu"]),
        validation_data=(X[90:], Y[90:]),
        test_data=(X[90:], Y[90:]),
        **{"epochs": 1, "seeds": 3, "looks": 1, "batch_size": 30, "verbose": 0},
        learning_rates=None,
    )
    assert found.guess.score == pytest.approx(np.bincount(Y[90:]).max() / 60)
    assert found.sentence.startswith("no candidate learned more than guessing: the best, ")
    assert "try more epochs, another learning rate" in str(found)
    assert not found.significant
