"""The verdict: is an activation really better than the baseline, and in which words may one say so.

No TensorFlow.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..report.names import quoted
from ..report.numbers import counted, number
from ..report.tables import bullets, plain_text
from ..runtime.as_json import finite
from .caveats import (
    about_failures,
    about_spread,
    better_seeds,
    failures_in_short,
    on_seeds,
    why_seeds_failed,
)
from .learning_curves import Savings, about_savings, late_gains, savings
from .paired import ALPHA, Comparison, detectable, needed, needed_signs
from .rate_words import about_both_answers, about_rates, tried_twice, what_rates_bring
from .rates import RateStudy
from .runs import Runs
from .sequential import Look
from .words import Unit, all_of, all_seeds, listed, named, p_text

if TYPE_CHECKING:
    import pandas
    from rich.table import Table

    from .pictures import VerdictPlot

# times of inference that differ by less are called the same
_AS_CHEAP = 1.05
# A test that finds no difference of less than three standard deviations, which almost every single
# pair would show, could not have seen anything: that are 2 to 4 seeds with three candidates.
_BLIND = 3.0
# as `compare_activations` has it
_DEFAULT_SEEDS = 16
# what a row tells of the comparison with the baseline, by the names that `Comparison` has for it
_COMPARED = ("difference", "low", "high", "p", "effect", "correlation", "detectable")
# why looking ended, by `Look.decision`
_ENDED = {
    "clear": "the leader was clear",
    "worse": "the baseline was clearly better than all",
    "nothing": "there was nothing to compare",
    "last": "all planned seeds were trained",
}

Row: TypeAlias = dict[str, str | int | float]


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
        diverged: on how many seeds its loss was no longer finite. They count as failed trainings;
            a candidate that diverged on all seeds is not compared.
        seconds: that the model takes to predict one batch; nan if that was not measured.
        failed: how many of the n failed all the same: they learned no more than guessing, or are
            far below the others. See `failures.failed_runs`.
    """

    activation: str
    mean: float
    sd: float
    n: int
    diverged: int
    seconds: float = math.nan
    failed: int = 0


@dataclass(frozen=True, repr=False)
class Verdict:
    """Which activation to use, and how sure that is.

    The intervals and p-values are about new seeds (initialization and batch order) on this split of
    the data. In at most 5 % of verdicts any "beats" is false: one over the baseline in at most 2.5
    %, which is one side of a two-sided 5 %; one among the candidates in at most 1.5 %, both sides;
    the last percent is kept for skewed scores.
    Both are about trainings that do not fail, and hold as far as differences are not skewed much
    more than narrow nets' are: docs/verdict.md says how far. Failed trainings are counted by
    themselves.

    Attributes:
        metric: what was scored, of the models as their trainings ended; `caveat` and `errors` say so
            where it was of those after their last epochs.
        maximize: whether higher is better.
        part: the scored data, ``"test"`` or ``"validation"``.
        baseline: what the others have to beat.
        candidates: all of them, the baseline too, the best mean first.
        against_baseline: each candidate minus the baseline.
        among: each pair of candidates without the baseline; their intervals cover together with
            98.5 %.
        withheld: the sentence where there is no verdict, ``"no verdict: ..."`` or ``"no candidate
            learned more than guessing: ..."``; else empty.
        looks: the planned looks at the validation scores.
        runs: every epoch x seed x candidate.
        guess: what guessing has on the scored data; None where that is not known.
        share: whether the metric is a share of the samples, as an accuracy is.
        squared: whether the metric is known to be the mean squared error of the targets, whose root
            has their unit.
        errors: what failed besides, by what was done then: ``"training"`` of further seeds,
            ``"test"``, ``"guess"``, ``"timing"``; and which candidates could not be trained, such as
            ``"mish is set aside"``, with the reason.
        caveat: the sentence where callbacks may have put other weights back than those that were
            scored; else empty.
        rates: at which learning rate each candidate trained, and how that was chosen; None if all
            had the model's own.
        rescale_init: whether kernels were initialized for the activation that they feed.
        call: how it was called, for the report; empty in a search called from Python, which has its own.
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
    squared: bool = False
    errors: Mapping[str, str] = field(default_factory=dict, compare=False)
    caveat: str = field(default="", compare=False)
    rates: RateStudy | None = field(default=None, repr=False, compare=False)
    rescale_init: bool = field(default=False, compare=False)
    call: str = field(default="", repr=False, compare=False)

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
        if not beat:
            return ()
        losers = set()
        for comparison in self.among:
            if comparison.significant and beat[0] in (comparison.first, comparison.second):
                losers.add(self._better_first(comparison)[1])
        return tuple(name for name in beat if name not in losers)

    @property
    def winner(self) -> str | None:
        """The one that beats the baseline, and all others that do so; None if there is no such."""
        leaders = self.leaders
        if len(leaders) != 1:
            return None
        return leaders[0]

    @property
    def suggested(self) -> str:
        """What to use: the winner.

        Among ties the cheapest; without a significant difference the baseline.
        """
        leaders = self.leaders
        if not leaders:
            return self.baseline
        if len(leaders) == 1:
            return leaders[0]
        return self._suggested_tie[0]

    @property
    def suggested_because(self) -> str:
        """As what the suggested one of several leaders is: ``"the cheapest"``; empty if they are not several."""
        if len(self.leaders) < 2:
            return ""
        return self._suggested_tie[1]

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
        if all(c.significant for c in self.against_baseline):
            return False
        closest = self._closest
        ahead = self._gain(closest) > 0
        if ahead and closest.same:
            return True
        if closest.counted:
            return ahead and closest.n < needed_signs(self._level)
        if detectable(1.0, closest.n, self._level) > _BLIND:
            return True
        return ahead and closest.detectable >= self._room

    @property
    def improving(self) -> Mapping[str, float]:
        """How much candidates improved in the last quarter of their epochs, if all still did.

        Else nothing.
        """
        return late_gains(self.runs, self.metric, self.maximize)

    @property
    def savings(self) -> tuple[Savings, ...]:
        """When candidates are as good as the baseline at its end, on the validation data.

        Of those that are not significantly worse in the end, and reach as much on more than half of
        the seeds.
        """
        found = []
        for comparison in self.against_baseline:
            if comparison.significant and self._gain(comparison) < 0:
                continue
            saved = savings(self.runs, self.metric, self.maximize, comparison.first, self.baseline)
            if saved is not None:
                found.append(saved)
        return tuple(found)

    @property
    def in_points(self) -> bool:
        """Whether scores are shares of the samples, whose differences are said in points of 100.

        An R² is none.
        """
        return self.share

    # how it is said

    def __repr__(self) -> str:
        return f"<Verdict: {self.sentence}>"

    def __str__(self) -> str:
        above = [*self.first_lines(), "", self.caption]
        table = plain_text(self.drawn_table())
        return "\n".join([*above, table]) + "\n".join(self.last_lines())

    def told(self) -> list[str]:
        """Return what `print` says but for the table: the answer, why, and what to do next."""
        return [*self.first_lines(), *self.last_lines()]

    def first_lines(self) -> list[str]:
        """Return what to say above the table, a sentence or two a line: the answer, and why.

        `summary` has all statistics.
        """
        from .answer import answer

        return answer(self).first_lines()

    @property
    def caption(self) -> str:
        """What stands in the table, in a line above it."""
        from .pages import what_differences_are

        scores = f"Mean {self.part} {self.metric} over {counted(self.seeds, 'fresh seed')}."
        if not self.against_baseline:
            return scores
        return f"{scores} {what_differences_are(self)}"

    def last_lines(self) -> list[str]:
        """Return what to say below the table: what else a decision hangs on, and what to do next."""
        from .answer import answer

        return [*self._matters(), answer(self).next_line()]

    def _matters(self) -> Iterator[str]:
        """What else a decision hangs on, a sentence a line."""
        yield from self._roots()
        if not self.withheld:
            # where nothing can be told apart, rates cannot either
            yield from about_both_answers(self)
            yield from what_rates_bring(self)
            yield from tried_twice(self)
        yield from self._what_it_saves()
        yield from self._how_initialized()
        if not self.withheld:
            yield from why_seeds_failed(self.candidates)
        yield from self._about_guessing()
        yield from filter(None, [self.caveat])
        yield from self._what_failed_besides()

    @property
    def sentence(self) -> str:
        """The verdict in a sentence."""
        if self.withheld:
            return self.withheld
        if not self.against_baseline:
            return self._alone()
        return self._decided() + failures_in_short(self.candidates)

    def _decided(self) -> str:
        """The sentence but for the trainings that failed."""
        winner = self.winner
        if winner is not None:
            return self._won(winner)
        if self.leaders:
            return self._tied()
        if self.undecided:
            return self._undecided()
        return self._kept()

    def summary(self) -> list[str]:
        """Return what to say below the table, a sentence a line; the verdict's own comes first."""
        return [
            f"Verdict: {self.sentence}.",
            *about_rates(self),
            *self._what_it_saves(),
            *self._how_initialized(),
            *self._how_to_read(),
            *self._how_kind_scores_are(),
            *self._how_far_it_goes(),
            *self._what_else(),
        ]

    def _how_initialized(self) -> Iterator[str]:
        if self.rescale_init:
            yield (
                "Each activation, the baseline too, has kernels initialized for it "
                "(rescale_init=True)."
            )

    def amount(self, difference: float, margin: float | None = None) -> str:
        """Return a difference in words, with as many digits as its margin deserves.

        ``"0.98 ± 0.15 points"``.
        """
        return self._unit.amount(difference, margin)

    def gain(self, comparison: Comparison, *, margin: bool = True) -> str:
        """Return how far apart two candidates are, in words.

        With its margin, or its interval where that reaches farther to one side, or "the same …"
        where it never varies.
        """
        difference = abs(comparison.difference)
        if comparison.same:
            return f"the same {self.amount(difference)}"
        if margin and comparison.stretched:
            ends = (comparison.low, comparison.high)
            if comparison.difference < 0:
                ends = (-comparison.high, -comparison.low)
            return self._unit.between(difference, *ends)
        if margin and not comparison.counted:
            return self.amount(difference, comparison.margin)
        return self.amount(difference)

    def score(self, value: float) -> str:
        """Return a score in words."""
        return self._unit.score(value)

    def with_rate(self, activation: str, *, first: bool = True) -> str:
        """Return an activation with its learning rate, if candidates have their own.

        ``"mish (learning rate 0.004)"``, and where it is not the first, ``"relu (0.004)"``.
        """
        if self.rates is None:
            return quoted(activation)
        rate = self.rates.rate(activation)
        if first:
            rate = f"learning rate {rate}"
        return f"{quoted(activation)} ({rate})"

    # as tables and data

    @property
    def table(self) -> pandas.DataFrame:
        """The candidates and their differences to the baseline, a row each, in the metric's own unit."""
        import pandas

        return pandas.DataFrame(self.rows())

    def rows(self) -> list[Row]:
        """Return the rows of `table` as plain data."""
        epochs = {saved.activation: float(saved.epochs) for saved in self.savings}
        rows = []
        for scored in self.candidates:
            row = self._row(scored)
            row["epochs_to_baseline"] = epochs.get(scored.activation, math.nan)
            rows.append(row)
        return rows

    def to_pandas(self) -> pandas.DataFrame:
        """Return every epoch x seed x candidate; see `Runs.to_pandas`."""
        if self.runs is None:
            raise ValueError(
                "The verdict must come from a training to have a table of it. Received: runs=None"
            )
        return self.runs.to_pandas()

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as plain data for JSON; what is not known is None."""
        guess = None
        if self.guess is not None:
            guess = dataclasses.asdict(self.guess)
        rates = None
        if self.rates is not None:
            rates = self.rates.to_dict()
        plain = {
            "sentence": self.sentence,
            "significant": self.significant,
            "winner": self.winner,
            "undecided": self.undecided,
            "suggested": self.suggested,
            "baseline": self.baseline,
            "metric": self.metric,
            "part": self.part,
            "seeds": self.seeds,
            "guess": guess,
            "improving": dict(self.improving),
            "savings": [dataclasses.asdict(saved) for saved in self.savings],
            "candidates": self.rows(),
            "among": [dataclasses.asdict(comparison) for comparison in self.among],
            "looks": [dataclasses.asdict(look) for look in self.looks],
            "errors": dict(self.errors),
            "caveat": self.caveat,
            "learning_rates": rates,
            "rescale_init": self.rescale_init,
        }
        return dict(finite(plain))

    def to_markdown(self, *, with_answer: bool = True) -> str:
        """Return the answer, the table, and all statistics as Markdown.

        Args:
            with_answer: False where the answer stands above already.
        """
        from .pages import numbers, ranked

        summary = self.summary()
        parts = []
        if with_answer:
            parts.append(bullets(self.first_lines()))
        parts += [self.caption, ranked(self).text().to_markdown()]
        # the statistics below say the rest
        parts.append(bullets([line for line in self.last_lines() if line not in summary]))
        if self.against_baseline:
            parts += ["### Statistics", numbers(self).text().to_markdown()]
        parts.append(bullets(summary))
        return "\n\n".join(parts)

    @property
    def plot(self) -> VerdictPlot:
        """The pictures of the verdict: ``plot.differences()``, ``plot.curves()``, ``plot.learning_rates()``."""
        from .pictures import VerdictPlot

        return VerdictPlot(self)

    def save_report(self, path: str | os.PathLike[str]) -> Path:
        """Write `report.html`: the answer, pictures and tables in one file that needs no network.

        Args:
            path: of the file. What is there is replaced.

        Returns:
            The path.

        Raises:
            DataError: if it cannot be written.
        """
        from ..report.files import write

        return write(self.to_html(), path)

    def to_html(self) -> str:
        """Return `report.html` as text: one file that needs no network."""
        from .pages import page

        return page(self).to_html()

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the answer and the table."""
        from ..report.notebook import shown
        from .answer import answer
        from .pages import ranked

        said = answer(self)
        return shown(said.in_a_line, (*said.reasons, said.next_line()), ranked(self))

    def drawn_table(self, width: int | None = None) -> Table:
        """Return the table for a terminal of so many columns; by default as wide as its content."""
        from .pages import ranked

        return ranked(self).text().drawn(width)

    # what the properties above are made of

    @property
    def _level(self) -> float:
        """What each comparison with the baseline may err."""
        return ALPHA / len(self.against_baseline)

    @property
    def _unit(self) -> Unit:
        return Unit(self.metric, self.in_points)

    @property
    def _closest(self) -> Comparison:
        """The comparison with the baseline that comes nearest to beating it."""
        return max(self.against_baseline, key=self._gain)

    @property
    def _room(self) -> float:
        """How much better than the baseline a score can be at all."""
        means = {scored.activation: scored.mean for scored in self.candidates}
        if reach_one(self.candidates, self.maximize):
            return 1 - means[self.baseline]
        below_zero = any(scored.mean < 0 for scored in self.candidates if scored.n)
        if self.maximize or below_zero:
            return math.inf
        return means[self.baseline]

    @property
    def _suggested_tie(self) -> tuple[str, str]:
        """Which of several leaders to use, and as what."""
        leaders = self.leaders
        seconds = {s.activation: s.seconds for s in self.candidates if s.activation in leaders}
        if any(math.isnan(value) for value in seconds.values()):
            return leaders[0], "the best on average"
        least = min(seconds.values())
        cheap = [name for name in leaders if seconds[name] <= _AS_CHEAP * least]
        if len(cheap) == 1:
            return cheap[0], "the cheapest"
        whom = listed(cheap)
        if len(cheap) == len(leaders):
            whom = "all"
        return cheap[0], f"the best on average, where {whom} cost the same"

    def _gain(self, comparison: Comparison) -> float:
        """How much better the first of two is than the second."""
        if self.maximize:
            return comparison.difference
        return -comparison.difference

    def _better_first(self, comparison: Comparison) -> tuple[str, str]:
        if self._gain(comparison) >= 0:
            return comparison.first, comparison.second
        return comparison.second, comparison.first

    def _on_how_many(self, comparison: Comparison) -> str:
        """On how many seeds the better of two is better."""
        firsts, seconds = better_seeds(comparison, self.maximize)
        if self._gain(comparison) >= 0:
            return on_seeds(firsts, comparison.n)
        return on_seeds(seconds, comparison.n)

    def _ordered(self, names: Iterable[str]) -> tuple[str, ...]:
        """Names, the best mean first."""
        wanted = set(names)
        return tuple(s.activation for s in self.candidates if s.activation in wanted)

    # sentences

    def _alone(self) -> str:
        diverged = [s for s in self.candidates if s.diverged]
        counts = listed([f"{s.activation} on {s.diverged}" for s in diverged])
        why = "all others diverged"
        if any(s.n for s in self.candidates if s.activation != self.baseline):
            why = "on no seed did both it and another train to the end; trainings diverged"
        return f"keep {self.baseline}: {why} ({counts} of {self.seeds} seeds)"

    def _won(self, winner: str) -> str:
        comparison = next(c for c in self.against_baseline if c.first == winner)
        others = [name for name in self.beat if name != winner]
        also = ""
        if others:
            also = f", and {named(others)}"
        ahead = self.with_rate(winner)
        behind = self.with_rate(self.baseline, first=False)
        p = p_text(comparison.p)
        if comparison.counted:
            where = self._on_how_many(comparison)
            return f"{ahead} beats {behind} {where} ({p}, sign test){also}"
        lead = f"{ahead} beats {behind} by {self.gain(comparison)}"
        if comparison.same:
            return f"{lead} on {all_seeds(comparison.n)} ({p}, sign test){also}"
        return f"{lead} ({self.seeds} seeds, {p}){also}"

    def _tied(self) -> str:
        leaders = self.leaders
        worst = max(c.p for c in self.against_baseline if c.first in leaders)
        suggested, reason = self._suggested_tie
        names = [self.with_rate(name, first=name == leaders[0]) for name in leaders]
        baseline = self.with_rate(self.baseline, first=False)
        return (
            f"no significant winner among {', '.join(names)}; {all_of(len(leaders))} beat {baseline} "
            f"({self.seeds} seeds, {p_text(worst)}); {suggested} suggested as {reason}"
        )

    def _kept(self) -> str:
        baseline = self.with_rate(self.baseline)
        # of what is clearly worse nobody asks how small a difference would have been seen
        still_open = [c for c in self.against_baseline if not c.significant]
        detectable_differences = [
            c.detectable
            for c in still_open or self.against_baseline
            if not math.isnan(c.detectable)
        ]
        if detectable_differences:
            worst = self.amount(max(detectable_differences))
            return (
                f"keep {baseline}: no other was shown to be better ({self.seeds} seeds, which notice a "
                f"difference of about {worst} or more)"
            )
        counted = [c for c in self.against_baseline if c.counted]
        if counted:
            return (
                f"keep {baseline}: no other was shown to be better ({self.seeds} seeds, sign test)"
            )
        equal = [c.first for c in self.against_baseline if c.difference == 0]
        why = "it is ahead on every seed"
        if equal:
            why = f"{named(equal)} is as good on every seed"
        return f"keep {baseline}: no other was shown to be better ({self.seeds} seeds; {why})"

    def _undecided(self) -> str:
        closest = self._closest
        ahead, behind = self._better_first(closest)
        first = self.with_rate(ahead)
        second = self.with_rate(behind, first=False)
        lead = f"{first} is ahead of {second} by {self.gain(closest, margin=False)}"
        if closest.difference == 0:
            lead = f"{first} and {second} are equal"
        if closest.counted:
            return (
                f"undecided: {first} is better than {second} {self._on_how_many(closest)}, which may be chance; "
                f"at least {needed_signs(self._level)} seeds would decide"
            )
        if not closest.same:
            unseen = f"no difference below {self.amount(closest.detectable)}"
            if self.in_points and closest.detectable > 1:
                # no two shares differ by more than 100 points
                unseen = "no difference that there can be"
            return (
                f"undecided: {lead}, but {closest.n} seeds notice {unseen}; "
                f"{self._what_would_decide(closest)}"
            )
        if closest.difference == 0:
            return (
                f"undecided: {lead} on {all_seeds(closest.n)}, too few to show anything; "
                f"try {_DEFAULT_SEEDS} seeds"
            )
        return (
            f"undecided: {lead} on {all_seeds(closest.n)}, which may be chance; "
            f"{needed_signs(self._level)} seeds would decide"
        )

    def _what_would_decide(self, closest: Comparison) -> str:
        seeds = needed(closest.effect, self._level)
        if seeds is not None and seeds <= _DEFAULT_SEEDS * closest.n:
            return f"about {seeds} seeds would notice {self.gain(closest, margin=False)}"
        # what is hardly a difference takes more seeds than anyone trains: say what the usual number
        # would show
        seeds = max(_DEFAULT_SEEDS, 2 * closest.n)
        if closest.effect == 0:
            return f"try {seeds} seeds"
        sd = closest.difference / closest.effect
        smallest = detectable(sd, seeds, self._level)
        return f"about {seeds} seeds would notice {self.amount(smallest)}"

    # what stands below the table

    def _what_it_saves(self) -> Iterator[str]:
        """How early what is suggested is as good as the baseline."""
        for saved in self.savings:
            if saved.activation == self.suggested and saved.epochs < saved.baseline_epochs:
                yield about_savings(saved, self.metric, self.baseline)

    def _how_to_read(self) -> Iterator[str]:
        """What the columns mean."""
        if self.against_baseline and not self.withheld:
            yield (
                f"Differences are those of pairs, a seed each, on the {self.part} data in {self._unit.name}, after "
                "the last epoch. ± is half of a 95 % interval (all hold together), p is adjusted alike: below 0.05 "
                "where the interval does not hold 0. Both are about other seeds; other data may say something else."
            )
        if any(c.same for c in self.against_baseline):
            yield (
                '"every seed": the difference is the same on all of them; p is that of a sign test.'
            )

    def _how_kind_scores_are(self) -> Iterator[str]:
        """What failed, and where a mean and its deviation are not the whole story."""
        if self.withheld:
            return
        yield from about_failures(self.candidates, self.against_baseline, self.maximize)
        yield from about_spread((*self.against_baseline, *self.among), self._unit)

    def _how_far_it_goes(self) -> Iterator[str]:
        """What the scores are worth by themselves."""
        yield from self._about_guessing()
        gains = self.improving.values()
        if gains:
            span = self._unit.span(min(gains), max(gains))
            yield (
                f"All candidates were still improving in the last quarter of their epochs, by {span} on the "
                "validation data: more epochs may change the answer."
            )
        if self.part == "validation":
            yield (
                "There were no test data: what was chosen on the validation data looks better there."
            )

    def _roots(self) -> Iterator[str]:
        """Mean squared errors in a unit that one can picture."""
        if not self.squared or self.withheld:
            return
        roots = []
        for scored in self.candidates:
            if scored.mean >= 0:
                roots.append(f"{quoted(scored.activation)} {number(math.sqrt(scored.mean))}")
        yield (
            f"The {self.metric} is the mean squared error. Its root (RMSE), in the unit of the target: "
            f"{', '.join(roots)}."
        )

    def _about_guessing(self) -> Iterator[str]:
        if self.guess is not None and not self.withheld:
            score = self.score(self.guess.score)
            root = ""
            if self.squared and self.guess.score >= 0:
                root = f" (RMSE {number(math.sqrt(self.guess.score))})"
            yield f"Guessing ({self.guess.what}): {self.metric} {score} on the {self.part} data{root}."

    def _what_else(self) -> Iterator[str]:
        """What was found besides, and what went wrong."""
        told = [self._pair(c) for c in self.among if c.significant]
        if told:
            yield f"Among the candidates: {'; '.join(told)}."
        if self.looks:
            seeds = ", ".join(str(look.seeds) for look in self.looks)
            ended = _ENDED.get(self.looks[-1].decision, "interrupted")
            yield f"Looked at the validation scores after {seeds} seeds; {ended}."
        yield from filter(None, [self.caveat])
        yield from self._what_failed_besides()

    def _what_failed_besides(self) -> Iterator[str]:
        for what, reason in self.errors.items():
            yield f"What failed besides: {what}: {reason.rstrip('.')}."

    def _pair(self, comparison: Comparison) -> str:
        better, worse = (
            self.with_rate(name, first=False) for name in self._better_first(comparison)
        )
        if comparison.counted:
            return f"{better} beats {worse} {self._on_how_many(comparison)}"
        text = f"{better} beats {worse} by {self.gain(comparison)}"
        if comparison.same:
            text += " on every seed"
        return text

    # the table

    def _compared(self, scored: Scored) -> Comparison | None:
        """The comparison of a candidate with the baseline; None for what was not compared."""
        for comparison in self.against_baseline:
            if comparison.first == scored.activation:
                return comparison
        return None

    def _row(self, scored: Scored) -> Row:
        comparison = self._compared(scored)
        compared = dict.fromkeys(_COMPARED, math.nan)
        if comparison is not None:
            compared = {name: getattr(comparison, name) for name in _COMPARED}
        return {
            "activation": scored.activation,
            **self._rate_of(scored),
            f"{self.part}_{self.metric}": scored.mean,
            "sd": scored.sd,
            "n": scored.n,
            "diverged": scored.diverged,
            "failed": scored.failed,
            "inference_seconds": scored.seconds,
            **compared,
        }

    def _rate_of(self, scored: Scored) -> Row:
        """The multiple of the model's learning rate, where candidates have their own."""
        if self.rates is None:
            return {}
        return {"learning_rate_factor": self.rates.factor(scored.activation)}


def reach_one(candidates: Sequence[Scored], maximize: bool) -> bool:
    """Return whether scores look as if they grew from 0 to 1 at most, as accuracies, AUC or R² do."""
    return maximize and all(0 <= scored.mean <= 1 for scored in candidates if scored.n)
