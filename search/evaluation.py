"""A trained model on data that it was not trained on, in whatever form they come."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras

from .strategy.scoring import evaluated, numbers


def scores(model: keras.Model, data: Any, **options: Any) -> dict[str, float]:
    """Return each metric on data as a number; see `keras_acts.search.strategy.scoring`."""
    return {
        name: float(value) for name, value in numbers(evaluated(model, data, **options)).items()
    }


def validated(model: keras.Model, fit: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics on what validated a training.

    Args:
        model: compiled.
        fit: the arguments of the training's `fit`.
    """
    data = fit.get("validation_data")
    options: dict[str, Any] = {
        "batch_size": fit.get("validation_batch_size") or fit.get("batch_size")
    }
    if data is None:
        data = _last_part((fit["x"], fit["y"], fit.get("sample_weight")), fit["validation_split"])
    elif not isinstance(data, tuple | list):
        options = {}
    if fit.get("validation_steps") is not None:
        options["steps"] = fit["validation_steps"]
    return scores(model, data, **options)


def _last_part(arrays: tuple[Any, ...], share: float) -> tuple[Any, ...]:
    """The samples that Keras takes for validation: the last ones."""
    first = keras.tree.flatten(arrays[0])[0]
    start = math.floor(len(first) * (1.0 - share))
    return keras.tree.map_structure(lambda array: None if array is None else array[start:], arrays)
