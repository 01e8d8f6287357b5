"""How long a model takes to predict."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

import keras

_BATCH = 512
_ROUNDS, _LEAST, _SECONDS = 15, 3, 5.0


def inference_seconds(models: Mapping[str, keras.Model], x: Any) -> dict[str, float]:
    """Return the median seconds that each model takes for one batch of up to 512 samples, on this machine, now.

    The models take turns, so that other work on the machine slows all of them; 15 times each, 3 if
    they are slow. Empty if `x` is not made of arrays.

    Args:
        models: by name.
        x: inputs, as arrays.
    """
    if not all(
        hasattr(part, "shape") and hasattr(part, "__getitem__") for part in keras.tree.flatten(x)
    ):
        return {}
    batch = keras.tree.map_structure(lambda part: part[:_BATCH], x)
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(2):  # the first call traces
        for model in models.values():
            model.predict_on_batch(batch)
    begun = time.perf_counter()
    for count in range(_ROUNDS):
        if count >= _LEAST and time.perf_counter() - begun > _SECONDS:
            break
        for name, model in models.items():
            start = time.perf_counter()
            model.predict_on_batch(batch)
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
