"""What a verdict trains: each candidate at its learning rate, and the baseline at two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..space.rated import Rated, written
from ..strategy.direction import more_is_better
from .rate_trials import RatedModels
from .rates import RateStudy


@dataclass(frozen=True)
class Entries:
    """What is trained: each candidate at its rate, and the baseline at another that may suit it too.

    The baseline counts with the better of its two. Else a candidate could win as its own rate was
    met better than the baseline's.

    Attributes:
        rated: of each column, the candidates first.
        columns: their names.
        names: of the candidates.
        baseline: the name of the candidate that the others have to beat.
        rates: how the rates were chosen; None if all have the model's own.
    """

    rated: tuple[Rated, ...]
    columns: tuple[str, ...]
    names: tuple[str, ...]
    baseline: str
    rates: RateStudy | None = None

    def chosen(self, scores: Mapping[str, np.ndarray], direction: str) -> list[int]:
        """Return the column of each candidate: of the baseline the one with the better mean."""
        chosen = list(range(len(self.names)))
        own = self.names.index(self.baseline)
        other = len(self.columns) - 1
        of_own = scores[self.columns[own]]
        # the baseline has one column, or no seed is trained
        if other < len(self.names) or len(of_own) == 0:
            return chosen
        mean = more_is_better(of_own.mean(), direction)
        other_mean = more_is_better(scores[self.columns[other]].mean(), direction)
        # nan, of a training that diverged, is no better than anything
        if other_mean > mean or (np.isnan(mean) and np.isfinite(other_mean)):
            chosen[own] = other
        return chosen

    def of_candidates(
        self, scores: Mapping[str, np.ndarray], columns: Sequence[int]
    ) -> dict[str, np.ndarray]:
        """Return the scores of the columns that were chosen, by candidate."""
        named = {}
        for name, column in zip(self.names, columns, strict=True):
            named[name] = scores[self.columns[column]]
        return named

    def rates_of(self, columns: Sequence[int]) -> RateStudy | None:
        """Return the study, with the baseline's rate as its column has it."""
        if self.rates is None or len(self.columns) == len(self.names):
            return self.rates
        index = self.names.index(self.baseline)
        both = (self.rated[index].factor, self.rated[-1].factor)
        if columns[index] == index:
            return replace(self.rates, twice=both[1])
        return replace(self.rates.having(self.baseline, both[1]), twice=both[0])


def entries_of(models: RatedModels, baseline: str, rates: RateStudy | None) -> Entries:
    """Return what a verdict trains, once the rates are chosen.

    Args:
        models: the candidates, the baseline among them.
        baseline: its name.
        rates: how the rates were chosen; None if all have the model's own.
    """
    names = models.names
    if rates is None:
        return Entries(tuple(map(Rated, models.choices)), names, names, baseline)
    rated = [Rated(choice, rates.factor(str(choice))) for choice in models.choices]
    columns = list(names)
    other = rates.alternative(baseline)
    if other is not None:
        rated.append(Rated(models.choices[names.index(baseline)], other))
        columns.append(f"{baseline} at {written(other, rates.own)}")
    return Entries(tuple(rated), tuple(columns), names, baseline, rates)
