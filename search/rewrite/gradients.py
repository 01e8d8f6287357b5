"""How strongly the loss pulls at each layer of a trained model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from .walk import layers_of, variables_of

Arrays = Any  # an array, or a structure of some


@dataclass(frozen=True)
class LayerGradient:
    """The gradient of the loss by the trained weights of one layer.

    Attributes:
        layer: its path in the model.
        size: the root of the mean square over its weights.
    """

    layer: str
    size: float


def gradient_sizes(
    model: keras.Model, x: Arrays, y: Arrays, weight: Arrays = None
) -> tuple[LayerGradient, ...]:
    """Return the size of the gradient of each layer that has trained weights, in the model's order.

    As in inference: without Dropout, and with BatchNormalization's kept statistics. The model is as
    before. Nothing on other backends than TensorFlow.

    Args:
        model: compiled and trained.
        x: inputs, as the model takes them.
        y: targets.
        weight: of the samples.
    """
    if keras.backend.backend() != "tensorflow":
        return ()
    import tensorflow as tf

    owners: dict[str, list[keras.Variable]] = {}
    seen: set[int] = set()
    for path, layer in layers_of(model):
        own = []
        for variable in variables_of(layer).values():
            # a layer that is called twice is one
            if variable.trainable and id(variable) not in seen:
                seen.add(id(variable))
                own.append(variable)
        if own:
            owners[path] = own
    variables = [variable for own in owners.values() for variable in own]
    with tf.GradientTape() as tape:
        predicted = model(keras.tree.map_structure(keras.ops.convert_to_tensor, x), training=False)
        loss = model.compute_loss(x=x, y=y, y_pred=predicted, sample_weight=weight, training=False)
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    by_variable = {
        id(variable): gradient for variable, gradient in zip(variables, gradients, strict=True)
    }
    sizes = []
    for path, own in owners.items():
        size = _size([by_variable[id(variable)] for variable in own], own)
        sizes.append(LayerGradient(path, size))
    return tuple(sizes)


def _size(gradients: list[Any], variables: list[keras.Variable]) -> float:
    """The root of the mean square; what the loss does not depend on has 0."""
    squares = 0.0
    count = 0
    for gradient, variable in zip(gradients, variables, strict=True):
        count += math.prod(variable.shape)
        if gradient is not None:
            values = np.asarray(keras.ops.convert_to_numpy(_dense(gradient)), float)
            squares += float(np.square(values).sum())
    return math.sqrt(squares / max(count, 1))


def _dense(gradient: Any) -> Any:
    """A gradient of an Embedding has only the rows that were used."""
    import tensorflow as tf

    return tf.convert_to_tensor(gradient)
