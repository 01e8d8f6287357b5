"""The least time that training a model can take here.

Its multiplications at the machine's own measured rate.
"""

from __future__ import annotations

import functools
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
from keras import ops, random

from benchmarks.machine import compiled, wait


def seconds_at_peak(model: keras.Model, samples: int) -> float:
    """Return the seconds that the multiplications of dense layers and convolutions take for so many samples.

    A layer multiplies three times: for its output, for the gradient of its weights and, but for the
    first layer, for that of its input.
    """
    seconds = 0.0
    times = 2
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Dense | keras.layers.Conv2D):
            continue
        positions = math.prod(layer.output.shape[1:-1])
        products = math.prod(layer.kernel.shape) * positions * samples
        # a multiplication and an addition each
        operations = 2 * products * times
        seconds += operations / rate(isinstance(layer, keras.layers.Conv2D))
        times = 3
    return seconds


@functools.cache
def rate(convolution: bool) -> float:
    """Return the floating-point operations a second of a large matrix product or convolution in float32."""
    if convolution:
        x = random.normal((32, 32, 32, 64))
        kernel = random.normal((3, 3, 64, 64))
        products = math.prod(x.shape[:-1]) * math.prod(kernel.shape)
        return 2 * products / _seconds(lambda x, k: ops.conv(x, k, 1, "same"), x, kernel)
    matrix = random.normal((1024, 1024))
    return 2 * 1024**3 / _seconds(ops.matmul, matrix, matrix)


def _seconds(function: Callable[..., Any], *arguments: Any, repeats: int = 15) -> float:
    run = compiled(function)
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        wait(run(*arguments))
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])
