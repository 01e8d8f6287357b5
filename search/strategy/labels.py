"""How many labels there are: one a sample, or one a token, a pixel, or an entry. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def count_labels(targets: np.ndarray, output: Sequence[int | None]) -> int:
    """Return how many labels the targets hold, for an output of this shape.

    Example:
        >>> count_labels(np.zeros((10, 7)), (None, 7, 3))  # tokens of three classes
        70
        >>> count_labels(np.eye(3), (None, 3))  # one-hot
        3
    """
    if targets.ndim != len(output) or targets.ndim < 2:
        return targets.size
    units = targets.shape[-1]
    if units == output[-1] and are_shares(targets):
        return targets.size // units
    return targets.size


def are_shares(targets: np.ndarray) -> bool:
    """Whether the last axis holds the shares of classes, such as 0, 1, 0.

    None is negative, and their sum is 1.
    """
    if targets.dtype.kind not in "fiub" or not targets.size or targets.shape[-1] < 2:
        return False
    return bool(targets.min() >= 0) and bool(np.allclose(targets.sum(axis=-1), 1, atol=1e-3))
