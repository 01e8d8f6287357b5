"""How many seeds: planned looks at the validation scores, with alpha spending.

NumPy and SciPy only.

Looks only decide how many seeds are trained. What is claimed comes from the test scores of the
seeds that were trained, with the plain paired t test: `python -m benchmarks.verdict` measures that
its error rates hold nevertheless.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from .paired import ALPHA, Comparison, compare, p_text

# else looks would end so early that the test scores, which are others, could not confirm what they
# saw
_CONFIRMED = 0.999
_GRID = 800


@dataclass(frozen=True)
class Look:
    """One look at the validation scores.

    Attributes:
        seeds: how many were trained.
        level: the p-value, adjusted for the number of candidates, below which the look calls a
            difference clear.
        leader: the candidate with the best mean so far; the baseline's name where diverged runs
            leave no pair.
        difference: its mean difference to the baseline; positive is better.
        p: of this difference, adjusted for the number of candidates.
        decision: ``"clear"``: the leader beats the baseline, and as many other scores will show it
            too with 99.9 %; ``"worse"``: every candidate is worse than the baseline at this level;
            ``"nothing"``: no pair is left to compare, because runs diverged; ``"more seeds"``;
            ``"last"``.
    """

    seeds: int
    level: float
    leader: str
    difference: float
    p: float
    decision: str

    def __str__(self) -> str:
        ahead = (
            "nothing to compare"
            if math.isnan(self.p)
            else f"{self.leader} {self.difference:+.2g}, {p_text(self.p)}"
        )
        return f"{self.seeds} seeds: {ahead} (clear below {self.level:.2g}): {self.decision}"

    @property
    def stop(self) -> bool:
        """Whether no more seeds are trained."""
        return self.decision != "more seeds"


def planned(seeds: int, looks: int) -> tuple[int, ...]:
    """Return after how many seeds to look: at the end, and `looks` - 1 times from the middle on.

    Earlier looks could hardly end anything: after a quarter of the seeds the spending allows p <
    0.00002.

    Example:
        >>> planned(16, 3)
        (8, 12, 16)
    """
    steps = np.linspace(0.5, 1, looks) if looks > 1 else [1.0]
    return tuple(sorted({max(2, math.ceil(seeds * step)) for step in steps[:-1]} | {seeds}))


def spent(fraction: float, alpha: float = ALPHA) -> float:
    """Return how much of the two-sided alpha may be spent when this share of the seeds is trained.

    O'Brien–Fleming-like, for each side ``2 - 2 Phi(z(alpha / 4) / sqrt(fraction))`` (Lan and
    DeMets, Biometrika 70, 1983).
    """
    return float(4 * stats.norm.sf(stats.norm.isf(alpha / 4) / math.sqrt(fraction)))


@functools.lru_cache(maxsize=64)
def levels(plan: tuple[int, ...], alpha: float = ALPHA) -> tuple[float, ...]:
    """Return the nominal two-sided level of each look, so that all looks together err with `alpha`.

    The boundaries of the Brownian motion are found by numerical integration (Armitage, McPherson
    and Rowe 1969), and used for the p-values of the t test (the significance level approach of
    Jennison and Turnbull, 2000).

    Args:
        plan: the number of seeds at each look, rising.
        alpha: of all looks together.
    """
    found, already = [], 0.0
    grid, mass, before = (
        np.zeros(1),
        np.ones(1),
        0.0,
    )  # where the motion is, and how likely, if it has not crossed
    for fraction in np.asarray(plan) / plan[-1]:
        spread, spend = math.sqrt(fraction - before), spent(fraction, alpha) - already

        def crossing(
            b: float, spread: float = spread, grid: np.ndarray = grid, mass: np.ndarray = mass
        ) -> float:
            return float(
                mass @ (stats.norm.sf((b - grid) / spread) + stats.norm.sf((b + grid) / spread))
            )

        bound = optimize.brentq(
            lambda b, spend=spend, crossing=crossing: crossing(b) - spend, 0, 12
        )
        edges = np.linspace(-bound, bound, _GRID + 1)
        middle = (edges[1:] + edges[:-1]) / 2
        mass = (
            stats.norm.pdf((middle[:, None] - grid) / spread)
            @ mass
            / spread
            * (edges[1] - edges[0])
        )
        grid, before, already = middle, fraction, already + spend
        found.append(float(2 * stats.norm.sf(bound / math.sqrt(fraction))))
    return tuple(found)


def look(scores: Mapping[str, np.ndarray], baseline: str, plan: tuple[int, ...]) -> Look:
    """Look at the scores so far, higher is better, and decide whether more seeds are needed.

    Args:
        scores: of each candidate and the baseline, one a seed; nan where it diverged.
        baseline: its name.
        plan: the number of seeds at each look; as many as are there must be one of them.
    """
    n = len(scores[baseline])
    level = levels(plan)[plan.index(n)]
    healthy = {name: values for name, values in scores.items() if np.isfinite(values).all()}
    found = (
        compare(healthy, [(name, baseline) for name in healthy if name != baseline])
        if baseline in healthy
        else ()
    )
    if not found:
        return Look(n, level, baseline, 0.0, math.nan, "nothing")
    best = max(found, key=lambda c: c.difference)
    decision = "more seeds"
    if n == plan[-1]:
        decision = "last"
    elif _is_clear(best, level, ALPHA / len(found)):
        decision = "clear"
    elif all(_is_worse(c, level) for c in found):
        decision = "worse"
    return Look(n, level, best.first, best.difference, best.p, decision)


# A difference that is the same on all seeds, as where validation scores sit on a plateau, says
# nothing about how much the test scores vary: neither of the two ends anything then.


def _is_clear(best: Comparison, level: float, alpha: float) -> bool:
    """Whether the leader beats the baseline, and would do so on as many other scores."""
    if best.same or best.difference <= 0 or best.p >= level:
        return False
    return _confirmed(best.effect, best.n, alpha) >= _CONFIRMED


def _is_worse(comparison: Comparison, level: float) -> bool:
    """Whether a candidate is worse than the baseline."""
    return not comparison.same and comparison.difference < 0 and comparison.p < level


def _confirmed(effect: float, n: int, alpha: float) -> float:
    """The predictive power.

    The chance that n other pairs show this effect, which n pairs have estimated.
    """
    ahead = effect * math.sqrt(n) - float(stats.t.isf(alpha / 2, n - 1))
    return float(stats.t.cdf(ahead / math.sqrt(2), n - 1))
