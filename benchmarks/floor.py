"""The least time that training a model can take here.

Its multiplications at the machine's own measured rate.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
from keras import ops, random

from benchmarks.machine import compiled, wait


def floor(model: keras.Model, samples: int) -> float:
    """Return the seconds that the multiplications of dense layers and convolutions take for so many samples.

    A layer multiplies three times: for its output, for the gradient of its weights and, but for the
    first layer, for that of its input.
    """
    seconds, first = 0.0, True
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D):
            kernel, positions = layer.kernel.shape, 1
            for size in layer.output.shape[1:-1]:
                positions *= size
            products = float(positions)
            for size in kernel:
                products *= size
            seconds += (
                2
                * products
                * samples
                * (2 if first else 3)
                / rate(isinstance(layer, keras.layers.Conv2D))
            )
            first = False
    return seconds


@functools.cache
def rate(convolution: bool) -> float:
    """Return the floating-point operations a second of a large matrix product or convolution in float32."""
    if convolution:
        x, kernel = random.normal((32, 32, 32, 64)), random.normal((3, 3, 64, 64))
        return (
            2
            * 32
            * 32
            * 32
            * 9
            * 64
            * 64
            / _seconds(lambda x, k: ops.conv(x, k, 1, "same"), x, kernel)
        )
    matrix = random.normal((1024, 1024))
    return 2 * 1024**3 / _seconds(ops.matmul, matrix, matrix)


def _seconds(function: Callable[..., Any], *arguments: Any, repeats: int = 15) -> float:
    run, times = compiled(function), []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        wait(run(*arguments))
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])
