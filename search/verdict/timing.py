"""How long a model takes to predict."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import keras

from ..strategy.scoring import Data

# samples: enough that the model counts, and not Keras around it
_BATCH = 512
# an odd number of calls has one in the middle, which no disturbed call moves
_ROUNDS = 15
_FEWEST_ROUNDS = 3
# after which no round begins that is not among the fewest
_SECONDS = 5.0


def inference_seconds(models: Mapping[str, keras.Model], x: Data) -> dict[str, float]:
    """Return the median seconds that each model takes for one batch of up to 512 samples, on this machine, now.

    The models take turns, so that other work on the machine slows all of them; 15 times each, 3 if
    they are slow. Empty if `x` is not made of arrays.

    Args:
        models: by name.
        x: inputs, as arrays.
    """
    for part in keras.tree.flatten(x):
        if not hasattr(part, "shape") or not hasattr(part, "__getitem__"):
            return {}
    batch = keras.tree.map_structure(lambda part: part[:_BATCH], x)
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(2):  # the first call traces
        for model in models.values():
            model.predict_on_batch(batch)
    end = time.perf_counter() + _SECONDS
    for finished in range(_ROUNDS):
        if finished >= _FEWEST_ROUNDS and time.perf_counter() > end:
            break
        for name, model in models.items():
            start = time.perf_counter()
            model.predict_on_batch(batch)
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
