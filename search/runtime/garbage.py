"""Models that have ended: when Python is asked to look for their memory."""

from __future__ import annotations

import gc

import keras
import psutil

# bytes that may wait for Python to look by itself
LARGE = 2**27
# of each value of a model: itself, its gradient, and what Adam keeps of it, in float32
_BYTES_A_PARAMETER = 4 * 4


class Garbage:
    """What a search leaves behind, model after model.

    Models are full of cycles, so that Python frees them only when it looks for those. It does so by
    itself as objects add up, but it does not know how large their arrays are. To look after each
    model takes a quarter of a second: half as long as a small one trains.
    """

    def __init__(self) -> None:
        self._of_models = 0
        self._resident = _resident()

    def add(self, model: keras.Model) -> None:
        """Hear of a model that will be garbage. On a GPU its arrays are not in the process."""
        if model.built:
            self._of_models += _BYTES_A_PARAMETER * model.count_params()

    def collect(self) -> None:
        """Free what is no longer used, where that is much."""
        grown = _resident() - self._resident
        if max(self._of_models, grown) < LARGE:
            return
        gc.collect()
        self._of_models = 0
        self._resident = _resident()


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)
