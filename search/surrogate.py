"""A Gaussian process over the shapes of activations: what the scores of some say about others. NumPy and SciPy only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Any

import numpy as np
from scipy import linalg
from scipy.spatial.distance import cdist

from .racing import Round

# of the shapes' own median distance; of the scores' own variance
_LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
_NOISES = (0.02, 0.1, 0.3, 1.0, 3.0)
_EXPLORE = 1.0  # standard deviations above the mean


class Surrogate:
    """A Gaussian process with a Matérn 5/2 kernel, its length and noise chosen by the marginal likelihood.

    Args:
        shapes: (N, D), the shape of each observed candidate.
        scores: (N,), higher is better.
        counts: (N,), how many runs each score is the mean of.
    """

    def __init__(self, shapes: np.ndarray, scores: np.ndarray, counts: np.ndarray):
        y = np.asarray(scores, float)
        self._centre = float(np.median(y))
        self._scale = 1.4826 * float(np.median(np.abs(y - self._centre))) or float(np.std(y)) or 1.0
        # a few that hardly learn must not be all that the process sees
        self._y = np.maximum((y - self._centre) / self._scale, -4.0)
        self._shapes, self._noise = shapes, 1 / np.asarray(counts, float)
        distances = cdist(shapes, shapes)
        unit = float(np.median(distances[distances > 0])) if (distances > 0).any() else 1.0
        fits = [self._fitted(length * unit, noise) for length in _LENGTHS for noise in _NOISES]
        _, self._length, noise = max(fits)
        self._noise = noise * self._noise
        self._solve()

    def _solve(self) -> None:
        covariance = _matern(cdist(self._shapes, self._shapes) / self._length) + np.diag(self._noise)
        self._factor = linalg.cholesky(covariance, lower=True)
        ones = linalg.solve_triangular(self._factor, np.ones_like(self._y), lower=True)
        white = linalg.solve_triangular(self._factor, self._y, lower=True)
        self._mean = float(ones @ white / (ones @ ones))
        self._white = white - self._mean * ones
        # a weak inverse-gamma prior keeps the variance from collapsing on a few scores
        self._variance = (float(self._white @ self._white) + 2) / (len(self._y) + 2)

    def _fitted(self, length: float, noise: float) -> tuple[float, float, float]:
        trial = copy(self)
        trial._length, trial._noise = length, noise * self._noise
        trial._solve()
        fit = 0.5 * (len(self._y) + 2) * np.log(trial._variance) + np.log(np.diag(trial._factor)).sum()
        return -float(fit), length, noise

    def predict(self, shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and the standard deviation of the true score of each, (M,)."""
        cross = _matern(cdist(self._shapes, shapes) / self._length)
        cross = linalg.solve_triangular(self._factor, cross, lower=True)
        variance = np.maximum(self._variance * (1 - (cross**2).sum(axis=0)), 0)
        return self._centre + self._scale * (self._mean + cross.T @ self._white), self._scale * np.sqrt(variance)

    def believing(self, shape: np.ndarray, score: float) -> Surrogate:
        """Return the surrogate as if it had seen one more score, with length and noise as they are."""
        made = copy(self)
        made._shapes = np.vstack([self._shapes, shape])
        made._y = np.append(self._y, (score - self._centre) / self._scale)
        made._noise = np.append(self._noise, self._noise.min())
        made._solve()
        return made


def _matern(r: np.ndarray) -> np.ndarray:
    r = np.sqrt(5) * r
    return (1 + r + r**2 / 3) * np.exp(-r)


class ShapeProposer:
    """Proposes candidates of a pool for a race, by what is known of others of a similar shape.

    Args:
        pool: the candidates to propose from.
        shapes: returns the shape of each of some candidates, (N, D).
    """

    def __init__(self, pool: Iterable[Any], shapes: Callable[[Sequence[Any]], np.ndarray]):
        self._pool, self._shapes = list(dict.fromkeys(pool)), shapes
        self._places: dict[Any, np.ndarray] = {}

    def __call__(self, rounds: Sequence[Round], known: set[Any], count: int) -> list[Any]:
        """Return up to `count` new candidates, one after the other where the score may be highest (GP-UCB).

        After each the surrogate goes on as if its mean had been seen there (Desautels, Krause and Burdick 2014).
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

    def _at(self, candidates: Sequence[Any]) -> np.ndarray:
        new = [candidate for candidate in candidates if candidate not in self._places]
        if new:
            self._places.update(zip(new, self._shapes(new), strict=True))
        return np.stack([self._places[candidate] for candidate in candidates])


def observations(rounds: Sequence[Round]) -> tuple[list[Any], np.ndarray, np.ndarray]:
    """Return all candidates with a finite score, their scores on the scale of the last round, and their runs.

    What was only seen in an earlier round is moved by the regression of the later scores on the earlier ones of the
    candidates that were in both, and counts half.
    """
    found: dict[Any, tuple[float, float]] = {}
    for done in reversed(rounds):
        mine = {c: m for c, m in zip(done.heat.candidates, done.means, strict=True) if np.isfinite(m)}
        both = [c for c in mine if c in found]
        if not found:
            found = {c: (m, float(done.heat.seeds)) for c, m in mine.items()}
        elif both:
            early, late = (np.array([values[c] for c in both]) for values in (mine, {c: found[c][0] for c in both}))
            moved = _line(early, late)
            found |= {c: (moved(m), done.heat.seeds / 2) for c, m in mine.items() if c not in found}
    values = np.array(list(found.values()), float).reshape(-1, 2)
    return list(found), values[:, 0], values[:, 1]


def _line(x: np.ndarray, y: np.ndarray) -> Callable[[float], float]:
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(np.clip(((x - x.mean()) * (y - y.mean())).sum() / spread, 0.2, 1)) if len(x) > 3 and spread else 1.0
    return lambda value: float(y.mean() + slope * (value - x.mean()))
