"""A variable that two layers share: each layer of a population would have its own."""

import keras
import pytest
from keras import layers

from keras_acts.errors import ModelError
from keras_acts.search import PopulationModel, with_activations


class Temperature(layers.Layer):
    """Divides by a number that is not trained, one for all layers, as a callback would set it."""

    shared = keras.Variable(1.0, trainable=False, name="temperature")

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.temperature = Temperature.shared

    def call(self, x):
        return x / self.temperature


def test_a_variable_that_nobody_trains_is_refused_with_a_way_out():
    """Members would not see what is set, and the reason said nothing of what to do."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            Temperature(name="first"),
            layers.Dense(3, "relu"),
            Temperature(name="second"),
        ]
    )
    model.compile("sgd", "mse")
    reason = "trained or not.*argument of both layers.*'temperature' in 'first' and 'second'"
    with pytest.raises(ModelError, match=reason):
        PopulationModel(model, ["relu", "tanh"])
    # one by one, all read the one that is set
    assert with_activations(model, "tanh").get_layer("second").temperature is Temperature.shared
