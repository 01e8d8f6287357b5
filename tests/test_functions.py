"""The contract of every registered activation: values, limits and gradients, in each dtype and way to run."""

import gc
import weakref

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

import keras_acts as ka
from benchmarks.activations import saved_for_backward
from keras_acts import functions, lowering
from keras_acts.serving import serving
from tests.references import KINKS, VALUES, array, rounded, ulp

DTYPES = ("float16", "bfloat16", "float32", "float64")
RUNS = {"eager": lambda f: f, "graph": tf.function, "xla": lambda f: tf.function(f, jit_compile=True)}
# every registered activation with its defaults, and what else has a path of its own
CASES = [(name, ka.spec(name).defaults) for name in ka.names()] + [
    ("leaky_relu", {"alpha": 0.0}),
    ("leaky_relu", {"alpha": 0.1}),
    ("leaky_relu", {"alpha": -1.5}),
    ("elu", {"alpha": 0.3}),
    ("softmax", {"axis": 0}),
    *(
        ("trelu", {"alpha": alpha, "theta": theta, "mode": mode})
        for alpha in (0.0, 0.1)
        for theta in (0.7, -0.3, 0.0)
        for mode in ka.functions.MODES
    ),
]
ELEMENTWISE = [case for case in CASES if ka.spec(case[0]).elementwise]


def _label(case):
    return f"{case[0]}({','.join(f'{value}' for value in case[1].values())})"


def _function(name, parameters):
    return lambda x: ka.spec(name).function(x, **parameters)


def _tolerance(name, parameters, dtype, expected):
    units = {"float16": 1, "bfloat16": 1, "float32": 8, "float64": 16}[dtype]
    absolute = 0.0
    if name in ("sigmoid", "tanh", "softmax", "elu"):
        absolute = {"float32": 4e-7, "float64": 1e-15}.get(dtype, 0.0)
    if name == "trelu" and parameters["mode"] == "continuous":  # theta + alpha * (x - theta) cancels near its root
        absolute = {"float32": 4e-7, "float64": 1e-15}.get(dtype, 0.0)
    return np.maximum(absolute, units * ulp(dtype, expected))


def _inputs(name):
    rng = np.random.default_rng(0)
    if name == "softmax":
        return rng.normal(size=(400, 10)) * 5
    near = np.logspace(-6, 1.3, 20000)
    return np.concatenate([np.linspace(-20, 20, 80001), rng.normal(size=20000), near, -near])


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=_label)
def test_values(case, dtype, run):
    name, parameters = case
    x = array(_inputs(name), dtype)
    y = RUNS[run](_function(name, parameters))(tf.constant(x))
    expected = VALUES[name](x.astype("float64"), **rounded(parameters, dtype))
    assert y.dtype.name == dtype
    error = np.abs(y.numpy().astype("float64") - expected)
    assert np.all(error <= _tolerance(name, parameters, dtype, expected)), (error / ulp(dtype, expected)).max()


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", ELEMENTWISE, ids=_label)
def test_special_values(case, dtype, run):
    name, parameters = case
    large = float(tf.as_dtype(dtype).max)
    x = np.array([np.nan, -np.inf, np.inf, 0.0, -0.0, -large, large])
    y = RUNS[run](_function(name, parameters))(tf.constant(array(x, dtype))).numpy().astype("float64")
    with np.errstate(all="ignore"):  # 0 * inf in the reference, corrected below
        expected = VALUES[name](x, **rounded(parameters, dtype))
    if parameters.get("alpha") == 0:
        expected[1] = parameters["theta"] if parameters.get("mode") == "continuous" else 0.0
    if name not in KINKS:
        expected[1:3] = ka.spec(name).limits
    expected = np.where(np.abs(expected) > large, np.copysign(np.inf, expected), expected)
    np.testing.assert_allclose(y, expected, rtol=0.01, atol=1e-6)
    assert np.isnan(y[0])
    assert np.isfinite(y[3:5]).all()


@pytest.mark.parametrize("name", [name for name in ka.names() if ka.spec(name).limits])
def test_limits_and_range_of_the_spec(name):
    spec = ka.spec(name)
    y = spec.function(tf.constant([-np.inf, np.inf])).numpy()
    np.testing.assert_allclose(y, spec.limits)
    y = spec.function(tf.constant(np.concatenate([np.linspace(-30, 30, 60001), [-1e9, 1e9]]))).numpy()
    low, high = spec.output_range
    assert low - 1e-6 <= y.min()
    assert y.max() <= high
    assert y.min() - low < 0.01 or low == -np.inf


def _gradients(function, x):
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = function(x)
        first = inner.gradient(y, x)
    return first, outer.gradient(first, x, unconnected_gradients="zero")


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("case", ELEMENTWISE, ids=_label)
def test_gradients_equal_central_differences(case, run):
    name, parameters = case
    kink = KINKS.get(name, lambda **_: (0.0, 0.0))(**parameters)[0]
    x = np.random.default_rng(1).uniform(-6, 6, 400)
    x = x[np.abs(x - kink) > 1e-2]
    reference = lambda x: VALUES[name](x, **parameters)  # noqa: E731
    first, second = RUNS[run](lambda x: _gradients(_function(name, parameters), x))(tf.constant(x))
    h = 1e-5
    np.testing.assert_allclose(first, (reference(x + h) - reference(x - h)) / (2 * h), atol=1e-8)
    h = 1e-3
    expected = (reference(x + h) - 2 * reference(x) + reference(x - h)) / h**2
    np.testing.assert_allclose(second, expected, atol=2e-6)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", [case for case in CASES if case[0] in KINKS], ids=_label)
def test_gradient_at_the_kink_by_definition(case, dtype, run):
    name, parameters = case
    place, slope = KINKS[name](**parameters)
    # just below theta, where the dtype does not hold it
    x = ka.functions._round_down(float(np.float32(place)) if dtype != "float64" else place, dtype)
    first, _ = RUNS[run](lambda x: _gradients(_function(name, parameters), x))(tf.constant([x], dtype))
    np.testing.assert_allclose(first.numpy().astype("float64"), [slope], rtol=0.01)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", ELEMENTWISE, ids=_label)
def test_gradients_at_infinity_are_the_limits(case, dtype, run):
    name, parameters = case
    first, _ = RUNS[run](lambda x: _gradients(_function(name, parameters), x))(tf.constant([-np.inf, np.inf], dtype))
    left = parameters.get("alpha", 0.0) if name in ("leaky_relu", "prelu", "trelu") else 0.0
    right = 1.0 if np.isinf(ka.spec(name).limits[1]) else 0.0
    np.testing.assert_allclose(first.numpy().astype("float64"), [left, right], rtol=0.01)


@pytest.mark.parametrize("dtype", DTYPES)
def test_mish_gradient_is_nan_for_nan(dtype):
    for run in RUNS.values():
        first, _ = run(lambda x: _gradients(ka.functions.mish, x))(tf.constant([np.nan], dtype))
        assert np.isnan(first.numpy().astype("float64")).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_mish_gradient_is_as_exact_as_its_value(dtype):
    x = array(np.linspace(-20, 20, 20001), dtype)
    z = x.astype("float64")
    t = np.tanh(np.logaddexp(0, z))
    expected = t + z * (1 - t**2) * VALUES["sigmoid"](z)
    for run in RUNS.values():
        first, _ = run(lambda x: _gradients(ka.functions.mish, x))(tf.constant(x))
        error = np.abs(first.numpy().astype("float64") - expected)
        units, absolute = {"float32": (8, 4e-7), "float64": (16, 1e-14)}.get(dtype, (1, 2e-7))  # it cancels at its root
        assert np.all(error <= np.maximum(units * ulp(dtype, expected), absolute))


def test_mish_is_exact_in_graphs_where_the_fused_kernel_of_keras_is_not():
    """Keras' is 0 below -17 in a CPU graph, and NaN at -inf."""
    x = np.linspace(-80.0, -10.0, 4001)
    y = tf.function(ka.functions.mish)(tf.constant(x, "float32"))
    np.testing.assert_allclose(y, VALUES["mish"](np.float32(x).astype("float64")), rtol=1e-6)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [-1, 2, (1, -1), [3, 2]])
@pytest.mark.parametrize("rank", [4, 6])
def test_softmax_of_many_axes(dtype, run, axis, rank):
    """More than oneDNN's kernel takes, or several together: Keras' own raises for each of these, here or there."""
    x = array(np.random.default_rng(0).normal(size=(2, 3, 7, 50, 1, 4)[:rank]) * 5, dtype)
    softmax = RUNS[run](lambda x: ka.functions.softmax(x, axis=axis))
    y = softmax(tf.constant(x)).numpy().astype("float64")
    expected = VALUES["softmax"](x.astype("float64"), axis=tuple(axis) if isinstance(axis, list) else axis)
    assert np.all(np.abs(y - expected) <= _tolerance("softmax", {}, dtype, expected))


@pytest.mark.filterwarnings("ignore:You are using a softmax")  # which is always 1, as Keras says
def test_softmax_over_no_axis_is_one():
    np.testing.assert_array_equal(ka.functions.softmax(np.ones((2, 3), "float32"), axis=()), np.ones((2, 3)))


@pytest.mark.parametrize("axis", [-1, (1, 2)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_of_unknown_sizes(dtype, axis):
    x = array(np.random.default_rng(0).normal(size=(5, 3, 4)), dtype)
    softmax = tf.function(lambda x: ka.functions.softmax(x, axis=axis))
    y = softmax.get_concrete_function(tf.TensorSpec([None, None, 4], dtype))(tf.constant(x))
    expected = VALUES["softmax"](x.astype("float64"), axis=axis)
    assert np.all(np.abs(y.numpy().astype("float64") - expected) <= _tolerance("softmax", {}, dtype, expected))


@pytest.mark.parametrize("axis", [-1, 0, (0, 2)])
@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_softmax_of_half_precision_has_two_derivatives(monkeypatch, run, axis, dtype):
    monkeypatch.setattr(functions, "runs_exact_softmax", lambda x: False)
    monkeypatch.setattr(lowering, "_LARGE", 0)
    x, weights = np.random.default_rng(0).normal(0, 2, (2, 3, 4, 5))

    def derivatives(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = ka.functions.softmax(x, axis=axis) * tf.cast(weights, x.dtype)
            first = inner.gradient(y, x)
            weighted = first * tf.cast(weights, x.dtype)
        return first, outer.gradient(weighted, x)

    half = tf.cast(x, dtype)
    for found, exact in zip(RUNS[run](derivatives)(half), derivatives(tf.cast(half, "float64")), strict=True):
        assert found.dtype == dtype
        atol = 4 * float(ml_dtypes.finfo(dtype).eps) * np.abs(exact).max()
        np.testing.assert_allclose(tf.cast(found, "float64"), exact, rtol=0, atol=atol)


def test_mish_keeps_only_its_input_for_the_backward_pass():
    assert saved_for_backward(ka.functions.mish, "float32") == 4
    assert saved_for_backward(ka.functions.mish, "bfloat16") == 2
    assert saved_for_backward(keras.activations.mish, "float32") > 4


@pytest.mark.parametrize("name", ["prelu", "trelu", "elu"])
def test_trained_parameters_keep_only_the_input_for_the_backward_pass(name):
    function = ka.spec(name).function
    alpha = (tf.fill([256], 0.25),)
    for dtype, size in (("float32", 4), ("bfloat16", 2)):
        kept = saved_for_backward(lambda x, a: function(x, alpha=a), dtype, alpha)
        assert size <= kept < size + 0.1  # alpha itself, shared by 64 rows


@pytest.mark.parametrize("run", ["graph", "xla"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["mish", "prelu", "elu", "trelu", "softmax"])
def test_traced_graphs_are_let_go(name, dtype, run):
    """TensorFlow keeps the gradients of `tf.custom_gradient` for ever, and what they were traced in."""
    parameters = {p.name: tf.constant(0.3) for p in ka.spec(name).trained}
    arguments = (tf.ones([2, 3], dtype), parameters)

    def trace():
        def step(x, parameters):
            return _gradients(lambda z: ka.spec(name).function(z, **parameters), x)

        function = RUNS[run](step)
        function(*arguments)
        return weakref.ref(function.get_concrete_function(*arguments).graph)

    graphs = [trace() for _ in range(3)]
    gc.collect()
    assert [graph() for graph in graphs] == [None] * 3


@pytest.mark.parametrize("run", RUNS)
def test_second_derivatives_with_trained_parameters(run):
    """Of ELU: alpha * exp(x) for x, exp(x) for x and alpha, at and below 0; and 0 above."""
    x, alpha = tf.constant([[-2.0, 0.5], [-0.5, -3.0]]), tf.constant([0.3, 2.0])

    def second(x, alpha):
        with tf.GradientTape(persistent=True) as outer:
            outer.watch((x, alpha))
            first, _ = _gradients(lambda z: ka.functions.elu(z, alpha=alpha), x)
        return outer.gradient(first, x), outer.gradient(first, alpha)

    by_x, by_alpha = RUNS[run](second)(x, alpha)
    slope = np.where(x > 0, 0, np.exp(x))
    np.testing.assert_allclose(by_x, alpha * slope, rtol=1e-6)
    np.testing.assert_allclose(by_alpha, slope.sum(axis=0), rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "extra"),
    [("leaky_relu", {}), ("prelu", {}), ("elu", {}), *(("trelu", {"mode": mode}) for mode in ka.functions.MODES)],
)
def test_tensor_parameters_equal_numbers(name, extra, dtype):
    rows = [{"alpha": alpha} for alpha in (0.0, 0.2, 0.1)]
    if name == "trelu":
        rows = [{**row, "theta": theta} for row in rows for theta in (-0.4, 0.7)]
    x = array(np.concatenate([np.linspace(-3, 3, 301), [np.nan, -np.inf, np.inf, 0.7, -0.4]]), dtype)
    kept = "float64" if dtype == "float64" else "float32"
    stacked = {key: tf.constant([[row[key]] for row in rows], kept) for key in rows[0]}
    function = ka.spec(name).function
    together = function(tf.constant(np.stack([x] * len(rows))), **stacked, **extra).numpy().astype("float64")
    for row, y in zip(rows, together, strict=True):
        alone = function(tf.constant(x), **row, **extra).numpy().astype("float64")
        rtol = {"float16": 1e-3, "bfloat16": 8e-3}.get(dtype, 1e-6)
        np.testing.assert_allclose(y, alone, rtol=rtol, atol=1e-7)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", ["leaky_relu", "elu", "trelu"])
def test_gradients_of_trained_parameters_survive_infinity(name, run):
    x = tf.constant([-np.inf, -1.0, 0.5, np.inf])
    parameters = {p.name: tf.constant(0.0 if p.name == "alpha" else 0.2) for p in ka.spec(name).trained}

    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            y = ka.spec(name).function(x, **parameters)[1:]
        return tape.gradient(y, parameters, unconnected_gradients="zero")

    found = RUNS[run](gradients)()
    expected = np.expm1(-1.0) if name == "elu" else -1.0
    np.testing.assert_allclose(found["alpha"], expected, rtol=1e-6)
    assert float(found.get("theta", 0.0)) == 0


def test_a_diverged_alpha_stays_visible():
    for theta in (0.0, 0.5):
        y = ka.functions.trelu(tf.constant([-1.0, 2.0]), alpha=tf.constant(np.nan), theta=theta)
        assert np.isnan(y[0])


@pytest.mark.parametrize("run", RUNS)
def test_theta_of_the_hinge_has_its_exact_gradient(run):
    x, alpha, theta = tf.constant([-2.0, 0.3, 0.5, 0.9]), tf.constant(0.25), tf.constant(0.5)

    def gradient(mode):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(theta)
            y = ka.functions.trelu(x, alpha=alpha, theta=theta, mode=mode)
        return tape.jacobian(y, theta, experimental_use_pfor=False)

    np.testing.assert_allclose(RUNS[run](lambda: gradient("continuous"))(), [0.75, 0.75, 0.75, 0.0])
    np.testing.assert_allclose(RUNS[run](lambda: gradient("keras"))(), [-0.25, -0.25, -0.25, 0.0])


@pytest.mark.parametrize("mode", ka.functions.MODES)
@pytest.mark.parametrize("kernel", ka.functions.KERNELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_surrogate_is_the_gradient_of_the_expected_value(mode, kernel, dtype):
    # uniform x: d/dtheta of the mean of trelu(x) is known, jump included, and the surrogate must estimate it
    alpha, theta = 0.25, tf.constant(0.5)
    x = tf.cast(tf.linspace(tf.constant(-4.0, "float64"), 4.0, 160001), dtype)
    with tf.GradientTape() as tape:
        tape.watch(theta)
        y = ka.functions.trelu(x, alpha=tf.constant(alpha), theta=theta, mode=mode)
        z = ka.functions.surrogate_theta(
            y, x, alpha=tf.constant(alpha), theta=theta, mode=mode, bandwidth=0.5, kernel=kernel
        )
        mean = tf.reduce_mean(tf.cast(z, "float64"))
    np.testing.assert_array_equal(y, z)
    exact = {
        "threshold": -(1 - alpha) * 0.5 / 8,
        "continuous": (1 - alpha) * 4.5 / 8,
        "keras": -0.5 / 8 - alpha * 4.5 / 8,
    }
    np.testing.assert_allclose(tape.gradient(mean, theta), exact[mode], rtol=0.02 if "loat16" in dtype else 1e-3)


def test_unknown_modes_and_kernels_are_refused():
    x = tf.constant([1.0])
    with pytest.raises(ValueError, match="mode must be one of"):
        ka.functions.trelu(x, mode="hinge")
    with pytest.raises(ValueError, match="kernel must be one of"):
        ka.functions.surrogate_theta(x, x, alpha=0.0, theta=x, kernel="box")


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", ["leaky_relu", "prelu", "trelu", "elu"])
def test_gradient_at_the_kink_with_tensor_parameters(name, run):
    parameters = {p.name: tf.constant(0.5 if p.name == "alpha" else 0.25) for p in ka.spec(name).trained}
    x = tf.constant([0.25 if "theta" in parameters else 0.0])
    first, _ = RUNS[run](lambda x: _gradients(_function(name, parameters), x))(x)
    np.testing.assert_allclose(first, [0.5])


@pytest.mark.parametrize("case", CASES, ids=_label)
def test_symbolic_inputs_make_a_functional_model_that_saves(case, tmp_path):
    name, parameters = case
    inputs = keras.Input((5,))
    model = keras.Model(inputs, ka.spec(name).function(keras.layers.Dense(4)(inputs), **parameters))
    x = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(
        keras.models.load_model(tmp_path / "m.keras").predict(x, verbose=0), model.predict(x, verbose=0)
    )


@pytest.mark.parametrize("name", ["prelu", "leaky_relu", "elu", "trelu"])
def test_empty_batches(name):
    x, alpha = tf.zeros((0, 4)), tf.fill([4], 0.5)
    for run in RUNS.values():
        assert run(lambda x, alpha: ka.spec(name).function(x, alpha=alpha))(x, alpha).shape == (0, 4)


def test_arrays_lists_and_integers():
    for x in (np.array([-1, 2]), [-1, 2], [-1.0, 2.0], np.array([-1.0, 2.0])):
        np.testing.assert_allclose(ka.functions.mish(x), VALUES["mish"](np.array([-1.0, 2.0])), rtol=1e-6)


def test_mish_works_with_jacobian_and_unknown_shapes():
    x = tf.constant([[0.5, -1.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = ka.functions.mish(x)
    assert tape.jacobian(y, x).shape == (1, 2, 1, 2)
    f = tf.function(lambda x: _gradients(ka.functions.mish, x)[0], input_signature=[tf.TensorSpec([None, None])])
    assert f(x).shape == (1, 2)
    assert f(tf.zeros([3, 4])).shape == (3, 4)


@pytest.mark.parametrize("alpha", [0.1, 0.25, 0.3, 1 / 3, 0.999, -0.7, 1.9])
def test_threshold_relu_of_an_export_is_the_identity_above_theta(alpha):
    x = np.concatenate([np.linspace(-90, 90, 4001), [0.5, -1000, 1000, 1e30, -1e30, np.nan]]).astype("float32")
    with serving():
        values = [functions.trelu(keras.ops.convert_to_tensor(x), alpha=a, theta=0.5) for a in (alpha, _tensor(alpha))]
    expected = np.where(x > np.float32(0.5), x, np.float32(alpha) * x)
    for value in map(keras.ops.convert_to_numpy, values):
        if 0 <= alpha <= 1:
            np.testing.assert_array_equal(value, expected)
        np.testing.assert_allclose(value, expected, rtol=2.4e-7)


def _tensor(value):
    return keras.ops.convert_to_tensor(np.float32(value))
