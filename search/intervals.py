"""How far the metrics of one test set can be trusted.

Intervals that cover the sampling of its rows, not the seeds.
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
_PARTS = 10


def with_intervals(
    model: keras.Model, test_data: Any, values: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
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
    x, y, weight = (
        (*test_data, None, None)[:3] if isinstance(test_data, tuple | list) else (None, None, None)
    )
    arrays = all(isinstance(part, np.ndarray) for part in (x, y)) and isinstance(
        weight, np.ndarray | None
    )
    count = len(x) if arrays else 0
    found: dict[str, dict[str, Any]] = {
        name: {"value": float(value)} for name, value in values.items()
    }
    if not count or not isinstance(y, np.ndarray):
        return found
    outputs = getattr(model, "outputs", None) or []
    labels = count_labels(y, outputs[0].shape) if len(outputs) == 1 else count
    # what is only called so may be anything
    shares = [
        name for name, metric in metrics_of(model).items() if name in values and is_share(metric)
    ]
    # nor are weighted samples trials of one kind
    by_wilson = shares if labels == count and weight is None else []
    for name in by_wilson:
        found[name] |= _entry(wilson(values[name], count), "Wilson", count)
    others = [name for name in values if name not in by_wilson]
    if count < 2 * _PARTS or not others:
        return found
    cuts = np.array_split(np.random.default_rng(0).permutation(count), _PARTS)
    cut = [(x[rows], y[rows], None if weight is None else weight[rows]) for rows in cuts]
    parts = [numbers(evaluated(model, part)) for part in cut]
    for name in others:
        scores = [float(part[name]) for part in parts]
        low, high = _student(float(values[name]), scores)
        if name in shares:
            low, high = max(low, 0.0), min(high, 1.0)
        # where all parts have one score nothing is known of its scatter
        if math.isfinite(low) and math.isfinite(high) and len(set(scores)) > 1:
            found[name] |= _entry((low, high), f"t of {_PARTS} parts", count)
    return found


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

    half = (
        float(t.ppf(0.5 + LEVEL / 2, len(parts) - 1))
        * float(np.std(parts, ddof=1))
        / math.sqrt(len(parts))
    )
    return value - half, value + half


def _entry(interval: tuple[float, float], method: str, count: int) -> dict[str, Any]:
    return {"interval": list(interval), "level": LEVEL, "method": method, "samples": count}
