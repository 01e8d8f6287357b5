"""A few inputs, with which an export is compared.

From the data, whatever their type, else random ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import DTypeLike

from keras_acts.compat import all_layers
from keras_acts.errors import ExportError

from ..rewrite.first_inputs import SAMPLES
from .names import by_export_names, given_names, input_specs
from .values import unlike

# an axis of unknown size, the batch one among them, gets so many random entries
_RANDOM_SIZE = 32


def named(model: keras.Model, samples: Any) -> dict[str, np.ndarray]:
    """Return the samples by the names of the export's inputs and in their dtype.

    Random ones if there are none.

    Args:
        model: what is exported.
        samples: in the structure of its input, or by the names of the inputs.

    Raises:
        ExportError: if they are not what it takes.
    """
    specs = input_specs(model)
    if samples is None:
        return _random_samples(model, specs)
    arrays = [_first_rows(leaf) for leaf in _in_order_of_inputs(model, samples)]
    if len(arrays) != len(specs):
        raise _unfit(specs, arrays)
    given: dict[str, np.ndarray] = {}
    for array, (name, spec) in zip(arrays, specs.items(), strict=True):
        rows = _as_rows(array, spec)
        if not _fits(rows, spec):
            raise _unfit(specs, arrays)
        kind = unlike(rows, spec.dtype)
        if kind:
            raise ExportError(
                f"samples must be what the model takes, {spec.dtype} for the input {name!r}. "
                f"Received: {kind}"
            )
        given[name] = rows
    # only now: a cast may fail, and a wrong shape is the clearer reason
    return {name: rows.astype(_dtype(specs[name])) for name, rows in given.items()}


def _in_order_of_inputs(model: keras.Model, samples: Any) -> list[Any]:
    """The leaves of the samples, in the order of the export's inputs."""
    if isinstance(samples, Mapping):
        by_name = by_export_names(samples, given_names(model))
        if by_name is not None:
            return list(by_name.values())
    return keras.tree.flatten(samples)


def _first_rows(leaf: Any) -> np.ndarray:
    if keras.ops.is_tensor(leaf):
        leaf = keras.ops.convert_to_numpy(leaf)
    array = np.asarray(leaf)
    if array.ndim == 0:  # no samples at all: `_fits` says so
        return array
    return array[:SAMPLES]


def _unfit(specs: Mapping[str, keras.InputSpec], arrays: Sequence[np.ndarray]) -> ExportError:
    expected = {name: tuple(spec.shape) for name, spec in specs.items()}
    received = [array.shape for array in arrays]
    return ExportError(
        f"samples must be what the model takes. Expected: {expected}. Received: shapes {received}"
    )


def _as_rows(array: np.ndarray, spec: keras.InputSpec) -> np.ndarray:
    """One value a sample as a row of one, as Keras' own `fit` and `predict` take it."""
    if array.ndim == 1 and len(spec.shape) == 2:
        return array[:, None]
    return array


def _fits(array: np.ndarray, spec: keras.InputSpec) -> bool:
    if array.ndim != len(spec.shape) or len(array) == 0:
        return False
    sizes = zip(spec.shape[1:], array.shape[1:], strict=True)
    return all(expected in (None, size) for expected, size in sizes)


def _dtype(spec: keras.InputSpec) -> DTypeLike:
    # NumPy knows no dtype of the name "string"
    if spec.dtype == "string":
        return str
    return spec.dtype


def _words(model: keras.Model) -> list[str]:
    """The words that the model's lookups know: some take no others."""
    known: set[str] = set()
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.StringLookup | keras.layers.TextVectorization):
            known.update(map(str, layer.get_vocabulary(include_special_tokens=False)))
    return sorted(known) or ["word"]


def _random_samples(
    model: keras.Model, specs: Mapping[str, keras.InputSpec]
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    words = _words(model)
    return {name: _random(rng, spec, words) for name, spec in specs.items()}


def _random(rng: np.random.Generator, spec: keras.InputSpec, words: list[str]) -> np.ndarray:
    shape: list[int] = []
    for size in spec.shape:
        if size is None:
            size = _RANDOM_SIZE
        shape.append(size)
    if spec.dtype == "string":
        return rng.choice(words, shape)
    if "int" in spec.dtype:
        # whole numbers are often indices: 0 and 1 are valid ones
        return rng.integers(0, 2, shape).astype(spec.dtype)
    return rng.normal(size=shape).astype(spec.dtype)
