"""How many cores there are to work with. It needs neither Keras nor TensorFlow."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Return how many cores this process may use: a container or `taskset` may leave fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
