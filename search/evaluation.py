"""A trained model on data that it was not trained on, in whatever form they come."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from .strategy.scoring import evaluated, numbers

# an array, or lists, tuples and dicts of them
Structure = Any


def scores(model: keras.Model, data: Any, **options: Any) -> dict[str, float]:
    """Return each metric on data as a number; see `keras_acts.search.strategy.scoring`."""
    metrics = numbers(evaluated(model, data, **options))
    return {name: float(value) for name, value in metrics.items()}


def validated(model: keras.Model, fit: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics on what validated a training.

    Args:
        model: compiled.
        fit: the arguments of the training's `fit`.
    """
    data = fit.get("validation_data")
    if data is None:
        data = _last_part((fit["x"], fit["y"], fit.get("sample_weight")), fit["validation_split"])
    options: dict[str, int | None] = {}
    if isinstance(data, tuple | list):  # a dataset has batches of its own
        options["batch_size"] = fit.get("validation_batch_size") or fit.get("batch_size")
    if fit.get("validation_steps") is not None:
        options["steps"] = fit["validation_steps"]
    return scores(model, data, **options)


def _last_part(arrays: tuple[Structure, ...], share: float) -> tuple[Structure, ...]:
    """The samples that Keras takes for validation: the last ones."""
    first = keras.tree.flatten(arrays[0])[0]
    start = math.floor(len(first) * (1.0 - share))

    def last_of(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None else array[start:]

    return keras.tree.map_structure(last_of, arrays)
