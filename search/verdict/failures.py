"""Trainings that failed: a score that says nothing of how good a candidate is, but that it may fail.

NumPy only.

A mean over seeds mixes two questions where some trainings fail: how good a candidate is, and how
often it fails. A few seeds answer neither from the mean. So failed trainings are found, counted and
told; see `paired.compare` for what is compared then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ..strategy.rounding import is_rounding

# Whether a run is no better than guessing can be told where the others clearly are: their typical
# gain is at least this much of what there is to learn ...
_CLEAR = 0.25
# ... the run has less than this much of the typical gain, and the candidate's other runs have this
# much. A candidate whose runs lie between the two learns slowly, and does not fail
_NOTHING = 0.1
_MUCH = 0.5
# An outlier is farther below its median than any seed of an ordinary candidate: in standard
# deviations, as far as the median of the deviations tells these
_FAR = 8.0
# with fewer seeds, that median tells nothing
_FEWEST = 6
# from the median of absolute deviations to the standard deviation of a normal distribution
_MEDIAN_TO_SD = 1.4826


def failed_runs(
    scores: Mapping[str, np.ndarray], *, maximize: bool, guess: float | None = None
) -> dict[str, np.ndarray]:
    """Return for each candidate which of its runs failed, though some of its runs did not.

    A run failed if it learned no more than guessing where others learned, or if it is far below
    the usual run of its candidate. A candidate all of whose runs are as bad does not fail now and
    then: it is bad, and its mean says so.

    Args:
        scores: finite, of each candidate, one a seed.
        maximize: whether higher is better.
        guess: what guessing has; None where that is not known.
    """
    goodness = {}
    for name, values in scores.items():
        goodness[name] = values
        if not maximize:
            goodness[name] = -values
    failed = {name: np.zeros(len(values), bool) for name, values in scores.items()}
    pooled = _pooled_deviation(goodness)
    for name, values in goodness.items():
        failed[name] |= _far_below(values, pooled)
    if guess is not None:
        for name, runs in _only_guessed(scores, goodness, maximize, guess).items():
            failed[name] |= runs
    for runs in failed.values():
        if runs.all():
            runs[:] = False
    return failed


def to_learn(scores: np.ndarray, guess: float, maximize: bool) -> float:
    """Return how much better than guessing a score can be; infinite where that is not known."""
    if maximize and guess < 1 and float(scores.max()) <= 1:
        return 1 - guess
    if not maximize and guess > 0 and float(scores.min()) >= 0:
        return guess
    return math.inf


def most_failures(trainings: int, error: float) -> float:
    """Return how often a candidate may fail at most, none of whose trainings did.

    Args:
        trainings: how many there were.
        error: how likely none would have failed if it were more.
    """
    return float(1 - error ** (1 / trainings))


def _only_guessed(
    scores: Mapping[str, np.ndarray],
    goodness: Mapping[str, np.ndarray],
    maximize: bool,
    guess: float,
) -> dict[str, np.ndarray]:
    """Which runs of each candidate learned nothing; none where that is not clear."""
    guessed = guess
    if not maximize:
        guessed = -guess
    gains = {name: values - guessed for name, values in goodness.items() if len(values)}
    if not gains:
        return {}
    typical = max(float(np.median(values)) for values in gains.values())
    everything = np.concatenate(list(scores.values()))
    if not typical > _CLEAR * to_learn(everything, guess, maximize):
        return {}
    only_guessed = {}
    for name, values in gains.items():
        nothing = values < _NOTHING * typical
        others = values[~nothing]
        if len(others) and float(np.median(others)) >= _MUCH * typical:
            only_guessed[name] = nothing
    return only_guessed


def _far_below(goodness: np.ndarray, pooled: float) -> np.ndarray:
    """Which runs of a candidate are outliers on the bad side."""
    if len(goodness) < _FEWEST:
        return np.zeros(len(goodness), bool)
    below = np.median(goodness) - goodness
    # few seeds may happen to lie close together: the other candidates tell what is close
    deviation = max(_MEDIAN_TO_SD * float(np.median(np.abs(below))), pooled)
    if is_rounding(deviation, goodness):
        return np.zeros(len(goodness), bool)
    return np.asarray(below > _FAR * deviation)


def _pooled_deviation(goodness: Mapping[str, np.ndarray]) -> float:
    """The robust standard deviation of all runs around the medians of their candidates."""
    distances = [np.abs(values - np.median(values)) for values in goodness.values() if len(values)]
    if not distances:
        return 0.0
    return _MEDIAN_TO_SD * float(np.median(np.concatenate(distances)))
