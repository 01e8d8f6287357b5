"""What every benchmark says of the machine, and what it needs to measure on whichever backend Keras has."""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import platform
from collections.abc import Callable
from typing import Any

import keras
import keras_tuner

import keras_acts as ka
from keras_acts.search.runtime import device


def environment() -> str:
    """Return one line about the machine, the versions and the day."""
    backend = importlib.import_module(keras.backend.backend())
    return (
        f"{datetime.date.today()}: {platform.machine()}, {device.describe()}; Python {platform.python_version()}, "
        f"{backend.__name__} {backend.__version__}, Keras {keras.__version__}, KerasTuner {keras_tuner.__version__}, "
        f"ours {ka.__version__}; load {os.getloadavg()[0]:.1f}"
    )


def parsed(parser: argparse.ArgumentParser, **least: object) -> argparse.Namespace:
    """Return the arguments of a command, which has --quick too.

    Args:
        parser: of the command.
        least: by the names of arguments, what they are by default with --quick: as little as shows
            that the benchmark runs. Its numbers say nothing.
    """
    settings = ", ".join(f"{name} {value}" for name, value in least.items())
    parser.add_argument("--quick", action="store_true", help=f"only whether it runs: {settings}")
    arguments = parser.parse_args()
    if arguments.quick:
        parser.set_defaults(**least)
        arguments = parser.parse_args()
    return arguments


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function as one program of TensorFlow's, in a graph, or of JAX's."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function)


def value_and_gradients(
    function: Callable[..., Any], arguments: tuple[Any, ...], dy: Any = None
) -> tuple[Any, Any]:
    """Return the value and, for a gradient of it (by default the value), the gradients of the arguments."""
    if keras.backend.backend() == "jax":
        import jax

        y, backward = jax.vjp(function, *arguments)
        return y, backward(y if dy is None else dy)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(arguments)
        y = function(*arguments)
    return y, tape.gradient(y, arguments, y if dy is None else dy)


def wait(result: Any) -> None:
    """Return when a GPU has computed the result."""
    if keras.backend.backend() == "jax":
        import jax

        jax.block_until_ready(result)
    elif device.gpus():
        import tensorflow as tf

        tf.test.experimental.sync_devices()
