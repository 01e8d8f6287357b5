"""The first inputs of training data, whatever their type, and a model that has seen them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import keras
import numpy as np

SAMPLES = 256  # a few tell whether an export is the model

# what `fit` takes: arrays, tensors, tables, structures of them, or what yields batches
Data: TypeAlias = Any
# an array, or a structure of some
Arrays: TypeAlias = Any


def few(x: Data) -> Arrays | None:
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
            return _inputs_of(x[0])
        if not _is_structure_of_arrays(x) and isinstance(x, Iterable):
            return _of_batches(x)
        return _arrays(x)
    except Exception:
        # a search is over when this is asked: what cannot be read must not cost its result
        return None


def few_labelled(data: Data) -> tuple[Arrays, Arrays, Arrays] | None:
    """Return the first inputs, targets and weights of labelled data; weights are None without any.

    Args:
        data: as the `validation_data` of `fit`: ``(x, y)``, ``(x, y, sample_weight)`` or batches of
            such.

    Returns:
        None for what can be read only once, and for what is no array.
    """
    if isinstance(data, Iterator):
        return None
    try:
        batch = data
        if isinstance(data, keras.utils.PyDataset):
            batch = data[0]
        elif not isinstance(data, tuple | list):
            batch = next(iter(data))
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
        if weight is not None:
            weight = _arrays(weight)
        return _arrays(x), _arrays(y), weight
    except Exception:
        # a look at the trained model must not cost the result
        return None


def _is_structure_of_arrays(x: Data) -> bool:
    return all(hasattr(part, "shape") or np.isscalar(part) for part in keras.tree.flatten(x))


def _inputs_of(batch: Data) -> Arrays:
    inputs, *_ = keras.utils.unpack_x_y_sample_weight(batch)
    return _arrays(inputs)


def _of_batches(batches: Iterable[Data]) -> Arrays:
    inputs: list[Arrays] = []
    count = 0
    for batch in batches:
        inputs.append(_inputs_of(batch))
        count += len(keras.tree.flatten(inputs[-1])[0])
        if count >= SAMPLES:
            break
    try:
        joined = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *inputs)
    except ValueError:  # sequences of other lengths in each batch
        return inputs[0]
    return _arrays(joined)


def _arrays(x: Data) -> Arrays:
    """Inputs as arrays of numbers or words, the first of them."""
    if isinstance(x, list) and not _is_structure_of_arrays(x):
        raise TypeError("a list of objects")
    arrays = keras.tree.map_structure(_array, x)
    if not keras.tree.flatten(arrays):
        raise TypeError("no arrays")
    return arrays


def _array(part: Data) -> np.ndarray:
    if keras.ops.is_tensor(part):
        part = keras.ops.convert_to_numpy(part)
    array = np.asarray(part)[:SAMPLES]
    if array.dtype == object:
        words = [_word(item) for item in array.ravel()]
        array = np.array(words).reshape(array.shape)
    return array.copy()


def _word(item: object) -> str:
    """Text as pandas and Python hold it, or TensorFlow's bytes."""
    if isinstance(item, bytes):
        return item.decode()
    if not isinstance(item, str):
        raise TypeError("an array of objects")
    return item


def built(model: keras.Model, x: Data) -> keras.Model:
    """Return the model, which knows its weights.

    What has not seen its inputs yet is called with the first of them.

    Args:
        model: of a user's function.
        x: training inputs, or a dataset.
    """
    if model.built:
        return model
    inputs = few(x)
    if inputs is not None:
        first = keras.tree.map_structure(lambda array: array[:1], inputs)
        # not in training: statistics of one sample would be what BatchNormalization begins with
        model(first, training=False)
    return model
