"""A search as a race on real populations: what it proposes, trains, keeps and finds."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import keras
import keras_tuner
import numpy as np

from keras_acts.errors import ModelError, SearchError

from ..population.member_callbacks import of_all, of_members, why_callbacks_alone
from ..population.members import Member
from ..population.model import check_model
from ..report import numbers
from ..report.numbers import counted
from ..rewrite.clone import with_activations
from ..rewrite.groups import chosen_slots
from ..rewrite.learning_rate import at_factor
from ..rewrite.slots import slots
from ..runtime.kept_files import DiskFullError
from ..runtime.reasons import first_line, reason_of
from ..runtime.seeding import Stream, derive
from ..space.assignment import Choice
from ..space.embedding import rated_embeddings
from ..space.rated import Rated
from ..space.space import ActivationSpace
from ..strategy.appended_logs import AppendedLogs
from ..strategy.base import DIVERGED, ENDED_EARLY, JudgedRun, TrialResult
from ..strategy.curves import Curve
from ..strategy.data_order import DataOrder
from ..strategy.direction import more_is_better
from ..strategy.objective import checked_objective
from ..strategy.progress import RaceProgress
from ..strategy.rounds import Kind, Round
from ..tracking.callback import Followers
from .cohorts import Cohorts
from .history import history
from .journal import Journal
from .one_by_one import Build, OneByOne
from .planner import Job, PopulationCosts, kind_of, race
from .planner import seconds as seconds_of
from .race import Race, RungResult, RungTask
from .rates import AtBestRate
from .record import MemberRecord
from .schedule import Rung, cost
from .surrogate import SurrogateProposer
from .telling import Telling, curves_of
from .time_left import fit_into

# other rates of the baseline that start among the other activations, where not all find a place
_FIRST_RATES = 2
_POOL = 256  # candidates with random parameters, to propose from

# what ranks, as KerasTuner takes it
Objective: TypeAlias = str | keras_tuner.Objective


def why_not_race(objective: Objective, fit: Mapping[str, Any]) -> str:
    """Return why a search cannot be a race; empty if it can."""
    try:
        checked_objective(objective)
    except SearchError as error:
        return str(error)
    if hasattr(fit["x"], "__next__"):
        return "the data can be read once only"
    if hasattr(fit.get("validation_data"), "__next__"):
        return "the validation data can be read once only"
    return ""


def why_one_by_one(
    model: keras.Model | Callable[..., keras.Model],
    space: ActivationSpace,
    fit: Mapping[str, Any],
) -> str:
    """Return why the members of a race train one by one; empty if they train as populations."""
    if not isinstance(model, keras.Model):
        return "the model is made by a function"
    try:
        check_model(model, chosen_slots(slots(model), space.per))
    except ModelError as error:
        return str(error)
    return why_callbacks_alone(keras.tree.flatten(fit.get("callbacks") or []), model)


class MemberTrainer(Protocol):
    """Trains the members of a race: `Cohorts` together, `OneByOne` each by itself.

    Attributes:
        runs: what is known of each member.
    """

    runs: dict[Member, MemberRecord]

    def train(self, members: Sequence[Member], epochs: int) -> None:
        """Train these members, and no others, until they have so many epochs."""

    def end(self) -> None:
        """End all trainings where they are."""

    def model(self, member: Member) -> keras.Model | None:
        """Return a member that was trained last, with its best weights; None if it was not."""


class _Over(BaseException):
    """The time is over, which is no error: it ends a training as Ctrl-C does."""


def job_of(
    space: ActivationSpace, trials: int, epochs: int, total: int, factors: Sequence[float] = (1.0,)
) -> Job:
    """Return what is to be planned; the arguments are those of `race_in`."""
    starts = len(space.grid(1)) + len(factors) - 1
    job = Job(trials, epochs, total, starts)
    rates = len(factors) - 1
    finds_places = race(job)[0].enter >= starts - 1
    if rates and finds_places and starts - 1 > rates:
        return replace(job, rates=rates)
    return job


def race_in(
    space: ActivationSpace,
    trials: int,
    epochs: int,
    total: int,
    seed: int,
    factors: Sequence[float] = (1.0,),
    rungs: Sequence[Rung] = (),
) -> Race:
    """Return a race of the candidates of a space, the baseline first.

    The baseline starts at all learning rates. Every other activation starts at the one at which it
    was best; the surrogate proposes others at any of them. Where so few start that not all
    activations would, each starts at the model's own rate instead, and the baseline at the two rates
    next to it.

    Args:
        space: what is searched.
        trials: how many candidates start at most.
        epochs: of a whole training.
        total: how many epochs all runs together may take.
        seed: of random candidates.
        factors: multiples of the model's own learning rate, 1 among them.
        rungs: the rounds; by default those of a race.
    """
    job = job_of(space, trials, epochs, total, factors)
    rungs = rungs or race(job)
    baseline, *others = space.grid(1)
    rates = [Rated(baseline, factor) for factor in factors if factor != 1]
    rates.sort(key=lambda rated: (abs(np.log2(rated.factor)), -rated.factor))
    drawn = space.sample(_POOL, derive(seed, Stream.CANDIDATES))
    choices = [*space.grid(5), *drawn]
    pool = [Rated(choice, factor) for choice, factor in itertools.product(choices, factors)]
    proposer = SurrogateProposer(pool, rated_embeddings)
    if job.rates:
        starts = [Rated(baseline), *rates]
        kinds = [Rated(choice).kind for choice in others]
        propose = AtBestRate(baseline, others, proposer)
        return Race(starts, rungs, propose, attrgetter("kind"), must_start=kinds)
    # not all find a place: an activation and a rate in turn, then the other activations
    activations = list(map(Rated, others))
    starts = [Rated(baseline)]
    for pair in zip(activations[:_FIRST_RATES], rates[:_FIRST_RATES], strict=False):
        starts += pair
    starts += [each for each in (*activations, *rates) if each not in starts]
    if not any(rung.enter for rung in rungs[1:]):
        # all start before anything is seen that others could be proposed from
        starts += [each for each in dict.fromkeys(map(Rated, drawn)) if each not in starts]
    return Race(starts, rungs, proposer, attrgetter("kind"))


class RaceSearch:
    """Searches by racing. `run` does it; the rest tells what was found.

    Args:
        model: that `why_not_race` has nothing against.
        race: who starts, and who goes on: each a `Rated`, or a choice for the rate of `factor`.
        objective: what ranks the candidates, one metric.
        fit: the arguments of `fit`, data included, without epochs.
        hyperparameters: returns those of a candidate, for the table.
        seconds: that the race may take. From what the rungs so far took, those to come are planned
            to fit in; if they do not, the race ends with what it has.
        costs: of the model's populations, by which that is planned; None to plan by epochs alone.
        seed: of initialization and batch order.
        journal: a file that keeps the scores of finished rungs.
        resumes: whether an earlier process has begun the race.
        progress: shows how it goes; by default nothing.
        slots: the names of the slots that the candidates go to; by default all hidden ones.
        models: whether the last rung's are wanted: then a race that goes on after an interrupt
            trains it again.
        label: what the race is called where it shows how it goes.
        note: what is said before it begins.
        memory: the bytes that a population may use; None for half of what is free.
        factor: the multiple of the model's own learning rate for candidates that have none.
        own_rate: that rate, for what is shown; None where it changes in the training.
        order_of_each_seed: whether each seed has a batch order of its own, for a race of one rung;
            else all have one.
        rescale_init: whether kernels are initialized for the activation that they feed.
        build: makes the compiled model of a choice, where members train one by one; None for
            populations of `model`.
        followers: hear of its epochs, rounds and candidates; by default nobody.
        stage: what the race is called in what they hear.

    Attributes:
        errors: what failed once there were scores, by what was done then.
        kind: how it was planned to go.
    """

    def __init__(
        self,
        model: keras.Model | Callable[..., keras.Model],
        race: Race,
        objective: Objective,
        fit: Mapping[str, Any],
        *,
        hyperparameters: Callable[[Any], dict[str, Any]],
        seconds: float | None = None,
        costs: PopulationCosts | None = None,
        seed: int = 0,
        journal: Path | None = None,
        resumes: bool = False,
        progress: RaceProgress | None = None,
        slots: Sequence[str] | None = None,
        models: bool = True,
        label: str = "",
        note: str = "",
        memory: int | None = None,
        factor: float = 1.0,
        own_rate: float | None = None,
        order_of_each_seed: bool = False,
        rescale_init: bool = False,
        build: Build | None = None,
        followers: Followers | None = None,
        stage: str = "",
    ):
        self.objective = checked_objective(objective)
        self.seconds = seconds
        self.progress = progress or RaceProgress(cost(race.rungs), verbose=0)
        self.interrupted = False
        self.errors: dict[str, str] = {}
        self.trained = 0  # epochs of all runs, in this process
        self.kind: Kind = kind_of(race.rungs)
        self._race = race
        self._hyperparameters = hyperparameters
        self._seed = seed
        self._journal = Journal(journal, resumes)
        self._models = models
        self._label = label
        self._note = note
        self._factor = factor
        self._own_rate = own_rate
        self._telling = Telling(
            followers or Followers(), race, self.objective.direction, stage, factor
        )
        # an earlier version may have ended its rungs elsewhere
        ends = sorted({rung.epochs for rung in race.rungs} | self._journal.ends())
        appended = AppendedLogs()
        self._new_cohorts: Callable[..., MemberTrainer]
        if build is not None:
            self._build = build
            self._new_cohorts = partial(
                OneByOne,
                build,
                self.objective,
                fit,
                ends,
                seed,
                memory=memory,
                order_of_each_seed=order_of_each_seed,
                appended=appended,
                data_order=DataOrder(fit),
                told=self._telling.epoch,
            )
        else:
            assert isinstance(model, keras.Model)  # a function's models train one by one
            self._build = partial(with_activations, model, rescale_init=rescale_init)
            given = keras.tree.flatten(fit.get("callbacks") or [])
            self._new_cohorts = partial(
                Cohorts,
                model,
                self.objective,
                {**fit, "callbacks": of_all(given) or None},
                ends,
                seed,
                member_callbacks=of_members(given),
                slots=slots,
                memory=memory,
                order_of_each_seed=order_of_each_seed,
                rescale_init=rescale_init,
                appended=appended,
                told=self._telling.epoch,
            )
        self._cohorts = self._new_cohorts(self._epoch, say=self._say)
        if journal is not None and isinstance(self._cohorts, Cohorts):
            self._cohorts.keep_in(journal.with_suffix(".npz"))
        self._finished: dict[Member, keras.Model | None] = {}
        self._judged: dict[Rated, JudgedRun] = {}
        self._costs = costs
        self._expected = 0.0  # seconds of the rounds that this process has trained, by the costs
        self._said_entering = math.inf
        self._begun = 0.0
        self._deadline = math.inf

    def run(self) -> None:
        """Train, rung after rung, until the race is over, the time is, or the user ends it."""
        self._begun = time.monotonic()
        if self.seconds is not None:
            self._deadline = self._begun + self.seconds
            if not self._label:  # else it is one stage of several, which end later
                self.progress.deadline = self._deadline
        for text in (self._note, self._journal.notice):
            if text:
                self._say(text)
        try:
            self._journal.begin(self._race.rungs)
            try:
                self._run_rungs()
            finally:
                # however it ends, nobody trains on
                self._cohorts.end()
        except KeyboardInterrupt:
            self.interrupted = True
        except _Over:
            if self._label:
                self._say("the time is over")
            else:
                self._say("The time is over: the best so far")
        except Exception as error:
            if not self._race.rounds:
                raise
            # hours may have gone into the rungs that ended
            self.errors["race"] = first_line(error)
            self._say(f"the race ended early: {self.errors['race']}")
        try:
            self._telling.end(self._cohorts.runs, self._seeds_of, self.results)
        except KeyboardInterrupt:  # in a callback: the race is over, and lost for nobody
            self.interrupted = True

    def _run_rungs(self) -> None:
        known = len(self._journal)
        for number in itertools.count():
            if number < known:
                # the time may have planned it anew then
                self._race.follow(self._journal.rung(number), self._journal.planned_at(number))
            task = self._race.ask()
            self._telling.rounds(task, self._cohorts.runs, self._seeds_of)
            if task is None:
                return
            members = self._members(task)
            if number < known:
                # who is alive may train again what an earlier process has
                self.progress.cannot_tell()
            if number < known and not self._is_wanted(number):
                # only scores are kept: who is alive trains again, on the same batches from the same
                # weights
                self._cohorts.runs |= self._journal.runs(number, members)
            else:
                if isinstance(self._cohorts, Cohorts):
                    self._cohorts.begin_rung(number, members)
                self._cohorts.train(members, task.epochs)
                self._expect(number)
                self._keep(number, members)
            self._race.tell(self._scores(task))
            self.progress.say(self._line(task))
            self._replan()

    def _is_wanted(self, number: int) -> bool:
        """Whether the models of a rung are wanted, and not only its scores."""
        is_last = number + 1 == len(self._race.rungs)
        return is_last and self._models

    def _keep(self, number: int, members: Sequence[Member]) -> None:
        """Write the scores of a rung; where that fails the race goes on, and ends with a result."""
        runs = {member: self._cohorts.runs[member] for member in members}
        try:
            self._journal.keep(number, self._race.rungs, runs)
        except (DiskFullError, OSError) as error:
            self.errors["journal"] = reason_of(error)
            self.progress.say(f"The race cannot be kept: {self.errors['journal']}")

    def _say(self, text: str) -> None:
        self.progress.say(f"{self._label}{text}")

    def _replan(self) -> None:
        """Fit what is to come into the time that is left."""
        if self.seconds is None or not self.trained:
            return
        now = time.monotonic()
        planned = cost(self._race.rungs)
        time_left = max(self._deadline - now, 0)
        taken = now - self._begun
        if self._costs is not None and self._expected:
            fit_into(self._race, time_left, self._costs, taken / self._expected)
        else:
            self._race.replan(int(time_left / taken * self.trained))
        self.progress.expect(cost(self._race.rungs) - planned)
        self._say_how_few()

    def _say_how_few(self) -> None:
        """Say how many fewer start, and go on into the next round, than were planned at first."""
        entering, at_first = self._race.entering
        if entering < min(at_first, self._said_entering):
            self._said_entering = entering
            few = f"only {entering} can start"
            if not entering:
                few = "none can start"
            self._say_short(f"of {counted(at_first, 'further candidate')} {few}")
        going_on, at_first = self._race.going_on
        if going_on < at_first:
            self._say_short(f"of {counted(at_first, 'candidate')} only {going_on} can go on")

    def _say_short(self, what: str) -> None:
        words = "The time is short"
        if self._label:
            words = "the time is short"
        self._say(f"{words}: {what}")

    def _expect(self, number: int) -> None:
        """Count what a round should have taken."""
        if self._costs is None:
            return
        until = seconds_of(self._race.rungs[: number + 1], self._costs)
        self._expected += until - seconds_of(self._race.rungs[:number], self._costs)

    @property
    def is_complete(self) -> bool:
        """Whether all rounds ended."""
        return len(self._race.rounds) == len(self._race.rungs)

    def results(self) -> tuple[TrialResult, ...]:
        """All candidates: who went furthest first, then by score, the diverged last."""
        tried: dict[Rated, None] = {}
        for member, run in self._cohorts.runs.items():
            if run.epochs or run.error:
                tried[member.rated] = None
        rows = [self._row(candidate) for candidate in tried if not self._is_replaced(candidate)]
        rows += [self._judged_row(rated) for rated in self._judged if self._is_replaced(rated)]
        scored = sorted((row for row in rows if row.score is not None), key=self._rank_key)
        keys = [self._rank_key(row) for row in scored]
        # equal ones share a rank, so that a tie with the baseline shows
        ranked = [
            replace(row, rank=1 + keys.index(key)) for row, key in zip(scored, keys, strict=True)
        ]
        return (*ranked, *(row for row in rows if row.score is None))

    def history(self) -> tuple[Round, ...]:
        """Return the rounds that ended, with what became of each candidate."""
        return history(self._race, self.objective.direction, self._factor)

    def leaders(self) -> tuple[Rated, ...]:
        """All that have a score, the best first."""
        return tuple(row.rated for row in self.results() if row.rank is not None)

    def model(self, candidate: Rated) -> keras.Model | None:
        """Return the candidate's best model.

        None if it diverged, or left the race and was not finished.
        """
        runs = {member: run for member, run in self._runs_of(candidate).items() if run.epochs}
        if any(run.diverged or run.error for run in runs.values()):
            return None
        best_first = sorted(runs, key=lambda member: -self._better(runs[member].best))
        judged = self._judged.get(candidate)
        for member in best_first:
            if judged is not None and self._is_better(judged, runs[member]):
                return judged.model
            model = self._finished.get(member)
            if model is None:
                model = self._cohorts.model(member)
            if model is not None:
                return model
        if judged is not None:
            return judged.model
        return None

    def _is_better(self, judged: JudgedRun, run: MemberRecord) -> bool:
        """Whether a training of the verdict is better than one of the race, or went further."""
        if run.epochs < judged.epochs:
            return True
        return self._better(judged.score) > self._better(run.best)

    def has_finished(self, candidate: Rated) -> bool:
        """Return whether `finish` would train nothing for a candidate."""
        return not self._is_unfinished(candidate)

    def adopt(self, run: JudgedRun) -> None:
        """Take a training of the verdict for one of its own: `finish` trains that candidate no more."""
        self._judged[run.rated] = run
        if not self._is_replaced(run.rated):
            return
        member = Member(run.rated.choice, run.seed, run.rated.factor)
        for epoch in range(run.epochs):
            logged = {name: values[epoch] for name, values in run.metrics.items()}
            self._telling.epoch(member, epoch + 1, logged)

    def _is_replaced(self, candidate: Rated) -> bool:
        """Whether the verdict's trainings of a candidate stand for its own, which went less far."""
        if candidate not in self._judged or self._has_diverged(candidate):
            return False
        runs = self._runs_of(candidate).values()
        trained = max((run.epochs for run in runs), default=0)
        return trained < self._race.rungs[-1].epochs

    def finish(self, *candidates: Rated) -> None:
        """Train candidates to the end that left the race, that was ended, or that were not in it.

        On the race's first seed.
        """
        unfinished = [each for each in candidates if self._is_unfinished(each)]
        errors = [f"{each}: {DIVERGED}" for each in candidates if self._has_diverged(each)]
        members = list(map(self._first_member, unfinished))
        if members:
            # a population of its own: those of the race may be gone, or end at other epochs
            alone = self._new_cohorts(_show_nothing)
            try:
                alone.train(members, self._race.rungs[-1].epochs)
            finally:
                alone.end()
            for member in members:
                record = alone.runs[member]
                if not record.error:
                    self._cohorts.runs[member] = record
                    self._finished[member] = alone.model(member)
                if record.error or record.diverged:
                    errors.append(f"{member.rated}: {record.error or DIVERGED}")
        if errors:
            raise SearchError(
                f"What is kept must be trained to its end. Received: {'; '.join(errors)}"
            )

    def _has_diverged(self, candidate: Rated) -> bool:
        return any(run.diverged for run in self._runs_of(candidate).values())

    def _first_member(self, candidate: Rated) -> Member:
        first_seed = derive(self._seed, Stream.INITIAL, 0)
        return Member(candidate.choice, first_seed, candidate.factor)

    def _is_unfinished(self, candidate: Rated) -> bool:
        if candidate in self._judged:
            return False
        runs = self._runs_of(candidate).values()
        if self._has_diverged(candidate):
            return False
        trained = max((run.epochs for run in runs), default=0)
        whole = self._race.rungs[-1].epochs
        return trained < whole or self.model(candidate) is None

    def builder(self, candidate: Rated) -> Callable[[], keras.Model] | None:
        """Return what builds a candidate's model, whether it is alive or not."""
        return at_factor(partial(self._build, candidate.choice), candidate.factor)

    @property
    def rounds(self) -> list[RungResult]:
        """The rungs that ended, with their scores."""
        return self._race.rounds

    @property
    def spent(self) -> int:
        """How many epochs all runs have together."""
        return sum(run.epochs for run in self._cohorts.runs.values())

    def _better(self, score: float) -> float:
        """A score as a number of which more is better, or that number as a score."""
        return more_is_better(score, self.objective.direction)

    def _rank_key(self, row: TrialResult) -> tuple[float, ...]:
        seeds = row.seeds or 0
        if row.judged:
            seeds = self._race.rungs[-1].seeds
        return (-(row.epochs or 0), -seeds, -self._better(row.score or 0.0))

    def _runs_of(self, candidate: Rated) -> dict[Member, MemberRecord]:
        runs = self._cohorts.runs.items()
        return {member: run for member, run in runs if member.rated == candidate}

    def _row(self, candidate: Rated) -> TrialResult:
        runs = list(self._runs_of(candidate).values())
        epochs = max(run.epochs for run in runs)
        furthest = [run for run in runs if run.epochs == epochs]
        status, message = self._status(runs, furthest)
        score = None
        if status in ("completed", "stopped"):
            score = float(np.mean([run.best for run in furthest]))
        return TrialResult(
            rank=None,
            candidate=candidate.choice,
            factor=candidate.factor,
            score=score,
            status=status,
            seconds=sum(run.seconds for run in runs),
            hyperparameters=self._hyperparameters(candidate.choice),
            message=message,
            epochs=epochs,
            seeds=len(furthest),
        )

    def _judged_row(self, rated: Rated) -> TrialResult:
        """What the verdict has trained at a rate that the race trained to no end."""
        judged = self._judged[rated]
        return TrialResult(
            rank=None,
            candidate=rated.choice,
            factor=rated.factor,
            score=judged.mean,
            status="completed",
            seconds=judged.seconds,
            hyperparameters=self._hyperparameters(rated.choice),
            epochs=judged.epochs,
            seeds=judged.seeds,
            judged=True,
        )

    def _status(
        self, runs: Sequence[MemberRecord], furthest: Sequence[MemberRecord]
    ) -> tuple[str, str]:
        """How a candidate's runs ended, and why if they failed."""
        for run in runs:
            if run.error:
                return "failed", run.error
        if any(run.diverged for run in runs):
            return "diverged", f"{DIVERGED}: the loss or {self.objective.name} is not finite"
        ended = ended_early(furthest)
        last = self._race.rungs[-1]
        if furthest[0].epochs == last.epochs and len(furthest) == last.seeds:
            return "completed", ended
        return "stopped", ended

    def curves(self) -> tuple[Curve, ...]:
        """Return the learning curve of each training, as far as they are known."""
        curves = list(curves_of(self._cohorts.runs))
        for rated, judged in self._judged.items():
            if self._is_replaced(rated):
                curves.append(judged.curve)
        return tuple(curves)

    def _seeds_of(self, count: int) -> list[int]:
        """The seeds of a rung with so many."""
        return [derive(self._seed, Stream.INITIAL, index) for index in range(count)]

    def _members(self, task: RungTask) -> list[Member]:
        seeds = self._seeds_of(task.seeds)
        pairs = itertools.product(map(self._rated, task.candidates), seeds)
        return [Member(rated.choice, seed, rated.factor) for rated, seed in pairs]

    def _rated(self, candidate: Choice | Rated) -> Rated:
        if isinstance(candidate, Rated):
            return candidate
        return Rated(candidate, self._factor)

    def _scores(self, task: RungTask) -> np.ndarray:
        scores = [self._score(member) for member in self._members(task)]
        return np.reshape(scores, (len(task.candidates), task.seeds))

    def _score(self, member: Member) -> float:
        run = self._cohorts.runs[member]
        if run.diverged or run.error:
            return np.nan
        return self._better(run.best)

    def _epoch(self, members: int) -> None:
        self.trained += members
        task = self._race.ask()
        assert task is not None  # one trains
        number = len(self._race.rounds) + 1
        a_round = f"{self._label}{number} of {len(self._race.rungs)}"
        best = self._best_text().removeprefix("best ")
        self.progress.epoch(a_round, len(task.candidates), best, members)
        if time.monotonic() > self._deadline:
            raise _Over

    def _round_label(self, which: int) -> str:
        return f"{self._label}round {which}/{len(self._race.rungs)}"

    def _best_text(self) -> str:
        """The best of the last round, with the spread of its scores over the seeds.

        That is no interval: it is the best of many, picked by these very scores, and looks better
        than it is.
        """
        if not self._race.rounds:
            return ""
        last = self._race.rounds[-1]
        if not np.isfinite(last.means).any():
            return ""
        index = int(np.nanargmax(last.means))
        score = self._better(float(last.means[index]))
        name = Rated.of(last.task.candidates[index]).told(self._own_rate)
        text = f"best {name} {numbers.number(score, zeros=True)}"
        seeds = last.task.seeds
        if seeds > 1:
            spread = float(last.scores[index].std(ddof=1))
            varies = f"varies by {numbers.number(spread, 2)} over {seeds} seeds"
            if spread == 0:
                varies = f"the same on all {seeds} seeds"
            text += f" ({varies})"
        return text

    def _line(self, task: RungTask) -> str:
        """What came of the last round."""
        label = self._round_label(len(self._race.rounds))
        if self._race.repeats:
            return f"{label}: nobody new starts, and nobody trains on"
        parts = [
            f"{label}: {counted(len(task.candidates), 'candidate')}",
            counted(task.epochs, "epoch"),
            counted(task.seeds, "seed"),
        ]
        runs = self._cohorts.runs
        failed = len({m.rated for m in self._members(task) if runs[m].error})
        without_score = int(np.isnan(self._race.rounds[-1].means).sum())
        diverged = without_score - failed
        if diverged:
            parts.append(f"{diverged} diverged")
        if failed:
            parts.append(f"{failed} failed")
        best = self._best_text()
        if best:
            parts.append(best)
        return ", ".join(parts)


def ended_early(runs: Sequence[MemberRecord]) -> str:
    """Return after how many epochs callbacks ended runs, in words; empty if they ended none."""
    stopped = [run.stopped for run in runs if run.stopped]
    if not stopped:
        return ""
    epochs = counted(min(stopped), "epoch")
    if min(stopped) != max(stopped):
        epochs = f"{min(stopped)} to {max(stopped)} epochs"
    return f"{ENDED_EARLY} after {epochs}"


def _show_nothing(members: int) -> None:
    """Watch a training that is not part of the race."""
