"""Which optimizers train the members of a population apart, and how these clip.

By norms of each member's gradients, not of all members' together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from keras_acts.compat import all_layers, calls_of, clip_by_norm, replace_clipping
from keras_acts.errors import ModelError

from ..space.known import is_of_keras_or_ours
from .axes import axes_within, column_shape
from .diverged import Rows

Tensor = Any

# every value is updated from its own gradient alone
_OPTIMIZERS = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Lion")


def check_optimizer(
    optimizer: keras.optimizers.Optimizer | None, trained: Iterable[keras.layers.Layer]
) -> None:
    """Check that an optimizer updates each member as it would be alone.

    Args:
        optimizer: of a population.
        trained: the layers of its model that have trained variables.

    Raises:
        ModelError: if it mixes the values of a variable, or the occurrences of a token of a trained
            Embedding; or if a layer of a user's own cannot be traced, so that nobody knows.
    """
    name = type(optimizer).__name__
    # a class of a user's may have the name of one of Keras'
    is_of_keras = type(optimizer) is getattr(keras.optimizers, name, None)
    if not is_of_keras or name not in _OPTIMIZERS:
        raise ModelError(
            f"The optimizer must be one of {', '.join(_OPTIMIZERS)}: others mix members. "
            f"Received: {name}"
        )
    # Keras squares and clips the gradient of each occurrence of a token before adding them;
    # stacked, they are one
    if keras.backend.backend() != "tensorflow" or _only_adds_gradients(optimizer):
        return
    for layer in trained:
        if _looks_up(layer):
            raise ModelError(
                "A trained Embedding needs SGD without clipping: with others, Keras treats each "
                f"occurrence of a token apart. Received: {name}, {layer.name!r}"
            )


def _only_adds_gradients(optimizer: Any) -> bool:
    if not isinstance(optimizer, keras.optimizers.SGD):
        return False
    return not (optimizer.clipvalue or optimizer.clipnorm or optimizer.global_clipnorm)


def _looks_up(layer: keras.layers.Layer) -> bool:
    """Whether a layer trains a table that it takes rows of.

    An Embedding, one inside, or a user's own.
    """
    parts = [part for part in all_layers(layer) if part.trainable_variables]
    if any(isinstance(part, keras.layers.Embedding) for part in parts):
        return True
    if all(is_of_keras_or_ours(part) for part in parts):
        return False
    # a layer of which nothing is known: which of its gradients are of rows
    import tensorflow as tf

    try:
        gradients = _symbolic_gradients(layer)
    except Exception as error:  # a user's call() may raise anything
        raise ModelError(
            "A layer that is trained with others than plain SGD must be traceable by TensorFlow by "
            "itself, which shows whether it looks up rows. "
            f"Received: {layer.name!r} of class {type(layer).__name__} "
            f"({type(error).__name__}: {error})"
        ) from error
    return any(isinstance(gradient, tf.IndexedSlices) for gradient in gradients)


def _symbolic_gradients(layer: keras.layers.Layer) -> list[Any]:
    """The gradients of a layer's trained variables, for its inputs as they are in the model."""
    import tensorflow as tf

    probe = _GradientProbe(layer)
    # an open dimension stays open: no size would fit every layer
    specs = [tf.TensorSpec(x.shape, x.dtype) for x in probe.inputs]
    # traced, and never run
    tf.function(probe.trace, autograph=False).get_concrete_function(*specs)
    return probe.gradients


class _GradientProbe:
    """Calls a layer as its model does first, and notes the gradients of what it puts out.

    Attributes:
        inputs: the symbolic tensors among the layer's arguments.
        gradients: of its trained variables, once `trace` has run.
    """

    def __init__(self, layer: keras.layers.Layer):
        called = calls_of(layer)[0].arguments
        self._layer = layer
        self._arguments = (called.args, called.kwargs)
        self._leaves = keras.tree.flatten(self._arguments)
        self.inputs = [leaf for leaf in self._leaves if isinstance(leaf, keras.KerasTensor)]
        self.gradients: list[Any] = []

    def trace(self, *tensors: Tensor) -> None:
        """Call the layer on tensors in place of `inputs`."""
        import tensorflow as tf

        args, kwargs = self._filled(tensors)
        with tf.GradientTape() as tape:
            outputs = keras.tree.flatten(self._layer.call(*args, **kwargs))
            # whatever their dtypes: only the kind of the gradients is asked for
            floating = [y for y in outputs if y.dtype.is_floating]
            total = tf.add_n([tf.reduce_sum(tf.cast(y, tf.float32)) for y in floating])
        variables = [variable.value for variable in self._layer.trainable_variables]
        self.gradients = tape.gradient(total, variables)

    def _filled(self, tensors: tuple[Tensor, ...]) -> Any:
        """The layer's arguments, with tensors where symbolic ones were."""
        remaining = iter(tensors)
        filled = []
        for leaf in self._leaves:
            if isinstance(leaf, keras.KerasTensor):
                leaf = next(remaining)
            filled.append(leaf)
        return keras.tree.pack_sequence_as(self._arguments, filled)


def clip_per_member(optimizer: keras.optimizers.Optimizer, rows: Rows, count: int) -> None:
    """Have an optimizer of stacked variables clip as it would clip the gradients of each member's model.

    Args:
        optimizer: a Keras optimizer; without one of the two options it stays as it is.
        rows: by the identity of a variable, the first of its members and the one after the last.
        count: how many members there are.
    """
    if not (optimizer.clipnorm or optimizer.global_clipnorm):
        return

    def clip(gradients: list[Tensor], variables: list[keras.Variable]) -> list[Tensor]:
        if optimizer.clipnorm:
            return [clip_by_norm(optimizer, g, axes_within(g)) for g in gradients]
        rows_of_gradients = [rows[id(variable)] for variable in variables]
        return _clip_globally(optimizer.global_clipnorm, gradients, rows_of_gradients, count)

    replace_clipping(optimizer, clip)


def _clip_globally(
    limit: float, gradients: list[Tensor], rows: list[tuple[int, int]], count: int
) -> list[Tensor]:
    """Scale all gradients of a member whose norm, over all of them, is above the limit."""
    squares = ops.zeros((count,), gradients[0].dtype)
    for gradient, (start, stop) in zip(gradients, rows, strict=True):
        square = ops.sum(ops.square(gradient), axes_within(gradient))
        squares = squares + ops.pad(square, [(start, count - stop)])
    norm = ops.sqrt(squares)
    scale = limit * ops.minimum(1.0 / norm, 1.0 / limit)
    # NaN if the norm is not finite, as in Keras
    scale = scale + (norm - norm)
    clipped = []
    for gradient, (start, stop) in zip(gradients, rows, strict=True):
        column = ops.reshape(scale[start:stop], column_shape(len(gradient.shape)))
        clipped.append(gradient * column)
    return clipped
