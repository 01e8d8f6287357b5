"""What comes into activations inside layers that a user wrote."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_acts.inside import places
from keras_acts.search import pictures, slots, with_activations
from keras_acts.search.rewrite.activity import activity
from keras_acts.search.rewrite.threshold import threshold_of
from tests.helpers.custom_layers import MODELS, register
from tests.helpers.reports import Reader, result, verdict
from tests.helpers.zoo import samples

X = np.random.default_rng(0).normal(size=(32, 5)).astype("float32")


@register
class Parts(layers.Layer):
    """An activation of its own, and of each other kind one inside."""

    def __init__(self, activation="tanh", **kwargs):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)
        self.dense1 = layers.Dense(6, activation="relu")
        self.acts = (keras.activations.softplus, layers.ReLU())
        self.named = layers.Activation("elu")
        self.dense2 = layers.Dense(3)

    def call(self, x):
        x = self.acts[0](self.dense1(x))
        x = self.named(self.acts[1](x - 1.0))
        return self.activation(self.dense2(x))

    def get_config(self):
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "activation": activation}


@register
class Traced(layers.Layer):
    """Its activation is called in a graph, where there are no numbers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(4, activation="relu")

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return tf.function(lambda inputs: self.dense(inputs))(x)


def model_with(block):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((5,)), block, layers.Dense(2)])


def test_each_slot_inside_shows_its_own_inputs_and_dead_units():
    block = Parts(name="block")
    model = model_with(block)
    block.dense1.bias.assign([0.0, -100.0, 0.0, -100.0, 0.0, -100.0])
    before = model.predict(X, verbose=0)
    held = {name: place.activation for name, place in places(block).items()}
    seen = {each.slot: each for each in activity(model, X)}
    assert set(seen) == {slot.name for slot in slots(model).hidden}
    first = X @ np.array(block.dense1.kernel) + np.array(block.dense1.bias)
    second = np.maximum(first, 0)
    third = np.log1p(np.exp(second)) - 1
    fourth = np.maximum(third, 0)
    expected = {
        "block/dense1": first,
        "block/acts/0": second,
        "block/acts/1": third,
        "block/named": fourth,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(np.sort(seen[name].inputs), np.sort(values.ravel()), atol=1e-5)
        assert seen[name].units == 6
    assert seen["block/dense1"].dead == 3
    assert seen["block/dense1"].activation == "relu"
    assert seen["block/acts/0"].dead == 0
    assert seen["block"].units == 3
    # nobody sees that they were watched
    assert {name: place.activation for name, place in places(block).items()} == held
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)


@pytest.mark.parametrize("name", ["residual", "holds_function", "mixer", "builds_inside", "head"])
@pytest.mark.parametrize("activation", [None, "prelu"])
def test_every_hidden_slot_is_seen(name, activation):
    model = MODELS[name]()
    if activation:
        model = with_activations(model, activation)
    seen = activity(model, samples(model))
    assert [each.slot for each in seen] == [slot.name for slot in slots(model).hidden]


def test_one_that_cannot_be_watched_costs_no_other():
    inputs = keras.Input((5,))
    x = layers.Dense(4, activation="relu", name="before")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(Traced(name="traced")(x)))
    assert [slot.name for slot in slots(model).hidden] == ["before", "traced/dense"]
    assert [each.slot for each in activity(model, X)] == ["before"]


def test_calls_of_several_widths_have_their_units_each():
    shared = layers.Activation("relu", name="act")
    inputs = keras.Input((5,))
    x = shared(layers.Dense(4)(inputs))
    model = keras.Model(inputs, layers.Dense(2)(shared(layers.Dense(3)(x))))
    (seen,) = activity(model, X)
    assert seen.units == 7
    assert len(seen.inputs) == 32 * 7


def test_recurrent_layers_are_seen():
    inputs = keras.Input((4, 5))
    model = keras.Model(inputs, layers.Dense(2)(layers.LSTM(3, name="lstm")(inputs)))
    cell = model.get_layer("lstm").cell
    values = np.random.default_rng(0).normal(size=(6, 4, 5)).astype("float32")
    before = model.predict(values, verbose=0)
    (seen,) = activity(model, values)
    assert (seen.slot, seen.units) == ("lstm", 3)
    assert cell.activation is keras.activations.tanh
    np.testing.assert_array_equal(model.predict(values, verbose=0), before)


@register
class Holds(layers.Layer):
    """Returns what a layer makes that it is given."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        return self.inner(x)


def test_an_output_of_a_shared_layer_still_says_the_threshold():
    shared = layers.Dense(1, activation="sigmoid", name="shared")
    inputs = keras.Input((1,))
    model = keras.Model(inputs, Holds(shared, name="holds")(shared(inputs)))
    model.compile("sgd", "mse")
    assert [(slot.name, slot.role) for slot in slots(model)] == [("shared", "output")]
    assert threshold_of(model) == 0.5


def test_a_report_names_what_could_not_be_watched(tmp_path):
    inputs = keras.Input((5,))
    x = layers.Dense(4, activation="relu", name="before")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(Traced(name="traced")(x)))
    search = result(verdict(), model=model, samples=X)
    text = Reader(search.save_report(tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "Nothing was seen of traced/dense." in text
    # a picture does without where no sample fits
    unfit = result(verdict(), model=model, samples=X[:, :2])
    assert pictures.shapes(unfit).inputs is None
