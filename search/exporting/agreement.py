"""How exactly an export must predict what its model does.

As exactly as the model itself, but for a little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import numpy as np

from keras_acts.compat import all_layers
from keras_acts.errors import ExportError

from . import savedmodel
from .verify_process import compare

# all are relative to max(1, |prediction|). Other runtimes, and still more other backends, multiply
# and add in another order
LIMITS = {"SavedModel": 1e-6, "keras": 1e-6, "litert": 1e-5, "onnx": 1e-5}
OTHER_BACKENDS = 1e-3
# a model's own rounding may widen a limit so many times its size, up to here
_TIMES_NOISE = 4.0
_WIDEST = 1e-4
_FEW = 32  # samples that are predicted one by one
# how far a model in half precision may be from its copy in float32, relative to max(1, its largest
# |prediction|); bfloat16 rounds eight times as coarsely as float16, and each layer adds to it
_HALF = 2e-2
_BFLOAT16 = 8e-2


@dataclass(frozen=True)
class Agreement:
    """What was compared with the model.

    Attributes:
        differences: the largest by kind of file, relative to max(1, |prediction|).
        limits: what they had to keep.
        noise: how much the model's own predictions differ between batch sizes; None where nobody
            had to know.
    """

    differences: Mapping[str, float]
    limits: Mapping[str, float]
    noise: float | None


def judge(differences: Mapping[str, float], measure: Callable[[], float]) -> Agreement:
    """Return the limits that the differences keep.

    Args:
        differences: by kind of file.
        measure: the model's own noise; asked only if a difference exceeds what nearly all models
            keep.

    Raises:
        ExportError: naming a difference that does not keep its limit.
    """
    limits = {kind: LIMITS.get(kind, OTHER_BACKENDS) for kind in differences}
    if all(difference <= limits[kind] for kind, difference in differences.items()):
        return Agreement(differences, limits, noise=None)
    own_noise = measure()
    widened = _widened(own_noise)
    limits = {kind: max(limit, widened) for kind, limit in limits.items()}
    for kind, difference in differences.items():
        # not `>`: a difference that is NaN keeps no limit
        if not difference <= limits[kind]:
            raise ExportError(
                f"The export must agree with the model to {limits[kind]:g}. "
                f"Received: a difference of {difference:g} ({kind}; "
                f"between batch sizes the model's own predictions differ by {own_noise:.1g})"
            )
    return Agreement(differences, limits, own_noise)


def _widened(own_noise: float) -> float:
    """The limit that a model's own noise asks for, as far as rounding can explain it."""
    if not np.isfinite(own_noise):
        return 0.0
    return min(_TIMES_NOISE * own_noise, _WIDEST)


def noise(model: keras.Model, x: dict[str, np.ndarray], y: Mapping[str, np.ndarray]) -> float:
    """Return how much the model's predictions differ between batches of 1, of 7, and of all.

    Args:
        model: on any backend.
        x: samples by name.
        y: the predictions for all of them at once.
    """
    few = {name: value[:_FEW] for name, value in x.items()}
    try:
        expected = {name: value[:_FEW] for name, value in y.items()}
        differences: list[float] = []
        for batch_size in (1, 7, _FEW):
            predicted = savedmodel.predict(model, few, list(y), batch_size=batch_size)
            differences.append(compare(expected, predicted))
    except (ValueError, IndexError):
        # the shape of its outputs is not that of its samples: it is no model of single samples
        return float("inf")
    return max(differences)


def check_copy(
    model: keras.Model, y: Mapping[str, np.ndarray], copy: Mapping[str, np.ndarray]
) -> None:
    """Check that the float32 copy of a model predicts what the model does, but for rounding.

    Args:
        model: the user's, in another precision.
        y: its predictions.
        copy: the copy's, for the same samples.

    Raises:
        ExportError: naming the difference, of state that the copy has not, for one.
    """
    coarse = any("bfloat16" in layer.compute_dtype for layer in all_layers(model))
    limit = _HALF
    if coarse:
        limit = _BFLOAT16
    for name, predicted in copy.items():
        # words and whole numbers follow from rounded ones by steps, which no limit knows
        if predicted.dtype.kind != "f":
            continue
        # NumPy itself does not compute in bfloat16
        expected = np.asarray(y[name]).astype("float64")
        known = np.isfinite(expected)  # half precision overflows where float32 does not
        scale = max(1.0, np.abs(expected[known]).max(initial=0.0))
        largest = np.abs(predicted[known] - expected[known]).max(initial=0.0)
        difference = largest / scale
        if not difference <= limit:
            raise ExportError(
                "A model that is not in float32 must predict in float32 what it does now, to "
                f"{limit:g} of its largest "
                "prediction; its copy has only what Keras saves: config, weights and vocabularies. "
                f"Received: a difference of {difference:g} in the output {name!r} of {model.name!r}"
            )
