"""The activations as pure functions of tensors, written on `keras.ops`.

Every function takes a tensor (or array) of any floating dtype and returns one of the same shape and dtype. The tensor is
positional, parameters are keywords. `alpha` and `theta` may be Python numbers or tensors that broadcast against `x`.
"""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any


def sigmoid(x: Tensor) -> Tensor:
    """Logistic sigmoid, ``1 / (1 + exp(-x))``."""
    return _with_logits(ops.sigmoid(x), x)


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return ops.tanh(x)


def relu(x: Tensor) -> Tensor:
    """Rectified linear unit, ``max(x, 0)``; NaN stays NaN."""
    return ops.relu(x)


def leaky_relu(x: Tensor, *, alpha: Tensor = 0.01) -> Tensor:
    """Leaky ReLU, ``x if x > 0 else alpha * x``."""
    return ops.where(ops.greater(x, 0), x, ops.multiply(_like(alpha, x), x))


def prelu(x: Tensor, *, alpha: Tensor = 0.25) -> Tensor:
    """Parametric ReLU, ``x if x > 0 else alpha * x``: leaky ReLU with an alpha that is trained."""
    return leaky_relu(x, alpha=alpha)


def elu(x: Tensor, *, alpha: Tensor = 1.0) -> Tensor:
    """Exponential linear unit, ``x if x > 0 else alpha * (exp(x) - 1)``."""
    # expm1 of the clipped value: the branch that is not taken must not overflow, or its gradient would be NaN
    return ops.where(ops.greater(x, 0), x, ops.multiply(_like(alpha, x), ops.expm1(ops.minimum(x, 0))))


def trelu(x: Tensor, *, alpha: Tensor = 0.0, theta: Tensor = 1.0) -> Tensor:
    """Threshold ReLU, ``x if x > theta else alpha * x``: it jumps by ``(1 - alpha) * theta`` at theta."""
    return ops.where(ops.greater(x, _like(theta, x)), x, ops.multiply(_like(alpha, x), x))


def surrogate_theta(y: Tensor, x: Tensor, *, alpha: Tensor, theta: Tensor, bandwidth: float = 0.1) -> Tensor:
    """Return `y`, the threshold ReLU of `x`, unchanged in value but with a gradient for theta.

    The true gradient is 0 almost everywhere. The surrogate is that of JumpReLU (arXiv:2407.14435),
    ``-(1 - alpha) * theta / bandwidth * rect((x - theta) / bandwidth)`` with ``rect(u) = 1 where |u| < 1/2``: the density
    of `x` around theta, estimated with a rectangular kernel, times the height of the jump. It is 0 at theta = 0.
    """
    near = ops.less(ops.abs(ops.subtract(x, _like(theta, x))), bandwidth / 2)
    slope = ops.multiply(ops.subtract(1.0, alpha), ops.divide(theta, -bandwidth))
    ramp = ops.multiply(ops.stop_gradient(slope), ops.subtract(theta, ops.stop_gradient(theta)))  # 0, with slope's gradient
    return ops.add(y, ops.multiply(ops.cast(near, y.dtype), ops.cast(ramp, y.dtype)))


def softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    """Softmax along `axis`, ``exp(x) / sum(exp(x))``."""
    return _with_logits(ops.softmax(x, axis=axis), x)


def mish(x: Tensor) -> Tensor:
    """Mish, ``x * tanh(softplus(x))``."""
    return ops.multiply(x, ops.tanh(ops.softplus(x)))


def _like(parameter: Tensor, x: Tensor) -> Tensor:
    """Return the parameter in the dtype of `x`; a Python number adapts by itself."""
    return parameter if isinstance(parameter, int | float) else ops.cast(parameter, x.dtype)


def _with_logits(output: Tensor, logits: Tensor) -> Tensor:
    """Leave the logits on the output, where Keras' cross-entropies look for them: saturated outputs keep their gradient."""
    try:
        output._keras_logits = logits
    except AttributeError:  # tensors of other backends take no attributes
        pass
    return output
