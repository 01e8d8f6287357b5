"""Whatever it is given, the core does what it says or raises an `ActivationError`."""

import json
import re

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st

import keras_acts as ka
from keras_acts import layers
from keras_acts.errors import ActivationError
from tests.helpers import hostile

# an identifier far longer than any activation's
LONG = 100_000


def made(function, *arguments, **options):
    """What a function makes, or None where it refuses; its message is short and has a form."""
    try:
        return function(*arguments, **options)
    except ActivationError as error:
        text = str(error)
        assert "eceived" in text
        assert len(text) < 2000
        return None


@pytest.mark.once
@pytest.mark.parametrize(
    "value",
    [
        *("-" * 90 + "1", "-" * LONG + "1", "9" * 400, "9" * LONG, "1e999", "()", "(" * LONG),
        *("(" * 150 + ")" * 150, "(" * LONG + ")" * LONG, "[" * LONG, "{[]: 1}", "trained(" * LONG),
    ],
    ids=range(12),
)
@pytest.mark.parametrize("text", ["trelu(theta={})", "softmax(axis={})", "{}", "mish({})"])
def test_long_and_deep_text_is_refused(text, value):
    with pytest.raises(ActivationError, match="Received: ") as raised:
        ka.get(text.format(value))
    assert len(str(raised.value)) < 1000


@pytest.mark.once
def test_ninety_signs_are_no_number():
    # as Python has it, but nobody means it
    with pytest.raises(ActivationError, match="theta must be a finite number"):
        ka.get(f"trelu(theta={'-' * 90}1)")
    assert ka.get("trelu(theta=-1)").theta == -1.0
    assert ka.get("trelu(theta=+1)").theta == 1.0


@hostile.examples
@given(hostile.written())
def test_text(text):
    made(ka.get, text)


@hostile.examples
@given(hostile.values)
def test_anything(value):
    made(ka.get, value)


@hostile.examples
@given(st.sampled_from(ka.names()), hostile.parameters)
def test_parameters(name, parameters):
    activation = made(ka.spec(name).check, parameters)
    assert activation is None or activation.keys() == ka.spec(name).defaults.keys()


CLASSES = [getattr(ka, ka.spec(name).class_name) for name in ka.names() if name != "prelu"]
LAYERS = [layers.LeakyReLU, layers.PReLU, layers.ELU, layers.TReLU]


@hostile.examples
@given(st.sampled_from(CLASSES), hostile.parameters)
def test_objects_and_their_configs(cls, parameters):
    for make in (lambda: cls(**parameters), lambda: cls.from_config(parameters)):
        activation = made(make)
        if activation is not None:
            assert cls.from_config(json.loads(json.dumps(activation.get_config()))) == activation


OPTIONS = ["per", "axis", "data_format", "num_parameters", "trained", "bandwidth", "kernel"]
OPTIONS += ["alpha_initializer", "alpha_regularizer", "theta_constraint", "shared_axes"]


@hostile.examples
@given(
    st.sampled_from(LAYERS),
    hostile.parameters,
    st.dictionaries(st.sampled_from(OPTIONS), hostile.values, max_size=2),
)
def test_layers_and_their_configs(cls, parameters, options):
    known = {parameter.name for parameter in cls.spec.parameters}
    given = {key: value for key, value in parameters.items() if key in known}
    for key, value in options.items():
        of_another = key in ("bandwidth", "kernel") and cls is not layers.TReLU
        if key.partition("_")[0] in ("alpha", "theta") and key.partition("_")[0] not in known:
            continue
        if not of_another:
            given[key] = value
    for make in (lambda: cls(**given), lambda: cls.from_config(dict(given))):
        layer = made(make)
        if layer is not None:
            assert isinstance(layer, keras.layers.Layer)


CONFIGS = [
    {"class_name": "function", "config": "system", "module": "os", "registered_name": "system"},
    {"class_name": "function", "config": "eval", "module": "builtins", "registered_name": "eval"},
    {"class_name": "Popen", "config": {"args": "false"}, "module": "subprocess"},
    {"class_name": "__lambda__", "config": {"value": ["4wEA", None, None]}},
    {"class_name": "get_file", "config": {"origin": "file:///etc/passwd"}, "module": "keras.utils"},
    {"class_name": "function", "config": "get_file", "module": "keras.utils"},
    {"class_name": "Mish", "config": {"x": 1}, "registered_name": "keras_acts>Mish"},
    {"class_name": "Mish", "config": 5, "registered_name": "keras_acts>Mish"},
    *({}, {"class_name": 5}, {"class_name": None, "config": {}}, {"config": {}}, {5: 5}),
]


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_no_config_reaches_what_is_no_activation(config):
    with pytest.raises(ActivationError, match=r"Received: |Expected: "):
        ka.get(config)


@hostile.examples
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "class_name": st.one_of(
                st.sampled_from(["Mish", "function", "__lambda__", "Dense", "__numpy__"]),
                hostile.values,
            ),
            "config": st.one_of(hostile.values, hostile.parameters),
            "module": st.sampled_from(["os", "keras.layers", "keras_acts.activations", None, 5]),
            "registered_name": st.sampled_from(["keras_acts>Mish", "keras_acts>TReLU", None, 5]),
            "build_config": hostile.values,
        },
    )
)
def test_configs(config):
    made(ka.get, config)


@pytest.mark.once
def test_messages_are_short_whatever_was_given():
    with pytest.raises(ActivationError) as raised:
        ka.TReLU(theta="x" * LONG)
    assert re.search(r"Received: theta='x+…", str(raised.value))
    assert len(str(raised.value)) < 500
    deep = []
    for _ in range(LONG):
        deep = [deep]
    for odd in (10**5000, -(10**5000), 10**400, deep, _Unshowable()):
        with pytest.raises(ActivationError, match="theta must be a finite number"):
            ka.TReLU(theta=odd)
        with pytest.raises(ActivationError, match="a name, a config or a callable"):
            ka.get(odd)


class _Unshowable:
    def __repr__(self):
        raise ZeroDivisionError("nobody can look at it")
