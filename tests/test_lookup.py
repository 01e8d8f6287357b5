"""Names, strings, registration, and the list of what the package exports."""

import functools
import inspect
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_acts as ka
from keras_acts import layers, lookup


def test_all_is_the_namespace():
    public = {
        name
        for name, value in vars(ka).items()
        if not name.startswith("_")
        and not (isinstance(value, types.ModuleType) and name not in ("functions", "layers"))
    }
    assert public | {"__version__"} == set(ka.__all__) | {"Path"}
    for name in ka.__all__:
        assert getattr(ka, name) is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mish", ka.Mish()),
        (" trelu(theta=0.5, alpha=0.1) ", ka.TReLU(alpha=0.1, theta=0.5)),
        ("trelu(theta=-1e-2)", ka.TReLU(theta=-0.01)),
        ("trelu(mode=continuous)", ka.TReLU(mode="continuous")),
        ("trelu(mode='keras')", ka.TReLU(mode="keras")),
        ("softmax(axis=-2)", ka.Softmax(axis=-2)),
        ("gelu", keras.activations.gelu),
    ],
)
def test_get_a_name(text, expected):
    assert ka.get(text) == expected


def test_get_returns_what_keras_can_save():
    for callable_ in (keras.activations.silu, ka.Mish(), keras.layers.ReLU()):
        assert ka.get(callable_) is callable_


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("mihs", "Did you mean mish"),
        ("qqq", "Known: sigmoid"),
        ("trelu(0.5)", "is written"),
        ("trelu(theta=0.5", "is written"),
        ("trelu(**x)", "is written"),
        ("trelu(theta=nan)", "theta must be a finite number"),
        ("trelu(theta=inf)", "theta must be a finite number"),
        ("trelu(theta=abc)", "theta must be a finite number"),
        ("trelu(beta=1)", "unknown parameter"),
        ("elu(alpha=-1)", "alpha must be a finite number >= 0"),
        ("gelu(approximate=True)", "takes no parameters here"),
        ("", "is written"),
        (None, "a name, a config or a callable"),
        (3.0, "a name, a config or a callable"),
        (ka.Mish, "a name, a config or a callable"),
        ({"class_name": "nothing"}, "must be a serialized"),
        (keras.saving.serialize_keras_object(keras.optimizers.SGD()), "serialized activation"),
    ],
)
def test_get_refuses(identifier, message):
    with pytest.raises(ka.ActivationError, match=f"(?s){message}.*Received"):
        ka.get(identifier)


@pytest.mark.parametrize("function", [lambda x: x, functools.partial(ka.functions.leaky_relu, alpha=0.1)])
def test_lambdas_and_partials_are_refused_early_with_what_to_do_instead(function):
    with pytest.raises(ka.ActivationError, match="register_keras_serializable"):
        ka.get(function)


def test_each_prelu_is_new():
    assert ka.get("prelu") is not ka.get("prelu")
    assert ka.get("prelu(alpha=0.1, num_parameters=3)").alpha.shape == (3,)


def test_make_and_builtins():
    assert lookup.make("trelu", {"theta": 0.5}) == ka.TReLU(theta=0.5)
    assert "gelu" in lookup.builtins()
    assert not set(lookup.builtins()) & {*ka.names(), "get", "serialize", "deserialize"}


@pytest.mark.parametrize("name", ka.names())
def test_facts_agree(name):
    # defaults and ranges are stated once, in the spec
    spec = ka.spec(name)
    assert dict.fromkeys(spec.defaults) == dict.fromkeys(p.name for p in spec.parameters)
    for parameter, value in spec.defaults.items():
        assert inspect.signature(spec.function).parameters[parameter].default == value
    assert spec.formula
    assert spec.latex
    if spec.value:
        made = ka.get(name)
        assert made.get_config() == spec.defaults
        assert spec.formula in type(made).__doc__
    if spec.trained:
        assert {k: layers.make(name).get_config()[k] for k in spec.defaults} == spec.defaults


def _swish(x, *, beta=1.0):
    return ops.multiply(x, ops.sigmoid(ops.multiply(beta, x)))


SWISH = ka.ActivationSpec(
    name="swish_beta",
    class_name="SwishBeta",
    function=_swish,
    parameters=(ka.Parameter("beta", 1.0, lookup.specs.Real(low=0), ka.SearchRange(0.5, 2.0), trained=True),),
    formula="x * sigmoid(beta * x)",
    latex=r"x \sigma(\beta x)",
    output_range=(-0.2785, float("inf")),
    limits=(0, float("inf")),
)


@pytest.fixture
def swish():
    yield ka.register(SWISH)
    ka.unregister("swish_beta")


def test_a_third_party_registers_one_spec_and_everything_works(swish, tmp_path):
    assert ka.names()[-1] == "swish_beta"
    value = ka.get("swish_beta(beta=1.5)")
    assert value == swish(beta=1.5)
    x = np.linspace(-3, 3, 12, dtype="float32").reshape(3, 4)
    np.testing.assert_allclose(value(x), x / (1 + np.exp(-1.5 * x)), rtol=1e-6)
    with pytest.raises(ka.ActivationError, match="beta must be a finite number >= 0"):
        swish(beta=-1)
    layer = layers.make("swish_beta", per="scalar")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, activation=value), layer])
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.layers[0].activation == value
    np.testing.assert_array_equal(loaded(x), model(x))
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(layer(x))
    assert tape.gradient(y, layer.beta.value) is not None
    inputs = keras.Input((4,))
    np.testing.assert_allclose(keras.Model(inputs, value(inputs))(x), value(x), rtol=1e-6)


def test_unregistered_it_is_gone_and_can_come_again(swish):
    ka.unregister("swish_beta")
    with pytest.raises(ka.ActivationError, match="Unknown activation"):
        ka.get("swish_beta")
    ka.register(SWISH)
    assert ka.get("swish_beta").beta == 1.0


def _changed(**changes):
    return ka.ActivationSpec(**{**{f: getattr(SWISH, f) for f in SWISH.__dataclass_fields__}, **changes})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (_changed(name="mish"), "registered already"),
        (_changed(class_name="Mish"), "registered already"),
        (_changed(name="Swish"), "lower-case identifier"),
        (_changed(name="two words"), "lower-case identifier"),
        (_changed(class_name="Two Words"), "must be an identifier"),
        (_changed(parameters=SWISH.parameters * 2), "different keywords"),
        (_changed(parameters=(ka.Parameter("gamma", 1.0, lookup.specs.Real()),)), "different keywords"),
        (_changed(parameters=(ka.Parameter("beta", -1.0, lookup.specs.Real(low=0)),)), "beta must be"),
        (
            _changed(parameters=(ka.Parameter("beta", 1.0, lookup.specs.Real(low=0), ka.SearchRange(-1, 1)),)),
            "beta must be",
        ),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused_and_leaves_nothing(spec, message):
    before = ka.names()
    with pytest.raises(ka.ActivationError, match=f"{message}.*Received"):
        ka.register(spec)
    assert ka.names() == before


def test_ours_cannot_be_unregistered():
    with pytest.raises(ka.ActivationError, match="cannot be removed"):
        ka.unregister("mish")
