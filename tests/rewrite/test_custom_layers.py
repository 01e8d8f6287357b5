"""Layers as people write them: their copies are copies, or are refused with what to write."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_acts.compat import calls_of
from keras_acts.errors import ModelError
from keras_acts.search import PopulationModel, slots, with_activations
from tests.helpers.custom_layers import (
    MODELS,
    Capped,
    Decay,
    KeepsNothing,
    NoConfig,
    Steps,
    flat,
    register,
    shifted,
)
from tests.helpers.zoo import samples

# what nothing tells cannot be copied
COPIED = [name for name in MODELS if name != "keeps_nothing"]


def moved(model):
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.3, weight.shape) ** 2)
    return model


def names(model):
    """Of the layers; Keras names what stands for an input anew."""
    return [layer.name for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]


def losses(model):
    return float(sum(model.losses, ops.zeros(())))


@pytest.mark.parametrize("name", COPIED)
def test_a_copy_has_the_same_variables_and_makes_the_same(name):
    model = moved(MODELS[name]())
    same = with_activations(model, {slot.name: slot.current for slot in slots(model)}, weights=True)
    assert [w.shape for w in same.weights] == [w.shape for w in model.weights]
    assert [w.name for w in same.weights] == [w.name for w in model.weights]
    assert names(same) == names(model)
    assert not {id(w) for w in same.weights} & {id(w) for w in model.weights}
    x = samples(model)
    np.testing.assert_array_equal(same(x, training=False), model(x, training=False))
    assert losses(same) == losses(model)


def test_layers_that_a_constructor_makes_keep_their_names():
    model = MODELS["residual"]()
    same = with_activations(model, "relu", weights=True)
    for one, other in zip(model.weights, same.weights, strict=True):
        assert one.path == other.path


def test_what_a_user_wrote_for_a_layer_is_taken_over_as_it_is():
    model = MODELS["unregistered_parts"]()
    dense = with_activations(model, "mish").get_layer("block")
    original = model.get_layer("block")
    assert isinstance(original.kernel_regularizer, Decay)
    assert dense.kernel_regularizer is original.kernel_regularizer
    assert dense.kernel_constraint is original.kernel_constraint
    assert dense.kernel_initializer is original.kernel_initializer
    assert dense.bias_initializer is original.bias_initializer
    np.testing.assert_array_equal(dense.kernel, original.kernel)


@pytest.mark.parametrize("kind", ["lstm", "wrapped", "both", "cells", "attention"])
def test_also_inside_of_keras_own_layers(kind):
    parts = {"kernel_regularizer": Decay(0.1), "kernel_constraint": Capped(0.5)}
    made = {
        "lstm": lambda: layers.LSTM(3, recurrent_initializer=Steps(0.01), **parts),
        "wrapped": lambda: layers.TimeDistributed(layers.Dense(3, **parts)),
        "both": lambda: layers.Bidirectional(Recurrent(3), backward_layer=Recurrent(3, True)),
        "cells": lambda: layers.RNN([layers.GRUCell(3, **parts), layers.LSTMCell(2, **parts)]),
        "attention": lambda: Attends(),
    }[kind]()
    model = moved(flat(made, (4, 6)))
    same = with_activations(model, {"head": "relu"}, weights=True)
    x = samples(model)
    np.testing.assert_array_equal(same(x), model(x))
    assert losses(same) == losses(model) > 0


@register
class Recurrent(layers.GRU):
    """Keras makes a `Bidirectional` from the configs of its layers: it tells nothing of a user's."""

    def __init__(self, units, go_backwards=False, **kwargs):
        kwargs = {**kwargs, "kernel_regularizer": Decay(0.1), "kernel_constraint": Capped(0.5)}
        super().__init__(units, go_backwards=go_backwards, **kwargs)

    def get_config(self):
        config = {"name": self.name, "units": self.units, "go_backwards": self.go_backwards}
        return {**config, "return_sequences": self.return_sequences}


@register
class Attends(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.heads = layers.MultiHeadAttention(2, 3, kernel_regularizer=Decay(0.1))

    def call(self, x):
        return self.heads(x, x)


@pytest.mark.once  # Keras 3.12 takes no function for a regularizer
def test_functions_of_a_users_need_no_registration():
    scale = 0.5
    layer = layers.Dense(
        4,
        activation=lambda x: ops.tanh(x) * scale,
        kernel_regularizer=lambda w: 0.1 * ops.sum(w * w),
        kernel_initializer=shifted,
        name="block",
    )
    model = moved(flat(layer))
    same = with_activations(model, {"head": "relu"}, weights=True)
    x = samples(model)
    np.testing.assert_array_equal(same(x), model(x))
    assert losses(same) == losses(model) > 0


def test_what_nothing_tells_is_refused_with_the_line_to_write():
    with pytest.raises(
        ModelError,
        match=r"Write self.rate = rate in KeepsNothing.__init__ \(custom_layers.py, line \d+\). "
        r"Received: '\w+' of class KeepsNothing, which does not keep rate",
    ):
        with_activations(MODELS["keeps_nothing"](), "mish")
    # it is what to write
    layer = KeepsNothing(np.ones(6, "float32"), rate=0.4)
    layer.rate = 0.4
    copy = with_activations(flat(layer), "mish").layers[0]
    assert copy.drop.rate == 0.4


def test_arguments_of_a_constructor_are_copies_where_they_are_layers():
    table = np.ones(6, "float32")
    layer = NoConfig(table, (2, 3), {"scale": 2.0}, name="block")
    copy = with_activations(flat(layer), "mish").get_layer("block")
    assert copy.table is table
    assert copy.sizes == [2, 3]
    assert copy._options == {"scale": 2.0}
    assert copy._options is not layer._options

    model = flat(Around(layers.Dense(4, "tanh"), table, name="block"))
    inner = with_activations(model, {"head": "mish"}).get_layer("block").inner
    assert inner is not model.get_layer("block").inner
    assert inner.activation is keras.activations.tanh


@register
class Around(layers.Layer):
    """A layer is its argument, and there is no config."""

    def __init__(self, inner, table, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner
        self.table = table

    def call(self, x):
        return self.inner(x * ops.convert_to_tensor(self.table))


# ---- copies that are none


@register
class Changed(layers.Layer):
    """What is not as the config says differs where `where` says."""

    def __init__(self, where, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.where = where
        self.scale = scale
        self.dense = layers.Dense(4)

    def call(self, x, training=None):
        h = self.dense(x)
        if self.where == "loss":
            self.add_loss(self.scale * ops.mean(h))
        if self.where == "output" or (self.where == "training" and training):
            h = h * self.scale
        return h

    def get_config(self):
        return {**super().get_config(), "where": self.where, "scale": 1.0}


@pytest.mark.parametrize("where", ["output", "loss", "training"])
def test_a_copy_that_makes_something_else_is_refused(where):
    with_activations(flat(Changed(where)), "mish")
    model = flat(Changed(where, 2.0, name="mine"))
    message = r"must make the same of the same.*Received: 'mine' of class Changed"
    for attempt in (
        lambda: with_activations(model, "mish"),
        lambda: PopulationModel(model, ["relu", "mish"]),
    ):
        with pytest.raises(ModelError, match=message):
            attempt()


def test_so_is_one_that_became_another_after_it_was_proved():
    layer = Changed("output", name="mine")
    model = flat(layer)
    with_activations(model, "mish")
    layer.scale = 3.0
    with pytest.raises(ModelError, match="Received: 'mine' of class Changed"):
        with_activations(model, "mish")


@register
class Wide(layers.Layer):
    """Its constructor takes more than the config says: then it has another variable."""

    made = 0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        type(self).made += 1
        self.first = type(self).made == 1

    def build(self, input_shape):
        size = 1 if self.first else input_shape[-1]
        self.scale = self.add_weight(shape=(size,), initializer="ones", name="scale")

    def call(self, x):
        return x * self.scale


def test_a_copy_with_other_variables_is_refused():
    with pytest.raises(ModelError, match=r"weights of the same shapes|the same variables"):
        with_activations(flat(Wide(name="mine")), "mish")


@register
class Picky(layers.Layer):
    """It takes no random input, and its arguments are no plain values."""

    def __init__(self, table, **kwargs):
        super().__init__(**kwargs)
        self.table = table

    def call(self, x):
        if not isinstance(x, keras.KerasTensor) and hasattr(x, "numpy"):
            raise ValueError("only what has a structure")
        return x * ops.convert_to_tensor(self.table)


def test_guessed_arguments_that_no_sample_shows_are_refused():
    with pytest.raises(ModelError, match=r"taken from attributes.*Received: 'mine' of class Picky"):
        with_activations(flat(Picky(np.ones(6, "float32"), name="mine")), "mish")


@pytest.mark.once  # set_random_seed of Keras 3.12 leaves a generator that is there as it is
def test_a_proof_changes_nothing_of_the_users():
    model = MODELS["stochastic_depth"]()
    layer = model.get_layer("drop")
    before = [np.array(v) for v in model.variables]
    calls = len(calls_of(layer))
    keras.utils.set_random_seed(3)
    expected = float(keras.random.uniform(()))
    keras.utils.set_random_seed(3)
    with_activations(model, {"head": "mish"})
    assert [w.shape for w in model.variables] == [v.shape for v in before]
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert len(calls_of(layer)) == calls
    keras.utils.set_random_seed(3)
    model = MODELS["calls_keras"]()
    keras.utils.set_random_seed(3)
    assert float(keras.random.uniform(())) == expected
