"""Programs begun without TensorFlow's graph optimizer, where they are no faster with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import keras

from keras_acts.compat import all_layers, given_learning_rate

from .device import gpus


@contextlib.contextmanager
def unoptimized(layers: Iterable[Any], optimizer: Any) -> Iterator[None]:
    """Let TensorFlow's graph optimizer (Grappler) leave programs alone that begin inside the scope.

    On a CPU it takes 0.3 to 1 s for a population's program and its input pipelines, and the steps
    of MLPs and CNNs take as long without it (0.95 to 1.04 of the time,
    `benchmarks/graph_optimizer.py`, 2 cores). It stays on for recurrent layers, whose loops took
    0.95 to 1.09; on a GPU, where it chooses the layout of convolutions; and for schedules of the
    learning rate: those are computed in float32 even for float64 weights, and it rounds them
    otherwise.

    The option is the process's: other threads, and models that callbacks run, have it too
    meanwhile.

    Args:
        layers: of the model.
        optimizer: of the model, if it has one.
    """
    inner = (
        part for layer in layers if isinstance(layer, keras.Layer) for part in all_layers(layer)
    )
    recurrent = any(isinstance(layer, keras.layers.RNN) for layer in inner)
    schedule = isinstance(
        given_learning_rate(optimizer), keras.optimizers.schedules.LearningRateSchedule
    )
    if recurrent or schedule or keras.backend.backend() != "tensorflow" or gpus():
        yield
        return
    import tensorflow as tf

    name = "disable_meta_optimizer"
    before = tf.config.optimizer.get_experimental_options().get(name, False)
    tf.config.optimizer.set_experimental_options({name: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({name: before})
