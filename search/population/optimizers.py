"""Which optimizers train the members of a population apart, and how these clip.

By norms of each member's gradients, not of all members' together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
from keras import ops

from keras_acts.compat import all_layers, replace_clipping
from keras_acts.errors import ModelError

from ..rewrite.own_functions import SymbolicCall
from ..space.known import is_of_keras_or_ours
from ..vectorize.registry import rule_for
from .block import StackedVariable, axes_within, column_shape
from .diverged import Rows
from .tables import added_up, clip_norm, has_occurrences, squares_of_members

Tensor = Any

# every value is updated from its own gradient alone
_OPTIMIZERS = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Lion")


def check_optimizer(
    optimizer: keras.optimizers.Optimizer | None, trained: Sequence[keras.layers.Layer]
) -> None:
    """Check that an optimizer updates each member as it would be alone.

    Args:
        optimizer: of a population.
        trained: the layers of its model that have trained variables.

    Raises:
        ModelError: if it mixes the values of a variable; or if it treats each occurrence of a row
            of a table apart, and a rule of a user's own looks up rows, or cannot be traced, so that
            nobody knows.
    """
    name = type(optimizer).__name__
    # a class of a user's may have the name of one of Keras'
    is_of_keras = type(optimizer) is getattr(keras.optimizers, name, None)
    if not is_of_keras or name not in _OPTIMIZERS:
        raise ModelError(
            f"The optimizer must be one of {', '.join(_OPTIMIZERS)}: others mix members. "
            f"Received: {name}"
        )
    assert optimizer is not None  # it is of one of these classes
    if keras.backend.backend() == "tensorflow" and optimizer.loss_scale_factor is not None:
        _refuse_embeddings(optimizer.loss_scale_factor, trained)
    # a layer that looks up rows keeps their occurrences apart where Keras does; what a user's own
    # rule looks up in stacked weights has a dense gradient
    if keras.backend.backend() != "tensorflow" or _only_adds_gradients(optimizer):
        return
    for layer in trained:
        if rule_for(layer) is not None and _looks_up(layer):
            raise ModelError(
                "A layer with a rule of your own that takes rows of a table needs SGD without "
                "clipping: with others, Keras treats each occurrence of a row apart. Remove the "
                f"rule, or use SGD. Received: {name}, {layer.name!r}"
            )


def _refuse_embeddings(loss_scale: float, trained: Iterable[keras.layers.Layer]) -> None:
    for layer in trained:
        parts = [part for part in all_layers(layer) if part.trainable_variables]
        if any(isinstance(part, keras.layers.Embedding) for part in parts):
            raise ModelError(
                "Keras scales no loss of a trained Embedding on TensorFlow: its optimizers cannot "
                f"divide such gradients. Received: loss_scale_factor={loss_scale}, {layer.name!r}"
            )


def _only_adds_gradients(optimizer: Any) -> bool:
    if not isinstance(optimizer, keras.optimizers.SGD):
        return False
    return not (optimizer.clipvalue or optimizer.clipnorm or optimizer.global_clipnorm)


def _looks_up(layer: keras.layers.Layer) -> bool:
    """Whether a layer of a user's own trains a table that it takes rows of."""
    parts = [part for part in all_layers(layer) if part.trainable_variables]
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
    probe = _GradientProbe(layer)
    probe.called.trace(probe.trace)
    return probe.gradients


class _GradientProbe:
    """Calls a layer as its model does first, and notes the gradients of what it puts out.

    Attributes:
        called: the call.
        gradients: of its trained variables, once `trace` has run.
    """

    def __init__(self, layer: keras.layers.Layer):
        self._layer = layer
        self.called = SymbolicCall(layer)
        self.gradients: list[Any] = []

    def trace(self, *tensors: Tensor) -> None:
        """Call the layer on tensors in place of its inputs."""
        import tensorflow as tf

        with tf.GradientTape() as tape:
            outputs = keras.tree.flatten(self.called.outputs(tensors))
            # whatever their dtypes: only the kind of the gradients is asked for
            floating = [y for y in outputs if y.dtype.is_floating]
            total = tf.add_n([tf.reduce_sum(tf.cast(y, tf.float32)) for y in floating])
        variables = [variable.value for variable in self._layer.trainable_variables]
        self.gradients = tape.gradient(total, variables)


def clip_per_member(optimizer: keras.optimizers.Optimizer, rows: Rows, count: int) -> None:
    """Have an optimizer of stacked variables clip as it would clip the gradients of each member's model.

    Args:
        optimizer: a Keras optimizer; without one of the two options it stays as it is.
        rows: by the identity of a variable, the members that it is stacked over.
        count: how many members there are.
    """
    if not (optimizer.clipnorm or optimizer.global_clipnorm):
        return

    def clip(gradients: list[Tensor], variables: list[keras.Variable]) -> list[Tensor]:
        blocks = [rows[id(variable)] for variable in variables]
        if not optimizer.clipnorm:
            return _clip_globally(optimizer.global_clipnorm, gradients, blocks, count)
        pairs = zip(blocks, gradients, strict=True)
        return [clip_norm(optimizer, block, gradient) for block, gradient in pairs]

    replace_clipping(optimizer, clip)


def _clip_globally(
    limit: float, gradients: list[Tensor], blocks: list[StackedVariable], count: int
) -> list[Tensor]:
    """Scale all gradients of a member whose norm, over all of them, is above the limit."""
    squares = ops.zeros((count,), gradients[0].dtype)
    for gradient, block in zip(gradients, blocks, strict=True):
        square = _squares(block, gradient)
        squares = squares + ops.pad(square, [(block.start, count - block.stop)])
    norm = ops.sqrt(squares)
    scale = limit * ops.minimum(1.0 / norm, 1.0 / limit)
    # NaN if the norm is not finite, as in Keras
    scale = scale + (norm - norm)
    clipped = []
    for gradient, block in zip(gradients, blocks, strict=True):
        # Keras' product with the scale adds up the occurrences of a row
        values = block.by_member(added_up(gradient))
        column = ops.reshape(scale[block.start : block.stop], column_shape(len(values.shape)))
        clipped.append(block.as_stored(values * column))
    return clipped


def _squares(block: StackedVariable, gradient: Tensor) -> Tensor:
    """The sum of the squares of each member's gradient, (n,)."""
    if has_occurrences(gradient):
        return squares_of_members(block, gradient)
    values = block.by_member(gradient)
    return ops.sum(ops.square(values), axes_within(values))
