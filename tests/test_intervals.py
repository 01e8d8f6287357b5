"""The intervals of test metrics on a model card."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import binom

from keras_acts.search.intervals import wilson, with_intervals


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
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)])
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
    assert with_intervals(model, data, values) == {name: {"value": value} for name, value in values.items()}
