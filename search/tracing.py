"""What TensorFlow says of programs that are traced again and again, where that is meant."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def expected_traces() -> Iterator[None]:
    """Each population is a program of its own: TensorFlow need not warn that they are many."""

    def other(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)
