"""A Gaussian process over the shapes of activations: what the scores of some say about others.

NumPy, SciPy and scikit-learn only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Sequence
from copy import copy
from typing import Any

import numpy as np
from scipy.spatial.distance import pdist
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from .race import RungResult

# of the shapes' own median distance
_LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
# of the scores' own variance
_NOISES = (0.02, 0.1, 0.3, 1.0, 3.0)
_SETTINGS = tuple(itertools.product(_LENGTHS, _NOISES))
_EXPLORE = 1.0  # standard deviations above the mean
_TO_DEVIATION = 1.4826  # median absolute deviation to standard deviation, of a normal distribution
_LEAST_SCORE = -4.0  # robust standard deviations from the median

# what a regression of later scores on earlier ones may say: a candidate's lead shrinks, since the
# best were lucky too, but never turns round
_SLOPES = (0.2, 1.0)
_LEAST_FOR_SLOPE = 4  # candidates


class Surrogate:
    """A Gaussian process with a Matérn 5/2 kernel.

    The process is scikit-learn's; its length and noise are those of the greatest marginal
    likelihood. Its mean and variance are estimated too, each in closed form.

    Args:
        shapes: (N, D), the shape of each observed candidate.
        scores: (N,), higher is better.
        counts: (N,), how many runs each score is the mean of.
    """

    def __init__(self, shapes: np.ndarray, scores: np.ndarray, counts: np.ndarray):
        observed = np.asarray(scores, float)
        self._centre = float(np.median(observed))
        self._scale = _robust_deviation(observed, self._centre)
        # a few that hardly learn must not be all that the process sees
        scaled = np.maximum((observed - self._centre) / self._scale, _LEAST_SCORE)
        unit = _median_distance(shapes)
        runs = np.asarray(counts, float)
        fits = []
        # of equals the first is taken: the longest, which believes least of what it has not seen
        for length, noise in reversed(_SETTINGS):
            fits.append(_Fit(shapes, scaled, noise / runs, length * unit))
        self._fit = max(fits, key=lambda fit: fit.likelihood)

    def predict(self, shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and the standard deviation of the true score of each, (M,)."""
        mean, deviation = self._fit.predict(shapes)
        return self._centre + self._scale * mean, self._scale * deviation

    def believing(self, shape: np.ndarray, score: float) -> Surrogate:
        """Return the surrogate as if it had seen one more score, of the same length and noise."""
        believing = copy(self)
        scaled = (score - self._centre) / self._scale
        believing._fit = self._fit.with_one_more(shape, scaled)
        return believing


def _robust_deviation(scores: np.ndarray, centre: float) -> float:
    """A standard deviation that a few outliers do not change; 1 if there is none."""
    deviation = float(np.median(np.abs(scores - centre)))
    # where half of the scores are equal, the median says nothing
    return _TO_DEVIATION * deviation or float(np.std(scores)) or 1.0


def _median_distance(shapes: np.ndarray) -> float:
    """The median distance of different shapes; 1 if all are the same."""
    distances = pdist(shapes)
    positive = distances[distances > 0]
    if len(positive) == 0:
        return 1.0
    return float(np.median(positive))


class _Fit:
    """A Gaussian process of one length and noise.

    Attributes:
        likelihood: the logarithm of the marginal likelihood, up to a constant.
    """

    def __init__(self, shapes: np.ndarray, scores: np.ndarray, noise: np.ndarray, length: float):
        self._shapes = shapes
        self._scores = scores
        self._noise = noise
        self._length = length
        kernel = Matern(length, nu=2.5)
        self._process = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None)
        ones = np.ones_like(scores)
        self._process.fit(shapes, np.stack([ones, scores], axis=1))
        # both products with the inverse of the covariance matrix
        weighted_ones, weighted_scores = self._process.alpha_.T
        self._mean = float(ones @ weighted_scores / (ones @ weighted_ones))
        self._weights = weighted_scores - self._mean * weighted_ones
        residual = scores - self._mean
        # a weak inverse-gamma prior keeps the variance from collapsing on a few scores
        count = len(scores)
        self._variance = (float(residual @ self._weights) + 2) / (count + 2)
        determinant = float(np.log(np.diag(self._process.L_)).sum())
        self.likelihood = -0.5 * (count + 2) * float(np.log(self._variance)) - determinant

    def predict(self, shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation, (M,)."""
        covariance = self._process.kernel_(shapes, self._shapes)
        _, unit = self._process.predict(shapes, return_std=True)
        mean = self._mean + covariance @ self._weights
        return mean, np.sqrt(self._variance) * unit[:, 0]

    def with_one_more(self, shape: np.ndarray, score: float) -> _Fit:
        """Return the process with one more score, as certain as the most certain one."""
        return _Fit(
            np.vstack([self._shapes, shape]),
            np.append(self._scores, score),
            np.append(self._noise, self._noise.min()),
            self._length,
        )


class SurrogateProposer:
    """Proposes candidates of a pool for a race, by what is known of others of a similar shape.

    Args:
        pool: the candidates to propose from.
        embed: returns the shape of each of some candidates, (N, D).
    """

    def __init__(self, pool: Iterable[Hashable], embed: Callable[[Sequence[Any]], np.ndarray]):
        self._pool = list(dict.fromkeys(pool))
        self._embed = embed
        self._embedded: dict[Hashable, np.ndarray] = {}

    def __call__(self, rounds: Sequence[RungResult], known: set[Any], count: int) -> list[Hashable]:
        """Return up to `count` new candidates, each where the score may be highest (GP-UCB).

        After each the surrogate goes on as if its mean had been seen there (Desautels, Krause and
        Burdick 2014).
        """
        left = [candidate for candidate in self._pool if candidate not in known]
        seen, scores, counts = observations(rounds)
        if not seen or not left:
            return left[:count]
        chosen: list[Hashable] = []
        shapes = self._shapes(left)
        surrogate = Surrogate(self._shapes(seen), scores, counts)
        while left and len(chosen) < count:
            mean, deviation = surrogate.predict(shapes)
            best = int(np.argmax(mean + _EXPLORE * deviation))
            surrogate = surrogate.believing(shapes[best], float(mean[best]))
            chosen.append(left.pop(best))
            shapes = np.delete(shapes, best, axis=0)
        return chosen

    def believed(self, rounds: Sequence[RungResult]) -> dict[Any, float]:
        """Return what the surrogate believes of each candidate that has a score.

        Others like it have a say.
        """
        candidates, scores, counts = observations(rounds)
        if not candidates:
            return {}
        shapes = self._shapes(candidates)
        mean, _ = Surrogate(shapes, scores, counts).predict(shapes)
        return dict(zip(candidates, mean.tolist(), strict=True))

    def _shapes(self, candidates: Sequence[Hashable]) -> np.ndarray:
        new = [candidate for candidate in candidates if candidate not in self._embedded]
        if new:
            self._embedded.update(zip(new, self._embed(new), strict=True))
        return np.stack([self._embedded[candidate] for candidate in candidates])


def observations(rounds: Sequence[RungResult]) -> tuple[list[Any], np.ndarray, np.ndarray]:
    """Return all candidates with a finite score, their scores, and how many runs each is of.

    The scores are on the scale of the last round. What was only seen in an earlier one is moved by
    the regression of the later scores on the earlier ones of the candidates that were in both, and
    counts half.
    """
    known: dict[Any, tuple[float, float]] = {}  # the score, and of how many runs
    for result in reversed(rounds):
        means = _finite_means(result)
        seeds = result.task.seeds
        if not known:
            known = {candidate: (mean, float(seeds)) for candidate, mean in means.items()}
            continue
        both = [candidate for candidate in means if candidate in known]
        if not both:
            continue  # nothing tells how its scores compare with the later ones
        early = np.array([means[candidate] for candidate in both])
        late = np.array([known[candidate][0] for candidate in both])
        as_late = _regression(early, late)
        for candidate, mean in means.items():
            if candidate not in known:
                known[candidate] = (as_late(mean), seeds / 2)
    values = np.array(list(known.values()), float).reshape(-1, 2)
    return list(known), values[:, 0], values[:, 1]


def _finite_means(result: RungResult) -> dict[Any, float]:
    pairs = zip(result.task.candidates, result.means, strict=True)
    return {candidate: mean for candidate, mean in pairs if np.isfinite(mean)}


def _regression(early: np.ndarray, late: np.ndarray) -> Callable[[float], float]:
    """Return what expects a later score for an earlier one."""
    deviations = early - early.mean()
    spread = float((deviations**2).sum())
    slope = 1.0
    if len(early) >= _LEAST_FOR_SLOPE and spread:
        covariance = (deviations * (late - late.mean())).sum()
        slope = float(np.clip(covariance / spread, *_SLOPES))

    def expected(score: float) -> float:
        return float(late.mean() + slope * (score - early.mean()))

    return expected
