"""Programs that are traced: what TensorFlow says of many, and what must not become part of one."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager

import keras


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


def outside_of_traces() -> AbstractContextManager[None]:
    """Compute inside the scope at once, though a function is being traced.

    No trace can make or clone a model.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.init_scope()
    import jax

    return jax.ensure_compile_time_eval()
