"""Programs that are traced: what TensorFlow says of many, and what must not become part of one."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager

import keras

from keras_acts.compat import step_gradients_forgotten

# what is written here is traced into steps of populations, and nowhere else
_OURS = "keras_acts.search"


@contextlib.contextmanager
def expected_traces() -> Iterator[None]:
    """Each population is a program of its own: TensorFlow need not warn that they are many."""

    def is_other(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


@contextlib.contextmanager
def without_notes() -> Iterator[None]:
    """Leave out what TensorFlow notes by the way, such as where it writes assets; warnings stay.

    A notebook shows each note as an output, and a folder that is not yet in its place is no news.
    """

    def matters(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING

    logger = logging.getLogger("tensorflow")
    logger.addFilter(matters)
    try:
        yield
    finally:
        logger.removeFilter(matters)


def steps_forgotten() -> AbstractContextManager[None]:
    """Leave nothing behind of training steps that are traced in the scope, once their models are gone."""
    if keras.backend.backend() == "tensorflow":
        return step_gradients_forgotten(_OURS)
    return contextlib.nullcontext()


def outside_of_traces() -> AbstractContextManager[None]:
    """Compute inside the scope at once, though a function is being traced.

    No trace can make or clone a model.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.init_scope()
    import jax

    return jax.ensure_compile_time_eval()


@contextlib.contextmanager
def functions_as_written() -> Iterator[None]:
    """Run what a user gave to `tf.function` as plain Python inside the scope.

    It keeps its first trace for arguments of one kind, and with it the weights and the activations
    that its layer had then: with those of another member in their place it would not notice.
    """
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)
