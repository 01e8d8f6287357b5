"""The verdict: is an activation really better than the baseline, and in which words may one say so.

No TensorFlow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .convergence import late_gains
from .paired import ALPHA, Comparison, detectable, needed, needed_signs, p_text
from .runs import Runs
from .sequential import Look

if TYPE_CHECKING:
    import pandas

# times of inference that differ by less are called the same
_AS_CHEAP = 1.05
# A test that finds no difference of less than three standard deviations, which almost every single
# pair would show, could not have seen anything: that are 2 to 4 seeds with three candidates.
_BLIND = 3.0
_DEFAULT_SEEDS = 16


@dataclass(frozen=True)
class Guess:
    """What a model has that looks at no input.

    One constant answer, the best one for the scored data.

    Attributes:
        score: of it, in the metric that is judged.
        what: the answer in words, ``"always the most frequent class"``.
    """

    score: float
    what: str


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

    The intervals and p-values are about new seeds (initialization and batch order) on this split of
    the data. In at most 5 % of verdicts any "beats" is false: one over the baseline in at most 2.5
    %, which is one side of a two-sided 5 %; one among the candidates in at most 2.5 %, both sides.

    Attributes:
        metric: what was scored, after the last epoch.
        maximize: whether higher is better.
        part: the scored data, ``"test"`` or ``"validation"``.
        baseline: what the others have to beat.
        candidates: all of them, the baseline too, the best mean first.
        against_baseline: each candidate minus the baseline.
        among: each pair of candidates without the baseline; their intervals cover together with
            97.5 %.
        withheld: the sentence where there is no verdict, ``"no verdict: ..."`` or ``"no candidate
            learned more than guessing: ..."``; else empty.
        looks: the planned looks at the validation scores.
        runs: every epoch x seed x candidate.
        guess: what guessing has on the scored data; None where that is not known.
        share: whether the metric is a share of the samples, as an accuracy is.
        errors: what failed besides, by what was done then: ``"training"`` of further seeds,
            ``"test"``, ``"guess"``, ``"timing"``.
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
    guess: Guess | None = None
    share: bool = False
    errors: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        from .report import text

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
        return self._ordered(
            c.first for c in self.against_baseline if c.significant and self._gain(c) > 0
        )

    @property
    def leaders(self) -> tuple[str, ...]:
        """Those among `beat` that are not significantly worse than the best of them.

        The winner, or the ties.
        """
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
        """What to use: the winner.

        Among ties the cheapest; without a significant difference the baseline.
        """
        return self._suggestion[0]

    @property
    def sentence(self) -> str:
        """The verdict in a sentence."""
        if self.withheld:
            return self.withheld
        if not self.against_baseline:
            counts = listed(
                [f"{s.activation} on {s.diverged}" for s in self.candidates if s.diverged]
            )
            return f"keep {self.baseline}: all others diverged ({counts} of {self.seeds} seeds)"
        if self.winner is not None:
            return self._won(self.winner)
        if self.leaders:
            return self._tied()
        return self._undecided() if self.undecided else self._kept()

    @property
    def undecided(self) -> bool:
        """Whether nothing is better significantly, and so few seeds, or such noise, could hardly have shown anything.

        So it is where the test would have found no difference of less than three of its standard
        deviations, where a candidate is ahead and the test would not even have found the best score
        that there can be, and where one is ahead by the same on all seeds, and they are too few for
        that to be no chance.
        """
        if self.withheld or self.beat:
            return False
        unsettled = [c for c in self.against_baseline if not c.significant]
        if not unsettled:
            return False
        best = self._closest
        if best.same and self._gain(best) > 0:
            return True
        if detectable(1.0, best.n, ALPHA / len(self.against_baseline)) > _BLIND:
            return True
        return self._gain(best) > 0 and best.detectable >= self._room

    @property
    def improving(self) -> Mapping[str, float]:
        """How much candidates improved in the last quarter of their epochs, if all still did.

        Else nothing.
        """
        return late_gains(self.runs, self.metric, self.maximize)

    @property
    def _closest(self) -> Comparison:
        """The comparison with the baseline that comes nearest to beating it."""
        return max(self.against_baseline, key=self._gain)

    @property
    def _room(self) -> float:
        """How much better than the baseline a score can be at all."""
        (baseline,) = (s.mean for s in self.candidates if s.activation == self.baseline)
        if reach_one(self.candidates, self.maximize):
            return 1 - baseline
        below_zero = any(s.mean < 0 for s in self.candidates if s.n)
        return math.inf if self.maximize or below_zero else baseline

    def _won(self, winner: str) -> str:
        won = next(c for c in self.against_baseline if c.first == winner)
        others = [name for name in self.beat if name != winner]
        also = f", and {listed(others)}" if others else ""
        if won.same:
            seeds = _all_seeds(won.n)
            return f"{winner} beats {self.baseline} by {self.gain(won)} on {seeds} ({p_text(won.p)}, sign test){also}"
        return f"{winner} beats {self.baseline} by {self.gain(won)} ({self.seeds} seeds, {p_text(won.p)}){also}"

    def _tied(self) -> str:
        leaders = self.leaders
        count = "both" if len(leaders) == 2 else f"all {_NUMBERS.get(len(leaders), len(leaders))}"
        worst = max(c.p for c in self.against_baseline if c.first in leaders)
        return (
            f"no significant winner among {', '.join(leaders)}; {count} beat {self.baseline} ({self.seeds} seeds, "
            f"{p_text(worst)}); {self.suggested} suggested as {self._suggestion[1]}"
        )

    def _kept(self) -> str:
        seeds = f"{self.seeds} seeds"
        found = [c.detectable for c in self.against_baseline if not c.same]
        if not found:
            equal = [c.first for c in self.against_baseline if c.difference == 0]
            why = (
                f"{listed(equal)} is as good on every seed"
                if equal
                else "it is ahead on every seed"
            )
            return f"keep {self.baseline}: nothing beats it ({seeds}; {why})"
        return (
            f"keep {self.baseline}: nothing beats it significantly ({seeds}; a difference of "
            f"{self.amount(max(found))} would have been found with 80 % power)"
        )

    def _undecided(self) -> str:
        best, level = self._closest, ALPHA / len(self.against_baseline)
        ahead, behind = (
            (best.first, best.second) if self._gain(best) >= 0 else (best.second, best.first)
        )
        by = self.gain(best, margin=False)
        if best.same and best.difference == 0:
            return (
                f"undecided: {ahead} and {behind} are equal on {_all_seeds(best.n)}, too few to show anything; try "
                f"{_DEFAULT_SEEDS} seeds"
            )
        if best.same:
            return (
                f"undecided: {ahead} is ahead of {behind} by {by} on {_all_seeds(best.n)}, which may be chance; "
                f"{needed_signs(level)} seeds would decide"
            )
        more = needed(best.effect, level)
        size = by
        if more is None or more > _DEFAULT_SEEDS * best.n:
            # what is hardly a difference takes more seeds than anyone trains: say what the usual
            # number would show
            more = max(_DEFAULT_SEEDS, 2 * best.n)
            size = (
                self.amount(detectable(best.difference / best.effect, more, level))
                if best.effect
                else ""
            )
        lead = (
            f"{ahead} is ahead of {behind} by {by}"
            if best.difference
            else f"{ahead} and {behind} are equal"
        )
        would = f"about {more} seeds would find {size}" if size else f"try {more} seeds"
        return (
            f"undecided: {lead}, but {best.n} seeds would have found no less than {self.amount(best.detectable)} "
            f"with 80 % power; {would}"
        )

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
            raise ValueError(
                "The verdict must come from a training to have a table of it. Received: runs=None"
            )
        return self.runs.to_pandas()

    @property
    def in_points(self) -> bool:
        """Whether scores are shares of the samples, whose differences are said in points of 100.

        An R² is none.
        """
        return self.share

    def amount(self, difference: float, margin: float | None = None) -> str:
        """Return a difference in words, with as many digits as its margin deserves.

        ``"0.98 ± 0.15 points"``.
        """
        scale, unit = (100, "points") if self.in_points else (1, f"of {self.metric}")
        size = abs(difference if margin is None else margin) * scale
        digits = max(0, 1 - math.floor(math.log10(size))) if size > 0 else 2
        spread = "" if margin is None else f" ± {margin * scale:.{digits}f}"
        return f"{difference * scale:.{digits}f}{spread} {unit}"

    def gain(self, comparison: Comparison, *, margin: bool = True) -> str:
        """Return how far apart two candidates are, in words.

        With its margin, or "the same …" where it never varies.
        """
        difference = abs(comparison.difference)
        if comparison.same:
            return f"the same {self.amount(difference)}"
        return self.amount(difference, comparison.margin if margin else None)

    def score(self, value: float) -> str:
        """Return a score in words."""
        return score_text(value, self.in_points)

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


def reach_one(candidates: Sequence[Scored], maximize: bool) -> bool:
    """Return whether scores look as if they grew from 0 to 1 at most, as accuracies, AUC or R² do."""
    return maximize and all(0 <= s.mean <= 1 for s in candidates if s.n)


def score_text(value: float, share: bool) -> str:
    """Return a score in words."""
    return f"{100 * value:.2f} %" if share else f"{value:.4g}"


def _all_seeds(count: int) -> str:
    return "both seeds" if count == 2 else f"all {count} seeds"


def listed(names: Sequence[str]) -> str:
    """Return names as one writes them: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
