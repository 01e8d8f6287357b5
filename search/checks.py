"""Whether data fit each other and the model, before anything is trained."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_acts.errors import DataError


def check_data(model: Any, x: Any, y: Any) -> None:
    """Check arrays against each other and against a model with one input and one output.

    What is no array (a dataset, a generator, several inputs) is left to Keras.

    Raises:
        DataError: naming the rule and the value.
    """
    if not _is_array(x):
        return
    if len(x) == 0:
        raise DataError(f"The data must have at least one sample. Received: x.shape={tuple(x.shape)}")
    if np.issubdtype(x.dtype, np.floating) and not np.isfinite(x).all():
        raise DataError(f"The inputs must be finite. Received: {int((~np.isfinite(x)).sum())} NaN or infinite values")
    if _is_array(y) and len(y) != len(x):
        raise DataError(f"Inputs and labels must be as many. Received: {len(x)} inputs and {len(y)} labels")
    if not isinstance(model, keras.Model) or len(model.inputs) != 1 or len(model.outputs) != 1:
        return
    expected = tuple(model.inputs[0].shape[1:])
    wanted, given = _without_ones(expected), _without_ones(x.shape[1:])
    if len(wanted) != len(given) or any(w not in (None, g) for w, g in zip(wanted, given, strict=True)):
        raise DataError(
            f"The inputs must fit the model. Expected: samples of shape {expected}. Received: {x.shape[1:]}"
        )
    if _is_array(y):
        _check_labels(model, np.asarray(y))


def _check_labels(model: keras.Model, y: np.ndarray) -> None:
    loss = getattr(model.loss, "name", model.loss)
    units = model.outputs[0].shape[-1]
    if loss == "sparse_categorical_crossentropy" and units is not None:
        if not np.issubdtype(y.dtype, np.number) or y.min() < 0 or y.max() >= units or (y != np.floor(y)).any():
            raise DataError(
                f"The labels must fit the model: whole numbers from 0 to {units - 1}, one an output. "
                f"Received: labels from {y.min()!s} to {y.max()!s}"
            )
    elif loss in ("categorical_crossentropy", "binary_crossentropy", "mean_squared_error", "mse"):
        wide = y.shape[1:] or (1,)
        if wide[-1] != units and units is not None:
            raise DataError(f"The labels must fit the model's {units} outputs. Received: labels of shape {y.shape[1:]}")


def _without_ones(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """Drop a last axis of size 1, which Keras adds and takes away by itself."""
    return shape[:-1] if shape and shape[-1] == 1 else shape


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)
