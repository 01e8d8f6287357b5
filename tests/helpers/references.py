"""The activations in float64 NumPy, written apart from the package.

Parameters are those of the specs.
"""

import ml_dtypes
import numpy as np


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _leaky_relu(x, alpha):
    return np.where(x > 0, x, alpha * x)


def _elu(x, alpha):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _trelu(x, alpha, theta, mode):
    below = {
        "threshold": alpha * x,
        "continuous": theta + alpha * (x - theta),
        "keras": alpha * (x - theta),
    }[mode]
    return np.where(x > theta, x, below)


def _mish(x):
    return x * np.tanh(np.logaddexp(0, x))


VALUES = {
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": _leaky_relu,
    "prelu": _leaky_relu,
    "elu": _elu,
    "trelu": _trelu,
    "softmax": _softmax,
    "mish": _mish,
}


def _sigmoid_slope(x):
    return _sigmoid(x) * _sigmoid(-x)


def _leaky_relu_slope(x, alpha):
    return np.where(x > 0, 1.0, alpha)


def _elu_slope(x, alpha):
    return np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0)))


def _mish_slope(x):
    t = np.tanh(np.logaddexp(0, x))
    return t + x * (1 - t**2) * _sigmoid(x)


# the derivatives, at the kinks by definition
DERIVATIVES = {
    "sigmoid": _sigmoid_slope,
    "tanh": lambda x: 1 / np.cosh(x) ** 2,
    "relu": lambda x: np.where(x > 0, 1.0, 0.0),
    "leaky_relu": _leaky_relu_slope,
    "prelu": _leaky_relu_slope,
    "elu": _elu_slope,
    "trelu": lambda x, alpha, theta, mode: np.where(x > theta, 1.0, alpha),
    "mish": _mish_slope,
}

# where the derivative has no limit, what it is by definition: (the place, the derivative there)
KINKS = {
    "relu": lambda: (0.0, 0.0),
    "leaky_relu": lambda alpha: (0.0, alpha),
    "prelu": lambda alpha: (0.0, alpha),
    "elu": lambda alpha: (0.0, alpha),
    "trelu": lambda alpha, theta, mode: (theta, alpha),
}


def rounded(parameters, dtype):
    """The parameters as the functions take them: float32 numbers, unless the input is float64."""
    if dtype == "float64":
        return parameters
    return {
        name: float(np.float32(v)) if isinstance(v, float) else v for name, v in parameters.items()
    }


def ulp(dtype, y):
    """The unit in the last place of `dtype` at each `y`."""
    info = ml_dtypes.finfo(dtype)
    magnitude = np.maximum(np.abs(y), float(info.smallest_normal))
    return 2.0 ** np.floor(np.log2(magnitude)) * float(info.eps)


def array(values, dtype):
    """A NumPy array of any of the four dtypes."""
    return np.asarray(values).astype(ml_dtypes.finfo(dtype).dtype)
