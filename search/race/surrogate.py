"""A Gaussian process over the shapes of activations: what the scores of some say about others.

NumPy, SciPy and scikit-learn only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Any

import numpy as np
from scipy.spatial.distance import pdist
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from .race import RungResult

# of the shapes' own median distance; of the scores' own variance
_LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
_NOISES = (0.02, 0.1, 0.3, 1.0, 3.0)
_SETTINGS = tuple(itertools.product(_LENGTHS, _NOISES))
_EXPLORE = 1.0  # standard deviations above the mean


class Surrogate:
    """A Gaussian process with a Matérn 5/2 kernel, its length and noise chosen by the marginal likelihood.

    The process is scikit-learn's. Its mean and variance are estimated too, each in closed form.

    Args:
        shapes: (N, D), the shape of each observed candidate.
        scores: (N,), higher is better.
        counts: (N,), how many runs each score is the mean of.
    """

    def __init__(self, shapes: np.ndarray, scores: np.ndarray, counts: np.ndarray):
        observed = np.asarray(scores, float)
        self._centre = float(np.median(observed))
        deviation = float(np.median(np.abs(observed - self._centre)))
        self._scale = 1.4826 * deviation or float(np.std(observed)) or 1.0
        # a few that hardly learn must not be all that the process sees
        scaled = np.maximum((observed - self._centre) / self._scale, -4.0)
        distances = pdist(shapes)
        positive = distances[distances > 0]
        unit = float(np.median(positive)) if len(positive) else 1.0
        runs = np.asarray(counts, float)
        # of equals the first is taken: the longest, which believes least of what it has not seen
        fits = [
            _Fit(shapes, scaled, noise / runs, length * unit)
            for length, noise in reversed(_SETTINGS)
        ]
        self._fit = max(fits, key=lambda fit: fit.likelihood)

    def predict(self, shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and the standard deviation of the true score of each, (M,)."""
        mean, deviation = self._fit.predict(shapes)
        return self._centre + self._scale * mean, self._scale * deviation

    def believing(self, shape: np.ndarray, score: float) -> Surrogate:
        """Return the surrogate as if it had seen one more score, with length and noise as they are."""
        believing = copy(self)
        believing._fit = self._fit.with_one_more(shape, (score - self._centre) / self._scale)
        return believing


class _Fit:
    """A Gaussian process of one length and noise.

    Attributes:
        likelihood: the logarithm of the marginal likelihood, up to a constant.
    """

    def __init__(self, shapes: np.ndarray, scores: np.ndarray, noise: np.ndarray, length: float):
        self._shapes, self._scores, self._noise, self._length = shapes, scores, noise, length
        self._process = GaussianProcessRegressor(
            Matern(length, nu=2.5), alpha=noise, optimizer=None
        )
        ones = np.ones_like(scores)
        # both products with the inverse of the covariance matrix
        weighted_ones, weighted_scores = self._process.fit(
            shapes, np.stack([ones, scores], axis=1)
        ).alpha_.T
        self._mean = float(ones @ weighted_scores / (ones @ weighted_ones))
        residual = scores - self._mean
        self._weights = weighted_scores - self._mean * weighted_ones
        # a weak inverse-gamma prior keeps the variance from collapsing on a few scores
        count = len(scores)
        self._variance = (float(residual @ self._weights) + 2) / (count + 2)
        determinant = float(np.log(np.diag(self._process.L_)).sum())
        self.likelihood = -0.5 * (count + 2) * float(np.log(self._variance)) - determinant

    def predict(self, shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation, (M,)."""
        covariance = self._process.kernel_(shapes, self._shapes)
        _, unit = self._process.predict(shapes, return_std=True)
        return self._mean + covariance @ self._weights, np.sqrt(self._variance) * unit[:, 0]

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
        shapes: returns the shape of each of some candidates, (N, D).
    """

    def __init__(self, pool: Iterable[Any], shapes: Callable[[Sequence[Any]], np.ndarray]):
        self._pool, self._shapes = list(dict.fromkeys(pool)), shapes
        self._places: dict[Any, np.ndarray] = {}

    def __call__(self, rounds: Sequence[RungResult], known: set[Any], count: int) -> list[Any]:
        """Return up to `count` new candidates, one after the other where the score may be highest (GP-UCB).

        After each the surrogate goes on as if its mean had been seen there (Desautels, Krause and
        Burdick 2014).
        """
        left = [candidate for candidate in self._pool if candidate not in known]
        candidates, scores, counts = observations(rounds)
        if not candidates:
            return left[:count]
        chosen: list[Any] = []
        places = self._at(left) if left else np.empty((0, 0))
        surrogate = Surrogate(self._at(candidates), scores, counts)
        while left and len(chosen) < count:
            mean, sd = surrogate.predict(places)
            best = int(np.argmax(mean + _EXPLORE * sd))
            surrogate = surrogate.believing(places[best], float(mean[best]))
            chosen.append(left.pop(best))
            places = np.delete(places, best, axis=0)
        return chosen

    def believed(self, rounds: Sequence[RungResult]) -> dict[Any, float]:
        """Return what the surrogate believes of each candidate that has a score.

        Others like it have a say.
        """
        candidates, scores, counts = observations(rounds)
        if not candidates:
            return {}
        places = self._at(candidates)
        return dict(
            zip(
                candidates,
                Surrogate(places, scores, counts).predict(places)[0].tolist(),
                strict=True,
            )
        )

    def _at(self, candidates: Sequence[Any]) -> np.ndarray:
        new = [candidate for candidate in candidates if candidate not in self._places]
        if new:
            self._places.update(zip(new, self._shapes(new), strict=True))
        return np.stack([self._places[candidate] for candidate in candidates])


def observations(rounds: Sequence[RungResult]) -> tuple[list[Any], np.ndarray, np.ndarray]:
    """Return all candidates with a finite score, their scores on the scale of the last round, and their runs.

    What was only seen in an earlier round is moved by the regression of the later scores on the
    earlier ones of the candidates that were in both, and counts half.
    """
    found: dict[Any, tuple[float, float]] = {}
    for done in reversed(rounds):
        mine = {
            c: m for c, m in zip(done.heat.candidates, done.means, strict=True) if np.isfinite(m)
        }
        both = [c for c in mine if c in found]
        if not found:
            found = {c: (m, float(done.heat.seeds)) for c, m in mine.items()}
        elif both:
            early, late = (
                np.array([values[c] for c in both])
                for values in (mine, {c: found[c][0] for c in both})
            )
            moved = _line(early, late)
            found |= {c: (moved(m), done.heat.seeds / 2) for c, m in mine.items() if c not in found}
    values = np.array(list(found.values()), float).reshape(-1, 2)
    return list(found), values[:, 0], values[:, 1]


def _line(x: np.ndarray, y: np.ndarray) -> Callable[[float], float]:
    spread = float(((x - x.mean()) ** 2).sum())
    slope = (
        float(np.clip(((x - x.mean()) * (y - y.mean())).sum() / spread, 0.2, 1))
        if len(x) > 3 and spread
        else 1.0
    )
    return lambda value: float(y.mean() + slope * (value - x.mean()))
