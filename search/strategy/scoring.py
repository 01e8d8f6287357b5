"""A model scored on data, in numbers by name."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, TypeAlias

import keras
import numpy as np

# What `fit` and `evaluate` take: arrays and structures of them, tuples of inputs, targets and
# weights, a `tf.data.Dataset`, a `PyDataset`, a generator; None for none. They share no class.
Data: TypeAlias = Any


def have_shapes(data: Data) -> bool:
    """Whether data are arrays, or a structure of nothing else."""
    return all(hasattr(part, "shape") for part in keras.tree.flatten(data))


def has_series(data: Data) -> bool:
    """Whether there are columns of pandas among the data."""
    return any(map(_is_series, keras.tree.flatten(data)))


def without_series(data: Data) -> Data:
    """Return the data with arrays (N, 1) in place of columns of pandas, as Keras takes them.

    Of a column itself Keras traces a step for one without a shape, in which some metrics fail; and a
    model that has seen one takes no array after it.
    """
    if not has_series(data):
        return data
    return keras.tree.map_structure(_array_of_series, data)


def _is_series(part: Any) -> bool:
    """Whether it is a column of pandas, which only a process that has loaded pandas can have."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(part, pandas.Series)


def _array_of_series(part: Any) -> Any:
    if _is_series(part):
        # (N,) would broadcast against (N, 1) of an output in a metric that is a plain function
        return part.to_numpy()[:, np.newaxis]
    return part


def evaluated(model: keras.Model, data: Data, **options: Any) -> dict[str, np.ndarray]:
    """Return what `evaluate` says of ``(x, y)``, ``(x, y, sample_weight)`` or a dataset, each value a number.

    Those of a population stay one for each member.

    Args:
        model: compiled.
        data: as the `validation_data` of `fit`.
        **options: further arguments of `evaluate`.
    """
    if isinstance(data, tuple | list):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(tuple(data))
        logs = model.evaluate(x, y, sample_weight=weight, return_dict=True, verbose=0, **options)
    else:
        logs = model.evaluate(data, return_dict=True, verbose=0, **options)
    return dict(logs)


def numbers(logs: Mapping[str, Any], axes: int = 0) -> dict[str, np.ndarray]:
    """Return logs in which each value is one number.

    A metric with a value a class becomes ``"f1_score[0]"``, ….

    Args:
        logs: values by name.
        axes: how many axes in front are not the metric's, such as those of epochs or members.
    """
    single: dict[str, np.ndarray] = {}
    for name, value in logs.items():
        array = np.asarray(value)
        shape_of_metric = array.shape[axes:]
        if not shape_of_metric:
            single[name] = array
            continue
        for place in np.ndindex(shape_of_metric):
            suffix = "".join(f"[{index}]" for index in place)
            single[f"{name}{suffix}"] = array[(..., *place)]
    return single
