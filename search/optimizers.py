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
            if isinstance(layer, keras.layers.Embedding):
                raise ModelError(
                    "A trained Embedding needs SGD without clipping: with others, Keras treats each occurrence of a "
                    f"token apart. Received: {name}, {layer.name!r}"
                )
