"""How many seeds: planned looks at the validation scores, with alpha spending.

NumPy and SciPy only.

Looks only decide how many seeds are trained. What is claimed comes from the test scores of the
seeds that were trained, by tests that know of no looks: `python -m benchmarks.verdict` measures that
its error rates hold nevertheless.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from ..report.names import quoted
from ..report.numbers import counted, number
from ..strategy.rounding import is_rounding
from .paired import ALPHA, Comparison, compare
from .words import Unit

# else looks would end so early that the test scores, which are others, could not confirm what they
# saw
_CONFIRMED = 0.999
# midpoints of the integration: the levels agree with the published tables to three digits
_GRID = 800
# standard deviations, where no motion is
_FARTHEST = 12


# what follows from a look, by its decision
_FOLLOWS = {
    "clear": ", which is clear: no more are needed",
    "worse": ", and all others are clearly worse: no more are needed",
    "more seeds": ", which may be chance: more seeds",
}


@dataclass(frozen=True)
class Look:
    """One look at the validation scores.

    Attributes:
        seeds: how many were trained.
        level: the p-value, adjusted for the number of candidates, below which the look calls a
            difference clear.
        leader: the candidate with the best mean so far, of those without a diverged run; the
            baseline's name where these leave no pair.
        difference: its mean difference to the baseline; positive is better.
        p: of this difference, adjusted for the number of candidates.
        decision: ``"clear"``: the leader beats the baseline, and as many other scores will show it
            too with 99.9 %; ``"worse"``: every candidate is worse than the baseline at this level;
            ``"nothing"``: no pair is left to compare, because all runs of the baseline or of the
            others diverged; ``"more seeds"``; ``"last"``.
    """

    seeds: int
    level: float
    leader: str
    difference: float
    p: float
    decision: str

    def __str__(self) -> str:
        return self.told("the baseline")

    def told(self, baseline: str, unit: Unit | None = None) -> str:
        """Return what the look saw, and what follows, in a sentence.

        Args:
            baseline: its name.
            unit: what the difference is counted in; None does not say it.
        """
        after = f"After {counted(self.seeds, 'seed')}"
        if math.isnan(self.p):
            return f"{after} there is nothing to compare"
        follows = _FOLLOWS.get(self.decision, "")
        if self.difference == 0 and self.decision == "more seeds":
            follows = ": more seeds"
        return f"{after} {self.ahead(baseline, unit)}{follows}"

    def ahead(self, baseline: str, unit: Unit | None = None) -> str:
        """Return who is ahead, and by how much; see `told`."""
        size = number(abs(self.difference), 2)
        if unit is not None:
            size = unit.amount(abs(self.difference))
        leader = quoted(self.leader)
        first = quoted(baseline)
        if self.difference == 0:
            return f"{leader} and {first} are equal"
        if self.difference < 0:
            return f"{first} is ahead, {leader} the next by {size}"
        return f"{leader} is ahead of {first} by {size}"

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
    counts = {seeds}
    if looks > 1:
        for share in np.linspace(0.5, 1, looks)[:-1]:
            counts.add(max(2, math.ceil(seeds * share)))
    return tuple(sorted(counts))


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
    nominal = []
    motion = _Motion()
    already = 0.0
    for fraction in np.asarray(plan) / plan[-1]:
        spend = spent(fraction, alpha) - already
        already += spend
        bound = motion.move_on(fraction, spend)
        nominal.append(float(2 * stats.norm.sf(bound / math.sqrt(fraction))))
    return tuple(nominal)


class _Motion:
    """A Brownian motion from 0 on, of which only what has not yet crossed a bound is followed."""

    def __init__(self) -> None:
        self._time = 0.0
        # where the motion may be, and how likely that is
        self._places = np.zeros(1)
        self._mass = np.ones(1)

    def move_on(self, time: float, spend: float) -> float:
        """Go on to a later time, and return the bound that the motion crosses there with probability `spend`."""
        spread = math.sqrt(time - self._time)

        def excess(bound: float) -> float:
            return self._crossing(bound, spread) - spend

        bound = optimize.brentq(excess, 0, _FARTHEST)
        edges = np.linspace(-bound, bound, _GRID + 1)
        middles = (edges[1:] + edges[:-1]) / 2
        width = edges[1] - edges[0]
        density = stats.norm.pdf((middles[:, None] - self._places) / spread) @ self._mass / spread
        self._mass = density * width
        self._places = middles
        self._time = time
        return bound

    def _crossing(self, bound: float, spread: float) -> float:
        """The probability to be beyond the bound, on either side, after a step of this spread."""
        above = stats.norm.sf((bound - self._places) / spread)
        below = stats.norm.sf((bound + self._places) / spread)
        return float(self._mass @ (above + below))


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
    pairs = []
    if baseline in healthy:
        pairs = [(name, baseline) for name in healthy if name != baseline]
    # a candidate that diverged now and then is judged by how often, which the last seeds tell
    now_and_then = [name for name in _trained(scores) if name not in healthy]
    decision = "more seeds"
    if n == plan[-1]:
        decision = "last"
    if not pairs:
        if not _are_comparable(scores, baseline):
            decision = "nothing"
        return Look(n, level, baseline, 0.0, math.nan, decision)
    comparisons = compare(healthy, pairs)
    best = max(comparisons, key=lambda comparison: comparison.difference)
    if decision == "more seeds" and _is_clear(best, level, ALPHA / len(comparisons)):
        decision = "clear"
    all_worse = not now_and_then and all(_is_worse(c, level) for c in comparisons)
    if decision == "more seeds" and all_worse:
        decision = "worse"
    difference = best.difference
    # means of the same scores in another order differ in their last digits
    if is_rounding(abs(difference), healthy[best.first]):
        difference = 0.0
    return Look(n, level, best.first, difference, best.p, decision)


def _trained(scores: Mapping[str, np.ndarray]) -> list[str]:
    """The candidates with a training that did not diverge."""
    return [name for name, values in scores.items() if np.isfinite(values).any()]


def _are_comparable(scores: Mapping[str, np.ndarray], baseline: str) -> bool:
    """Whether the baseline and another candidate have a training that did not diverge."""
    trained = _trained(scores)
    return baseline in trained and len(trained) > 1


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
