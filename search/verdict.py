"""The verdict: is an activation really better than the baseline, and in which words may one say so. No TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .looks import Look
from .paired import Comparison, p_text
from .runs import Runs

if TYPE_CHECKING:
    import pandas

# times of inference that differ by less are called the same
_AS_CHEAP = 1.05


@dataclass(frozen=True)
class Scored:
    """A candidate over the seeds.

    Attributes:
        activation: the candidate.
        mean: of its scores on the seeds on which it did not diverge.
        sd: their standard deviation, from seed to seed.
        n: how many they are.
        diverged: on how many seeds its loss was no longer finite. Such a candidate is not compared.
        seconds: that the model takes to predict one batch; nan if that was not measured.
    """

    activation: str
    mean: float
    sd: float
    n: int
    diverged: int
    seconds: float = math.nan


@dataclass(frozen=True)
class Verdict:
    """Which activation to use, and how sure that is.

    The intervals and p-values are about new seeds (initialization and batch order) on this split of the data. In at
    most 5 % of verdicts any "beats" is false: one over the baseline in at most 2.5 %, which is one side of a two-sided
    5 %; one among the candidates in at most 2.5 %, both sides.

    Attributes:
        metric: what was scored, after the last epoch.
        maximize: whether higher is better.
        part: the scored data, ``"test"`` or ``"validation"``.
        baseline: what the others have to beat.
        candidates: all of them, the baseline too, the best mean first.
        against_baseline: each candidate minus the baseline.
        among: each pair of candidates without the baseline; their intervals cover together with 97.5 %.
        withheld: the sentence where there is no verdict, ``"no verdict: ..."``; else empty.
        looks: the planned looks at the validation scores.
        runs: every epoch x seed x candidate.
    """

    metric: str
    maximize: bool
    part: str
    baseline: str
    candidates: tuple[Scored, ...]
    against_baseline: tuple[Comparison, ...]
    among: tuple[Comparison, ...]
    withheld: str = ""
    looks: tuple[Look, ...] = ()
    runs: Runs | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        from .verdict_report import text

        return text(self)

    @property
    def seeds(self) -> int:
        """How many seeds were trained."""
        return max(scored.n + scored.diverged for scored in self.candidates)

    @property
    def significant(self) -> bool:
        """Whether any candidate beats the baseline significantly."""
        return bool(self.beat)

    @property
    def beat(self) -> tuple[str, ...]:
        """The candidates that beat the baseline significantly, the best mean first."""
        return self._ordered(c.first for c in self.against_baseline if c.significant and self._gain(c) > 0)

    @property
    def leaders(self) -> tuple[str, ...]:
        """Those among `beat` that are not significantly worse than the best of them: the winner, or the ties."""
        beat = self.beat
        losers = {
            c.second if self._gain(c) > 0 else c.first
            for c in self.among
            if c.significant and beat and beat[0] in (c.first, c.second)
        }
        return tuple(name for name in beat if name not in losers)

    @property
    def winner(self) -> str | None:
        """The one that beats the baseline, and all others that do so; None if there is no such."""
        return self.leaders[0] if len(self.leaders) == 1 else None

    @property
    def suggested(self) -> str:
        """What to use: the winner; among ties the cheapest; without a significant difference the baseline."""
        return self._suggestion[0]

    @property
    def sentence(self) -> str:
        """The verdict in a sentence."""
        if self.withheld:
            return self.withheld
        beat, leaders, n = self.beat, self.leaders, f"{self.seeds} seeds"
        if not self.against_baseline:
            counts = listed([f"{s.activation} on {s.diverged}" for s in self.candidates if s.diverged])
            return f"keep {self.baseline}: all others diverged ({counts} of {n})"
        if not leaders:
            found = [c.detectable for c in self.against_baseline if not math.isnan(c.detectable)]
            return (
                f"keep {self.baseline}: nothing beats it significantly ({n}; a difference of "
                f"{self.amount(max(found))} would have been found with 80 % power)"
            )
        if self.winner is None:
            count = "both" if len(leaders) == 2 else f"all {_NUMBERS.get(len(leaders), len(leaders))}"
            worst = max(c.p for c in self.against_baseline if c.first in leaders)
            return (
                f"no significant winner among {', '.join(leaders)}; {count} beat {self.baseline} ({n}, "
                f"{p_text(worst)}); {self.suggested} suggested as {self._suggestion[1]}"
            )
        won = next(c for c in self.against_baseline if c.first == self.winner)
        others = f", and {listed([name for name in beat if name != self.winner])}" if len(beat) > 1 else ""
        gain = self.amount(abs(won.difference), won.margin)
        return f"{self.winner} beats {self.baseline} by {gain} ({n}, {p_text(won.p)}){others}"

    @property
    def table(self) -> pandas.DataFrame:
        """The candidates and their differences to the baseline, a row each, in the metric's own unit."""
        import pandas

        return pandas.DataFrame(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of `table` as plain data."""
        against = {c.first: c for c in self.against_baseline}
        names = ("difference", "low", "high", "p", "effect", "correlation", "detectable")
        return [
            {
                "activation": scored.activation,
                f"{self.part}_{self.metric}": scored.mean,
                "sd": scored.sd,
                "n": scored.n,
                "diverged": scored.diverged,
                "inference_seconds": scored.seconds,
                **{name: getattr(against.get(scored.activation), name, math.nan) for name in names},
            }
            for scored in self.candidates
        ]

    def to_pandas(self) -> pandas.DataFrame:
        """Return every epoch x seed x candidate; see `Runs.to_pandas`."""
        if self.runs is None:
            raise ValueError("The verdict must come from a training to have a table of it. Received: runs=None")
        return self.runs.to_pandas()

    @property
    def in_points(self) -> bool:
        """Whether scores are shares, whose differences are said in points of 100."""
        return self.maximize and all(0 <= s.mean <= 1 for s in self.candidates if s.n)

    def amount(self, difference: float, margin: float | None = None) -> str:
        """Return a difference in words, with as many digits as its margin deserves: ``"0.98 ± 0.15 points"``."""
        scale, unit = (100, "points") if self.in_points else (1, f"of {self.metric}")
        size = abs(difference if margin is None else margin) * scale
        digits = max(0, 1 - math.floor(math.log10(size))) if size > 0 else 2
        spread = "" if margin is None else f" ± {margin * scale:.{digits}f}"
        return f"{difference * scale:.{digits}f}{spread} {unit}"

    @property
    def _suggestion(self) -> tuple[str, str]:
        """What to use, and as what."""
        leaders = self.leaders
        if len(leaders) < 2:
            return (leaders[0] if leaders else self.baseline), ""
        seconds = {s.activation: s.seconds for s in self.candidates if s.activation in leaders}
        if any(math.isnan(value) for value in seconds.values()):
            return leaders[0], "the best on average"
        least = min(seconds.values())
        cheap = [name for name in leaders if seconds[name] <= _AS_CHEAP * least]
        if len(cheap) == 1:
            return cheap[0], "the cheapest"
        whom = "all" if len(cheap) == len(leaders) else listed(cheap)
        return cheap[0], f"the best on average, where {whom} cost the same"

    def _gain(self, comparison: Comparison) -> float:
        return comparison.difference if self.maximize else -comparison.difference

    def _ordered(self, names: Any) -> tuple[str, ...]:
        wanted = set(names)
        return tuple(s.activation for s in self.candidates if s.activation in wanted)


_NUMBERS = {3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine"}


def listed(names: Sequence[str]) -> str:
    """Return names as one writes them: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
