"""Mish in TensorFlow's own kernels, as populations trace it."""

import keras
import numpy as np
import pytest

from keras_acts import functions
from keras_acts.target import uncompiled

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the kernels are TensorFlow's"
)


def value_and_slope(x):
    """Mish and its derivative, traced without XLA."""
    import tensorflow as tf

    def traced(x):
        with uncompiled(), tf.GradientTape() as tape:
            tape.watch(x)
            y = functions.mish(x)
        with uncompiled():
            return y, tape.gradient(y, x)

    y, slope = tf.function(traced, autograph=False)(tf.constant(x))
    return y.numpy(), slope.numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value_and_gradient_are_exact(dtype):
    x = np.linspace(-60, 60, 4001).astype(dtype)
    wide = x.astype("longdouble")
    e = np.exp(wide)
    n = e * (e + 2)
    y, slope = value_and_slope(x)
    unit = np.finfo(dtype).eps
    # from -80 on the values are no longer above the least number of float32
    np.testing.assert_allclose(y, (wide * n / (n + 2)).astype(dtype), rtol=8 * unit)
    expected = n / (n + 2) + wide * 4 * (n - e) / (n + 2) ** 2
    np.testing.assert_allclose(slope, expected.astype(dtype), rtol=0, atol=8 * unit)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_stays_and_infinities_have_their_limits(dtype):
    # several of each: what a processor computes at once and what is left over are other code
    x = np.repeat(np.array([np.nan, np.inf, -np.inf, 1e30, -1e30], dtype), 19)
    y, slope = value_and_slope(x)
    expected = np.repeat(np.array([np.nan, np.inf, 0, 1e30, 0], dtype), 19)
    np.testing.assert_array_equal(y, expected)
    expected = np.repeat(np.array([np.nan, 1, 0, 1, 0], dtype), 19)
    np.testing.assert_allclose(slope, expected, rtol=np.finfo(dtype).eps)
