"""Whether TensorFlow traces a graph that is to be exported.

It must be of operations that every client knows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_SERVING: ContextVar[bool] = ContextVar("serving", default=False)


@contextlib.contextmanager
def serving() -> Iterator[None]:
    """Trace for clients such as LiteRT and ONNX Runtime inside the scope."""
    token = _SERVING.set(True)
    try:
        yield
    finally:
        _SERVING.reset(token)


def is_serving() -> bool:
    """Return whether this is inside the scope of `serving`."""
    return _SERVING.get()
