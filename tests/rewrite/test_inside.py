"""Activations inside layers that a user wrote: found, proved, exchanged, saved."""

import gc
import re
import weakref

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_acts as ka
from keras_acts.errors import ModelError
from keras_acts.inside import places
from keras_acts.rewritten import RewrittenLayer, user_class
from keras_acts.search import slots, with_activations
from keras_acts.search.rewrite import inner_slots
from tests.helpers.custom_layers import MODELS, ForgetsName, Head, flat, register
from tests.helpers.zoo import samples

# the slots of the custom layers, as a person lists them: all but `head` and `out`
LISTED = {
    "vit": ["block/dense1 gelu hidden"],
    "tokens": ["block/ffn/0 relu hidden"],
    "fnet": ["block/dense_proj/wide relu hidden"],
    "mixer": ["block/mlp1/0 gelu hidden", "block/mlp2/1 relu hidden"],
    "gmlp": ["block/channel_projection1/0 gelu hidden"],
    "cct": ["block/conv_model/0 relu hidden", "block/conv_model/3 relu hidden"],
    "graph": ["block/denses/0 relu hidden", "block/denses/1 relu hidden"],
    "graph_ffn": [
        "block/ffn_prepare/2 keras.ops.gelu hidden",
        "block/ffn_prepare/5 keras.ops.gelu hidden",
    ],
    "residual": ["block/branches/skip tanh hidden", "block/act relu hidden"],
    "holds_function": ["block/activation relu hidden"],
    "no_options": ["block/dense relu hidden"],
    "forgets_argument": ["block/dense relu hidden"],
    "forgets_name": ["block/dense relu hidden"],
    "no_config": ["block/dense tanh hidden"],
    "unregistered_parts": ["block relu hidden"],
    "builds_inside": ["block/wide relu hidden", "block/act tanh hidden"],
    "squeeze_excite": ["block/reduce relu hidden", "block/expand sigmoid gate"],
    "stack": ["block/blocks/0/dense relu hidden", "block/blocks/1/dense relu hidden"],
    "head": ["block/hidden relu hidden", "block/classify softmax output"],
}
# Keras cannot save the layers themselves: a get_config that forgets what the constructor needs, a
# constructor that takes no name, arguments that are no plain values
NOT_SAVED = {
    *("tokens", "graph", "forgets_argument", "no_options", "no_config", "unregistered_parts"),
}
# the others take their time
FEW = {"residual", "stack", "builds_inside", "head", "holds_function"}
each = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in LISTED],
)


def moved(model):
    rng = np.random.default_rng(1)
    for weight in model.weights:
        value = rng.normal(0, 0.5, weight.shape)
        weight.assign(np.abs(value) + 0.5 if "variance" in weight.name else value)
    return model


def paths(model):
    """Of the variables, without the numbers that Keras counts up for what `build` makes."""
    return [re.sub(r"_\d+(?=/)", "", w.path.partition("/")[2]) for w in model.weights]


def made(model, x):
    return np.asarray(model(x, training=False))


def of_blocks(model):
    return [slot for slot in slots(model) if slot.name.startswith("block")]


@pytest.mark.parametrize("name", LISTED)
def test_the_slots_are_those_a_person_lists(name):
    found = [f"{slot.name} {slot.current} {slot.role}" for slot in of_blocks(MODELS[name]())]
    assert found == LISTED[name]


@each
def test_each_slot_alone_changes_the_output_and_nothing_else(name):
    model = moved(MODELS[name]())
    x = samples(model)
    before = made(model, x)
    weights = model.get_weights()
    table = slots(model)
    for slot in table:
        if slot.role == "output":
            continue
        one = with_activations(model, {slot.name: "softplus"}, weights=True)
        assert np.abs(made(one, x) - before).max() > 0, slot
        now = {other.name: other.current for other in slots(one)}
        assert now == {other.name: other.current for other in table} | {slot.name: "softplus"}
        assert paths(one) == paths(model)
        if "." not in slot.current:  # it has a name that makes it again
            back = with_activations(one, {slot.name: slot.current}, weights=True)
            np.testing.assert_array_equal(made(back, x), before)
    assert slots(model) == table
    np.testing.assert_array_equal(made(model, x), before)
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


@each
def test_trained_activations_are_tracked_trained_and_copied(name):
    model = MODELS[name]()
    trained = with_activations(model, "prelu", weights=True)
    hidden = slots(trained).hidden
    assert {slot.current for slot in hidden} == {"prelu"}
    assert [slot.name for slot in hidden] == [slot.name for slot in slots(model).hidden]
    alphas = [w for w in trained.trainable_variables if w.name == "alpha"]
    assert sum(int(np.prod(w.shape)) for w in alphas) == sum(s.channels for s in hidden)
    assert trained.count_params() == model.count_params() + sum(s.channels for s in hidden)
    # eagerly: it is one step, and tracing it takes longer
    loss = "sparse_categorical_crossentropy"
    trained.compile(keras.optimizers.Adam(0.01), loss, run_eagerly=True)
    x = np.repeat(samples(model), 8, axis=0)
    trained.fit(x, np.arange(len(x)) % 3, verbose=0)
    moves = [np.abs(np.asarray(w) - 0.25).max() > 0 for w in alphas]
    assert any(moves)
    # no sample is negative there: behind a convolution its padding is more, and small weights
    # count less than what is added
    assert all(moves) or name in {"cct", "unregistered_parts"}
    again = with_activations(trained, {}, weights=True)
    np.testing.assert_array_equal(made(again, x), made(trained, x))
    assert not {id(w) for w in again.weights} & {id(w) for w in trained.weights}


@pytest.mark.filterwarnings(
    "ignore:.build\\(\\). was called on layer"
)  # Keras, of the layer itself
@each
@pytest.mark.parametrize(
    "activation", ["prelu", pytest.param("custom.squash", marks=pytest.mark.slow)]
)
def test_files_keep_them(name, activation, tmp_path):
    if name in NOT_SAVED:
        pytest.skip("Keras cannot save the layer itself")
    original = moved(MODELS[name]())
    x = samples(original)
    original.save(tmp_path / "original.keras")
    again = keras.models.load_model(tmp_path / "original.keras")
    if not np.array_equal(made(again, x), made(original, x)):
        pytest.skip("Keras 3.12 loses the weights of lists in a dict, of the layer itself too")
    model = moved(with_activations(MODELS[name](), activation))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(made(loaded, x), made(model, x))
    assert slots(loaded) == slots(model)
    block = loaded.get_layer("block")
    assert isinstance(block, user_class(MODELS[name]().get_layer("block")))


@keras.saving.register_keras_serializable("custom")
def squash(x):
    return x / (1 + ops.abs(x))


@pytest.mark.filterwarnings("ignore:.build\\(\\). was called on layer")
def test_a_class_that_is_not_known_is_named(tmp_path):
    class Unknown(ForgetsName):
        pass

    model = with_activations(flat(Unknown(4, name="block")), "mish")
    model.save(tmp_path / "model.keras")
    with pytest.raises(Exception, match=r"custom_objects.*Received: 'Unknown'"):
        keras.models.load_model(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", custom_objects={"Unknown": Unknown})
    x = samples(model)
    np.testing.assert_array_equal(made(loaded, x), made(model, x))


def test_a_copy_is_of_the_users_class_and_a_stranger_to_it():
    model = flat(ForgetsName(4, name="block"))
    block = with_activations(model, "mish").get_layer("block")
    assert isinstance(block, ForgetsName)
    assert isinstance(block, RewrittenLayer)
    assert type(block).__name__ == "ForgetsName"
    assert user_class(block) is ForgetsName
    assert type(model.get_layer("block")) is ForgetsName
    assert keras.saving.get_registered_object("custom>ForgetsName") is ForgetsName
    # as its constructor makes it again, where nothing is another
    assert type(with_activations(model, {"head": "mish"}).get_layer("block")) is ForgetsName
    clone = keras.models.clone_model(with_activations(model, "mish"))
    assert [slot.current for slot in slots(clone)] == ["mish", "mish", "softmax"]


# ---- what holds them


@register
class Holder(layers.Layer):
    """Holds what a function makes."""

    def __init__(self, make, apply, **kwargs):
        super().__init__(**kwargs)
        self.make = make
        self.apply = apply
        self.part = make()

    def call(self, x):
        return self.apply(self.part, x)


def called(part, x):
    return part(x)


def functional(middle):
    def make():
        x = keras.Input((6,))
        h = layers.Dense(5, name="first")(x)
        h = middle()(h)
        return keras.Model(x, layers.Dense(4, "tanh", name="last")(h))

    return make


def twice():
    act = layers.LeakyReLU(0.3)
    return {"act": act, "list": [layers.Dense(5), act, layers.Dense(4), act]}


def in_turn(part, x):
    for layer in part["list"]:
        x = layer(x)
    return x


def nested():
    return keras.Sequential(
        [
            layers.Dense(5, name="wide"),
            keras.Sequential([layers.Dense(4), layers.ReLU()], name="core"),
        ]
    )


HOLDERS = {
    "functional": (functional(layers.ReLU), called, (6,), ["1", "last"]),
    "named": (functional(lambda: layers.ELU(name="act")), called, (6,), ["act", "last"]),
    "tuple": (
        lambda: (layers.Dense(4), keras.activations.tanh),
        lambda part, x: part[1](part[0](x)),
        (6,),
        ["1"],
    ),
    "twice": (twice, in_turn, (6,), ["act"]),
    "nested": (nested, called, (6,), ["core/1"]),
    "wrapped": (
        lambda: layers.TimeDistributed(layers.Dense(4, "relu")),
        called,
        (3, 6),
        ["layer"],
    ),
    "lstm": (lambda: layers.LSTM(4), called, (3, 6), ["", ".recurrent_activation"]),
    "both": (
        lambda: layers.Bidirectional(layers.SimpleRNN(4)),
        called,
        (3, 6),
        ["forward", "backward"],
    ),
    "cells": (
        lambda: layers.RNN([layers.GRUCell(4), layers.SimpleRNNCell(3)]),
        called,
        (3, 6),
        ["cell/cells/0", "cell/cells/0.recurrent_activation", "cell/cells/1"],
    ),
    "ours": (lambda: ka.layers.PReLU(), called, (6,), [""]),
    "value": (lambda: ka.Mish(), called, (6,), [""]),
    "ops": (lambda: ops.silu, called, (6,), [""]),
}


# a recurrent layer that is called eagerly is a loop that is made anew each time
RECURRENT = {"lstm", "both", "cells"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in RECURRENT else ()) for name in HOLDERS],
)
def test_what_an_attribute_may_hold(name):
    make, apply, shape, listed = HOLDERS[name]
    model = moved(flat(Holder(make, apply, name="block"), shape))
    expected = [
        f"block/part/{tail}" if tail[:1] not in ("", ".") else f"block/part{tail}"
        for tail in listed
    ]
    assert sorted(slot.name for slot in of_blocks(model)) == sorted(expected)
    x = samples(model)
    before = made(model, x)
    same = with_activations(model, {}, weights=True)
    np.testing.assert_array_equal(made(same, x), before)
    for slot in of_blocks(model):
        for new in ("softplus", "prelu"):
            if slot.role == "gate" and new == "prelu":
                continue
            one = with_activations(model, {slot.name: new}, weights=True)
            if slot.current != new:
                assert np.abs(made(one, x) - before).max() > 0
            assert {s.name: s.current for s in of_blocks(one)}[slot.name] == new
            back = with_activations(one, {slot.name: slot.current}, weights=True)
            if slot.current != "prelu":
                np.testing.assert_array_equal(made(back, x), before)


def test_a_shared_activation_is_exchanged_wherever_it_is_held():
    make, apply, shape, _ = HOLDERS["twice"]
    model = flat(Holder(make, apply, name="block"), shape)
    block = with_activations(model, "mish").get_layer("block")
    held = block.part["list"]
    assert held[1] is held[3] is block.part["act"]
    kinds = [type(layer).__name__ for layer in block._flatten_layers()]
    assert "LeakyReLU" not in kinds
    assert kinds.count("Activation") == 1


# ---- what is no slot


@register
class Unused(layers.Layer):
    """Holds activations that it does not apply."""

    def __init__(self, units, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.spare = layers.ReLU()
        self.act = keras.activations.get("tanh")
        self.activation = keras.activations.get(activation)
        self.dense = layers.Dense(units, activation=activation)
        self.second = layers.Dense(units, activation="elu")

    def call(self, x):
        return self.second(self.dense(x))

    def get_config(self):
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "units": self.units, "activation": activation}


def test_an_activation_that_is_not_applied_is_no_slot():
    model = flat(Unused(4, name="block"))
    # what the constructor is given it hands on to `dense`: one slot
    assert [slot.name for slot in of_blocks(model)] == ["block", "block/second"]
    one = with_activations(model, {"block": "mish"}).get_layer("block")
    assert one.dense.activation == ka.Mish()
    assert one.second.activation is keras.activations.elu
    other = with_activations(model, {"block/second": "mish"}).get_layer("block")
    assert other.dense.activation is keras.activations.relu
    assert other.second.activation == ka.Mish()
    both = with_activations(model, "mish").get_layer("block")
    assert both.dense.activation == both.second.activation == ka.Mish()


def test_roles_are_those_of_other_slots():
    frozen = flat(ForgetsName(4, name="block", trainable=False))
    assert [slot.role for slot in of_blocks(frozen)] == ["frozen"]
    x = keras.Input((6,))
    used_on = keras.Model(x, layers.Dense(2)(Head(3, name="block")(x)))
    assert [slot.role for slot in of_blocks(used_on)] == ["hidden", "gate"]  # a softmax inside
    shapes = {slot.name: (slot.shape, slot.channels) for slot in slots(MODELS["vit"]())}
    assert shapes["block/dense1"] == ((None, 4, 16), 16)


def test_axes_without_a_size_have_none():
    model = keras.Sequential([keras.Input((None, 6)), ForgetsName(4, name="block")])
    (slot,) = of_blocks(model)
    assert slot.shape == (None, None, 4)
    assert slot.channels == 4
    assert slot.role == "output"


# ---- what cannot be followed


def test_what_is_left_alone_is_named():
    for name, kind in (("calls_keras", "CallsKeras"), ("calls_tensorflow", "CallsTensorFlow")):
        table = slots(MODELS[name]())
        (sentence,) = table.left_alone
        assert sentence.startswith(f"relu in 'block' of class {kind} is left alone: the code of")
        assert "activation=" in sentence
        assert "build(hp, activation)" in sentence
        assert str(table).endswith(sentence)
    for name in LISTED:
        assert slots(MODELS[name]()).left_alone == (), name


def test_a_layer_that_cannot_be_copied_is_named_and_refused():
    model = MODELS["keeps_nothing"]()
    (sentence,) = slots(model).left_alone
    assert "of class KeepsNothing are left alone" in sentence
    assert "Write self.rate = rate" in sentence


def test_a_model_with_nothing_else_says_what_to_do():
    x = keras.Input((6,))
    model = keras.Model(x, layers.Dense(2)(MODELS["calls_keras"]().get_layer("block")(x)))
    with pytest.raises(ModelError, match=r"hidden activation slot.*relu in 'block'.*build\(hp"):
        with_activations(model, "mish")


@register
class MakesAnother(ForgetsName):
    @classmethod
    def from_config(cls, config):
        return MakesAnother(config["units"])


def test_a_from_config_that_makes_another_class_is_refused():
    model = flat(MakesAnother(4, name="block"))
    with pytest.raises(ModelError, match=r"cls\(\.\.\.\).*MakesAnother"):
        with_activations(model, "mish")


def test_nothing_of_the_users_layer_changes():
    model = MODELS["residual"]()
    layer = model.get_layer("block")
    before = {name: place.activation for name, place in places(layer).items()}
    held = list(layer._flatten_layers())
    slots(model)
    with_activations(model, "prelu")
    after = {name: place.activation for name, place in places(layer).items()}
    assert list(before) == list(after)
    assert all(before[name] is after[name] for name in before)
    assert [id(part) for part in layer._flatten_layers()] == [id(part) for part in held]


@register
class HoldsMethod(layers.Layer):
    """Its activation is a method of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.activation = self.rectified

    def rectified(self, x):
        return ops.maximum(x, 0.0)

    def call(self, x):
        return self.activation(x) * 2.0


def followed(name):
    if name == "method":
        block = HoldsMethod(name="block")
        return keras.Sequential([keras.Input((4,)), block, layers.Dense(2)])
    return MODELS[name]()


@pytest.mark.parametrize("name", ["holds_function", "residual", "method"])
def test_nothing_keeps_a_model_whose_inside_was_followed(name):
    model = followed(name)
    assert any(slot.name.startswith("block/") for slot in slots(model))
    copy = with_activations(model, "mish")
    slots(copy)
    held = [weakref.ref(layer) for layer in (*model.layers, *copy.layers)]
    held += [weakref.ref(model), weakref.ref(copy)]
    del model, copy
    keras.backend.clear_session()
    gc.collect()
    assert [reference() for reference in held] == [None] * len(held)


@pytest.mark.parametrize("name", ["residual", "method"])
def test_a_layer_is_followed_once_while_nothing_of_it_changes(name, monkeypatch):
    model = followed(name)
    first = slots(model)
    proofs = []
    proved = inner_slots._proved
    monkeypatch.setattr(inner_slots, "_proved", lambda *args: proofs.append(args) or proved(*args))
    assert slots(model) == first
    assert not proofs
    block = model.get_layer("block")
    name = "activation" if name == "method" else "act"
    setattr(block, name, keras.activations.elu)
    # another one is seen, and proved anew
    assert "elu" in {slot.current.partition("(")[0] for slot in slots(model)}
    assert proofs
