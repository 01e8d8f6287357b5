"""When scores differ by no more than rounding. NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

# Scores are often float32, which rounds by 6e-8 of a score; a loss sums up many of them. One label
# of a million more or less is a real difference, and above it.
_ROUNDING = 1e-6


def is_rounding(spread: float, *scores: ArrayLike) -> bool:
    """Whether a deviation between scores of this size is none: no more than float32 rounds.

    The scores decide, not their differences: two candidates that differ by the same 3 samples of
    154 on two seeds have accuracies in float32 whose differences deviate by 1e-8. A t test would
    take that for certainty.
    """
    largest = 0.0
    for values in scores:
        sizes = np.abs(np.asarray(values, float))
        largest = max(largest, float(np.max(sizes, initial=0)))
    return bool(spread <= _ROUNDING * largest)
