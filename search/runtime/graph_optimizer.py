"""Programs begun without TensorFlow's graph optimizer, where they are no faster with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import keras

from keras_acts.compat import all_layers, given_learning_rate

from .choices import optimizes_graphs

# TensorFlow's name for the option that turns Grappler off
_OFF = "disable_meta_optimizer"


@contextlib.contextmanager
def unoptimized(
    layers: Iterable[keras.Operation], optimizer: keras.optimizers.Optimizer | None
) -> Iterator[None]:
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
    if _needs_graph_optimizer(layers, optimizer):
        yield
        return
    import tensorflow as tf

    before = tf.config.optimizer.get_experimental_options().get(_OFF, False)
    tf.config.optimizer.set_experimental_options({_OFF: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({_OFF: before})


def _needs_graph_optimizer(
    layers: Iterable[keras.Operation], optimizer: keras.optimizers.Optimizer | None
) -> bool:
    """Whether programs are slower or other ones without it, or there is none."""
    if keras.backend.backend() != "tensorflow" or optimizes_graphs():
        return True
    rate = given_learning_rate(optimizer)
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        return True
    return any(_is_recurrent(layer) for layer in layers if isinstance(layer, keras.Layer))


def _is_recurrent(layer: keras.Layer) -> bool:
    return any(isinstance(part, keras.layers.RNN) for part in all_layers(layer))
