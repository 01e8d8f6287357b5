"""What a layer's name says of where it is, and what a layer keeps that no config tells."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_acts.errors import ModelError
from keras_acts.search import slots, with_activations
from keras_acts.search.rewrite.walk import slots_at


def test_a_dot_in_a_name_makes_no_layer_part_of_another():
    names = ("dense", "dense.1", "lstm.recurrent_activation", "block/dense.1")
    assert slots_at("dense", names) == ("dense",)
    assert slots_at("dense.1", names) == ("dense.1",)
    assert slots_at("lstm", names) == ("lstm.recurrent_activation",)
    assert slots_at("block", names) == ("block/dense.1",)


class Sine:
    def __call__(self, x):
        return ops.sin(x)


@pytest.mark.parametrize(
    "activation",
    [functools.partial(keras.activations.leaky_relu, negative_slope=0.3), Sine()],
    ids=["partial", "object"],
)
def test_activations_without_a_config_may_stand_in_a_model(activation):
    """No file holds them, but a model with them can be searched, and stays as it is elsewhere."""
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(3, activation=activation, name="own"),
            layers.Dense(3, activation="relu", name="other"),
        ]
    )
    assert [slot.name for slot in slots(model)] == ["own", "other"]
    x = np.ones((1, 2), "float32")
    copy = with_activations(model, {"other": "relu"}, weights=True)
    np.testing.assert_array_equal(copy(x), model(x))
    searched = with_activations(model, {"own": "mish"}, weights=True)
    assert searched.get_layer("own").activation.spec.name == "mish"


class Tied(layers.Layer):
    """Multiplies by the kernel of another layer, which it does not hold."""

    def __init__(self, source, **kwargs):
        super().__init__(**kwargs)
        self.kernel = source.kernel
        self._source = [source.name, source.units]

    def call(self, x):
        return ops.matmul(x, ops.transpose(self.kernel))

    def get_config(self):
        source = layers.Dense(self._source[1], name=self._source[0])
        source.build((None, 2))
        return {**super().get_config(), "source": source}


def test_tied_weights_that_a_copy_would_not_tie_are_refused():
    inputs = keras.Input((2,))
    source = layers.Dense(3, activation="relu", name="source")
    h = layers.Dense(3, activation="relu")(source(inputs))
    model = keras.Model(inputs, Tied(source, name="tied")(h))
    assert len(model.trainable_variables) == 4
    with pytest.raises(ModelError, match=r"share a variable.*'source/kernel', which 'tied' shares"):
        with_activations(model, "tanh")


class TiedAsKerasShows(layers.Layer):
    """Holds the layer whose kernel it multiplies by, and serializes it as Keras' guide does."""

    def __init__(self, source, **kwargs):
        super().__init__(**kwargs)
        self.source = source

    def build(self, input_shape):
        self.kernel = self.source.kernel
        super().build(input_shape)

    def call(self, x):
        return ops.matmul(x, ops.transpose(self.kernel))

    def get_config(self):
        source = keras.saving.serialize_keras_object(self.source)
        return {**super().get_config(), "source": source}

    @classmethod
    def from_config(cls, config):
        source = keras.saving.deserialize_keras_object(config.pop("source"))
        return cls(source, **config)


def test_a_tied_layer_that_holds_the_other_is_not_told_to_hold_it():
    inputs = keras.Input((2,))
    source = layers.Dense(3, activation="relu", name="source")
    h = layers.Dense(3, activation="relu")(source(inputs))
    model = keras.Model(inputs, TiedAsKerasShows(source, name="tied")(h))
    with pytest.raises(
        ModelError, match=r"leave from_config\(\) to Keras.*'source' of class Dense"
    ):
        with_activations(model, "tanh")


class Holds(layers.Layer):
    """Its config tells the very layer that it holds."""

    def __init__(self, source, **kwargs):
        super().__init__(**kwargs)
        self.source = source

    def call(self, x):
        return self.source(x)

    def get_config(self):
        return {**super().get_config(), "source": self.source}


class TiedByItsConfig(Holds):
    def build(self, input_shape):
        self.kernel = self.source.kernel
        super().build(input_shape)

    def call(self, x):
        return ops.matmul(x, ops.transpose(self.kernel))


class HoldsAlways(Holds):
    """Whatever its config tells, it holds this one."""

    always = layers.Dense(3, name="always")

    def __init__(self, **kwargs):
        super().__init__(self.always, **kwargs)

    def get_config(self):
        return layers.Layer.get_config(self)


class ReadsOneOfAll(layers.Layer):
    factor = keras.Variable(1.0, name="factor")

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.factor = ReadsOneOfAll.factor

    def call(self, x):
        return x * self.factor


def test_a_copy_has_layers_of_its_own_where_a_config_tells_the_original():
    """The copy held the layer of the user's model, and would have trained it."""
    inputs = keras.Input((2,))
    source = layers.Dense(3, activation="relu", name="source")
    h = Holds(layers.Dense(3))(source(inputs))
    model = keras.Model(inputs, TiedByItsConfig(source, name="tied")(h))
    copy = with_activations(model, "relu", weights=True)
    shared = {id(variable) for variable in model.variables}
    assert not any(id(variable) in shared for variable in copy.variables)
    assert len(copy.trainable_variables) == len(model.trainable_variables) == 4
    assert copy.get_layer("tied").source is copy.get_layer("source")
    x = np.ones((1, 2), "float32")
    np.testing.assert_allclose(copy(x), model(x), rtol=1e-6)


@pytest.mark.parametrize(
    ("layer", "message"),
    [(HoldsAlways, "layers of its own.*'always'"), (ReadsOneOfAll, "weights of its own.*'factor'")],
)
def test_a_copy_that_would_train_the_original_is_refused(layer, message):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(3, "relu"), layer()])
    with pytest.raises(ModelError, match=message):
        with_activations(model, "tanh")
