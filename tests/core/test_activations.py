"""The serializable objects: values, saved and loaded wherever Keras saves and loads."""

import copy
import itertools
import json
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_acts as ka
from keras_acts import activations
from tests.helpers.processes import python

VALUES = [name for name in ka.names() if ka.spec(name).value]
OBJECTS = [ka.get(name) for name in VALUES] + [
    ka.TReLU(alpha=0.1, theta=-0.2, mode="continuous"),
    ka.Softmax(axis=1),
]


@pytest.mark.parametrize("activation", OBJECTS, ids=repr)
def test_a_value(activation):
    again = type(activation)(**activation.get_config())
    assert activation == again == type(activation).from_config(activation.get_config())
    assert hash(activation) == hash(again)
    assert (
        copy.deepcopy(activation)
        == copy.copy(activation)
        == pickle.loads(pickle.dumps(activation))
        == activation
    )
    assert json.loads(json.dumps(activation.get_config())) == activation.get_config()
    assert eval(repr(activation), vars(ka)) == activation
    with pytest.raises(AttributeError, match="is a value"):
        activation.alpha = 3


@pytest.mark.once
def test_objects_of_different_kinds_or_parameters_differ():
    assert len({*OBJECTS, ka.Mish(), ka.Softmax()}) == len(OBJECTS)
    assert ka.ReLU() != "relu"
    assert ka.LeakyReLU(alpha=1) == ka.LeakyReLU(alpha=1.0) == ka.LeakyReLU(alpha=np.float32(1))


@pytest.mark.parametrize("activation", OBJECTS, ids=repr)
def test_object_and_function_agree(activation):
    x = tf.constant(np.linspace(-3, 3, 24).reshape(4, 6), "float32")
    np.testing.assert_array_equal(
        activation(x), activation.spec.function(x, **activation.get_config())
    )


def test_saved_cloned_and_made_from_config(tmp_path):
    """All in one model, as argument of a layer and as a layer."""
    inputs = keras.Input((4,))
    outputs = []
    for i, activation in enumerate(OBJECTS):
        dense = keras.layers.Dense(5, activation=activation, name=f"dense_{i}")
        hidden = keras.layers.Activation(activation, name=f"activation_{i}")(dense(inputs))
        outputs.append(keras.layers.Dense(3, name=f"head_{i}")(hidden))
    model = keras.Model(inputs, outputs)
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)
    for other in (
        loaded,
        keras.models.clone_model(model),
        keras.Model.from_config(model.get_config()),
    ):
        for i, activation in enumerate(OBJECTS):
            assert other.get_layer(f"dense_{i}").activation == activation
            assert other.get_layer(f"activation_{i}").activation == activation
        other.set_weights(model.get_weights())
        np.testing.assert_array_equal(other.predict(x, verbose=0), expected)
    assert [layer.get_config() for layer in loaded.layers] == [
        layer.get_config() for layer in model.layers
    ]


def test_in_every_layer_that_takes_an_activation(tmp_path):
    inputs = keras.Input((8, 3))
    x = keras.layers.Conv1D(4, 3, activation=ka.Mish())(inputs)
    x = keras.layers.TimeDistributed(keras.layers.Dense(4, activation=ka.TReLU(theta=0.1)))(x)
    x = keras.layers.Bidirectional(
        keras.layers.LSTM(3, activation=ka.Mish(), recurrent_activation=ka.Sigmoid())
    )(x)
    model = keras.Model(inputs, x)
    model.save(tmp_path / "m.keras")
    data = np.random.default_rng(0).normal(size=(2, 8, 3)).astype("float32")
    expected = model.predict(data, verbose=0)
    np.testing.assert_array_equal(
        keras.models.load_model(tmp_path / "m.keras").predict(data, verbose=0), expected
    )


@pytest.mark.once
@pytest.mark.parametrize("name", VALUES)
def test_bad_parameters_are_refused_in_constructor_and_config(name):
    cls = type(ka.get(name))
    for parameter in cls.spec.parameters:
        for value in parameter.valid.invalid():
            for make in (
                lambda **p: cls(**p),
                lambda **p: cls.from_config(p),
                lambda **p: activations.make(name, p),
            ):
                with pytest.raises(
                    ka.ActivationError, match=rf"{name}: {parameter.name} must be .*Received"
                ):
                    make(**{parameter.name: value})
    with pytest.raises(ka.ActivationError, match="unknown parameter"):
        cls(slope=1.0)
    with pytest.raises(TypeError):
        cls(0.1)


@pytest.mark.parametrize("jit", [False, True])
def test_saturated_outputs_train_as_with_keras_own(jit):
    """In one model with an output for each.

    At logits of ±200 only the logits left on the output give a gradient.
    """
    pairs = [
        (ka.Softmax(), "softmax", "categorical_crossentropy"),
        (ka.Sigmoid(), "sigmoid", "binary_crossentropy"),
    ]
    policies = ["float32", "mixed_bfloat16", "mixed_float16"]
    kernel = np.array([[-200.0, 200.0]])
    inputs = keras.Input((1,))
    outputs, losses = {}, {}
    for policy, (ours, builtin, loss) in itertools.product(policies, pairs):
        for whose, activation in (("ours", ours), ("keras", builtin)):
            name = f"{policy}_{builtin}_{whose}"
            output = keras.layers.Dense(
                2, activation=activation, use_bias=False, dtype=policy, name=name
            )
            outputs[name] = output(inputs)
            losses[name] = loss
            output.set_weights([kernel])
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(1.0), losses, jit_compile=jit)
    history = model.fit(
        np.array([[1.0]]), dict.fromkeys(outputs, np.array([[1.0, 0.0]])), verbose=0
    ).history
    for policy, (_, builtin, _) in itertools.product(policies, pairs):
        names = [f"{policy}_{builtin}_{whose}" for whose in ("ours", "keras")]
        ours, theirs = (history[f"{name}_loss"][0] for name in names)
        trained, trained_by_keras = (model.get_layer(name).get_weights()[0] for name in names)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
        np.testing.assert_allclose(trained, trained_by_keras, rtol=1e-5)
        if (
            policy == "float32"
        ):  # a cast between output and loss drops the logits, for Keras' own too
            assert ours >= 200
            assert np.abs(trained - kernel).max() > 0.4


def test_logits_give_the_loss_its_true_gradient():
    logits = tf.constant([[-200.0, 200.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = keras.losses.categorical_crossentropy(
            tf.constant([[1.0, 0.0, 0.0]]), ka.Softmax()(logits)
        )
    np.testing.assert_allclose(loss, [400.0])
    np.testing.assert_allclose(tape.gradient(loss, logits), [[-1.0, 1.0, 0.0]], atol=1e-6)


def test_keras_tables_are_left_alone():
    # keras.activations.get("pkg>name") reads a private table and fails for every custom object:
    # `ka.get` is our answer
    with pytest.raises(ValueError, match="Could not interpret"):
        keras.activations.get("keras_acts>Mish")
    assert keras.activations.get(ka.Mish()) == ka.Mish()
    assert ka.get(keras.saving.serialize_keras_object(ka.TReLU(theta=0.3))) == ka.TReLU(theta=0.3)


@pytest.mark.parametrize("function", ["mish", "relu", "trelu"])
def test_nan_is_never_swallowed(function):
    assert np.isnan(ka.spec(function).function(tf.constant([np.nan]))).all()
    assert np.isnan(
        ka.TReLU(alpha=0.0, theta=1.0)(tf.constant([np.nan]))
    ).all()  # Keras' relu(nan, threshold=1) is 0


@pytest.mark.parametrize("activation", OBJECTS, ids=repr)
def test_symbolic_inputs(activation):
    inputs = keras.Input((5, 4))
    model = keras.Model(inputs, activation(inputs))
    x = np.linspace(-2, 2, 40, dtype="float32").reshape(2, 5, 4)
    np.testing.assert_allclose(model(x), activation(x), rtol=1e-6)


def test_a_threshold_below_zero():
    np.testing.assert_allclose(ka.TReLU(theta=-0.1)(np.array([-0.2, -0.05, 0.3])), [0, -0.05, 0.3])


@pytest.mark.slow
def test_a_fresh_process_loads_with_the_import_and_says_what_is_missing_without(tmp_path):
    inputs = keras.Input((4,))
    x = inputs
    for activation in OBJECTS[:-1]:
        x = keras.layers.Dense(4, activation=activation)(x)
    model = keras.Model(inputs, ka.layers.TReLU()(keras.layers.Dense(2, activation=ka.PReLU())(x)))
    model.save(tmp_path / "m.keras")
    expected = model.predict(np.ones((1, 4)), verbose=0)
    load = (
        "import sys, numpy, keras; model = keras.models.load_model(sys.argv[1]);"
        "print(model.predict(numpy.ones((1, 4)), verbose=0).tolist())"
    )
    found = python("import keras_acts;" + load, tmp_path / "m.keras")
    np.testing.assert_allclose(json.loads(found.strip().splitlines()[-1]), expected, rtol=1e-6)
    with pytest.raises(AssertionError, match="Could not locate class 'Sigmoid'"):
        python(load, tmp_path / "m.keras")


@pytest.mark.slow
def test_savedmodel_runs_without_the_package_and_in_litert(tmp_path):
    inputs = keras.Input((4,))
    hidden = ka.layers.PReLU()(keras.layers.Dense(3, activation=ka.Mish())(inputs))
    model = keras.Model(
        inputs,
        ka.layers.TReLU(theta=0.2)(keras.layers.Dense(3, activation=ka.ELU(alpha=0.5))(hidden)),
    )
    x = np.linspace(-3, 3, 8, dtype="float32").reshape(2, 4)
    expected = model.predict(x, verbose=0)
    model.export(tmp_path / "m", verbose=False)
    code = """
import json, sys, tensorflow as tf
x = tf.reshape(tf.linspace(-3.0, 3.0, 8), (2, 4))
loaded = tf.saved_model.load(sys.argv[1])
assert "keras_acts" not in sys.modules
print(json.dumps(loaded.serve(x).numpy().tolist()))
converter = tf.lite.TFLiteConverter.from_saved_model(sys.argv[1])
converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
interpreter = tf.lite.Interpreter(model_content=converter.convert())
interpreter.resize_tensor_input(0, (2, 4))
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x.numpy())
interpreter.invoke()
print(json.dumps(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tolist()))
"""
    found = [line for line in python(code, tmp_path / "m").splitlines() if line.startswith("[[")]
    assert len(found) == 2
    for line in found:
        np.testing.assert_allclose(json.loads(line), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.slow
def test_half_precision_is_exact_without_onednn_too():
    # TensorFlow's own softmax in bfloat16 is then off by 17 units of the last place
    code = """
import tensorflow as tf
from tests.core import test_functions as contract
for run in contract.RUNS:
    for dtype in ("float16", "bfloat16", "float32"):
        for name in ("mish", "sigmoid", "elu"):
            case = (name, contract.ka.spec(name).defaults)
            contract.test_values_and_gradients(case, dtype, run)
        case = ("softmax", contract.ka.spec("softmax").defaults)
        contract.test_values_and_gradients_of_softmax(case, dtype, run)
"""
    python(code, TF_ENABLE_ONEDNN_OPTS="0")


BACKENDS = """
import numpy as np, keras, keras_acts as ka
from tests.helpers.references import VALUES
assert keras.backend.backend() == {backend!r}
x = np.arange(-20, 20, 0.125)  # numbers of every dtype
for name in ka.names():
    spec = ka.spec(name)
    z = x if spec.elementwise else x.reshape(32, 10)
    expected = VALUES[name](z, **spec.defaults)
    for dtype, rtol in (("float32", 1e-6), ("bfloat16", 2**-7)):
        y = spec.function(keras.ops.convert_to_tensor(z, dtype), **spec.defaults)
        y = keras.ops.convert_to_numpy(keras.ops.cast(y, "float32"))
        np.testing.assert_allclose(y, expected, rtol=rtol, atol=4e-7)
    if spec.limits:
        y = spec.function(np.array([-np.inf, np.inf, np.nan], "float32"), **spec.defaults)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(y), [*spec.limits, np.nan])
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation=ka.Mish()), ka.layers.TReLU(theta=0.2),
                          keras.layers.Dense(1, activation=ka.PReLU())])
model.compile("sgd", "mse")
before = [w.numpy() for w in model.layers[1].weights]
model.fit(np.random.default_rng(0).normal(size=(64, 4)), np.ones((64, 1)), verbose=0)
assert not np.array_equal(before[0], model.layers[1].weights[0].numpy())
"""
SECOND = {
    "jax": """
import jax, jax.numpy as jnp
z = jnp.array([-np.inf, -1.0, 0.0, 2.0, np.inf])
first = jax.vmap(jax.grad(ka.functions.mish))(z)
mish = ka.functions.mish
second = [jax.vmap(f)(z) for f in (jax.jacfwd(jax.jacrev(mish)), jax.jacrev(jax.jacfwd(mish)))]
u = jnp.array([-3.0, -0.7, 0.4, 2.5])
for name in ka.names():
    function = lambda x: ka.spec(name).function(x, **ka.spec(name).defaults)
    found = jax.jacfwd(jax.jacrev(function))(u)
    expected = jax.jacfwd(jax.jacfwd(function))(u)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    if ka.spec(name).elementwise:
        value = lambda x: VALUES[name](x, **ka.spec(name).defaults)
        points = np.asarray(u, "float64")
        central = (value(points + 1e-2) - 2 * value(points) + value(points - 1e-2)) / 1e-4
        np.testing.assert_allclose(np.diagonal(np.diagonal(found)), central, atol=2e-3)
""",
    "torch": """
import torch
z = torch.tensor([-np.inf, -1.0, 0.0, 2.0, np.inf], requires_grad=True)
(g,) = torch.autograd.grad(ka.functions.mish(z).sum(), z, create_graph=True)
first, second = g.detach(), [torch.autograd.grad(g.sum(), z)[0]]
""",
}
CHECK = """
f = lambda x: x * np.tanh(np.logaddexp(0, x))
p = np.array([-1.0, 0.0, 2.0])
np.testing.assert_allclose(np.asarray(first), [0, *((f(p + 1e-5) - f(p - 1e-5)) / 2e-5), 1], atol=1e-6)
for s in second:
    np.testing.assert_allclose(np.asarray(s), [0, *((f(p + 1e-3) - 2 * f(p) + f(p - 1e-3)) / 1e-6), 0], atol=1e-5)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends(backend):
    # in a process of its own: a backend cannot be changed, and JAX and TensorFlow disturb each
    # other
    if subprocess.run(
        [sys.executable, "-c", f"import {backend}"], capture_output=True, check=False
    ).returncode:
        pytest.skip(f"{backend} is not installed")
    python(BACKENDS.format(backend=backend) + SECOND[backend] + CHECK, KERAS_BACKEND=backend)
