"""What comes into the activations of a model, and which of its units are dead."""

import keras
import numpy as np
import pytest

from keras_acts import layers
from keras_acts.errors import ModelError
from keras_acts.search.rewrite.activity import activity, heights

X = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")


def model_of(*hidden):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), *hidden, keras.layers.Dense(2)])
    return model


def test_the_inputs_of_a_layer_are_what_it_would_make_without_its_activation():
    dense = keras.layers.Dense(7, activation="relu", name="first")
    model = model_of(dense)
    before = model.predict(X, verbose=0)
    (seen,) = activity(model, X)
    expected = X @ np.array(dense.kernel) + np.array(dense.bias)
    np.testing.assert_allclose(np.sort(seen.inputs), np.sort(expected.ravel()), atol=1e-5)
    assert (seen.slot, seen.activation, seen.units) == ("first", "relu", 7)
    assert seen.flat == pytest.approx((expected < 0).mean(), abs=0.01)
    # nobody sees that it was watched
    assert dense.activation is keras.activations.relu
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)


def test_a_unit_that_no_sample_reaches_is_dead():
    dense = keras.layers.Dense(4, activation="relu")
    model = model_of(dense)
    dense.bias.assign([0.0, -100.0, 0.0, -100.0])
    (seen,) = activity(model, X)
    assert seen.dead == 2
    # far off, a tanh is as flat
    other = keras.layers.Dense(3, activation="tanh")
    saturated = model_of(other)
    other.bias.assign([0.0, 50.0, -50.0])
    assert activity(saturated, X)[0].dead == 2
    smooth = keras.layers.Dense(3, activation="softplus")
    assert activity(model_of(smooth), X)[0].dead == 0


def test_activations_that_are_layers_are_seen_too():
    model = model_of(
        keras.layers.Dense(4),
        keras.layers.ReLU(name="act"),
        keras.layers.Dense(4),
        layers.PReLU(name="trained"),
        keras.layers.Dense(4, activation=layers.PReLU(num_parameters=4), name="inside"),
    )
    names = [layer.name for layer in model.layers]
    weights = len(model.weights)
    seen = activity(model, X)
    assert [each.slot for each in seen] == ["act", "trained", "inside"]
    assert [layer.name for layer in model.layers] == names
    assert len(model.weights) == weights
    assert "call" not in vars(model.get_layer("act"))


def test_operations_of_a_functional_model_and_images_are_seen():
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(3, 3)(inputs)
    x = keras.activations.relu(x)
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    images = np.random.default_rng(0).normal(size=(8, 6, 6, 1)).astype("float32")
    (seen,) = activity(model, images)
    assert seen.units == 3
    assert len(seen.inputs) == 8 * 4 * 4 * 3


def test_the_model_is_as_before_where_the_samples_do_not_fit():
    dense = keras.layers.Dense(4, activation="relu")
    model = model_of(dense)
    with pytest.raises(Exception, match=r"incompatible|expected"):
        activity(model, X[:, :3])
    assert dense.activation is keras.activations.relu


def test_a_subclassed_model_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ModelError):
        activity(Own(), X)


def test_each_slot_counts_the_same_in_a_histogram():
    model = model_of(
        keras.layers.Dense(50, activation="relu"), keras.layers.Dense(2, activation="tanh")
    )
    seen = activity(model, X)
    edges = np.linspace(-4, 4, 9)
    found = heights(seen, edges)
    assert found.max() == 1
    shares = sum(np.histogram(each.inputs, edges)[0] / len(each.inputs) for each in seen)
    np.testing.assert_allclose(found, shares / shares.max())
    assert heights((), edges).max() == 0
