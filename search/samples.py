"""A few inputs, with which an export is compared: from the data, whatever their type, else random ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_acts.compat import all_layers
from keras_acts.errors import ExportError

from . import savedmodel

SAMPLES = 256  # a few tell whether an export is the model


def few(x: Any) -> Any:
    """Return the first inputs of training data as NumPy arrays, in their structure.

    Args:
        x: as `keras.Model.fit` takes it: arrays, tensors, tables, lists, a `tf.data.Dataset`, a `PyDataset`, a
            `DataLoader`.

    Returns:
        The inputs, or None for a Python generator, which can be read only once, and for what is no array.
    """
    if isinstance(x, Iterator):
        return None
    try:
        if isinstance(x, keras.utils.PyDataset):
            return _arrays(keras.utils.unpack_x_y_sample_weight(x[0])[0])
        if not _is_structure_of_arrays(x) and isinstance(x, Iterable):
            return _of_batches(x)
        return _arrays(x)
    except Exception:  # a search is over when this is asked: what cannot be read must not cost its result
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
    array = np.asarray(keras.ops.convert_to_numpy(part) if keras.ops.is_tensor(part) else part)[:SAMPLES]
    if array.dtype == object:  # words, in TensorFlow's bytes or in pandas' and Python's text
        flat = [word.decode() if isinstance(word, bytes) else word for word in array.ravel()]
        if not all(isinstance(word, str) for word in flat):
            raise TypeError("an array of objects")
        array = np.array(flat).reshape(array.shape)
    return array.copy()


def named(model: keras.Model, samples: Any) -> dict[str, np.ndarray]:
    """Return the samples by the names of the export's inputs and in their dtype; random ones if there are none.

    Args:
        model: what is exported.
        samples: in the structure of its input, or by the names of the inputs.

    Raises:
        ExportError: if they are not what it takes.
    """
    specs = savedmodel.input_specs(model)
    if samples is None:
        rng, words = np.random.default_rng(0), _words(model)
        return {name: _random(rng, spec, words) for name, spec in specs.items()}
    by_name = isinstance(samples, Mapping)
    known = savedmodel.by_export_names(samples, savedmodel.given_names(model)) if by_name else None
    given = keras.tree.flatten(samples) if known is None else list(known.values())
    arrays = [np.asarray(keras.ops.convert_to_numpy(x) if keras.ops.is_tensor(x) else x)[:SAMPLES] for x in given]
    shapes = [x.shape for x in arrays]
    if len(arrays) == len(specs):
        arrays = [_as_rows(x, spec) for x, spec in zip(arrays, specs.values(), strict=True)]
    if len(arrays) != len(specs) or any(not _fits(x, s) for x, s in zip(arrays, specs.values(), strict=True)):
        wanted = {name: tuple(spec.shape) for name, spec in specs.items()}
        raise ExportError(f"samples must be what the model takes. Expected: {wanted}. Received: shapes {shapes}")
    return {name: x.astype(_dtype(spec)) for x, (name, spec) in zip(arrays, specs.items(), strict=True)}


def _as_rows(x: np.ndarray, spec: Any) -> np.ndarray:
    """One value a sample as a row of one, as Keras' own `fit` and `predict` take it."""
    return x[:, None] if x.ndim == 1 and len(spec.shape) == 2 else x


def _fits(x: np.ndarray, spec: Any) -> bool:
    return (
        x.ndim == len(spec.shape)
        and len(x) > 0
        and all(size in (None, given) for size, given in zip(spec.shape[1:], x.shape[1:], strict=True))
    )


def _dtype(spec: Any) -> Any:
    return str if spec.dtype == "string" else spec.dtype


def _words(model: keras.Model) -> list[str]:
    """The words that the model's lookups know: some take no others."""
    kinds = (keras.layers.StringLookup, keras.layers.TextVectorization)
    lookups = [layer for layer in all_layers(model) if isinstance(layer, kinds)]
    known = [lookup.get_vocabulary(include_special_tokens=False) for lookup in lookups]
    return sorted({str(word) for vocabulary in known for word in vocabulary}) or ["word"]


def _random(rng: np.random.Generator, spec: Any, words: list[str]) -> np.ndarray:
    shape = [32 if size is None else size for size in spec.shape]
    if spec.dtype == "string":
        return rng.choice(words, shape)
    # whole numbers are often indices: 0 and 1 are valid ones
    return (rng.integers(0, 2, shape) if "int" in spec.dtype else rng.normal(size=shape)).astype(spec.dtype)
