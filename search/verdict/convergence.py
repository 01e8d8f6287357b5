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
    history = None if runs is None else runs.history.get(f"val_{metric}")
    if runs is None or history is None or history.shape[1] < 2 or history.shape[0] < 2:
        return {}
    window = max(1, int(_LATE * history.shape[1]))
    late = history[:, -window:].mean(axis=1)
    before = history[:, -2 * window : -window].mean(axis=1)
    differences = late - before if maximize else before - late
    healthy = [k for k in range(len(runs.activations)) if not runs.diverged[:, k].any()]
    if not healthy or not all(_is_positive(differences[:, k], late[:, k]) for k in healthy):
        return {}
    return {runs.activations[k]: float(differences[:, k].mean()) for k in healthy}


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
