"""Names, strings, registration, and the list of what the package exports."""

import functools
import inspect
import types

import keras
import pytest

import keras_acts as ka
from keras_acts import layers, lookup


@pytest.mark.once
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
@pytest.mark.once
def test_get_refuses(identifier, message):
    with pytest.raises(ka.ActivationError, match=f"(?s){message}.*Received"):
        ka.get(identifier)


@pytest.mark.parametrize(
    "function", [lambda x: x, functools.partial(ka.functions.leaky_relu, alpha=0.1)]
)
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


@pytest.mark.once
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


@pytest.mark.once
def test_ours_cannot_be_unregistered():
    with pytest.raises(ka.ActivationError, match="cannot be removed"):
        ka.unregister("mish")
