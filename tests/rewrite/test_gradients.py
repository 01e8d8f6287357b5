"""The size of the gradient of each layer, against Keras' own step."""

import keras
import numpy as np
import pytest

from keras_acts.search.rewrite.first_inputs import few_labelled
from keras_acts.search.rewrite.gradients import gradient_sizes
from tests.helpers.models import blobs, mlp

X, Y = blobs(40)

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="measured on TensorFlow"),
]


def test_a_step_of_gradient_descent_goes_as_far_as_the_gradient_says():
    model = mlp()
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    told = {each.layer: each.size for each in gradient_sizes(model, X, Y)}
    before = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    model.train_on_batch(X, Y)
    assert list(told) == list(before)
    for layer in model.layers:
        if layer.weights:
            changed = [a - b for a, b in zip(layer.get_weights(), before[layer.name], strict=True)]
            flat = np.concatenate([values.ravel() for values in changed])
            assert told[layer.name] == pytest.approx(np.sqrt(np.mean(flat**2)), rel=1e-4)


def test_what_the_loss_does_not_see_has_none_and_the_model_is_as_before():
    tokens = keras.Input((3,), dtype="int32")
    inside = keras.layers.Embedding(50, 4, name="words")(tokens)
    inside = keras.layers.BatchNormalization(name="norm")(inside)
    inside = keras.layers.Flatten()(inside)
    frozen = keras.layers.Dense(4, trainable=False, name="frozen")(inside)
    output = keras.layers.Dense(1, name="end")(0.0 * keras.layers.Dense(4, name="cut")(frozen))
    model = keras.Model(tokens, output)
    model.compile("sgd", "mse")
    before = [weights.copy() for weights in model.get_weights()]
    x = np.arange(30).reshape(10, 3)
    weight = np.linspace(0, 1, 10)
    told = {each.layer: each.size for each in gradient_sizes(model, x, np.ones((10, 1)), weight)}
    assert set(told) == {"words", "norm", "cut", "end"}
    assert told["words"] == told["cut"] == 0
    assert told["end"] > 0
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_first_samples_of_labelled_data_are_few():
    x = np.zeros((300, 2))
    y = np.zeros(300)
    inputs, targets, weight = few_labelled((x, y, np.ones(300)))
    assert (len(inputs), len(targets), len(weight)) == (256, 256, 256)
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    inputs, targets, weight = few_labelled(batches)
    assert (inputs.shape, targets.shape, weight) == ((16, 2), (16,), None)
    assert few_labelled(iter([(x, y)])) is None
    assert few_labelled((["a", object()], y)) is None
    assert few_labelled(None) is None
