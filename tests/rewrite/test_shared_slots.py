"""An activation that several layers of a model hold is one slot, and is exchanged for all of them."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_acts.errors import ModelError
from keras_acts.search import slots, with_activations
from tests.helpers.custom_layers import register

X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")


@register
class Twice(layers.Layer):
    """Holds a layer that it is given."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def build(self, shape):
        if not self.inner.built:
            self.inner.build(shape)

    def call(self, x):
        return self.inner(x) * 2.0


@register
class Once(Twice):
    """Returns what it holds makes."""

    def call(self, x):
        return self.inner(x)


@register
class FromConfig(Twice):
    """As a file of Keras' wants it: what it holds is made again from its config."""

    def get_config(self):
        return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config):
        inner = keras.saving.deserialize_keras_object(config.pop("inner"))
        return cls(inner, **config)


@register
class Ffn(layers.Layer):
    """Has activations of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(4, activation="relu")
        self.act = keras.activations.relu

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.act(self.dense(x) - 0.1)


def stack(*parts, seed=0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,))
    x = inputs
    for part in parts:
        x = part(x)
    model = keras.Model(inputs, layers.Dense(1, name="out")(x))
    model.compile("sgd", "mse")
    return model


def listed(model):
    return {slot.name: slot.current for slot in slots(model)}


def dense(name="enc"):
    return layers.Dense(4, activation="relu", name=name)


def model_first():
    shared = dense()
    return stack(shared, Twice(shared, name="twice"))


def holder_first():
    shared = dense()
    return stack(Twice(shared, name="twice"), shared)


@pytest.mark.parametrize("build", [model_first, holder_first])
def test_what_a_layer_holds_of_the_model_is_the_models_slot(build):
    model = build()
    assert listed(model) == {"enc": "relu"}
    copy = with_activations(model, {"enc": "tanh"}, weights=True)
    assert listed(copy) == {"enc": "tanh"}
    assert copy.get_layer("twice").inner is copy.get_layer("enc")
    assert len(copy.weights) == len(model.weights)
    # what every place computes, by hand
    shared = copy.get_layer("enc")
    expected = X
    for factor in (1, 2) if build is model_first else (2, 1):
        expected = factor * np.tanh(expected @ np.array(shared.kernel) + np.array(shared.bias))
    out = copy.get_layer("out")
    expected = expected @ np.array(out.kernel) + np.array(out.bias)
    np.testing.assert_allclose(copy.predict(X, verbose=0), expected, atol=1e-5)
    trained = with_activations(model, "prelu", weights=True)
    assert [w.name for w in trained.weights].count("alpha") == 1
    trained.fit(X, np.ones((5, 1)), verbose=0)
    again = with_activations(trained, {}, weights=True)
    np.testing.assert_array_equal(again.predict(X, verbose=0), trained.predict(X, verbose=0))


def test_two_layers_that_hold_one_have_one_slot():
    shared = dense("unlisted")
    model = stack(Twice(shared, name="a"), Twice(shared, name="b"))
    assert listed(model) == {"a/inner": "relu"}
    copy = with_activations(model, {"a/inner": "tanh"})
    assert copy.get_layer("a").inner is copy.get_layer("b").inner
    assert str(copy.get_layer("b").inner.activation) == "Tanh()"
    assert listed(copy) == {"a/inner": "tanh"}


def test_a_layer_of_ones_own_in_the_model_keeps_its_slots():
    for first in (True, False):
        ffn = Ffn(name="ffn")
        parts = [Twice(ffn, name="twice"), ffn]
        if not first:
            parts.reverse()
        model = stack(*parts)
        assert sorted(listed(model)) == ["ffn/act", "ffn/dense"]
        changed = {"ffn/dense": "tanh", "ffn/act": "elu(alpha=1.0)"}
        copy = with_activations(model, changed)
        assert listed(copy) == changed
        assert copy.get_layer("twice").inner is copy.get_layer("ffn")
    # held by two more that hold each other: the innermost of the model has them
    ffn = Ffn(name="ffn")
    inner = Twice(ffn, name="inner")
    model = stack(Twice(inner, name="outer"), inner, ffn)
    assert sorted(listed(model)) == ["ffn/act", "ffn/dense"]


def test_of_two_layers_that_hold_one_of_ones_own_the_first_has_its_slots():
    ffn = Ffn(name="ffn")
    model = stack(Twice(ffn, name="a"), Twice(ffn, name="b"))
    assert sorted(listed(model)) == ["a/inner/act", "a/inner/dense"]
    copy = with_activations(model, "tanh")
    inner = copy.get_layer("b").inner
    assert listed(copy) == {"a/inner/dense": "tanh", "a/inner/act": "tanh"}
    assert str(inner.dense.activation) == str(inner.act) == "Tanh()"


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.ReLU(name="act"),
        lambda: layers.Activation("relu", name="act"),
    ],
)
def test_layers_that_are_activations(make):
    act = make()
    model = stack(layers.Dense(4), act, Twice(act, name="twice"))
    assert listed(model) == {"act": "relu"}
    copy = with_activations(model, {"act": "tanh"})
    assert copy.get_layer("twice").inner is copy.get_layer("act")
    assert listed(copy) == {"act": "tanh"}


def test_models_and_recurrent_layers():
    block = keras.Sequential([keras.Input((4,)), dense("wide")], name="block")
    model = stack(Twice(block, name="twice"), block)
    assert listed(model) == {"block/wide": "relu"}
    lstm = layers.LSTM(4, return_sequences=True, name="lstm")
    inputs = keras.Input((3, 4))
    model = keras.Model(inputs, layers.Dense(1)(lstm(Twice(lstm, name="twice")(inputs))))
    assert list(listed(model)) == ["lstm", "lstm.recurrent_activation"]


def test_the_role_is_that_of_every_place():
    shared = dense()
    inputs = keras.Input((4,))
    model = keras.Model(inputs, Once(shared, name="once")(dense("other")(shared(inputs))))
    roles = {slot.name: slot.role for slot in slots(model)}
    # what it makes, the model returns
    assert roles == {"enc": "output", "other": "hidden"}


@pytest.mark.parametrize("inner", [dense, lambda: layers.ReLU(name="enc"), Ffn])
def test_a_copy_that_would_share_no_more_is_refused(inner):
    shared = inner()
    for parts in ([shared, FromConfig(shared)], [FromConfig(shared), shared]):
        model = stack(layers.Dense(4), *parts)
        with pytest.raises(ModelError, match=r"Received: '.*'"):
            with_activations(model, "tanh")
    # not shared, it may do so
    alone = stack(FromConfig(dense(), name="alone"))
    assert listed(with_activations(alone, "tanh")) == {"alone/inner": "tanh"}


def test_where_a_layer_was_built_first_makes_it_no_other():
    one = dense("one")
    one.build((None, 4))
    other = dense("one")
    model = stack(Twice(one, name="a"), Twice(other, name="b"))
    assert one.kernel.path != other.kernel.path
    assert listed(with_activations(model, "tanh")) == {"a/inner": "tanh", "b/inner": "tanh"}
