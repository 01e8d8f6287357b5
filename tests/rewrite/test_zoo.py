"""A zoo of models: what a person lists is found, and rewriting changes that and nothing else."""

from functools import cache, cached_property

import keras
import numpy as np
import pytest

from keras_acts.search import export, slots, with_activations
from keras_acts.search.rewrite.clone import rewritten_layer
from keras_acts.search.rewrite.proof import is_of_users
from keras_acts.search.rewrite.slots import slot_sites
from keras_acts.search.rewrite.walk import layers_of, slots_at, variables_of
from tests.helpers.zoo import ZOO, samples

# Keras, where it loads layers without a `build` of their own
pytestmark = pytest.mark.filterwarnings("ignore:.build\\(\\). was called on layer:UserWarning")

OTHER = "trelu(alpha=0.1, theta=0.5)"
everywhere = pytest.mark.parametrize("name", ZOO)
# Keras saves it, and cannot load it again, whatever its activations
NOT_LOADABLE = {"shared_between_models"}
# Keras 3.12 loses the weights of layers in a list in a dict
IN_LISTS = {"residual_layers"}


def moved(model):
    """Move the weights away from their initial values, so that a copy that starts afresh is found out."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if weight.path.startswith("scale/"):
            continue  # what a Normalization was adapted to
        value = rng.normal(0, 0.3, weight.shape)
        weight.assign(np.abs(value) + 0.5 if "variance" in weight.name else value)
    return model


def rows(model):
    return [(slot.name, slot.current.replace(" ", ""), slot.role) for slot in slots(model)]


def outputs(model, x):
    return [np.asarray(y) for y in keras.tree.flatten(model(x, training=False))]


class Rewritten:
    """A model of the zoo, and what becomes of it: each built once, for all tests.

    None counts on the weights of one.
    """

    def __init__(self, name):
        self.animal = ZOO[name]
        self.model = moved(self.animal.build())
        self.rows = rows(self.model)
        self.x = samples(self.model)
        self.outputs = outputs(self.model, self.x)

    @cached_property
    def other(self):
        return with_activations(self.model, OTHER, weights=True)

    @cached_property
    def trained(self):
        return with_activations(self.model, "prelu", weights=True)


@pytest.fixture(scope="module")
def rewritten():
    return cache(Rewritten)


@everywhere
def test_the_slots_are_those_a_person_lists(name, rewritten):
    assert sorted(rewritten(name).rows) == sorted(ZOO[name].slots)


@everywhere
def test_the_same_activations_with_the_same_weights_are_the_same_model(name, rewritten):
    found = rewritten(name)
    model = found.model
    again = with_activations(
        model, {slot.name: slot.current for slot in slots(model)}, weights=True
    )
    assert again is not model
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    assert not {id(w) for w in again.weights} & {id(w) for w in model.weights}
    for new, old in zip(outputs(again, found.x), found.outputs, strict=True):
        np.testing.assert_array_equal(new, old)


@everywhere
def test_another_activation_changes_every_hidden_slot_and_nothing_else(name, rewritten):
    found = rewritten(name)
    model, other = found.model, found.other
    expected = OTHER.replace(" ", "")
    assert rows(other) == [
        (name, expected if role == "hidden" else now, role) for name, now, role in found.rows
    ]
    assert rows(model) == found.rows
    assert [s.shape for s in slots(other)] == [s.shape for s in slots(model)]
    # each slot by itself reaches the outputs: none is changed in name only
    for slot in slots(model).hidden:
        one = with_activations(model, {slot.name: "softplus"}, weights=True)
        differences = [
            np.abs(a - b).max() for a, b in zip(outputs(one, found.x), found.outputs, strict=True)
        ]
        assert max(differences) > 0, slot


@everywhere
def test_trained_activations_add_their_parameters_and_survive_saving(name, rewritten, tmp_path):
    found = rewritten(name)
    model, trained = found.model, found.trained
    assert trained.count_params() == model.count_params() + found.animal.alphas - own_alphas(model)
    assert all(slot.current == "prelu" for slot in slots(trained).hidden)
    assert {w.path for w in trained.trainable_variables} >= {
        w.path for w in model.trainable_variables if w.name not in ("alpha", "theta")
    }
    if name in NOT_LOADABLE or (name in IN_LISTS and not is_saved(model, tmp_path)):
        return
    trained.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for new, old in zip(outputs(loaded, found.x), outputs(trained, found.x), strict=True):
        np.testing.assert_array_equal(new, old)


def is_saved(model, folder):
    """Whether Keras saves and loads a model as it is."""
    model.save(folder / "original.keras")
    loaded = keras.models.load_model(folder / "original.keras")
    x = samples(model)
    pairs = zip(outputs(loaded, x), outputs(model, x), strict=True)
    return all(np.array_equal(new, old) for new, old in pairs)


def own_alphas(model):
    """The parameters of activations of ours that PReLU replaces."""
    return sum(
        int(np.prod(weight.shape))
        for layer in model.layers
        if type(layer).__module__.startswith("keras_acts")
        for weight in layer.weights
    )


@pytest.mark.slow
@everywhere
def test_rewritten_models_export(name, rewritten, tmp_path):
    model = moved(rewritten(name).trained)
    if name == "mixed_precision":
        # another device's bfloat16 may round otherwise; the export's own bound is for float32
        model.export(tmp_path / "model", verbose=False)
    else:
        assert export(model, tmp_path / "model", samples=rewritten(name).x).difference <= 1e-6


@pytest.mark.parametrize(
    "name", [pytest.param("recurrent", marks=pytest.mark.slow), "time_distributed"]
)
def test_a_rewritten_model_exports(name, tmp_path):
    model = moved(with_activations(ZOO[name].build(), "elu"))
    assert export(model, tmp_path / "model", samples=samples(model)).difference <= 1e-6


def resnet():
    blocks = {2: 3, 3: 4, 4: 6, 5: 3}
    names = [
        f"conv{stage}_block{block}_{part}"
        for stage, count in blocks.items()
        for block in range(1, count + 1)
        for part in ("preact_relu", "1_relu", "2_relu")
    ]
    return {
        **dict.fromkeys([*names, "post_relu"], ("relu", "hidden")),
        "predictions": ("softmax", "output"),
    }


def efficientnet():
    repeats = {1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 1}
    found = {"stem_activation": ("silu", "hidden"), "top_activation": ("silu", "hidden")}
    for stage, count in repeats.items():
        for letter in "abcd"[:count]:
            block = f"block{stage}{letter}"
            if stage > 1:  # the first block does not expand
                found[f"{block}_expand_activation"] = ("silu", "hidden")
            found[f"{block}_activation"] = ("silu", "hidden")
            found[f"{block}_se_reduce"] = ("silu", "hidden")
            found[f"{block}_se_expand"] = ("sigmoid", "gate")
    return {**found, "predictions": ("softmax", "output")}


def mobilenet():
    """The blocks' activations have the names that Keras counts up, so here they come in their order."""
    squeeze, relu = [("relu", "hidden"), ("relu6", "gate")], ("relu", "hidden")
    hard = ("hard_silu", "hidden")
    blocks = [
        *([relu, *squeeze], [relu, relu], [relu, relu], [hard, hard, *squeeze]),
        *([[hard, hard, *squeeze]] * 7),
    ]
    return [hard, *(row for block in blocks for row in block), hard, hard, ("softmax", "output")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "listed"),
    [
        ("ResNet50V2", resnet()),
        ("EfficientNetB0", efficientnet()),
        ("MobileNetV3Small", mobilenet()),
    ],
)
def test_keras_applications(build, listed):
    model = moved(
        getattr(keras.applications, build)(input_shape=(32, 32, 3), weights=None, classes=4)
    )
    found = slots(model)
    if isinstance(listed, dict):
        assert {slot.name: (slot.current, slot.role) for slot in found} == listed
    else:
        assert [(slot.current, slot.role) for slot in found] == listed
    x = np.random.default_rng(0).uniform(0, 255, size=(1, 32, 32, 3)).astype("float32")
    again = with_activations(model, {slot.name: slot.current for slot in found}, weights=True)
    # large convolutions split over threads may add in another order from call to call
    np.testing.assert_allclose(again(x), model(x), rtol=1e-4, atol=1e-6)
    prelu = with_activations(model, "prelu")
    assert [slot.current for slot in slots(prelu)] == [
        "prelu" if slot.role == "hidden" else slot.current for slot in found
    ]
    assert prelu.count_params() - model.count_params() == sum(
        slot.channels for slot in found.hidden
    )


@pytest.mark.slow
def test_a_frozen_application_stays_as_it_is():
    base = moved(
        keras.applications.MobileNetV2(
            input_shape=(32, 32, 3), weights=None, include_top=False, alpha=0.35
        )
    )
    base.trainable = False
    x = keras.Input((32, 32, 3))
    h = keras.layers.GlobalAveragePooling2D()(base(x, training=False))
    h = keras.layers.Dense(8, activation="relu", name="head")(h)
    model = keras.Model(x, keras.layers.Dense(3, activation="softmax", name="out")(h))
    assert {slot.role for slot in slots(model) if slot.name.startswith(base.name)} == {"frozen"}
    assert [slot.name for slot in slots(model).hidden] == ["head"]
    other = with_activations(model, "mish")
    assert len(other.trainable_variables) == len(model.trainable_variables) == 4
    image = np.random.default_rng(0).uniform(-1, 1, size=(2, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(other.get_layer(base.name)(image), base(image))


@everywhere
def test_a_layer_made_alone_is_that_of_the_whole_model(name, rewritten):
    found = rewritten(name)
    hidden = [place for place in slot_sites(found.model) if place.slot.role == "hidden"]
    for activation, other in ((OTHER, found.other), ("prelu", found.trained)):
        whole = dict(layers_of(other))
        for path, layer in layers_of(found.model):
            names = slots_at(path, [place.slot.name for place in hidden])
            # a user's may need more than its shapes to be built
            if names and not is_of_users(layer):
                own = [place for place in hidden if place.slot.name in names]
                alone = rewritten_layer(found.model, own, activation, layer)
                assert _facts(alone) == _facts(whole[path])


def test_a_frozen_layer_made_alone_is_frozen_and_keeps_its_weights():
    hidden = keras.layers.Dense(3, "relu", name="frozen", trainable=False)
    model = keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(2)])
    sites = [site for site in slot_sites(model) if site.slot.name == "frozen"]
    alone = rewritten_layer(model, sites, {"frozen": OTHER}, model.layers[0])
    assert alone.activation is not model.layers[0].activation
    assert not alone.trainable
    np.testing.assert_array_equal(alone.kernel, hidden.kernel)


def _facts(layer):
    variables = {key: (v.shape, v.dtype, v.trainable) for key, v in variables_of(layer).items()}
    return layer.name, _nameless(layer.get_config()), variables, layer.built, layer.trainable


def _nameless(config):
    """Without the names inside, which Keras counts up."""
    if isinstance(config, dict):
        return {
            key: _nameless(value)
            for key, value in config.items()
            if key not in ("name", "shared_object_id")
        }
    return [_nameless(value) for value in config] if isinstance(config, list | tuple) else config
