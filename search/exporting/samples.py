"""A few inputs, with which an export is compared.

From the data, whatever their type, else random ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_acts.compat import all_layers
from keras_acts.errors import ExportError

from ..rewrite.first_inputs import SAMPLES
from . import savedmodel


def named(model: keras.Model, samples: Any) -> dict[str, np.ndarray]:
    """Return the samples by the names of the export's inputs and in their dtype.

    Random ones if there are none.

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
    arrays = [
        np.asarray(keras.ops.convert_to_numpy(x) if keras.ops.is_tensor(x) else x)[:SAMPLES]
        for x in given
    ]
    shapes = [x.shape for x in arrays]
    if len(arrays) == len(specs):
        arrays = [_as_rows(x, spec) for x, spec in zip(arrays, specs.values(), strict=True)]
    if len(arrays) != len(specs) or any(
        not _fits(x, s) for x, s in zip(arrays, specs.values(), strict=True)
    ):
        wanted = {name: tuple(spec.shape) for name, spec in specs.items()}
        raise ExportError(
            f"samples must be what the model takes. Expected: {wanted}. Received: shapes {shapes}"
        )
    return {
        name: x.astype(_dtype(spec)) for x, (name, spec) in zip(arrays, specs.items(), strict=True)
    }


def _as_rows(x: np.ndarray, spec: Any) -> np.ndarray:
    """One value a sample as a row of one, as Keras' own `fit` and `predict` take it."""
    return x[:, None] if x.ndim == 1 and len(spec.shape) == 2 else x


def _fits(x: np.ndarray, spec: Any) -> bool:
    return (
        x.ndim == len(spec.shape)
        and len(x) > 0
        and all(
            size in (None, given) for size, given in zip(spec.shape[1:], x.shape[1:], strict=True)
        )
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
    return (rng.integers(0, 2, shape) if "int" in spec.dtype else rng.normal(size=shape)).astype(
        spec.dtype
    )
