"""The contract of every registered activation.

Values, limits and gradients, in each dtype and way to run.
"""

import functools
import gc
import itertools
import weakref
from typing import NamedTuple

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

import keras_acts as ka
from benchmarks.activations import saved_for_backward
from keras_acts import functions, lowering
from keras_acts.target import serving
from tests.helpers.references import DERIVATIVES, KINKS, VALUES, array, rounded, ulp

DTYPES = ("float16", "bfloat16", "float32", "float64")
# without AutoGraph, which reads and rewrites each test's source anew; one test runs all that is
# registered with it
RUNS = {
    "eager": lambda f: f,
    "graph": lambda f: tf.function(f, autograph=False),
    "xla": lambda f: tf.function(f, jit_compile=True, autograph=False),
}
ALPHAS, THETAS = (0.0, 0.1), (0.7, -0.3, 0.0)
# every registered activation with its defaults, and what else has a path of its own
OTHERS = [(name, ka.spec(name).defaults) for name in ka.names()] + [
    ("leaky_relu", {"alpha": 0.0}),
    ("leaky_relu", {"alpha": 0.1}),
    ("leaky_relu", {"alpha": -1.5}),
    ("elu", {"alpha": 0.3}),
    ("softmax", {"axis": 0}),
]
TRELUS = [
    ("trelu", {"alpha": alpha, "theta": theta, "mode": mode})
    for alpha, theta, mode in itertools.product(ALPHAS, THETAS, functions.MODES)
]
# what is compiled branches on alpha and mode: each pair of them once, and each theta twice
COMPILED_TRELUS = [
    ("trelu", {"alpha": alpha, "theta": THETAS[(i - j) % 3], "mode": mode})
    for (i, mode), (j, alpha) in itertools.product(enumerate(functions.MODES), enumerate(ALPHAS))
]
CASES = OTHERS + TRELUS


@pytest.fixture(autouse=True)
def _seeded():
    """Not for each of so many tests, which draw nothing.

    TensorFlow lets go of its kernels as it takes a seed.
    """


def _label(case):
    return f"{case[0]}({','.join(f'{value}' for value in case[1].values())})"


def _cases(run):
    return CASES if run == "eager" else OTHERS + COMPILED_TRELUS


def _marks(dtype, run):
    """At the lowest versions: eager mode and XLA, in float32 and bfloat16."""
    everywhere = run != "graph" and dtype in ("float32", "bfloat16")
    return () if everywhere else pytest.mark.once


DTYPE_PARAMS = [pytest.param(dtype, marks=_marks(dtype, "eager")) for dtype in DTYPES]
RUN_PARAMS = [pytest.param(run, marks=_marks("float32", run)) for run in RUNS]


# what fast tests leave to the others: graphs and XLA have a dtype of each kind without these
SLOW_WAYS = {("float16", "graph"), ("float64", "graph"), ("float64", "xla")}


def _grid(cases):
    """Each of the cases in each dtype and way to run, one way after another.

    They share what is expected.
    """
    params = []
    for case, dtype, run in itertools.product(cases, DTYPES, RUNS):
        marks = [_marks(dtype, run)] if _marks(dtype, run) else []
        if (dtype, run) in SLOW_WAYS:
            marks.append(pytest.mark.slow)
        if case in _cases(run):
            params.append(
                pytest.param(case, dtype, run, id=f"{_label(case)}-{dtype}-{run}", marks=marks)
            )
    return params


SOFTMAXES = [case for case in CASES if case[0] == "softmax"]
ELEMENTWISE = [case for case in CASES if case not in SOFTMAXES]


def _function(name, parameters):
    return lambda x: ka.spec(name).function(x, **parameters)


def _absolute(name, parameters, dtype):
    """The bound near roots, where the sums inside cancel."""
    cancels = (
        name in ("sigmoid", "tanh", "softmax", "elu") or parameters.get("mode") == "continuous"
    )
    return {"float32": 4e-7, "float64": 1e-15}.get(dtype, 0.0) if cancels else 0.0


def _tolerance(name, parameters, dtype, expected):
    units = {"float16": 1, "bfloat16": 1, "float32": 8, "float64": 16}[dtype]
    return np.maximum(_absolute(name, parameters, dtype), units * ulp(dtype, expected))


def _slope_tolerance(name, dtype, expected):
    if name == "mish":  # as exact as its value; it cancels at its root
        units, absolute = {"float32": (8, 4e-7), "float64": (16, 1e-14)}.get(dtype, (1, 2e-7))
        return np.maximum(units * ulp(dtype, expected), absolute)
    cancels = name in ("sigmoid", "tanh", "elu")  # 1 - y of a y that is a few units off
    absolute = 16 * float(ml_dtypes.finfo(dtype).eps) if cancels else 0.0
    return np.maximum(ulp(dtype, expected), absolute)


@functools.lru_cache(maxsize=2 * len(DTYPES))
def _inputs(name, dtype):
    rng = np.random.default_rng(0)
    if name == "softmax":
        return array(rng.normal(size=(400, 10)) * 5, dtype)
    near = np.logspace(-6, 1.3, 20000)
    x = array(
        np.concatenate([np.linspace(-20, 20, 80001), rng.normal(size=20000), near, -near]), dtype
    )
    # each number once: half precision has few
    return array(np.unique(x.astype("float64")), dtype)


def _special(name, parameters, dtype):
    """NaN, the infinities, zeros, the largest numbers, and the kink.

    Or just below it, where `dtype` lacks it.
    """
    large = float(tf.as_dtype(dtype).max)
    place, _ = KINKS.get(name, lambda **_: (0.0, 0.0))(**parameters)
    if dtype != "float64":
        place = float(np.float32(place))
    return np.array(
        [np.nan, -np.inf, np.inf, 0.0, -0.0, -large, large, functions._round_down(place, dtype)]
    )


def _value_and_gradient(function, x, weights=None):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return y, tape.gradient(y, x, weights)


def _double(tensor):
    return tensor.numpy().astype("float64")


def _assert_values(case, dtype, x, y):
    name, parameters = case
    expected = VALUES[name](x.astype("float64"), **rounded(parameters, dtype))
    _assert_near(dtype, y, expected, _tolerance(name, parameters, dtype, expected))


def _assert_gradients(case, dtype, x, slope):
    name, parameters = case
    expected = DERIVATIVES[name](x.astype("float64"), **rounded(parameters, dtype))
    _assert_near(dtype, slope, expected, _slope_tolerance(name, dtype, expected))


def _assert_near(dtype, found, expected, tolerance):
    error = np.abs(found - expected)
    assert np.all(error <= tolerance), (error / ulp(dtype, expected)).max()


class _Expected(NamedTuple):
    """What a function of many numbers is, and how far from it a result may be; and its gradient."""

    values: np.ndarray
    values_within: np.ndarray
    slopes: np.ndarray
    slopes_within: np.ndarray


@functools.lru_cache(maxsize=1)
def _expected_of(name, parameters, dtype):
    """Of `_inputs`; made once for all ways to run, which follow one another."""
    x = _inputs("elementwise", dtype).astype("float64")
    values = VALUES[name](x, **rounded(dict(parameters), dtype))
    slopes = DERIVATIVES[name](x, **rounded(dict(parameters), dtype))
    values_within = _tolerance(name, dict(parameters), dtype, values)
    return _Expected(values, values_within, slopes, _slope_tolerance(name, dtype, slopes))


def _assert_special(case, dtype, y, slope):
    """Values and gradients at what `_special` returns."""
    name, parameters = case
    x = _special(name, parameters, dtype)
    large = float(tf.as_dtype(dtype).max)
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
    if name == "mish":
        assert np.isnan(slope[0])
    left = parameters.get("alpha", 0.0) if name in ("leaky_relu", "prelu", "trelu") else 0.0
    right = 1.0 if np.isinf(ka.spec(name).limits[1]) else 0.0
    np.testing.assert_allclose(slope[1:3], [left, right], rtol=0.01)
    if name in KINKS:
        _, by_definition = KINKS[name](**parameters)
        np.testing.assert_allclose(slope[7], by_definition, rtol=0.01)


@pytest.mark.parametrize(("case", "dtype", "run"), _grid(ELEMENTWISE))
def test_values_and_gradients(case, dtype, run):
    """Also where they are special: at NaN, the infinities, the largest numbers and the kink."""
    name, parameters = case
    special = array(_special(name, parameters, dtype), dtype)
    usual = _inputs("elementwise", dtype)
    x = np.concatenate(
        [special, usual, special]
    )  # loops have one kind of code for most and another for the last
    function = _function(name, parameters)
    y, slope = RUNS[run](lambda x: _value_and_gradient(function, x))(tf.constant(x))
    assert y.dtype.name == slope.dtype.name == dtype
    if run == "eager":  # where no tape looks on, other code runs
        np.testing.assert_array_equal(_double(function(tf.constant(x))), _double(y))
    y, slope, n = _double(y), _double(slope), len(special)
    expected = _expected_of(name, tuple(parameters.items()), dtype)
    _assert_near(dtype, y[n:-n], expected.values, expected.values_within)
    _assert_near(dtype, slope[n:-n], expected.slopes, expected.slopes_within)
    _assert_special(case, dtype, y[:n], slope[:n])
    _assert_special(case, dtype, y[-n:], slope[-n:])


@pytest.mark.parametrize(("case", "dtype", "run"), _grid(SOFTMAXES))
def test_values_and_gradients_of_softmax(case, dtype, run):
    x = _inputs("softmax", dtype)
    function = _function(*case)
    y, slope = RUNS[run](lambda x: _value_and_gradient(function, x, weights=x))(tf.constant(x))
    assert y.dtype.name == slope.dtype.name == dtype
    _assert_values(case, dtype, x, _double(y))
    z, axis = x.astype("float64"), case[1]["axis"]
    exact = VALUES["softmax"](z, axis)
    expected = exact * (z - (exact * z).sum(axis=axis, keepdims=True))
    atol = (
        4 * float(ml_dtypes.finfo(dtype).eps) * np.abs(z).max()
    )  # what is subtracted is that large
    np.testing.assert_allclose(_double(slope), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", DTYPE_PARAMS)
@pytest.mark.parametrize("case", ELEMENTWISE, ids=_label)
def test_tensors_of_one_element(case, dtype):
    """Their kernels are others."""
    name, parameters = case
    special = array(_special(name, parameters, dtype), dtype)
    usual = array([-17.0, -2.1, -0.3, 0.4, 1.9, 11.0], dtype)
    function = _function(name, parameters)
    found = [
        _value_and_gradient(function, tf.constant(x[None]))
        for x in np.concatenate([special, usual])
    ]
    y, slope = (
        np.concatenate([_double(tensor) for tensor in tensors])
        for tensors in zip(*found, strict=True)
    )
    n = len(special)
    _assert_special(case, dtype, y[:n], slope[:n])
    _assert_values(case, dtype, usual, y[n:])
    _assert_gradients(case, dtype, usual, slope[n:])


@pytest.mark.parametrize("run", [param for param in RUN_PARAMS if param.values[0] != "eager"])
def test_values_of_a_graph_without_gradients(run):
    """As `predict` runs them, where Grappler and XLA fuse other operations.

    All in one graph, and with AutoGraph.
    """
    inputs = {}
    for name, dtype in itertools.product(ka.names(), DTYPES):
        inputs[name, dtype] = _inputs("softmax" if name == "softmax" else "elementwise", dtype)
    arguments = [tf.constant(x) for x in inputs.values()]

    def values(*arguments):
        return [ka.spec(name).function(x) for (name, _), x in zip(inputs, arguments, strict=True)]

    found = tf.function(values, jit_compile=run == "xla", autograph=run == "graph")(*arguments)
    for ((name, dtype), x), y in zip(inputs.items(), found, strict=True):
        _assert_values((name, ka.spec(name).defaults), dtype, x, _double(y))


@pytest.mark.parametrize("name", [name for name in ka.names() if ka.spec(name).limits])
def test_limits_and_range_of_the_spec(name):
    spec = ka.spec(name)
    y = spec.function(tf.constant([-np.inf, np.inf])).numpy()
    np.testing.assert_allclose(y, spec.limits)
    y = spec.function(
        tf.constant(np.concatenate([np.linspace(-30, 30, 60001), [-1e9, 1e9]]))
    ).numpy()
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


@pytest.mark.parametrize(
    ("case", "run"),
    [
        pytest.param(case, run, id=f"{_label(case)}-{run}", marks=_marks("float32", run))
        for run in RUNS
        for case in _cases(run)
        if case in ELEMENTWISE
    ],
)
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


def test_mish_is_exact_in_graphs_where_the_fused_kernel_of_keras_is_not():
    """Keras' is 0 below -17 in a CPU graph, and NaN at -inf."""
    x = np.linspace(-80.0, -10.0, 4001)
    y = tf.function(ka.functions.mish)(tf.constant(x, "float32"))
    np.testing.assert_allclose(y, VALUES["mish"](np.float32(x).astype("float64")), rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "run"),
    [
        pytest.param(dtype, run, marks=_marks(dtype, run))
        for dtype, run in itertools.product(DTYPES, RUNS)
    ],
)
def test_softmax_of_many_axes(dtype, run):
    """More than oneDNN's kernel takes, or several together.

    Keras' own raises for each of these, here or there.
    """
    x = array(np.random.default_rng(0).normal(size=(2, 3, 7, 50, 1, 4)) * 5, dtype)
    four_axes = x[..., 0, 0]
    ways = [(four_axes, (1, -1)), (four_axes, [3, 2]), (x, -1), (x, 2)]
    if run != "xla":  # which runs one function for these: it knows no kernels
        ways += [(four_axes, -1), (four_axes, 2), (x, (1, -1)), (x, [3, 2])]

    def softmaxes(*tensors):
        return [
            ka.functions.softmax(z, axis=axis) for z, (_, axis) in zip(tensors, ways, strict=True)
        ]

    found = RUNS[run](softmaxes)(*(tf.constant(x) for x, _ in ways))
    for (x, axis), y in zip(ways, found, strict=True):
        numpy_axis = tuple(axis) if isinstance(axis, list) else axis
        expected = VALUES["softmax"](x.astype("float64"), axis=numpy_axis)
        assert np.all(
            np.abs(_double(y) - expected) <= _tolerance("softmax", {}, dtype, expected)
        ), (x.shape, axis)


@pytest.mark.filterwarnings("ignore:You are using a softmax")  # which is always 1, as Keras says
def test_softmax_over_no_axis_is_one():
    np.testing.assert_array_equal(
        ka.functions.softmax(np.ones((2, 3), "float32"), axis=()), np.ones((2, 3))
    )


@pytest.mark.parametrize("dtype", DTYPE_PARAMS)
def test_softmax_of_unknown_sizes(dtype):
    x = array(np.random.default_rng(0).normal(size=(5, 3, 4)), dtype)
    axes = [-1, (1, 2)]
    softmaxes = tf.function(lambda x: [ka.functions.softmax(x, axis=axis) for axis in axes])
    found = softmaxes.get_concrete_function(tf.TensorSpec([None, None, 4], dtype))(tf.constant(x))
    for axis, y in zip(axes, found, strict=True):
        expected = VALUES["softmax"](x.astype("float64"), axis=axis)
        assert np.all(
            np.abs(_double(y) - expected) <= _tolerance("softmax", {}, dtype, expected)
        ), axis


@pytest.mark.parametrize(
    ("dtype", "run"),
    [
        pytest.param(dtype, run, marks=_marks(dtype, run))
        for dtype, run in itertools.product(DTYPES[:2], RUNS)
    ],
)
def test_softmax_of_half_precision_has_two_derivatives(monkeypatch, dtype, run):
    monkeypatch.setattr(functions, "runs_exact_softmax", lambda x: False)
    monkeypatch.setattr(lowering, "_LARGE", 0)
    x, weights = np.random.default_rng(0).normal(0, 2, (2, 3, 4, 5))

    def derivatives(x, axis):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = ka.functions.softmax(x, axis=axis) * tf.cast(weights, x.dtype)
            first = inner.gradient(y, x)
            weighted = first * tf.cast(weights, x.dtype)
        return first, outer.gradient(weighted, x)

    axes = [-1, 0, (0, 2)]
    half = tf.cast(x, dtype)
    for axis, together in zip(
        axes, RUNS[run](lambda x: [derivatives(x, a) for a in axes])(half), strict=True
    ):
        for found, exact in zip(together, derivatives(tf.cast(half, "float64"), axis), strict=True):
            assert found.dtype == dtype
            atol = 4 * float(ml_dtypes.finfo(dtype).eps) * np.abs(exact).max()
            np.testing.assert_allclose(
                tf.cast(found, "float64"), exact, rtol=0, atol=atol, err_msg=f"axis={axis}"
            )


@pytest.mark.parametrize("dtype", DTYPE_PARAMS)
def test_outputs_carry_the_logits_that_losses_look_for(dtype):
    """Keras' own functions leave them too, but some of ours are not made of these.

    Half precision, many axes.
    """
    x = tf.constant([[-2.0, 1.0], [0.5, 3.0]], dtype)
    for y in (
        ka.functions.sigmoid(x),
        ka.functions.softmax(x),
        ka.functions.softmax(x, axis=(0, 1)),
    ):
        np.testing.assert_array_equal(_double(y._keras_logits), _double(x))


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


# what compiles them takes its time, and holds the same graphs
@pytest.mark.parametrize("run", ["graph", pytest.param("xla", marks=pytest.mark.slow)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_traced_graphs_are_let_go(dtype, run):
    """TensorFlow keeps the gradients of `tf.custom_gradient` for ever, and what they were traced in."""
    x = tf.ones([2, 3], dtype)

    def trace(name):
        parameters = {p.name: tf.constant(0.3) for p in ka.spec(name).trained}

        def step(x, parameters):
            return _gradients(lambda z: ka.spec(name).function(z, **parameters), x)

        return weakref.ref(RUNS[run](step).get_concrete_function(x, parameters).graph)

    names = ["mish", "prelu", "elu", "trelu", "softmax"]
    graphs = [(name, trace(name)) for name in names * 2]
    gc.collect()
    assert [name for name, graph in graphs if graph() is not None] == []


@pytest.mark.parametrize("run", RUN_PARAMS)
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


@pytest.mark.parametrize("dtype", DTYPE_PARAMS)
@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("leaky_relu", {}),
        ("prelu", {}),
        ("elu", {}),
        *(("trelu", {"mode": mode}) for mode in ka.functions.MODES),
    ],
)
def test_tensor_parameters_equal_numbers(name, extra, dtype):
    rows = [{"alpha": alpha} for alpha in (0.0, 0.2, 0.1)]
    if name == "trelu":
        rows = [{**row, "theta": theta} for row in rows for theta in (-0.4, 0.7)]
    x = array(
        np.concatenate([np.linspace(-3, 3, 301), [np.nan, -np.inf, np.inf, 0.7, -0.4]]), dtype
    )
    kept = "float64" if dtype == "float64" else "float32"
    stacked = {key: tf.constant([[row[key]] for row in rows], kept) for key in rows[0]}
    function = ka.spec(name).function
    together = (
        function(tf.constant(np.stack([x] * len(rows))), **stacked, **extra)
        .numpy()
        .astype("float64")
    )
    for row, y in zip(rows, together, strict=True):
        alone = function(tf.constant(x), **row, **extra).numpy().astype("float64")
        rtol = {"float16": 1e-3, "bfloat16": 8e-3}.get(dtype, 1e-6)
        np.testing.assert_allclose(y, alone, rtol=rtol, atol=1e-7)


@pytest.mark.parametrize("run", RUN_PARAMS)
@pytest.mark.parametrize("name", ["leaky_relu", "elu", "trelu"])
def test_gradients_of_trained_parameters_survive_infinity(name, run):
    x = tf.constant([-np.inf, -1.0, 0.5, np.inf])
    parameters = {
        p.name: tf.constant(0.0 if p.name == "alpha" else 0.2) for p in ka.spec(name).trained
    }

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


@pytest.mark.parametrize("run", RUN_PARAMS)
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
@pytest.mark.parametrize("dtype", DTYPE_PARAMS)
def test_surrogate_is_the_gradient_of_the_expected_value(mode, kernel, dtype):
    # uniform x: d/dtheta of the mean of trelu(x) is known, jump included, and the surrogate must
    # estimate it
    alpha, theta = 0.25, tf.constant(0.5)
    x = tf.cast(tf.linspace(tf.constant(-4.0, "float64"), 4.0, 40001), dtype)
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
    np.testing.assert_allclose(
        tape.gradient(mean, theta), exact[mode], rtol=0.02 if "loat16" in dtype else 1e-3
    )


def test_unknown_modes_and_kernels_are_refused():
    x = tf.constant([1.0])
    with pytest.raises(ValueError, match="mode must be one of"):
        ka.functions.trelu(x, mode="hinge")
    with pytest.raises(ValueError, match="kernel must be one of"):
        ka.functions.surrogate_theta(x, x, alpha=0.0, theta=x, kernel="box")


@pytest.mark.parametrize("run", RUN_PARAMS)
@pytest.mark.parametrize("name", ["leaky_relu", "prelu", "trelu", "elu"])
def test_gradient_at_the_kink_with_tensor_parameters(name, run):
    parameters = {
        p.name: tf.constant(0.5 if p.name == "alpha" else 0.25) for p in ka.spec(name).trained
    }
    x = tf.constant([0.25 if "theta" in parameters else 0.0])
    _, slope = RUNS[run](lambda x: _value_and_gradient(_function(name, parameters), x))(x)
    np.testing.assert_allclose(slope, [0.5])


def test_symbolic_inputs_make_a_functional_model_that_saves(tmp_path):
    inputs = keras.Input((5,))
    hidden = keras.layers.Dense(4)(inputs)
    outputs = [ka.spec(name).function(hidden, **parameters) for name, parameters in CASES]
    model = keras.Model(inputs, [hidden, *outputs])
    x = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    model.save(tmp_path / "m.keras")
    hidden, *expected = model.predict(x, verbose=0)
    _, *found = keras.models.load_model(tmp_path / "m.keras").predict(x, verbose=0)
    for (name, parameters), y, z in zip(CASES, expected, found, strict=True):
        np.testing.assert_array_equal(z, y, err_msg=name)
        np.testing.assert_allclose(
            y, VALUES[name](hidden, **parameters), rtol=1e-5, atol=1e-6, err_msg=name
        )


@pytest.mark.parametrize("name", ["prelu", "leaky_relu", "elu", "trelu"])
def test_empty_batches(name):
    x, alpha = tf.zeros((0, 4)), tf.fill([4], 0.5)
    for run in RUNS.values():
        assert run(lambda x, alpha: ka.spec(name).function(x, alpha=alpha))(x, alpha).shape == (
            0,
            4,
        )


def test_arrays_lists_and_integers():
    for x in (np.array([-1, 2]), [-1, 2], [-1.0, 2.0], np.array([-1.0, 2.0])):
        np.testing.assert_allclose(
            ka.functions.mish(x), VALUES["mish"](np.array([-1.0, 2.0])), rtol=1e-6
        )


def test_mish_works_with_jacobian_and_unknown_shapes():
    x = tf.constant([[0.5, -1.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = ka.functions.mish(x)
    assert tape.jacobian(y, x).shape == (1, 2, 1, 2)
    f = tf.function(
        lambda x: _value_and_gradient(ka.functions.mish, x)[1],
        input_signature=[tf.TensorSpec([None, None])],
    )
    assert f(x).shape == (1, 2)
    assert f(tf.zeros([3, 4])).shape == (3, 4)


@pytest.mark.parametrize("alpha", [0.1, 0.25, 0.3, 1 / 3, 0.999, -0.7, 1.9])
def test_threshold_relu_of_an_export_is_the_identity_above_theta(alpha):
    x = np.concatenate(
        [np.linspace(-90, 90, 4001), [0.5, -1000, 1000, 1e30, -1e30, np.nan]]
    ).astype("float32")
    with serving():
        values = [
            functions.trelu(keras.ops.convert_to_tensor(x), alpha=a, theta=0.5)
            for a in (alpha, _tensor(alpha))
        ]
    expected = np.where(x > np.float32(0.5), x, np.float32(alpha) * x)
    for value in map(keras.ops.convert_to_numpy, values):
        if 0 <= alpha <= 1:
            np.testing.assert_array_equal(value, expected)
        np.testing.assert_allclose(value, expected, rtol=2.4e-7)


def _tensor(value):
    return keras.ops.convert_to_tensor(np.float32(value))
