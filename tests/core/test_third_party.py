"""What a third party gets for one `register(ActivationSpec(...))`.

Everything that our own activations have.
"""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_acts as ka
from keras_acts import layers, lookup
from keras_acts.search import search_activations, slots, with_activations
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.space.space import ActivationSpace
from tests.core import test_functions as contract
from tests.helpers.references import VALUES, array


def _arctan(x, *, beta=1.0):
    dtype = keras.backend.result_type(x.dtype, "float32")  # half precision in float32 inside
    return ops.cast(ops.arctan(ops.multiply(beta, ops.cast(x, dtype))), x.dtype)


BETA = ka.Parameter(
    "beta", 1.0, lookup.specs.Real(low=0.1), ka.SearchRange(0.5, 2.0, log=True), trained=True
)
ARCTAN = ka.ActivationSpec(
    name="arctan_beta",
    class_name="ArctanBeta",
    function=_arctan,
    parameters=(BETA,),
    formula="arctan(beta * x)",
    latex=r"\arctan(\beta x)",
    output_range=(-np.pi / 2, np.pi / 2),
    limits=(-np.pi / 2, np.pi / 2),
)


@pytest.fixture
def arctan():
    yield ka.register(ARCTAN)
    ka.unregister("arctan_beta")


def _model(activation):
    hidden = keras.layers.Dense(4, activation=activation, name="hidden")
    return keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(1)])


def test_function_and_object(arctan, tmp_path):
    assert ka.names()[-1] == "arctan_beta"
    value = ka.get("arctan_beta(beta=1.5)")
    assert value == arctan(beta=1.5)
    x = np.linspace(-3, 3, 12, dtype="float32").reshape(3, 4)
    np.testing.assert_allclose(value(x), np.arctan(1.5 * x), rtol=1e-6)
    for bad in BETA.valid.invalid():
        for make in (
            arctan,
            lambda **p: arctan.from_config(p),
            lambda **p: layers.make("arctan_beta", **p),
        ):
            with pytest.raises(
                ka.ActivationError, match=r"beta must be a finite number >= 0.1.*Received"
            ):
                make(beta=bad)
    model = _model(value)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert (
        loaded.layers[0].activation == keras.models.clone_model(model).layers[0].activation == value
    )
    np.testing.assert_array_equal(loaded(x), model(x))
    inputs = keras.Input((4,))
    np.testing.assert_allclose(keras.Model(inputs, value(inputs))(x), value(x), rtol=1e-6)


@pytest.mark.parametrize("arguments", [{}, {"per": "scalar"}, {"num_parameters": 4}])
def test_layer(arctan, arguments, tmp_path):
    layer, x = (
        layers.make("arctan_beta", **arguments),
        np.linspace(-3, 3, 12, dtype="float32").reshape(3, 4),
    )
    model = keras.Sequential([keras.Input((4,)), layer])
    layer.beta.assign(ops.full(layer.beta.shape, 0.7))
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "m.keras")(x), model(x))
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(layer(x) * x)
    exact = (x * x / (1 + (0.7 * x) ** 2)).sum(axis=0)
    found = tape.gradient(y, layer.beta.value)
    np.testing.assert_allclose(found, exact if len(layer.beta.shape) else exact.sum(), rtol=1e-5)


def test_search_space(arctan):
    space = ActivationSpace(["relu", "arctan_beta", "arctan_beta(beta=trained)"])
    fixed = [
        str(c) for c in space.sample(30, seed=1) if "arctan" in str(c) and "trained" not in str(c)
    ]
    betas = [ka.get(candidate).beta for candidate in fixed]
    assert len(betas) > 3
    assert all(0.5 <= beta <= 2 for beta in betas)
    assert len(set(betas)) > 3
    assert ActivationSpace.from_json(space.to_json()) == space
    model = with_activations(_model("relu"), "arctan_beta(beta=0.5)")
    assert model.layers[0].activation == arctan(beta=0.5)
    assert len(slots(model)) == 1
    assert Candidate.of("arctan_beta(beta=trained(0.4))").activation(channels=3).beta.shape == (3,)


@pytest.mark.slow
def test_a_whole_search(arctan):
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    y = np.arctan(x[:, :1])

    model = _model("relu")
    model.compile("adam", "mse")
    result = search_activations(
        model,
        x,
        y,
        activations=["arctan_beta"],
        validation_data=(x, y),
        trials=3,
        epochs=2,
        verdict=0,
        verbose=0,
        learning_rates=None,
    )
    assert any(str(trial.candidate).startswith("arctan_beta") for trial in result.trials)


def _holds_the_contract(case, dtype, run):
    """Values within the bounds of our own.

    At NaN, the infinities and the largest numbers, its gradient too.
    """
    name, parameters = case
    usual = contract._inputs("elementwise", dtype)
    special = array(contract._special(name, parameters, dtype), dtype)

    def value_and_gradient(x):
        return contract._value_and_gradient(contract._function(name, parameters), x)

    y, slope = contract.RUNS[run](value_and_gradient)(tf.constant(np.concatenate([special, usual])))
    assert y.dtype.name == slope.dtype.name == dtype
    y, slope = contract._double(y), contract._double(slope)
    contract._assert_values(case, dtype, usual, y[len(special) :])
    contract._assert_special(case, dtype, y[: len(special)], slope[: len(special)])


@pytest.mark.parametrize("run", contract.RUNS)
def test_the_contract_of_our_own_holds_it_too(arctan, run, monkeypatch):
    monkeypatch.setitem(VALUES, "arctan_beta", lambda x, beta: np.arctan(beta * x))
    for case in (("arctan_beta", {"beta": 1.0}), ("arctan_beta", {"beta": 0.7})):
        for dtype in contract.DTYPES:
            _holds_the_contract(case, dtype, run)
        contract.test_gradients_equal_central_differences(case, run)
    contract.test_limits_and_range_of_the_spec("arctan_beta")


def test_the_example_in_the_documentation_runs():
    text = (Path(__file__).parents[2] / "docs" / "activations.md").read_text(encoding="utf-8")
    code = text.split("## An activation of your own")[1].split("```python\n")[1].split("```")[0]
    try:
        exec(code, {"ka": ka})
        np.testing.assert_allclose(
            ka.get("arctan_beta(beta=0.5)")(np.array([2.0])), [np.pi / 4], rtol=1e-6
        )
    finally:
        ka.unregister("arctan_beta")


def test_the_contract_refuses_a_function_that_is_wrong(monkeypatch):
    monkeypatch.setitem(VALUES, "arctan_beta", lambda x, beta: np.arctan(beta * x) * (1 + 1e-5))
    ka.register(ARCTAN)
    try:
        with pytest.raises(AssertionError):
            _holds_the_contract(("arctan_beta", {"beta": 1.0}), "float32", "eager")
    finally:
        ka.unregister("arctan_beta")


@pytest.mark.once
def test_unregistered_it_is_gone_and_can_come_again(arctan):
    ka.unregister("arctan_beta")
    with pytest.raises(ka.ActivationError, match="Unknown activation"):
        ka.get("arctan_beta")
    ka.register(ARCTAN)
    assert ka.get("arctan_beta").beta == 1.0


def _changed(**changes):
    return ka.ActivationSpec(
        **{**{f: getattr(ARCTAN, f) for f in ARCTAN.__dataclass_fields__}, **changes}
    )


@pytest.mark.once
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (_changed(name="mish"), "registered already"),
        (_changed(class_name="Mish"), "registered already"),
        (_changed(name="Arctan"), "lower-case identifier"),
        (_changed(name="two words"), "lower-case identifier"),
        (_changed(class_name="Two Words"), "must be an identifier"),
        (_changed(parameters=ARCTAN.parameters * 2), "different keywords"),
        (
            _changed(parameters=(ka.Parameter("gamma", 1.0, lookup.specs.Real()),)),
            "different keywords",
        ),
        (
            _changed(parameters=(ka.Parameter("beta", -1.0, lookup.specs.Real(low=0)),)),
            "beta must be",
        ),
        (
            _changed(
                parameters=(
                    ka.Parameter("beta", 1.0, lookup.specs.Real(low=0), ka.SearchRange(-1, 1)),
                )
            ),
            "beta must be",
        ),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused_and_leaves_nothing(spec, message):
    before = ka.names()
    with pytest.raises(ka.ActivationError, match=f"{message}.*Received"):
        ka.register(spec)
    assert ka.names() == before
