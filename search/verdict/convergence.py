"""Whether trainings had converged when they ended. NumPy and SciPy only."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from ..strategy.rounding import is_rounding
from .paired import ALPHA
from .runs import Runs

_LATE = 0.25  # of the epochs


def late_gains(runs: Runs | None, metric: str, maximize: bool) -> dict[str, float]:
    """Return by how much candidates were still improving in the last quarter of their epochs.

    Empty if one was not.

    That is the mean of the validation scores in that quarter minus the mean in as many epochs
    before it, for each run. A candidate was improving if these differences are positive by a
    one-sided t test at 5 % over its seeds. Where all were, the answer may be another after more
    epochs.

    Args:
        runs: what was trained.
        metric: that is judged.
        maximize: whether higher is better.
    """
    if runs is None:
        return {}
    history = runs.history.get(f"val_{metric}")
    if history is None or min(history.shape[:2]) < 2:
        return {}  # one seed or one epoch tells nothing of a trend
    window = max(1, int(_LATE * history.shape[1]))
    late = history[:, -window:].mean(axis=1)
    before = history[:, -2 * window : -window].mean(axis=1)
    gains = late - before
    if not maximize:
        gains = -gains
    mean_gains = {}
    for index, activation in enumerate(runs.activations):
        if runs.diverged[:, index].any():
            continue
        if not _is_positive(gains[:, index], late[:, index]):
            return {}
        mean_gains[activation] = float(gains[:, index].mean())
    return mean_gains


def _is_positive(differences: np.ndarray, scores: np.ndarray) -> bool:
    """Whether the mean is above 0 by a one-sided t test."""
    n = len(differences)
    mean = float(differences.mean())
    if not mean > 0 or is_rounding(mean, scores):
        return False
    sd = float(differences.std(ddof=1))
    if is_rounding(sd, scores):
        return True
    return bool(special.stdtr(n - 1, -mean / (sd / math.sqrt(n))) < ALPHA)
