"""The intervals of test metrics on a model card."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import binom

from keras_acts.search.evaluation import wilson, with_intervals
from keras_acts.search.strategy.labels import count_labels
from keras_acts.search.verdict.compare import why_not_test_data


@pytest.mark.once
def test_wilson_is_the_interval_of_the_score_test():
    assert wilson(0.5, 100) == pytest.approx((0.40383, 0.59617), abs=1e-5)  # Wilson 1927
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)
    assert wilson(1.0, 10) == pytest.approx((0.72247, 1.0), abs=1e-5)


@pytest.mark.once
def test_wilson_covers_about_as_often_as_it_says():
    for share, count in ((0.5, 40), (0.9, 40), (0.97, 200)):
        hits = np.arange(count + 1)
        inside = [low <= share <= high for low, high in (wilson(k / count, count) for k in hits)]
        assert binom.pmf(hits, count, share)[inside].sum() == pytest.approx(0.95, abs=0.03)


def test_each_metric_gets_the_interval_that_suits_it():
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)]
    )
    model.compile(loss="mse", metrics=["mae", keras.metrics.BinaryAccuracy(name="accuracy")])
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 1)).astype("float32")
    y = x + rng.normal(size=(2000, 1)).astype("float32")
    values = model.evaluate(x, y, return_dict=True, verbose=0)
    found = with_intervals(model, (x, y), values)
    assert found["accuracy"]["method"] == "Wilson"
    for name, true in (("loss", 1.0), ("mae", np.sqrt(2 / np.pi))):  # of a standard normal error
        low, high = found[name]["interval"]
        assert low < values[name] < high
        assert low < true < high
        assert high - low < 0.3
    few = with_intervals(model, (x[:9], y[:9]), values)
    assert "interval" in few["accuracy"]
    assert "interval" not in few["loss"]
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(10)
    assert with_intervals(model, data, values) == {
        name: {"value": value} for name, value in values.items()
    }


@pytest.mark.once
def test_labels_are_counted_not_samples():
    tokens = np.zeros((10, 7), int)
    assert count_labels(tokens, (None, 7, 3)) == 70
    assert count_labels(tokens[..., None], (None, 7, 3)) == 70
    assert count_labels(np.eye(3)[tokens], (None, 7, 3)) == 70
    assert count_labels(np.zeros(10), (None, 3)) == count_labels(np.zeros((10, 1)), (None, 1)) == 10
    assert count_labels(np.eye(3), (None, 3)) == 3
    assert (
        count_labels(np.array([[1, 1, 0], [0, 0, 0]]), (None, 3)) == 6
    )  # several of three at once
    assert count_labels(np.full((10, 3), 1 / 3), (None, 3)) == 10


def test_the_interval_of_an_accuracy_over_tokens_is_that_of_its_samples():
    """All tokens of a sample are right or wrong together: the samples are the trials."""
    model = keras.Sequential([keras.Input((50, 2)), keras.layers.Softmax()])
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    right = np.random.default_rng(0).random(60) < 0.7
    x = np.where(right[:, None, None], [0.0, 9.0], [9.0, 0.0]) * np.ones((60, 50, 1))
    y = np.ones((60, 50), int)
    found = with_intervals(model, (x, y), {"accuracy": float(right.mean())})["accuracy"]
    assert (found["method"], found["samples"]) == ("t of 10 parts", 60)
    low, high = found["interval"]
    assert low < 0.7 < high
    # about as wide as that of 60 trials, not as that of 3,000
    one_each = wilson(float(right.mean()), 60)
    assert 0.5 < (high - low) / (one_each[1] - one_each[0]) < 2
    always = with_intervals(model, (np.broadcast_to([0.0, 9.0], x.shape), y), {"accuracy": 1.0})[
        "accuracy"
    ]
    assert "interval" not in always


def distance(y_true, y_pred):
    """Return how far off each value is: a metric that is a function of the user's."""
    return keras.ops.abs(y_true - y_pred)


def test_a_metric_of_the_users_sees_the_dtype_that_it_sees_in_evaluate():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse", metrics=[distance])
    x = np.random.default_rng(0).normal(size=(60, 1))
    values = model.evaluate(x, x, return_dict=True, verbose=0)
    found = with_intervals(model, (x, x, np.ones(60)), values)
    assert {"loss", "distance"} == {name for name in found if "interval" in found[name]}


def test_test_data_need_as_many_labels_as_classes_not_samples():
    def made(*shape):
        model = keras.Sequential(
            [keras.Input((*shape, 4)), keras.layers.Dense(12, activation="softmax")]
        )
        model.compile(loss="sparse_categorical_crossentropy")
        return model

    assert why_not_test_data(made(5), (np.zeros((3, 5, 4)), np.zeros((3, 5), int))) == ""
    assert (
        why_not_test_data(made(5), (np.zeros((2, 5, 4)), np.zeros((2, 5), int)))
        == "10 labels for 12 classes"
    )
    assert (
        why_not_test_data(made(), (np.zeros((3, 4)), np.zeros(3, int)))
        == "3 samples for 12 classes"
    )
    one_hot = made()
    one_hot.compile(loss="categorical_crossentropy")
    assert (
        why_not_test_data(one_hot, (np.zeros((3, 4)), np.eye(12)[:3])) == "3 samples for 12 classes"
    )
