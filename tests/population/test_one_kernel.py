"""Adam's update by one kernel is Keras' update, whatever the learning rates of the members."""

import keras
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the kernel is TensorFlow's"
)
RATES = np.array([0.25, 1.0, 4.0])
STEPS = 30


def gradients(dtype):
    """Of each size, as small as Adam's epsilon too."""
    random = np.random.default_rng(0)
    sizes = 10.0 ** random.integers(-9, 1, (3, 8, 8))
    return (random.normal(size=(STEPS, 3, 8, 8)) * sizes).astype(dtype)


def column(variable, learning_rate):
    rates = RATES.reshape(-1, 1, 1)
    return keras.ops.cast(learning_rate, variable.dtype) * keras.ops.cast(rates, variable.dtype)


def at_rates(optimizer):
    """Have Keras' own update take the rates."""
    update_step = type(optimizer).update_step

    def update(gradient, variable, learning_rate):
        update_step(optimizer, gradient, variable, column(variable, learning_rate))

    optimizer.update_step = update


def trained(optimizer, dtype):
    """A variable after some steps."""
    import tensorflow as tf

    values = np.random.default_rng(1).normal(size=(3, 8, 8))
    variable = keras.Variable(values, dtype=dtype)
    optimizer.build([variable])

    def step(gradient):
        optimizer.apply([gradient], [variable])

    program = tf.function(step, autograph=False)
    for gradient in gradients(dtype):
        program(tf.constant(gradient))
    return keras.ops.convert_to_numpy(variable)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("has_rates", [False, True])
def test_the_kernel_updates_as_keras_does(dtype, has_rates):
    from keras_acts.search.population.one_kernel import one_kernel

    ours = keras.optimizers.Adam(0.008, epsilon=1e-7)
    theirs = keras.optimizers.Adam(0.008, epsilon=1e-7)
    rate_of = None
    if has_rates:
        rate_of = column
        at_rates(theirs)
    assert one_kernel(ours, rate_of)
    # 30 steps of up to 0.03 each; the kernel's own rounding of 1 - beta would be off by 3e-6
    tolerance = 4e-7 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(trained(ours, dtype), trained(theirs, dtype), rtol=0, atol=tolerance)
