"""What a layer of a user's gave to `tf.function` or `jax.jit`, and a layer traced by itself."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

import keras

from keras_acts.compat import all_layers, calls_of
from keras_acts.errors import ModelError

from ..runtime.reasons import reason_of
from ..runtime.tracing import functions_as_written
from .proof import is_of_users

Tensor = Any
Structure = Any  # of tensors, as Keras nests them


class SymbolicCall:
    """The arguments that a model calls a layer with first, to be filled with tensors of a trace.

    Attributes:
        inputs: the symbolic tensors among them.
    """

    def __init__(self, layer: keras.layers.Layer):
        called = calls_of(layer)[0].arguments
        self._layer = layer
        self._arguments = (called.args, called.kwargs)
        self._leaves = keras.tree.flatten(self._arguments)
        self.inputs = [leaf for leaf in self._leaves if isinstance(leaf, keras.KerasTensor)]

    def outputs(self, tensors: tuple[Tensor, ...]) -> Structure:
        """Return what the layer's own code makes of tensors in place of `inputs`."""
        args, kwargs = self._filled(tensors)
        return self._layer.call(*args, **kwargs)

    def trace(self, function: Any) -> None:
        """Trace a function of tensors like `inputs` on TensorFlow; it is never run."""
        import tensorflow as tf

        # an open dimension stays open: no size would fit every layer
        specs = [tf.TensorSpec(x.shape, x.dtype) for x in self.inputs]
        tf.function(function, autograph=False).get_concrete_function(*specs)

    def _filled(self, tensors: tuple[Tensor, ...]) -> Any:
        remaining = iter(tensors)
        filled = []
        for leaf in self._leaves:
            if isinstance(leaf, keras.KerasTensor):
                leaf = next(remaining)
            filled.append(leaf)
        return keras.tree.pack_sequence_as(self._arguments, filled)


def check_functions(path: str, layer: keras.layers.Layer) -> None:
    """Check that what a user gave to `tf.function` or `jax.jit` sees the weights of each member.

    Both keep what a layer held when they first ran. `tf.function` can be left out, as
    `functions_as_written` does, if the code can be traced without: then a tensor decides nothing in
    an `if` or a loop of Python's.

    Raises:
        ModelError: if it does not.
    """
    if not is_of_users(layer):
        return
    if not any(_has_functions(part) for part in all_layers(layer)):
        return
    kind = type(layer).__name__
    if keras.backend.backend() == "jax":
        raise ModelError(
            "A population calls a layer with the weights of each member, which a method that is "
            f"given to jax.jit does not see: fit() compiles it anyway. Received: {path!r} of class "
            f"{kind}"
        )
    called = SymbolicCall(layer)

    def outputs(*tensors: Tensor) -> None:
        with functions_as_written():
            called.outputs(tensors)

    try:
        called.trace(outputs)
    except Exception as error:  # a user's call() may raise anything
        reason, _, _ = reason_of(error).partition(". ")
        raise ModelError(
            "A population runs what is given to tf.function as plain Python, where a tensor decides "
            "no `if` and no loop: use keras.ops.cond, where or while_loop. "
            f"Received: {path!r} of class {kind} ({reason})"
        ) from error


def _has_functions(layer: keras.layers.Layer) -> bool:
    """Whether something was given to `tf.function` or `jax.jit` where a layer's code may find it."""
    kinds = _compiled_kinds()
    return any(isinstance(value, kinds) for value in _within_reach(layer))


def _compiled_kinds() -> type:
    """What `tf.function` or `jax.jit` makes of a function."""
    if keras.backend.backend() == "jax":
        import jax

        return type(jax.jit(abs))
    import tensorflow as tf

    kind: type = tf.types.experimental.PolymorphicFunction
    return kind


def _within_reach(layer: keras.layers.Layer) -> Iterator[object]:
    """What a layer and the classes of a user's that it is of have.

    On TensorFlow the modules of these too: there it costs nothing but a trace to look further.
    """
    yield from list(vars(layer).values())
    for kind in inspect.getmro(type(layer)):
        if kind.__module__.startswith(("keras.", "keras_acts.")) or kind is object:
            continue
        yield from list(vars(kind).values())
        module = sys.modules.get(kind.__module__)
        if module is not None and keras.backend.backend() == "tensorflow":
            yield from list(vars(module).values())
