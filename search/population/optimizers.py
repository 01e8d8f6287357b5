"""Which optimizers train the slots of a population apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

from keras_acts.compat import all_layers, calls_of
from keras_acts.errors import ModelError

from ..space.known import is_of_keras_or_ours

# every value is updated from its own gradient alone
_OPTIMIZERS = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Lion")


def check_optimizer(optimizer: Any, trained: Iterable[keras.layers.Layer]) -> None:
    """Check that an optimizer updates each slot as it would be alone.

    Args:
        optimizer: of a population.
        trained: the layers of its model that have trained variables.

    Raises:
        ModelError: if it mixes the values of a variable, or the occurrences of a token of a trained
            Embedding; or if a layer of a user's own cannot be traced, so that nobody knows.
    """
    name = type(optimizer).__name__
    if (
        optimizer is None
        or type(optimizer) is not getattr(keras.optimizers, name, None)
        or name not in _OPTIMIZERS
    ):
        raise ModelError(
            f"The optimizer must be one of {', '.join(_OPTIMIZERS)}: others mix slots. Received: {name}"
        )
    plain = isinstance(optimizer, keras.optimizers.SGD) and not (
        optimizer.clipvalue or optimizer.clipnorm or optimizer.global_clipnorm
    )
    # Keras squares and clips the gradient of each occurrence of a token before adding them;
    # stacked, they are one
    if keras.backend.backend() == "tensorflow" and not plain:
        for layer in trained:
            if _looks_up(layer):
                raise ModelError(
                    "A trained Embedding needs SGD without clipping: with others, Keras treats each occurrence of a "
                    f"token apart. Received: {name}, {layer.name!r}"
                )


def _looks_up(layer: Any) -> bool:
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
        found = _gradients(layer)
    except Exception as error:  # a user's call() may raise anything
        raise ModelError(
            "A layer that is trained with others than plain SGD must be traceable by TensorFlow by itself, which shows "
            f"whether it looks up rows. Received: {layer.name!r} of class {type(layer).__name__} "
            f"({type(error).__name__}: {error})"
        ) from error
    return any(isinstance(gradient, tf.IndexedSlices) for gradient in found)


def _gradients(layer: Any) -> list[Any]:
    """The symbolic gradients of a layer's trained variables, for its inputs as they are in the model."""
    import tensorflow as tf

    called = calls_of(layer)[0].arguments
    arguments = (called.args, called.kwargs)
    leaves = keras.tree.flatten(arguments)
    given = [x for x in leaves if isinstance(x, keras.KerasTensor)]
    found: list[Any] = []

    def gradients(*values: Any) -> None:
        left = iter(values)
        filled = [next(left) if isinstance(x, keras.KerasTensor) else x for x in leaves]
        args, kwargs = keras.tree.pack_sequence_as(arguments, filled)
        with tf.GradientTape() as tape:
            outputs = keras.tree.flatten(layer.call(*args, **kwargs))
            total = tf.add_n(
                [tf.reduce_sum(tf.cast(y, tf.float32)) for y in outputs if y.dtype.is_floating]
            )
        found.extend(tape.gradient(total, [v.value for v in layer.trainable_variables]))

    # an open dimension stays open: no size would fit every layer
    specs = [tf.TensorSpec(x.shape, x.dtype) for x in given]
    tf.function(gradients, autograph=False).get_concrete_function(*specs)  # traced, and never run
    return found
