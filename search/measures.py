"""What people ask of a model besides its loss, on data that it was not trained on.

Of numbers how far predictions are off in the target's own unit; of classes what the accuracy is to
be held against, and what it hides where classes are uneven.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np

from .report.numbers import number
from .rewrite.threshold import learns_two_classes, threshold_of

# what `fit` and `evaluate` take; see `strategy.scoring.Data`
Data: TypeAlias = Any
# what `compile` takes for one output
_Loss: TypeAlias = Any

_OF_CLASSES = (
    keras.losses.SparseCategoricalCrossentropy,
    keras.losses.CategoricalCrossentropy,
    keras.losses.CategoricalFocalCrossentropy,
)
_OF_NUMBERS = (
    keras.losses.MeanSquaredError,
    keras.losses.MeanAbsoluteError,
    keras.losses.MeanAbsolutePercentageError,
    keras.losses.MeanSquaredLogarithmicError,
    keras.losses.Huber,
    keras.losses.LogCosh,
)
_FUNCTIONS_OF_CLASSES = (
    keras.losses.sparse_categorical_crossentropy,
    keras.losses.categorical_crossentropy,
    keras.losses.categorical_focal_crossentropy,
)
_FUNCTIONS_OF_NUMBERS = (
    keras.losses.mean_squared_error,
    keras.losses.mean_absolute_error,
    keras.losses.mean_absolute_percentage_error,
    keras.losses.mean_squared_logarithmic_error,
    keras.losses.huber,
    keras.losses.log_cosh,
)
# classes are uneven where the most frequent one is so many times as frequent as the rarest
_UNEVEN = 1.5
# samples that are predicted in one call, and up to how many so without a program being traced
_AT_ONCE = 256
_UNTRACED = 4096


@dataclass(frozen=True)
class Measures:
    """What a model's predictions are worth on data.

    Attributes:
        samples: how many were predicted.
        rmse: the root of the mean squared error, in the unit of the target; nan for classes.
        mae: the mean absolute error, in that unit; nan for classes.
        r2: the share of the targets' variance that is explained; nan for classes, and where the
            targets do not vary.
        shares: of each class in the data; empty for numbers.
        accuracy: the share of the samples that are right; nan for numbers.
        balanced_accuracy: the mean over the classes of the share of each that is right.
        auc: the area under the ROC curve; of several classes the mean of each against the rest. nan
            where a class is missing.
    """

    samples: int
    rmse: float = math.nan
    mae: float = math.nan
    r2: float = math.nan
    shares: tuple[float, ...] = ()
    accuracy: float = math.nan
    balanced_accuracy: float = math.nan
    auc: float = math.nan

    @property
    def majority(self) -> float:
        """The accuracy of always answering with the most frequent class; nan for numbers."""
        return max(self.shares, default=math.nan)

    @property
    def uneven(self) -> bool:
        """Whether some classes are much rarer than others, so that an accuracy hides them."""
        return bool(self.shares) and self.majority > _UNEVEN * min(self.shares)

    @property
    def is_of_even_classes(self) -> bool:
        """Whether these are of classes that are about as frequent as each other."""
        return bool(self.shares) and not self.uneven

    def told(self, unit: str = "") -> str:
        """Return the measures in a sentence.

        Args:
            unit: of a target of numbers, such as ``"EUR"``.
        """
        named = [f"{name} {value}" for name, value in self.written(unit)]
        if not self.shares:
            return f"In the unit of the target: {', '.join(named)}."
        # the accuracy stands among the metrics already
        text = f"Always the most frequent class would be right on {_percent(self.majority)}"
        if self.uneven:
            text += f"; as classes are uneven: {', '.join(named[2:])}"
        return f"{text}."

    def written(self, unit: str = "") -> list[tuple[str, str]]:
        """Return the name and the value of each measure that is known, as people read them."""
        if self.shares:
            found = [("accuracy", _percent(self.accuracy))]
            found.append(("accuracy of always the most frequent class", _percent(self.majority)))
            if self.uneven:
                found.append(("balanced accuracy", _percent(self.balanced_accuracy)))
                if not math.isnan(self.auc):
                    found.append(("AUC", number(self.auc, zeros=True)))
            return found
        of_unit = ""
        if unit:
            of_unit = f" {unit}"
        found = [("RMSE", f"{number(self.rmse)}{of_unit}"), ("MAE", f"{number(self.mae)}{of_unit}")]
        if not math.isnan(self.r2):
            found.append(("R²", number(self.r2)))
        return found

    def to_dict(self) -> dict[str, float]:
        """Return the measures that are known, by name."""
        values = {
            "rmse": self.rmse,
            "mae": self.mae,
            "r2": self.r2,
            "majority_share": self.majority,
            "balanced_accuracy": self.balanced_accuracy,
            "auc": self.auc,
        }
        return {name: value for name, value in values.items() if math.isfinite(value)}


def measures_of(model: keras.Model, data: Data) -> Measures | None:
    """Return what a model's predictions are worth on data.

    None where its loss does not say whether it predicts classes or numbers, it has several outputs,
    or the data are not one array of inputs and targets each, without weights.

    Args:
        model: compiled.
        data: ``(x, y)``.
    """
    arrays = _arrays(data)
    loss = _loss_of(model)
    outputs: Sequence[keras.KerasTensor] = getattr(model, "outputs", None) or ()
    if arrays is None or loss is None or len(outputs) != 1:
        return None
    x, y = arrays
    units = outputs[0].shape[-1]
    if len(outputs[0].shape) != 2 or units is None:
        return None  # a sample has several labels
    if units > 1 and _is_one_of(loss, _OF_CLASSES, _FUNCTIONS_OF_CLASSES):
        labels = _labels(y, units)
        if labels is None:
            return None
        return _of_classes(labels, _shares_of(_predicted(model, x), loss))
    if units == 1 and y.size == len(x):
        return _of_one_unit(model, loss, x, y.reshape(-1))
    return None


def _of_one_unit(model: keras.Model, loss: _Loss, x: np.ndarray, y: np.ndarray) -> Measures | None:
    if learns_two_classes(model):
        threshold = threshold_of(model)
        if threshold is None or not set(np.unique(y)) <= {0, 1}:
            return None
        outputs = _predicted(model, x)[:, 0]
        return _of_two_classes(y.astype(int), outputs, threshold)
    if _is_one_of(loss, _OF_NUMBERS, _FUNCTIONS_OF_NUMBERS) and y.dtype.kind in "fiu":
        return _of_numbers(y.astype("float64"), _predicted(model, x)[:, 0])
    return None


def _of_numbers(y: np.ndarray, predicted: np.ndarray) -> Measures:
    errors = predicted - y
    spread = float(np.sum((y - y.mean()) ** 2))
    r2 = math.nan
    if spread > 0:
        r2 = 1 - float(np.sum(errors**2)) / spread
    rmse = math.sqrt(float(np.mean(errors**2)))
    return Measures(len(y), rmse=rmse, mae=float(np.mean(np.abs(errors))), r2=r2)


def _of_two_classes(labels: np.ndarray, outputs: np.ndarray, threshold: float) -> Measures:
    right = (outputs > threshold) == (labels == 1)
    auc = math.nan
    if len(np.unique(labels)) == 2:
        from sklearn.metrics import roc_auc_score

        auc = float(roc_auc_score(labels, outputs))
    return _measured(labels, right, np.bincount(labels, minlength=2), auc)


def _of_classes(labels: np.ndarray, shares: np.ndarray) -> Measures:
    right = shares.argmax(axis=1) == labels
    counts = np.bincount(labels, minlength=shares.shape[1])
    auc = math.nan
    if counts.all() and np.isfinite(shares).all():
        from sklearn.metrics import roc_auc_score

        if len(counts) == 2:
            auc = float(roc_auc_score(labels, shares[:, 1]))
        else:
            auc = float(roc_auc_score(labels, shares, multi_class="ovr"))
    return _measured(labels, right, counts, auc)


def _measured(labels: np.ndarray, right: np.ndarray, counts: np.ndarray, auc: float) -> Measures:
    # a class that the data do not hold cannot be right or wrong
    of_each = [float(right[labels == label].mean()) for label in np.flatnonzero(counts)]
    return Measures(
        len(labels),
        shares=tuple(float(share) for share in counts / len(labels)),
        accuracy=float(right.mean()),
        balanced_accuracy=float(np.mean(of_each)),
        auc=auc,
    )


def _arrays(data: Data) -> tuple[np.ndarray, np.ndarray] | None:
    if not isinstance(data, tuple | list):
        return None
    x, y, weight = (*data, None, None)[:3]
    if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray) or not len(x):
        return None
    if weight is not None:
        return None  # weighted samples do not count alike
    return x, y


def _labels(y: np.ndarray, units: int) -> np.ndarray | None:
    """The class of each sample, from numbers or one-hot; None for shares of several."""
    if y.ndim == 2 and y.shape[1] == units:
        if not np.isin(y, (0, 1)).all() or not (y.sum(axis=1) == 1).all():
            return None
        return y.argmax(axis=1)
    flat = y.reshape(-1)
    whole = flat.astype(int)
    if flat.size != len(y) or (whole != flat).any() or whole.min() < 0 or whole.max() >= units:
        return None
    return whole


def _shares_of(outputs: np.ndarray, loss: _Loss) -> np.ndarray:
    """Outputs as shares of the classes, which sum to 1."""
    if getattr(loss, "from_logits", False):
        outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return outputs / outputs.sum(axis=1, keepdims=True)


def _predicted(model: keras.Model, x: np.ndarray) -> np.ndarray:
    if len(x) > _UNTRACED:
        return np.asarray(model.predict(x, verbose=0), "float64")
    # a program for a few samples takes longer to trace than they take without
    parts: Sequence[np.ndarray] = [
        keras.ops.convert_to_numpy(model(x[start : start + _AT_ONCE], training=False))
        for start in range(0, len(x), _AT_ONCE)
    ]
    return np.concatenate(parts).astype("float64")


def _loss_of(model: keras.Model) -> _Loss | None:
    """The loss that a model is compiled with, as an object; None if it is none of Keras', or several."""
    given = getattr(model, "loss", None)
    if isinstance(given, Mapping | list | tuple):
        given = keras.tree.flatten(given)
        if len(given) != 1:
            return None
        given = given[0]
    if isinstance(given, str):
        given = keras.losses.get(given)
    return given


def _is_one_of(
    loss: _Loss, kinds: tuple[type, ...], functions: tuple[Callable[..., Any], ...]
) -> bool:
    """Whether a loss is of these classes, or one of these functions."""
    if isinstance(loss, kinds):
        return True
    return any(loss is function for function in functions)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
