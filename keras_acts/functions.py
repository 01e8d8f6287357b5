"""The activations as pure functions of tensors, written on `keras.ops`.

Every function takes a tensor (or array) of any floating dtype and returns one of the same shape and
dtype. The tensor is positional, parameters are keywords. `alpha` and `theta` may be Python numbers
or tensors that broadcast against `x`.

Half precision (float16, bfloat16) is computed in float32 where it would otherwise be wrong by more
than one unit in the last place. A parameter counts as the float32 nearest to it (float64 if `x` is
float64), whatever the dtype of `x`. NaN stays NaN, and the values at ±inf are the limits.
"""

from __future__ import annotations

import contextlib
import functools
import math
import numbers
from collections.abc import Callable
from typing import Any, TypeGuard

import keras
import ml_dtypes
import numpy as np
from keras import ops

from keras_acts.compat import attach_logits
from keras_acts.lowering import (
    Gradients,
    dtype_of,
    is_half,
    like,
    recomputed,
    runs_exact_softmax,
    wide,
    with_derivative,
    with_program,
)
from keras_acts.symbolic import activation
from keras_acts.target import is_serving

Tensor = Any

MODES = ("threshold", "continuous", "keras")
KERNELS = ("rectangle", "triangle", "gaussian")


@activation
def sigmoid(x: Tensor) -> Tensor:
    """Logistic sigmoid, ``1 / (1 + exp(-x))``."""
    y = _sigmoid_of_half(x) if is_half(x) else ops.sigmoid(x)
    return _with_logits(y, x)


def _sigmoid_closed(x: Tensor) -> Tensor:
    # 1 / (1 + e) where x > 0, e / (1 + e) elsewhere: never the exponential of a large number
    e = _exp_of_minus_abs(x)
    numerator = ops.where(ops.greater(x, 0), _constant(1.0, x), e)
    return ops.divide(numerator, ops.add(e, 1.0))


def _sigmoid_derivative(x: Tensor) -> Tensor:
    e = _exp_of_minus_abs(x)
    return ops.divide(e, ops.square(ops.add(e, 1.0)))


def _exp_of_minus_abs(x: Tensor) -> Tensor:
    return ops.exp(ops.negative(ops.abs(x)))


_sigmoid_of_half = with_derivative(_sigmoid_closed, _sigmoid_derivative, ops.sigmoid)


@activation
def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return ops.tanh(x)


@activation
def relu(x: Tensor) -> Tensor:
    """Rectified linear unit, ``max(x, 0)``; NaN stays NaN."""
    return ops.relu(x)


@activation
def leaky_relu(x: Tensor, *, alpha: Tensor = 0.01) -> Tensor:
    """Leaky ReLU, ``x if x > 0 else alpha * x``; its derivative at 0 is alpha."""
    if not _is_number(alpha) or dtype_of(x) == "float64":  # the kernel would round alpha to float32
        return trelu(x, alpha=alpha, theta=0.0)
    if alpha == 0:
        return ops.relu(x)
    z = x if _survives_rounding(alpha, x) else wide(x)
    return like(ops.leaky_relu(z, negative_slope=alpha), x)


@activation
def prelu(x: Tensor, *, alpha: Tensor = 0.25) -> Tensor:
    """Parametric ReLU, ``x if x > 0 else alpha * x``: leaky ReLU with an alpha that is trained."""
    return leaky_relu(x, alpha=alpha)


@activation
def elu(x: Tensor, *, alpha: Tensor = 1.0) -> Tensor:
    """Exponential linear unit, ``x if x > 0 else alpha * (exp(x) - 1)``.

    Its derivative at 0 is alpha.
    """
    # the kernel's exp(x) - 1 cancels near 0: too far off for one unit of the last place in half
    # precision
    if _is_number(alpha) and alpha == 1 and not is_half(x):
        return ops.elu(x)
    function = _elu_of_half if is_half(x) else _elu
    if _is_number(alpha):
        return function(x, float(alpha))
    return function(x, _parameter(alpha, wide(x)))


def _elu_closed(x: Tensor, alpha: Tensor, expm1: Callable[[Tensor], Tensor] = ops.expm1) -> Tensor:
    # only what is not positive goes into the exponential: no inf * 0 in the gradient for alpha
    negative = expm1(ops.where(ops.greater(x, 0), _constant(0.0, x), x))
    return ops.where(ops.greater(x, 0), x, ops.multiply(alpha, negative))


def _expm1_of_half(x: Tensor) -> Tensor:
    """Return ``exp(x) - 1`` for x <= 0, exact enough for half precision.

    XLA's own takes longer than Keras' ELU as a whole.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.expm1(x)
    near = ops.maximum(x, -0.01)  # finite: no inf * 0 in the gradient
    # x + x^2 / 2 + x^3 / 6, where the difference of exp(x) and 1 would cancel
    third_order = ops.add(0.5, ops.divide(near, 6.0))
    series = ops.multiply(near, ops.add(1.0, ops.multiply(near, third_order)))
    return ops.where(ops.greater(x, -0.01), series, ops.subtract(ops.exp(x), 1.0))


def _elu_served(x: Tensor, alpha: Tensor) -> Tensor:
    y = ops.elu(x)
    return ops.where(ops.greater(x, 0), y, ops.multiply(alpha, y))


def _elu_kernels(x: Tensor, alpha: Tensor) -> tuple[Tensor, Gradients]:
    import tensorflow as tf

    above = ops.greater(x, 0)
    y = ops.elu(x)

    def gradients(dy: Tensor) -> list[Tensor | None]:
        slope = tf.raw_ops.EluGrad(gradients=dy, outputs=y)
        return [
            _select(above, dy, ops.multiply(alpha, slope)),
            _select(above, ops.zeros_like(y), ops.multiply(dy, y)),
        ]

    return _select(above, x, ops.multiply(alpha, y)), gradients


def _select(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return `x` where the condition holds, else `y`.

    All of one shape, and then twice as fast as `tf.where`.
    """
    import tensorflow as tf

    return tf.raw_ops.Select(condition=condition, x=x, y=y)


_elu = recomputed(_elu_closed, _elu_served, _elu_kernels)
_elu_of_half = recomputed(functools.partial(_elu_closed, expm1=_expm1_of_half), _elu_served)


@activation
def trelu(
    x: Tensor, *, alpha: Tensor = 0.0, theta: Tensor = 1.0, mode: str = "threshold"
) -> Tensor:
    """Threshold ReLU, ``x if x > theta else alpha * x``, or as `mode` says at and below theta.

    - ``"threshold"``: ``alpha * x``. It jumps by ``(1 - alpha) * theta`` at theta.
    - ``"continuous"``: ``theta + alpha * (x - theta)``, a hinge at theta.
    - ``"keras"``: ``alpha * (x - theta)``, as `keras.activations.relu(x, negative_slope=alpha,
      threshold=theta)`. It jumps by theta.

    The derivative for `x` is 1 above theta and alpha at or below. That for theta leaves the jump
    out; `surrogate_theta` adds it.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {MODES}. Received: mode={mode!r}")
    if _is_number(alpha) and _is_number(theta):
        return _trelu_of_numbers(x, float(alpha), float(theta), mode)
    z = wide(x)
    alpha = _parameter(alpha, z)
    theta = _parameter(theta, z)
    if mode == "threshold" and _is_number(theta) and theta == 0:
        return _leaky_relu(x, alpha)
    return _TRELUS[mode](x, alpha, theta)


def _trelu_closed(x: Tensor, alpha: Tensor, theta: Tensor, mode: str) -> Tensor:
    if is_serving() and mode == "threshold":
        return _factored(x, alpha, theta)
    below = ops.less_equal(x, theta)
    if is_serving():
        return ops.where(below, _below(x, alpha, theta, mode), x)
    # 0 where it is not taken, and finite where alpha is 0: no inf * 0 in the value nor in the
    # gradient for alpha
    low = ops.maximum(ops.where(below, x, _constant(0.0, x)), _smallest(alpha, x))
    return ops.where(below, _below(low, alpha, theta, mode), x)


def _prelu_served(x: Tensor, alpha: Tensor) -> Tensor:
    # clients make this form one PReLU; 0 * -inf is NaN
    if len(alpha.shape) == len(x.shape) > 1 and alpha.shape[0] == 1:
        alpha = ops.squeeze(alpha, 0)  # LiteRT's has no batch axis
    return ops.relu(x) + ops.multiply(ops.negative(alpha), ops.relu(ops.negative(x)))


def _trelu_kernels(x: Tensor, alpha: Tensor, theta: Tensor) -> tuple[Tensor, Gradients]:
    below = ops.less_equal(x, theta)
    low = ops.maximum(x, _smallest(alpha, x))

    def gradients(dy: Tensor) -> list[Tensor | None]:
        slope = _select(below, ops.multiply(low, dy), ops.zeros_like(dy))
        return [_select(below, ops.multiply(alpha, dy), dy), slope, None]

    return _select(below, ops.multiply(alpha, low), x), gradients


def _leaky_relu_kernels(x: Tensor, alpha: Tensor) -> tuple[Tensor, Gradients]:
    y, gradients = _trelu_kernels(x, alpha, _constant(0.0, x))
    return y, lambda dy: gradients(dy)[:2]


_leaky_relu = recomputed(
    lambda x, alpha: _trelu_closed(x, alpha, 0.0, "threshold"), _prelu_served, _leaky_relu_kernels
)
_TRELUS = {
    "threshold": recomputed(
        functools.partial(_trelu_closed, mode="threshold"), kernels=_trelu_kernels
    ),
    "continuous": recomputed(functools.partial(_trelu_closed, mode="continuous")),
    "keras": recomputed(functools.partial(_trelu_closed, mode="keras")),
}


def _smallest(alpha: Tensor, x: Tensor) -> Tensor:
    """Return a lower bound for `x` that changes nothing, but where alpha is 0 is finite.

    ``0 * -inf`` is NaN.
    """
    lowest = float(ml_dtypes.finfo(dtype_of(x)).min)
    return ops.where(ops.equal(alpha, 0), _constant(lowest, x), _constant(-np.inf, x))


def _trelu_of_numbers(x: Tensor, alpha: float, theta: float, mode: str) -> Tensor:
    if dtype_of(x) != "float64":
        alpha = float(np.float32(alpha))
        theta = float(np.float32(theta))
    rounded_once = alpha == 0 or (mode == "threshold" and _survives_rounding(alpha, x))
    if is_half(x) and not rounded_once:
        return _TRELUS[mode](x, alpha, theta)
    below = ops.less_equal(x, _constant(_round_down(theta, dtype_of(x)), x))
    if alpha == 0:
        constant = theta if mode == "continuous" else 0.0
        return ops.where(below, _constant(constant, x), x)
    if is_serving() and mode == "threshold" and 0 < alpha < 1:
        return _factored(x, alpha, theta)
    return ops.where(below, _below(x, alpha, theta, mode), x)


def _factored(x: Tensor, alpha: Tensor, theta: Tensor) -> Tensor:
    """Threshold ReLU as a product, for clients.

    Converters to ONNX turn a selection into six passes and more layouts.

    The factor above theta, ``alpha + (1 - alpha)``, rounds to 1 for each alpha in [0, 1], else to
    within one unit.
    """
    # not greater(x, theta): with alpha 0, tf2onnx takes that for ONNX's ThresholdedRelu, which has
    # one theta only
    above = ops.cast(ops.less(theta, x), x.dtype)
    return ops.multiply(x, ops.add(ops.multiply(above, 1 - alpha), alpha))


def _below(x: Tensor, alpha: Tensor, theta: Tensor, mode: str) -> Tensor:
    if mode == "threshold":
        return ops.multiply(alpha, x)
    y = ops.multiply(alpha, ops.subtract(x, theta))
    return y if mode == "keras" else theta + y


def surrogate_theta(
    y: Tensor,
    x: Tensor,
    *,
    alpha: Tensor,
    theta: Tensor,
    mode: str = "threshold",
    bandwidth: float = 0.1,
    kernel: str = "rectangle",
) -> Tensor:
    """Return `y`, the threshold ReLU of `x`, with the jump's share of the gradient for theta.

    Its value is unchanged.

    The derivative of a jump is 0 almost everywhere. The surrogate is that of JumpReLU
    (arXiv:2407.14435), ``-jump / bandwidth * kernel((x - theta) / bandwidth)``: the density of `x`
    around theta, estimated with a kernel, times the height of the jump: ``(1 - alpha) * theta``, or
    theta in the mode ``"keras"``. It is 0 at theta = 0, and the mode ``"continuous"`` needs none.

    Args:
        y: ``trelu(x, alpha=alpha, theta=theta, mode=mode)``.
        x: the input of the threshold ReLU.
        alpha: its slope at or below theta.
        theta: its threshold, a trained tensor.
        mode: its mode.
        bandwidth: the width of the kernel, in units of `x`.
        kernel: ``"rectangle"``, 1 where ``|u| < 1/2``; ``"triangle"``, ``max(1 - |u|, 0)``; or
            ``"gaussian"``, the normal density. Each integrates to 1.
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel must be one of {KERNELS}. Received: kernel={kernel!r}")
    if mode == "continuous" or is_serving():
        return y
    z = wide(x)
    theta = _parameter(theta, z)
    u = ops.abs(ops.divide(ops.subtract(z, theta), bandwidth))
    density = _density(u, kernel)
    jump = theta
    if mode != "keras":
        jump = ops.multiply(ops.subtract(1.0, _parameter(alpha, z)), theta)
    slope = ops.stop_gradient(ops.multiply(density, ops.divide(jump, -bandwidth)))
    nothing = ops.subtract(theta, ops.stop_gradient(theta))  # 0, with derivative 1
    return y + like(ops.multiply(slope, nothing), y)


def _density(u: Tensor, kernel: str) -> Tensor:
    """Return the kernel at distances from theta, in bandwidths."""
    if kernel == "rectangle":
        return ops.cast(ops.less(u, 0.5), u.dtype)
    if kernel == "triangle":
        return ops.relu(ops.subtract(1.0, u))
    return ops.multiply(ops.exp(ops.multiply(ops.square(u), -0.5)), (2 * np.pi) ** -0.5)


@activation
def softmax(x: Tensor, *, axis: int | tuple[int, ...] = -1) -> Tensor:
    """Softmax along `axis`, or over several axes together, ``exp(x) / sum(exp(x))``."""
    axes = list(axis) if isinstance(axis, tuple | list) else [axis]
    # Keras 3.12 takes several only eagerly, and oneDNN's kernel up to 5 axes
    if len(axes) != 1 or len(x.shape) > 5:
        return _with_logits(_softmax_of_rows(x, axes), x)
    (axis,) = axes
    if not is_half(x) or runs_exact_softmax(x):
        y = ops.softmax(x, axis=axis)
    elif dtype_of(x) == "bfloat16":  # rounding to float16 could make the gradient 0
        y = _softmax_of_bfloat16(axis)(x)
    else:
        y = like(ops.softmax(wide(x), axis=axis), x)
    return _with_logits(y, x)


def _softmax_of_rows(x: Tensor, axes: list[int]) -> Tensor:
    """Return the softmax over some axes together, as one over the rows of a matrix."""
    trailing = list(range(-len(axes), 0))
    last = ops.moveaxis(x, axes, trailing)
    shape = ops.shape(last)
    size = math.prod(shape[len(shape) - len(axes) :])
    rows = ops.reshape(last, (-1, size))
    return ops.moveaxis(ops.reshape(softmax(rows), shape), trailing, axes)


@functools.cache
def _softmax_of_bfloat16(axis: int) -> Callable[[Tensor], Tensor]:
    def product(y: Tensor, dy: Tensor) -> Tensor:
        mean = ops.sum(ops.multiply(y, dy), axis=axis, keepdims=True)
        return ops.multiply(y, ops.subtract(dy, mean))

    return with_program(functools.partial(ops.softmax, axis=axis), product)


@activation
def mish(x: Tensor) -> Tensor:
    """Mish, ``x * tanh(softplus(x))``.

    Its gradient, in closed form, needs only `x` from the forward pass. In float32 it is within 8
    units of the last place.
    """
    return _mish(x)


# With e = exp(x) and n = e (e + 2): tanh(softplus(x)) = n / (n + 2), with derivative 4 (n - e) / (n
# + 2)^2. From x = 20 on the quotient is 1 to the last bit of a float64, and at `_lowest` e is 0:
# clipping there changes nothing but overflow and inf * 0. (Shared terms, or a reciprocal instead of
# a division, make XLA slower here.)
_HIGHEST = 20.0


def _lowest(x: Tensor) -> float:
    """Return a number whose exponential is 0 in the dtype of `x`."""
    return -1e4 if dtype_of(x) == "float64" else -200.0


def _mish_closed(x: Tensor) -> Tensor:
    x = ops.maximum(x, _lowest(x))
    e = ops.exp(ops.minimum(x, _HIGHEST))
    n = ops.multiply(e, ops.add(e, 2.0))
    return ops.multiply(x, ops.divide(n, ops.add(n, 2.0)))


def _mish_served(x: Tensor) -> Tensor:
    return ops.multiply(x, ops.tanh(ops.softplus(x)))  # what clients fuse; NaN at -inf


def _mish_derivative(x: Tensor) -> Tensor:
    # neither `clip` nor a minimum of a maximum: TensorFlow 2.18's XLA makes a bound of NaN, and a
    # diverged gradient 0
    x = ops.where(ops.greater(x, _HIGHEST), _constant(_HIGHEST, x), ops.maximum(x, _lowest(x)))
    return _mish_slope(x)


def _mish_slope(x: Tensor) -> Tensor:
    """The derivative at numbers that are neither too low nor too high for its formula."""
    e = ops.exp(x)
    n = ops.multiply(e, ops.add(e, 2.0))
    d = ops.add(n, 2.0)
    slope = ops.multiply(ops.multiply(4.0, x), ops.subtract(n, e))
    return ops.divide(ops.add(ops.multiply(n, d), slope), ops.multiply(d, d))


def _mish_kernels(x: Tensor) -> tuple[Tensor, Gradients]:
    # TensorFlow's softplus alone takes longer than all of these
    def gradients(dy: Tensor) -> list[Tensor | None]:
        # these kernels, unlike XLA, leave NaN as it is
        clipped = ops.minimum(ops.maximum(x, _lowest(x)), _HIGHEST)
        return [ops.multiply(dy, _mish_slope(clipped))]

    return _mish_closed(x), gradients


_mish = with_derivative(_mish_closed, _mish_derivative, _mish_served, _mish_kernels)


def _is_number(parameter: Tensor) -> TypeGuard[float]:
    return isinstance(parameter, numbers.Real)


def _parameter(parameter: Tensor, x: Tensor) -> Tensor:
    """Return the parameter in the dtype of `x`; a Python number adapts by itself."""
    return float(parameter) if _is_number(parameter) else ops.cast(parameter, x.dtype)


def _constant(number: float, x: Tensor) -> Tensor:
    """Return the number in the dtype of `x`.

    The comparisons of Keras would take a Python float for a float32.
    """
    return ops.convert_to_tensor(number, dtype=x.dtype)


def _survives_rounding(alpha: float, x: Tensor) -> bool:
    """Whether alpha may be rounded to the dtype of `x`.

    It may where ``alpha * x`` stays within one unit of the last place.
    """
    if not is_half(x) or alpha == 0:
        return True
    info = ml_dtypes.finfo(dtype_of(x))
    rounded = float(np.asarray(alpha, info.dtype))
    relative_error = abs(rounded / alpha - 1)
    # half a unit for the product; relative to it, a unit is eps / 2 at the least
    return 0.5 + relative_error * 2 / float(info.eps) <= 1


def _round_down(theta: float, dtype: str) -> float:
    """Return the largest number of this dtype not above theta.

    Every `x` of this dtype compares the same with both.
    """
    rounded = np.asarray(theta, ml_dtypes.finfo(dtype).dtype)
    if float(rounded) <= theta:
        return float(rounded)
    return float(np.nextafter(rounded, np.asarray(-np.inf, rounded.dtype)))


def _with_logits(output: Tensor, logits: Tensor) -> Tensor:
    """Leave the logits on the output, where Keras' cross-entropies look.

    A saturated output keeps its gradient.
    """
    with contextlib.suppress(AttributeError):  # tensors of other backends take no attributes
        attach_logits(output, logits)
    return output
