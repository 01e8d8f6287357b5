"""Programs begun without TensorFlow's graph optimizer, where they are no faster with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import keras

from .device import gpus


@contextlib.contextmanager
def unoptimized(layers: Iterable[Any]) -> Iterator[None]:
    """Let TensorFlow's graph optimizer (Grappler) leave programs alone that begin inside the scope.

    On a CPU it takes half a second for a population's program, and some for each input pipeline, and the steps of MLPs
    and CNNs take as long without it (0.93 to 1.02 of the time, 2 cores). Recurrent layers are loops, which it makes 8 %
    faster, and on a GPU it chooses the layout of convolutions: there it stays on.

    Args:
        layers: of the model.
    """
    recurrent = any(isinstance(layer, keras.layers.RNN | keras.layers.Bidirectional) for layer in layers)
    if recurrent or keras.backend.backend() != "tensorflow" or gpus():
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
