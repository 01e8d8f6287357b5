"""What the function that is being traced may become: XLA's, TensorFlow's own kernels, or a client's.

Backends trace a function once and run it many times elsewhere. What is cheapest, or possible, there
is said by the scopes here, and by TensorFlow itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from keras_acts.compat import in_xla_context

_SERVING: ContextVar[bool] = ContextVar("serving", default=False)
_UNCOMPILED: ContextVar[bool] = ContextVar("uncompiled", default=False)


@contextlib.contextmanager
def serving() -> Iterator[None]:
    """Trace for clients such as LiteRT and ONNX Runtime inside the scope.

    The graph must be of operations that every client knows.
    """
    token = _SERVING.set(True)
    try:
        yield
    finally:
        _SERVING.reset(token)


def is_serving() -> bool:
    """Return whether this is inside the scope of `serving`."""
    return _SERVING.get()


@contextlib.contextmanager
def uncompiled() -> Iterator[None]:
    """Trace functions inside the scope as TensorFlow's own kernels.

    XLA takes some 30 ms to compile a function, for each shape that it meets, and saves tenths of a
    millisecond a step.
    """
    token = _UNCOMPILED.set(True)
    try:
        yield
    finally:
        _UNCOMPILED.reset(token)


def is_compiled() -> bool:
    """Return whether XLA will compile what is traced, in a program of ours or of the caller."""
    return not _UNCOMPILED.get() or in_xla()


def is_uncompiled() -> bool:
    """Return whether this is inside the scope of `uncompiled`."""
    return _UNCOMPILED.get()


def in_xla() -> bool:
    """Return whether TensorFlow is tracing a function that XLA will compile."""
    import tensorflow as tf

    if tf.executing_eagerly():
        return False
    return in_xla_context(tf.compat.v1.get_default_graph())
