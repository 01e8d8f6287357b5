"""The first inputs of training data, whatever their type, and a model that has seen them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

SAMPLES = 256  # a few tell whether an export is the model


def few(x: Any) -> Any:
    """Return the first inputs of training data as NumPy arrays, in their structure.

    Args:
        x: as `keras.Model.fit` takes it: arrays, tensors, tables, lists, a `tf.data.Dataset`, a
            `PyDataset`, a `DataLoader`.

    Returns:
        The inputs, or None for a Python generator, which can be read only once, and for what is no
        array.
    """
    if isinstance(x, Iterator):
        return None
    try:
        if isinstance(x, keras.utils.PyDataset):
            return _arrays(keras.utils.unpack_x_y_sample_weight(x[0])[0])
        if not _is_structure_of_arrays(x) and isinstance(x, Iterable):
            return _of_batches(x)
        return _arrays(x)
    except (
        Exception
    ):  # a search is over when this is asked: what cannot be read must not cost its result
        return None


def _is_structure_of_arrays(x: Any) -> bool:
    return all(hasattr(part, "shape") or np.isscalar(part) for part in keras.tree.flatten(x))


def _of_batches(batches: Iterable[Any]) -> Any:
    found: list[Any] = []
    count = 0
    for batch in batches:
        found.append(_arrays(keras.utils.unpack_x_y_sample_weight(batch)[0]))
        count += len(keras.tree.flatten(found[-1])[0])
        if count >= SAMPLES:
            break
    try:
        return _arrays(keras.tree.map_structure(lambda *parts: np.concatenate(parts), *found))
    except ValueError:  # sequences of other lengths in each batch
        return found[0]


def _arrays(x: Any) -> Any:
    """Inputs as arrays of numbers or words, the first of them."""
    if isinstance(x, list) and not _is_structure_of_arrays(x):
        raise TypeError("a list of objects")
    found = keras.tree.map_structure(_array, x)
    if not keras.tree.flatten(found):
        raise TypeError("no arrays")
    return found


def _array(part: Any) -> np.ndarray:
    array = np.asarray(keras.ops.convert_to_numpy(part) if keras.ops.is_tensor(part) else part)[
        :SAMPLES
    ]
    if array.dtype == object:  # words, in TensorFlow's bytes or in pandas' and Python's text
        flat = [word.decode() if isinstance(word, bytes) else word for word in array.ravel()]
        if not all(isinstance(word, str) for word in flat):
            raise TypeError("an array of objects")
        array = np.array(flat).reshape(array.shape)
    return array.copy()


def built(model: keras.Model, x: Any) -> keras.Model:
    """Return the model, which knows its weights.

    What has not seen its inputs yet is called with the first of them.

    Args:
        model: of a user's function.
        x: training inputs, or a dataset.
    """
    inputs = few(x) if not model.built else None
    if inputs is not None:
        # not in training: statistics of one sample would be what BatchNormalization begins with
        model(keras.tree.map_structure(lambda array: array[:1], inputs), training=False)
    return model
