"""A model scored on data, in numbers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np


def evaluated(model: keras.Model, data: Any, **options: Any) -> dict[str, np.ndarray]:
    """Return what `evaluate` says of ``(x, y)``, ``(x, y, sample_weight)`` or a dataset, each value a number.

    Those of a population stay one for each slot.

    Args:
        model: compiled.
        data: as the `validation_data` of `fit`.
        **options: further arguments of `evaluate`.
    """
    if isinstance(data, tuple | list):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(tuple(data))
        found = model.evaluate(x, y, sample_weight=weight, return_dict=True, verbose=0, **options)
    else:
        found = model.evaluate(data, return_dict=True, verbose=0, **options)
    return dict(found)


def numbers(logs: Mapping[str, Any], axes: int = 0) -> dict[str, np.ndarray]:
    """Return logs in which each value is one number.

    A metric with a value a class becomes ``"f1_score[0]"``, ….

    Args:
        logs: values by name.
        axes: how many axes in front are not the metric's, such as those of epochs or slots.
    """
    found: dict[str, np.ndarray] = {}
    for name, value in logs.items():
        array = np.asarray(value)
        own = array.shape[axes:]
        for place in np.ndindex(own):
            suffix = "".join(f"[{index}]" for index in place)
            found[f"{name}{suffix}"] = array[(..., *place)] if place else array
    return found
