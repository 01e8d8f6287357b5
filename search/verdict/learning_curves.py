"""What scores over epochs tell. NumPy and SciPy only.

How many epochs a candidate saves: when it is as good as the baseline at its end. And whether
trainings had converged when they ended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from ..strategy.rounding import is_rounding
from .paired import ALPHA
from .runs import Runs

# of the epochs: in so many of the last a training that still improves shows it
_LATE = 0.25
# of the interval; 1 minus it is shared by its two ends
_COVERAGE = 0.95


@dataclass(frozen=True)
class Savings:
    """After how many epochs a candidate is as good as the baseline after its last one.

    That is on the validation data, for each seed against the baseline's own score on that seed. An
    epoch is the first at whose end the candidate's score is at least as good; nothing is
    interpolated, since between the ends of epochs nothing is scored.

    Attributes:
        activation: the candidate.
        epochs: after which it is as good on more than half of the seeds.
        low: of the interval for the median over new seeds.
        high: of the interval; inf where seeds on which the candidate never was as good leave it
            open.
        baseline_epochs: after which the baseline itself is, on more than half of the seeds. Scores
            go up and down, so that it is often as good before its last epoch.
        whole: the epochs of a whole training.
        reached: on how many seeds the candidate is as good at the end of any epoch.
        n: how many seeds there are.
    """

    activation: str
    epochs: int
    low: int
    high: float
    baseline_epochs: int
    whole: int
    reached: int
    n: int


def savings(
    runs: Runs | None, metric: str, maximize: bool, activation: str, baseline: str
) -> Savings | None:
    """Return after how many epochs a candidate is as good as the baseline at its end.

    The interval is that of the sign test for a median: it goes from one of the sorted seeds to
    another, and covers in at least 95 % of cases, whatever the distribution, on as few seeds as
    six. A seed on which the candidate is never as good counts as later than all others; a mean
    could not take it in, and without it would look better than it is.

    Args:
        runs: what was trained.
        metric: that is judged.
        maximize: whether higher is better.
        activation: the candidate.
        baseline: what it is compared with.

    Returns:
        None where there is no answer: without validation scores of both, on fewer than six seeds, where a
        training diverged or ended early, and where the candidate is not as good on more than half
        of the seeds.
    """
    if runs is None or f"val_{metric}" not in runs.history:
        return None
    if not {activation, baseline} <= set(runs.activations):
        return None
    ours = runs.activations.index(activation)
    theirs = runs.activations.index(baseline)
    if runs.diverged[:, [ours, theirs]].any() or _ended_early(runs, [ours, theirs]):
        return None
    scores = np.asarray(runs.history[f"val_{metric}"], float)
    if not maximize:
        scores = -scores
    count, whole = scores.shape[:2]
    places = _interval_places(count)
    if places is None or not np.isfinite(scores[:, :, [ours, theirs]]).all():
        return None
    targets = scores[:, -1, theirs]
    reached = np.sort(_first_epochs(scores[:, :, ours], targets))
    of_baseline = np.sort(_first_epochs(scores[:, :, theirs], targets))
    # of an even number of seeds the later one of the two in the middle: by then more than half are
    # there
    middle = count // 2
    if not math.isfinite(reached[middle]):
        return None
    low, high = places
    return Savings(
        activation=activation,
        epochs=int(reached[middle]),
        low=int(reached[low]),
        high=float(reached[high]),
        baseline_epochs=int(of_baseline[middle]),
        whole=whole,
        reached=int(np.isfinite(reached).sum()),
        n=count,
    )


def _first_epochs(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The first epoch of each seed, (S,), counted from 1, at whose end it has its target; else inf."""
    has_target = scores >= targets[:, None]
    first = has_target.argmax(axis=1) + 1
    return np.where(has_target.any(axis=1), first, np.inf)


def _interval_places(count: int) -> tuple[int, int] | None:
    """Which of so many sorted values are the ends of the interval for their median; None for too few."""
    # so many of them lie beyond an end in 2.5 % of cases at most, where half of all lie beyond it
    beyond = int(stats.binom.ppf((1 - _COVERAGE) / 2, count, 0.5)) - 1
    if beyond < 0:
        return None
    return beyond, count - 1 - beyond


def _ended_early(runs: Runs, candidates: list[int]) -> bool:
    """Whether a callback ended a training of these candidates early.

    Its last epoch stands then for those that follow, in all that is logged.
    """
    same = np.ones((len(runs.seeds), len(candidates)), bool)
    for values in runs.history.values():
        if values.shape[1] < 2:
            return False
        last = np.asarray(values)[:, -2:, candidates]
        same &= last[:, 0] == last[:, 1]
    return bool(same.any())


def about_savings(found: Savings, metric: str, baseline: str) -> str:
    """Return what is to be said of a candidate, in a sentence."""
    until = f"{found.high:.0f}"
    if math.isinf(found.high):
        until = f"more than {found.whole}"
    elsewhere = ""
    if found.reached < found.n:
        elsewhere = f", on {found.n - found.reached} of them not at all"
    return (
        f"{found.activation} reaches {baseline}'s final validation {metric} after {found.epochs} of {found.whole} "
        f"epochs ({found.low} to {until}; {found.n} seeds{elsewhere}), {baseline} itself first after "
        f"{found.baseline_epochs}."
    )


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
