"""Which optimizers train the slots of a population apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

from keras_acts.errors import ModelError

# every value is updated from its own gradient alone
_OPTIMIZERS = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Lion")


def check_optimizer(optimizer: Any, trained: Iterable[keras.layers.Layer]) -> None:
    """Check that an optimizer updates each slot as it would be alone.

    Args:
        optimizer: of a population.
        trained: the layers of its model that have trained variables.

    Raises:
        ModelError: if it mixes the values of a variable, or the occurrences of a token of a trained Embedding.
    """
    name = type(optimizer).__name__
    if optimizer is None or type(optimizer) is not getattr(keras.optimizers, name, None) or name not in _OPTIMIZERS:
        raise ModelError(f"The optimizer must be one of {', '.join(_OPTIMIZERS)}: others mix slots. Received: {name}")
    plain = isinstance(optimizer, keras.optimizers.SGD) and not (
        optimizer.clipvalue or optimizer.clipnorm or optimizer.global_clipnorm
    )
    # Keras squares and clips the gradient of each occurrence of a token before adding them; stacked, they are one
    if keras.backend.backend() == "tensorflow" and not plain:
        for layer in trained:
            if _looks_up(layer):
                raise ModelError(
                    "A trained Embedding needs SGD without clipping: with others, Keras treats each occurrence of a "
                    f"token apart. Received: {name}, {layer.name!r}"
                )


def _looks_up(layer: Any) -> bool:
    """Whether a layer trains a table that it takes rows of: an Embedding, one inside, or a user's own."""
    parts = [part for part in layer._flatten_layers() if part.trainable_variables]
    if any(isinstance(part, keras.layers.Embedding) for part in parts):
        return True
    if all(type(part).__module__.startswith(("keras.", "keras_acts.")) for part in parts):
        return False
    # a layer of which nothing is known: which of its gradients are of rows
    import tensorflow as tf

    called = layer._inbound_nodes[0].arguments
    found: list[Any] = []

    def value(x: Any) -> Any:
        shape = [2 if size is None else size for size in x.shape]
        return tf.zeros(shape, x.dtype)

    def gradients() -> None:
        args, kwargs = keras.tree.map_structure(
            lambda x: value(x) if isinstance(x, keras.KerasTensor) else x, (called.args, called.kwargs)
        )
        with tf.GradientTape() as tape:
            outputs = keras.tree.flatten(layer.call(*args, **kwargs))
            total = tf.add_n([tf.reduce_sum(tf.cast(y, tf.float32)) for y in outputs if y.dtype.is_floating])
        found.extend(tape.gradient(total, [v.value for v in layer.trainable_variables]))

    tf.function(gradients, autograph=False).get_concrete_function()  # traced, and never run
    return any(isinstance(gradient, tf.IndexedSlices) for gradient in found)
