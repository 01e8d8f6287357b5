"""The exponential in few operations, for programs that XLA compiles on a CPU.

Its own takes as long as all the rest.

Clients of an export lack some of the operations, so what may come into one has the backend's own.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_acts.lowering import dtype_of
from keras_acts.target import is_compiled, is_portable

Tensor = Any

# (exp(f) - 1) / f for |f| <= log(2) / 2, fitted at Chebyshev nodes: exp is exact to 3e-7 of it,
# `short` to 8e-6
_SERIES = (
    1.0,
    0.49999377131462097,
    0.16666793823242188,
    0.041874971240758896,
    0.008341456763446331,
)
_SHORT_SERIES = (1.0, 0.5000308156013489, 0.16750061511993408, 0.041462622582912445)

_LOG2_OF_E = 1.4426950408889634
_LOG_2 = 0.6931471805599453
# log(2) as the difference of two numbers: the first has few bits, so that k times it is exact
_LOG_2_HIGH = 0.693359375
_LOG_2_LOW = 2.12194440e-4


def exp(x: Tensor, *, short: bool = False) -> Tensor:
    """Return ``exp(x)`` for x in [-200, 80] or NaN.

    Exact enough for half precision only, if `short`.
    """
    if not _in_few_operations(x):
        return ops.exp(x)
    scale, rest = _parts(x, short)
    return scale * rest + scale


def short_expm1(x: Tensor) -> Tensor:
    """Return ``exp(x) - 1`` for x <= 80 or NaN, to 3e-5 of it, near 0 too.

    Exact enough for half precision.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.expm1(x)
    if not _in_few_operations(x):
        near = ops.maximum(x, -0.01)  # finite: no inf * 0 in the gradient
        # x + x^2 / 2 + x^3 / 6, where the difference of exp(x) and 1 would cancel
        third_order = ops.add(0.5, ops.divide(near, 6.0))
        series = ops.multiply(near, ops.add(1.0, ops.multiply(near, third_order)))
        return ops.where(ops.greater(x, -0.01), series, ops.subtract(ops.exp(x), 1.0))
    scale, rest = _parts(ops.maximum(x, -200.0), short=True)
    return scale * rest + (scale - 1.0)


def _in_few_operations(x: Tensor) -> bool:
    if keras.backend.backend() != "tensorflow" or dtype_of(x) != "float32":
        return False
    return is_compiled() and not is_portable()


def _parts(x: Tensor, short: bool) -> tuple[Tensor, Tensor]:
    """Return ``2**k`` and ``exp(f) - 1`` where ``x = k * log(2) + f``.

    K counts as constant in derivatives.
    """
    import tensorflow as tf

    k = tf.stop_gradient(tf.round(x * _LOG2_OF_E))
    f = _without(k, x, short)
    *others, rest = _SHORT_SERIES if short else _SERIES
    for coefficient in reversed(others):
        rest = rest * f + coefficient
    # the last bits of this sum are k + 127; shifted, they are the exponent of 2**k. What is below
    # 2**-126 becomes 0
    bits = tf.bitwise.left_shift(tf.bitcast(k + (1.5 * 2**23 + 127), tf.int32), 23)
    power = tf.stop_gradient(tf.bitcast(tf.maximum(bits, 0), tf.float32))
    return power, rest * f


def _without(k: Tensor, x: Tensor, short: bool) -> Tensor:
    """Return ``x - k * log(2)``."""
    if short:
        return x - k * _LOG_2
    return (x - k * _LOG_2_HIGH) + k * _LOG_2_LOW
