"""Scores, differences and names as a verdict writes them. Nothing but text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..report.names import quoted
from ..report.numbers import decimals_for, number, rounded

# more than these are written in digits
_NUMBERS = {3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine"}


@dataclass(frozen=True)
class Unit:
    """How scores of a metric are written.

    Attributes:
        metric: what was scored.
        share: whether it is a share of the samples, as an accuracy is: its scores are written in
            per cent, its differences in points of 100. An R² is none.
    """

    metric: str
    share: bool

    @property
    def name(self) -> str:
        """What differences are counted in."""
        if self.share:
            return "points"
        return self.metric

    def score(self, value: float) -> str:
        """Return a score in words."""
        if self.share:
            return f"{100 * value:.2f} %"
        return number(value)

    def amount(self, difference: float, margin: float | None = None) -> str:
        """Return a difference in words, with as many digits as its margin deserves.

        ``"0.98 ± 0.15 points"``.
        """
        if margin is not None and self.share:
            margin = min(margin, 1.0)  # no two shares differ by more than 100 points
        deserving = margin
        if deserving is None:
            deserving = difference
        decimals = decimals_for(abs(deserving) * self._scale, least=None)
        if self.share:
            decimals = max(decimals, 0)
        text = rounded(difference * self._scale, decimals)
        if margin is not None:
            text += f" ± {rounded(margin * self._scale, decimals)}"
        return text + self._behind

    def span(self, low: float, high: float) -> str:
        """Return how far differences reach, in words: ``"0.12 to 0.98 points"``."""
        first = self.amount(low)
        last = self.amount(high)
        if first == last:
            return last
        # the unit stands once
        return f"{first.removesuffix(self._behind)} to {last}"

    def between(self, difference: float, low: float, high: float) -> str:
        """Return a difference in words with the ends of its interval.

        ``"0.98 points (0.62 to 1.75)"``.
        """
        if self.share:
            low = max(low, -1.0)
            high = min(high, 1.0)
        decimals = decimals_for((high - low) / 2 * self._scale, least=None)
        first = rounded(low * self._scale, decimals)
        last = rounded(high * self._scale, decimals)
        ends = f"{first} to {last}"
        text = rounded(difference * self._scale, decimals)
        return f"{text}{self._behind} ({ends})"

    @property
    def _behind(self) -> str:
        """What stands behind a difference."""
        if self.share:
            return " points"
        return f" of {self.metric}"

    @property
    def _scale(self) -> int:
        if self.share:
            return 100
        return 1


def is_share_by_name(metric: str) -> bool:
    """Whether a metric is a share of the samples as far as its name tells."""
    return metric == "acc" or metric.endswith("accuracy")


def cell(value: float, digits: int, sign: str = "") -> str:
    """Return a number for a table; nothing for nan."""
    if math.isnan(value):
        return ""
    return f"{value:{sign}.{digits}f}"


def p_cell(p: float) -> str:
    """Return a p-value for a table; nothing for nan."""
    if p < 0.001:
        return "< 0.001"
    return cell(p, 3)


def p_text(p: float) -> str:
    """Return a p-value as one writes it."""
    if p < 0.001:
        return "p < 0.001"
    # two digits would make 0.05 of 0.048 and of 0.052
    if p < 0.1:
        return f"p = {p:.3f}"
    return f"p = {p:.2f}"


def all_of(count: int) -> str:
    """Return ``"both"``, ``"all three"`` or ``"all 12"``."""
    if count == 2:
        return "both"
    return f"all {_NUMBERS.get(count, count)}"


def all_seeds(count: int) -> str:
    """Return ``"both seeds"`` or ``"all 16 seeds"``."""
    if count == 2:
        return "both seeds"
    return f"all {count} seeds"


def listed(names: Sequence[str]) -> str:
    """Return names as one writes them: "a, b and c"."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def named(names: Sequence[str]) -> str:
    """Return names of candidates as one writes them, in quotes where they could be confused."""
    return listed([quoted(name) for name in names])
