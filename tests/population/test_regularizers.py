"""What layers add to the loss of each member is what they add to an ordinary model's."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_acts.errors import ModelError
from keras_acts.search import PopulationModel


class Own(layers.Layer):
    """Runs member after member, and adds to the loss in each call."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(4, kernel_regularizer="l2")

    def build(self, shape):
        self.inner.build(shape)

    def call(self, x):
        self.add_loss(0.1 * keras.ops.mean(x))
        return self.inner(x)


LAYERS = {
    "by a rule": lambda: layers.Dense(
        4, kernel_regularizer="l2", bias_regularizer="l1", activity_regularizer="l2"
    ),
    "member after member": Own,
    "a model": lambda: keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, kernel_regularizer="l2")]
    ),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_the_weights_of_a_layer_that_is_called_twice_are_regularized_once(kind):
    inputs = keras.Input((4,))
    twice = LAYERS[kind]()
    h = twice(twice(layers.Dense(4, activation="relu")(inputs)))
    population = PopulationModel(keras.Model(inputs, layers.Dense(2)(h)), ["relu", "tanh"])
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    for _ in range(2):  # each call begins anew
        population(x)
        found = np.sum([np.asarray(loss) for loss in population.losses], axis=0)
        for member, total in enumerate(found):
            model = population.model(member)
            model(x)
            np.testing.assert_allclose(total, sum(map(float, model.losses)), rtol=1e-5)


def test_states_that_keras_does_not_know_of_are_refused():
    """A recurrent layer's own, which members would share."""
    inputs = keras.Input((3, 4), batch_size=2)
    h = layers.SimpleRNN(2, stateful=True, name="rnn")(layers.Dense(4, activation="relu")(inputs))
    with pytest.raises(ModelError, match=r"stateful=True.*Received: 'rnn' with .*rnn_state"):
        PopulationModel(keras.Model(inputs, h), ["relu", "tanh"])
