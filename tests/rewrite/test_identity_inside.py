"""The identity as the activation inside a layer that a user wrote: its place stays a place."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_acts.search import slots, with_activations
from tests.helpers.custom_layers import MODELS, flat, register
from tests.helpers.populations import check, settings
from tests.helpers.zoo import samples

NAMES = [
    *("residual", "mixer", "builds_inside", "head", "stack"),
    pytest.param("vit", marks=pytest.mark.slow),
    pytest.param("cct", marks=pytest.mark.slow),
    pytest.param("squeeze_excite", marks=pytest.mark.slow),
]


@register
class Likewise(layers.Layer):
    """Two attributes that differ in an underscore, recurrent parts, and one of Keras' layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._dense = layers.Dense(4, activation="relu")
        self.dense = layers.Dense(4, activation="tanh")
        self.act = layers.Activation("elu")
        self.cell = layers.SimpleRNN(4)

    def build(self, shape):
        self._dense.build(shape)
        self.dense.build((shape[0], 4))
        self.cell.build((shape[0], 1, 4))

    def call(self, x):
        x = self.act(self.dense(self._dense(x)) - 0.1)
        return self.cell(keras.ops.expand_dims(x, 1))


def made(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


@pytest.mark.parametrize("name", NAMES)
def test_each_place_takes_it_and_gives_it_back(name):
    model = MODELS[name]()
    table = slots(model)
    x = samples(model)
    for slot in table:
        if slot.role == "output" or "/" not in slot.name:
            continue
        one = with_activations(model, {slot.name: "linear"}, weights=True)
        now = {other.name: other.current for other in slots(one)}
        assert now == {other.name: other.current for other in table} | {slot.name: "linear"}
        # a copy of the copy, and the way back
        again = with_activations(one, {}, weights=True)
        assert slots(again) == slots(one)
        np.testing.assert_array_equal(made(again, x), made(one, x))
        back = with_activations(again, {slot.name: slot.current}, weights=True)
        assert {other.name: other.current for other in slots(back)} == {
            other.name: other.current for other in table
        }
        np.testing.assert_array_equal(made(back, x), made(model, x))


def test_names_stay_what_they_are():
    model = flat(Likewise(name="block"))
    names = [slot.name for slot in slots(model)]
    assert [name for name in names if name.startswith("block/")] == [
        *("block/dense", "block/dense_2", "block/act", "block/cell"),
    ]
    linear = with_activations(model, "linear", weights=True)
    assert [slot.name for slot in slots(linear) if slot.name.startswith("block/")] == [
        name for name in names if name.startswith("block/")
    ]
    block = linear.get_layer("block")
    for layer in (block._dense, block.dense, block.act, block.cell.cell):
        assert layer.activation is keras.activations.linear
    tanh = with_activations(linear, {"block/cell": "tanh"}, weights=True)
    assert tanh.get_layer("block").dense.activation is keras.activations.linear
    assert tanh.get_layer("block").cell.cell.activation is not keras.activations.linear


@register
class NamedByNumber(layers.Layer):
    """A layer that is called as the next one is counted."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        parts = [layers.Dense(4, "relu", name="1"), layers.Dense(4, "tanh")]
        self.ffn = keras.Sequential(parts)

    def build(self, shape):
        self.ffn.build(shape)

    def call(self, x):
        return self.ffn(x)


def test_no_place_is_lost_for_its_name():
    model = flat(NamedByNumber(name="block"))
    found = {slot.name: slot.current for slot in slots(model)}
    assert found["block/ffn/1"] == "relu"
    assert found["block/ffn/1_2"] == "tanh"
    copy = with_activations(model, {"block/ffn/1_2": "linear", "block/ffn/1": "elu(alpha=1.0)"})
    now = {slot.name: slot.current for slot in slots(copy)}
    assert now == found | {"block/ffn/1_2": "linear", "block/ffn/1": "elu(alpha=1.0)"}


def test_a_file_keeps_it(tmp_path):
    model = with_activations(MODELS["builds_inside"](), "linear")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert slots(loaded) == slots(model)
    x = samples(model)
    np.testing.assert_array_equal(made(loaded, x), made(model, x))
    back = with_activations(loaded, "relu", weights=True)
    assert {slot.current for slot in slots(back).hidden} == {"relu"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["builds_inside", "residual"])
def test_a_population_has_members_with_it(name, float64):
    model = MODELS[name]()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, *model.inputs[0].shape[1:])).astype("float32")
    data = {"x": x, "y": rng.integers(0, 3, 24)}
    # the first one decides what the others are compared with
    for candidates in (["linear", "relu", "prelu"], ["relu", "linear"]):
        check(model, candidates, settings("sgd"), data)
