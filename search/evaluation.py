"""A trained model on data that it was not trained on, in whatever form they come.

Its metrics, and how far those of one test set can be trusted: intervals that cover the sampling of
its rows, not the seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from .strategy.labels import count_labels
from .strategy.objective import is_share, metrics_of
from .strategy.scoring import evaluated, numbers

LEVEL = 0.95
# into which the data are cut where no formula gives an interval
_PARTS = 10
# parts of so many samples are a batch each: `evaluate` takes longer to begin than they do
_MOST_IN_A_BATCH = 64

# an array, or lists, tuples and dicts of them
Structure = Any
# of a metric: its value, and the interval with how it was made
Entry = dict[str, Any]
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray | None]


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


def with_intervals(
    model: keras.Model, test_data: Any, values: Mapping[str, float]
) -> dict[str, Entry]:
    """Return each metric with its 95 % interval, where the data are arrays of enough samples.

    An accuracy gets Wilson's score interval, if each sample has one label. Any other metric is
    evaluated on ten parts of the data, whose scatter gives Student's interval around the value. So
    is an accuracy over tokens, pixels or several labels a sample: labels of one sample are no
    independent trials, but samples are, and none is cut.

    Args:
        model: the model that was evaluated.
        test_data: the arrays ``(x, y)``, with one of a kind each, and weights if there are any;
            else there are no intervals.
        values: what `evaluate` returned, each a number.
    """
    entries: dict[str, Entry] = {name: {"value": float(value)} for name, value in values.items()}
    arrays = _arrays_of(test_data)
    if arrays is None or not len(arrays[0]):
        return entries
    x, y, weight = arrays
    count = len(x)
    # what is only called so may be anything
    shares = [
        name for name, metric in metrics_of(model).items() if name in values and is_share(metric)
    ]
    by_wilson: list[str] = []
    if weight is None and _labels(model, y) == count:  # weighted samples are no trials of one kind
        by_wilson = shares
    for name in by_wilson:
        entries[name] |= _interval(wilson(values[name], count), "Wilson", count)
    others = [name for name in values if name not in by_wilson]
    if count < 2 * _PARTS or not others:  # parts of one sample tell no scatter
        return entries
    parts = _on_parts(model, arrays)
    for name in others:
        scores = [part[name] for part in parts]
        low, high = _student(float(values[name]), scores)
        if name in shares:
            low = max(low, 0.0)
            high = min(high, 1.0)
        # where all parts have one score nothing is known of its scatter
        if math.isfinite(low) and math.isfinite(high) and len(set(scores)) > 1:
            entries[name] |= _interval((low, high), f"t of {_PARTS} parts", count)
    return entries


def _arrays_of(test_data: Any) -> Arrays | None:
    """The data as ``(x, y, weights)``; None if they are not one array of each."""
    if not isinstance(test_data, tuple | list):
        return None
    x, y, weight = (*test_data, None, None)[:3]
    if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
        return None
    if not isinstance(weight, np.ndarray | None):
        return None
    return x, y, weight


def _labels(model: keras.Model, y: np.ndarray) -> int:
    """How many labels the data hold: as many as samples, or more."""
    outputs = getattr(model, "outputs", None) or []
    if len(outputs) != 1:
        return len(y)
    return count_labels(y, outputs[0].shape)


def _on_parts(model: keras.Model, arrays: Arrays) -> list[dict[str, float]]:
    """The metrics on each of ten parts of the data, which are cut at random, and always so."""
    x, y, weight = arrays
    order = np.random.default_rng(0).permutation(len(x))
    parts: list[dict[str, float]] = []
    at_once = _takes_a_batch(model) and len(x) <= _PARTS * _MOST_IN_A_BATCH
    for rows in np.array_split(order, _PARTS):
        weight_of_part = None
        if weight is not None:
            weight_of_part = weight[rows]
        part = (x[rows], y[rows], weight_of_part)
        if at_once:
            # Keras 3.12 adds each batch to those before
            model.reset_metrics()
            logs = model.test_on_batch(*map(_as_evaluate_casts, part), return_dict=True)
        else:
            logs = evaluated(model, part)
        parts.append({name: float(value) for name, value in numbers(logs).items()})
    return parts


def _as_evaluate_casts(array: np.ndarray | None) -> np.ndarray | None:
    """An array in the dtype in which `evaluate` hands it to losses and metrics; a batch stays as it is."""
    if array is None or not np.issubdtype(array.dtype, np.floating):
        return array
    return array.astype(keras.config.floatx())


def _takes_a_batch(model: keras.Model) -> bool:
    """Whether a batch by itself has the metrics that `evaluate` has on it."""
    is_of_keras = type(model).evaluate is keras.Model.evaluate
    return is_of_keras and model.steps_per_execution == 1


def wilson(share: float, count: int, level: float = LEVEL) -> tuple[float, float]:
    """Return Wilson's score interval of a share of `count` independent trials (Wilson 1927).

    Example:
        >>> wilson(0.5, 100)  # (0.404, 0.596)
    """
    from scipy.stats import binomtest

    interval = binomtest(round(share * count), count).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def _student(value: float, parts: list[float]) -> tuple[float, float]:
    from scipy.stats import t

    quantile = float(t.ppf(0.5 + LEVEL / 2, len(parts) - 1))
    spread = float(np.std(parts, ddof=1))
    half = quantile * spread / math.sqrt(len(parts))
    return value - half, value + half


def _interval(interval: tuple[float, float], method: str, count: int) -> Entry:
    return {"interval": list(interval), "level": LEVEL, "method": method, "samples": count}
