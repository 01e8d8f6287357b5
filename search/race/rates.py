"""At which learning rate activations start in a race. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..space.candidate import Candidate
from ..space.rated import Rated
from .race import Propose, RungResult


class AtBestRate:
    """Proposes activations that have not been tried, at the best rate of the baseline; then others.

    At the model's own rate, which may be far from all that suit it, activations would be compared
    where none of them ends. And where few may start, hardly any would be left for a better rate.

    Args:
        baseline: which has been tried at several rates.
        choices: the activations to start with.
        propose: what proposes the others.
    """

    def __init__(self, baseline: Candidate, choices: Sequence[Candidate], propose: Propose):
        self._baseline = baseline
        self._choices = list(choices)
        self._propose = propose

    def __call__(self, rounds: Sequence[RungResult], known: set[Any], count: int) -> list[Any]:
        """Return up to so many new candidates."""
        tried = {rated.choice for rated in known}
        factor = self._best_factor(rounds)
        untried = [choice for choice in self._choices if choice not in tried]
        starts = [Rated(choice, factor) for choice in untried[:count]]
        if len(starts) == count:
            return starts
        others = self._propose(rounds, known | set(starts), count - len(starts))
        return [*starts, *others]

    def _best_factor(self, rounds: Sequence[RungResult]) -> float:
        """The multiple of the model's own rate at which the baseline was the best in the last round."""
        best = 1.0
        best_score = -np.inf
        for result in rounds[-1:]:
            for rated, mean in zip(result.task.candidates, result.means, strict=True):
                # a rate at which it diverges has no mean
                if rated.choice == self._baseline and mean > best_score:
                    best = rated.factor
                    best_score = mean
        return best
