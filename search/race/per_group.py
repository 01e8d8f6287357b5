"""A search for each layer or group.

From the best uniform choice on, changes of it race, in populations.
"""

from __future__ import annotations

import contextlib
import re
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from ..report.names import quoted
from ..rewrite.clone import with_activations
from ..rewrite.groups import chosen_slots, groups
from ..rewrite.learning_rate import at_factor
from ..rewrite.slots import slots
from ..runtime.reasons import first_line
from ..runtime.seeding import Stream, derive
from ..space.assignment import Assignment, Choice
from ..space.candidate import Candidate
from ..space.embedding import embeddings
from ..space.rated import Rated
from ..space.space import ActivationSpace
from ..strategy.base import NO_CHANGES, JudgedRun, TrialResult
from ..strategy.curves import Curve
from ..strategy.direction import more_is_better
from ..strategy.progress import RaceProgress
from ..strategy.rounds import Kind, Round
from ..tracking.callback import Followers
from . import neighbourhood
from .journal import Journal
from .one_by_one import Build
from .planner import PopulationCosts
from .race import Race, RungResult
from .runner import Objective, RaceSearch, race_in
from .schedule import Rung, cost, schedule

# of the seconds that are left: what the first race takes, and then its changes; the final has the
# rest
_RACE_TIME = 0.5
_CHANGES_TIME = 0.4

# by these rungs of the race the candidates for single groups are told apart: every candidate
# starts in one of them
_SCREENING_RUNGS = 2


class _Place(NamedTuple):
    """A stage of the search, and what it knows a choice as."""

    stage: RaceSearch
    rated: Rated


class PerGroupSearch:
    """Races for the best uniform choice, then among changes of it.

    `run` does it; the rest tells what was found.

    Args:
        model: that `why_not_race` has nothing against.
        space: what is searched, the baseline first, with its groups.
        objective: what ranks, one metric.
        fit: the arguments of `fit`, data included, without epochs.
        trials: how many candidates start in the race for the uniform choice, at most.
        epochs: of a whole training.
        total: how many epochs all runs together may take.
        seconds: after which the search ends with what it has.
        costs: of the model's populations, see `RaceSearch`.
        seed: of candidates, initialization and batch order.
        project: a folder that keeps the scores of finished rungs.
        resumes: whether an earlier process has begun the search.
        verbose: 0 shows nothing.
        factors: multiples of the model's own learning rate, for the race for the uniform choice.
            Its changes train at the rate of the best one.
        own_rate: as of `RaceSearch`.
        rescale_init: whether kernels are initialized for the activation that they feed.
        build: as of `RaceSearch`.
        followers: as of `RaceSearch`.

    Attributes:
        errors: what ended the search before its end, once there was a choice; under `NO_CHANGES`
            why single groups were never to get activations of their own.
    """

    def __init__(
        self,
        model: keras.Model,
        space: ActivationSpace,
        objective: Objective,
        fit: Mapping[str, Any],
        *,
        trials: int,
        epochs: int,
        total: int,
        seconds: float | None = None,
        costs: PopulationCosts | None = None,
        seed: int = 0,
        project: Path | None = None,
        resumes: bool = False,
        verbose: int = 1,
        factors: Sequence[float] = (1.0,),
        own_rate: float | None = None,
        rescale_init: bool = False,
        build: Build | None = None,
        followers: Followers | None = None,
    ):
        self._followers = followers or Followers()
        self.progress = RaceProgress(total, verbose)
        self.interrupted = False
        self.errors: dict[str, str] = {}
        self._model = model
        self._own_rate = own_rate
        self._rescale_init = rescale_init
        self._build = build
        self._space = space
        self._objective = objective
        self._fit = fit
        self._epochs = epochs
        self._total = total
        self._seconds = seconds
        self._costs = costs
        self._seed = seed
        self._project = project
        self._check_journals()
        self._begun = 0.0
        self._groups = groups(slots(model), space.per)
        self._nothing_to_change = len(self._groups) < 2 or len(space.grid(1)) < 2
        self._budget: neighbourhood.Budget | None = None
        if not self._nothing_to_change:
            self._budget = neighbourhood.budget(total, epochs)
        self._note = ""
        if self._budget is None and not self._nothing_to_change:
            why = self._too_few_epochs()
            self._note = f"{why[:1].upper()}{why[1:]}"
            # a result without a choice for each group must not look like one of a search for it
            self.errors[NO_CHANGES] = why
        if self._budget is not None:
            total = self._budget.race
            starts = len(space.grid(1)) + len(factors) - 1
            trials = _fitting_trials(trials, epochs, total, starts)
        self._factor = 1.0  # of the best uniform choice
        race = race_in(space, trials, epochs, total, seed, factors)
        self._race = self._stage("race", race, seed, resumes=resumes)
        self.objective = self._race.objective
        self._screening: RaceSearch | None = None
        self._final: RaceSearch | None = None
        self._uniform: Assignment | None = None
        self._chosen: Assignment | None = None

    @property
    def _all_groups(self) -> str:
        """All groups in words."""
        if len(self._groups) == 2:
            return "both groups of layers"
        return f"all {len(self._groups)} groups of layers"

    def _too_few_epochs(self) -> str:
        """Why no group gets an activation of its own."""
        enough = neighbourhood.least_budget(self._epochs)
        return (
            f"{self._all_groups} get the same activation, because {self._total} epochs in all "
            f"(max_epochs) are too few to try others for each: that takes {enough} or more"
        )

    def _check_journals(self) -> None:
        """Read what is kept of stages to come: a damaged file is told before anything trains."""
        if self._project is None:
            return
        for name in ("changes", "final"):
            for file in sorted(self._project.glob(f"{name}-*.json")):
                Journal(file)

    def _stage(
        self,
        name: str,
        race: Race,
        seed: int,
        choices: Sequence[Choice] = (),
        *,
        resumes: bool = False,
        models: bool = True,
        order_of_each_seed: bool = False,
    ) -> RaceSearch:
        label = ""
        if self._budget is not None:
            label = f"{name}, "
        stage = ""
        note = self._note
        if name != "race":
            stage = name
            note = ""
        return RaceSearch(
            self._model,
            race,
            self._objective,
            self._fit,
            hyperparameters=self._hyperparameters,
            costs=self._costs,
            seed=seed,
            journal=self._journal(name, choices),
            resumes=resumes,
            progress=self.progress,
            slots=chosen_slots(slots(self._model), self._space.per),
            models=models,
            label=label,
            note=note,
            factor=self._factor,
            own_rate=self._own_rate,
            order_of_each_seed=order_of_each_seed,
            rescale_init=self._rescale_init,
            build=self._build,
            followers=self._followers,
            stage=stage,
        )

    def _journal(self, name: str, choices: Sequence[Choice]) -> Path | None:
        if self._project is None:
            return None
        if choices:
            # the time may end another race in another choice, of which nothing is known
            rated = [str(Rated(choice, self._factor)) for choice in choices]
            checksum = zlib.crc32(" | ".join(rated).encode())
            name = f"{name}-{checksum:08x}"
        return self._project / f"{name}.json"

    def _forget_populations(self, name: str, but: Sequence[Choice] = ()) -> None:
        """Delete the populations that stages kept while they trained.

        Args:
            name: of the stages.
            but: the choices of the stage whose models are still wanted.
        """
        if self._project is None:
            return
        wanted = None
        journal = self._journal(name, but)
        if but and journal is not None:
            wanted = journal.with_suffix(".npz")
        ours = re.compile(rf"{name}-[0-9a-f]{{8}}\.npz")
        for file in self._project.iterdir():
            if ours.fullmatch(file.name) and file != wanted:
                with contextlib.suppress(OSError):
                    file.unlink(missing_ok=True)

    def run(self) -> None:
        """Race, screen changes, and decide, until the budget is spent, or the user ends it."""
        self._begun = time.monotonic()
        if self._seconds is not None:
            self.progress.deadline = self._begun + self._seconds
        try:
            self._run()
        except KeyboardInterrupt:  # between the stages, which have an end of their own for it
            self.interrupted = True

    def _run(self) -> None:
        share = 1.0
        if self._budget is not None:
            share = _RACE_TIME
        if not self._train(self._race, share):
            return
        first = next(iter(self._race.results()), None)
        if first is None or first.rank is None:
            return
        self._factor = first.factor
        self._uniform = self._assignment(first.candidate)
        self._chosen = self._uniform
        if self._nothing_to_change:
            return
        if self._budget is None:
            return
        self.progress.say(
            f"Best for {self._all_groups}: {first.rated.told(self._own_rate)}. Now its changes"
        )
        try:
            changes = self._screened(self._uniform, self._budget)
            if changes:
                self._decide(self._uniform, changes)
        except Exception as error:
            # the uniform choice is found
            self.errors["changes"] = first_line(error)
            self.progress.say(f"The search ended early: {self.errors['changes']}")

    def _train(self, stage: RaceSearch, share: float) -> bool:
        """Run a stage, in a share of the seconds that are left.

        Return whether the user lets the search go on.
        """
        if self._seconds is not None:
            stage.seconds = share * max(self._begun + self._seconds - time.monotonic(), 0.0)
        stage.run()
        self.interrupted |= stage.interrupted
        for what, reason in stage.errors.items():
            if what == "race" and stage is not self._race:
                # the race for the uniform choice is whole
                self.errors["changes"] = reason
            else:
                self.errors[what] = reason
        return not stage.interrupted and "race" not in stage.errors

    def _screened(self, uniform: Assignment, budget: neighbourhood.Budget) -> list[Assignment]:
        """Train changes of the uniform choice for a short while; return them, the best first."""
        others = self._others(uniform)
        seed = derive(self._seed, Stream.STAGES, 0)
        left = self._left() * budget.screening // (budget.screening + budget.final)
        race_and_proposer = None
        if others:
            race_and_proposer = neighbourhood.screening(
                uniform, others, self._epochs, left, embeddings, seed
            )
        if race_and_proposer is None:
            self.progress.say("Nothing is left to improve single groups with")
            return []
        race, proposer = race_and_proposer
        self._screening = self._stage("changes", race, seed, [uniform, *others], models=False)
        if not self._train(self._screening, _CHANGES_TIME):
            return []
        if len(self._screening.rounds) == len(race.rungs):
            # its scores are all that is wanted later, and of them the journal knows
            self._forget_populations("changes")
        believed = proposer.believed(self._screening.rounds)
        believed.pop(uniform, None)
        return sorted(believed, key=lambda choice: -believed[choice])

    def _others(self, uniform: Assignment) -> list[Candidate]:
        """What a group may have instead of the uniform choice, the most hopeful first."""
        scores: dict[Candidate, float] = {}
        # the baseline was in the later rungs in any case
        for result in self._race.rounds[:_SCREENING_RUNGS]:
            for rated, mean in zip(result.task.candidates, result.means, strict=True):
                candidate = rated.choice
                if np.isfinite(mean) and candidate != uniform.only:
                    # of several rates the best
                    scores[candidate] = max(float(mean), scores.get(candidate, -np.inf))
        best: dict[str, Candidate] = {}
        for candidate in sorted(scores, key=lambda scored: -scores[scored]):
            # two alphas of one activation are hardly ever told apart
            best.setdefault(candidate.name, candidate)
        others = list(best.values())
        if uniform.only is not None:
            others = [candidate for candidate in others if candidate.name != uniform.only.name]
        baseline = self._space.grid(1)[0]
        if set(others) <= {baseline}:
            # the space has alphas of one activation only
            others = list(best.values())
        return others

    def _decide(self, uniform: Assignment, changes: Sequence[Assignment]) -> None:
        """Train the best changes and the uniform choice to the end on fresh seeds.

        Take one if there is a reason.
        """
        plan = neighbourhood.plan_final(self._left(), self._epochs)
        if plan is None:
            self.progress.say("Nothing is left to train a change to the end")
            return
        starts = [uniform, *changes[: plan.changes]]
        rung = Rung(self._epochs, plan.seeds, keep=0, enter=len(starts) - 1)
        race = Race(starts, [rung], _propose_nothing)
        seed = derive(self._seed, Stream.STAGES, 1)
        # the test that decides wants seeds that have nothing in common
        self._final = self._stage("final", race, seed, starts, order_of_each_seed=True)
        if not self._train(self._final, 1):
            return
        result = self._final_result
        if result is None:
            return
        self._forget_populations("final", but=starts)
        index = neighbourhood.best_if_significant(result.scores)
        self._chosen = starts[index]
        if index == 0:
            self.progress.say(f"No change is surely better: {quoted(uniform)} is kept for all")
        else:
            self.progress.say(f"{quoted(starts[index])} is better: it is kept")

    @property
    def _final_result(self) -> RungResult | None:
        """What came of the final; None if it did not end."""
        if self._final is None or not self._final.rounds:
            return None
        return self._final.rounds[0]

    def _left(self) -> int:
        """How many epochs there are left, and time for."""
        left = self._total - self._spent
        trained = sum(stage.trained for stage in self._stages)
        if self._seconds is None or not trained:
            return left
        gone = time.monotonic() - self._begun
        return min(left, int(trained * max(self._seconds - gone, 0.0) / gone))

    @property
    def _stages(self) -> list[RaceSearch]:
        return [stage for stage in (self._race, self._screening, self._final) if stage is not None]

    @property
    def _spent(self) -> int:
        return sum(stage.spent for stage in self._stages)

    def results(self) -> tuple[TrialResult, ...]:
        """All choices: the one that is kept first, then who went further, the diverged last."""
        rows: dict[Rated, TrialResult] = {}
        for stage in self._stages:
            for row in stage.results():
                rated = self._assigned(row.rated)
                rows[rated] = self._merged(rated, rows.get(rated), row)
        keys = {
            rated: self._rank_key(rated, row)
            for rated, row in rows.items()
            if row.score is not None
        }
        places = sorted(keys.values())
        ranked = []
        for rated in sorted(keys, key=keys.__getitem__):
            # equal ones share a rank
            rank = 1 + places.index(keys[rated])
            ranked.append(replace(rows[rated], rank=rank))
        rest = [replace(row, rank=None) for row in rows.values() if row.score is None]
        return (*ranked, *rest)

    def _merged(self, rated: Rated, earlier: TrialResult | None, row: TrialResult) -> TrialResult:
        """One row of what several stages trained.

        With the score of the one that went furthest, the latest of such.
        """
        furthest = row
        seconds = row.seconds or 0.0
        if earlier is not None:
            seconds += earlier.seconds or 0.0
            if (earlier.epochs or 0) > (row.epochs or 0):
                furthest = earlier
        status = furthest.status
        if status == "completed" and furthest.epochs != self._epochs:
            # it completed its stage, which is no whole training
            status = "stopped"
        choice = self._assignment(rated.choice)
        candidate = choice.only or choice
        return replace(furthest, candidate=candidate, status=status, seconds=seconds)

    @property
    def kind(self) -> Kind:
        """A race, whatever its rounds: changes of what it found are trained for less."""
        return Kind.RACE

    @property
    def is_complete(self) -> bool:
        """Whether all rounds of the stages that began have ended."""
        return all(stage.is_complete for stage in self._stages)

    def history(self) -> tuple[Round, ...]:
        """Return the rounds of the race for the uniform choice."""
        return self._race.history()

    def curves(self) -> tuple[Curve, ...]:
        """Return the learning curve of each training of all stages."""
        curves: list[Curve] = []
        for stage in self._stages:
            curves += stage.curves()
        return tuple(curves)

    def leaders(self) -> tuple[Rated, ...]:
        """What the verdict judges: the best change and the best uniform choice.

        If no change is ahead, the race's.
        """
        final = self._final_result
        if final is not None and self._uniform is not None:
            means = np.nan_to_num(final.means, nan=-np.inf)
            best = final.task.candidates[int(np.argmax(means))]
            if best != self._uniform:
                judged = (best, self._uniform)
                return tuple(Rated(choice.only or choice, self._factor) for choice in judged)
        return self._race.leaders()

    def model(self, candidate: Rated) -> keras.Model | None:
        """Return the best model of a choice; None if it is not kept."""
        rated = self._assigned(candidate)
        model = None
        if self._final is not None and self._final.rounds:
            model = self._final.model(rated)
        uniform = self._assignment(rated.choice).only
        if model is None and uniform is not None:
            model = self._race.model(Rated(uniform, rated.factor))
        return model

    def finish(self, *candidates: Rated) -> None:
        """Train choices to the end that left the race, or at rates that they had in none.

        Nothing, if they are in the final, or no such choices.
        """
        stages: dict[RaceSearch, list[Rated]] = {}
        for candidate in candidates:
            place = self._stage_of(candidate)
            if place is not None:
                stages.setdefault(place.stage, []).append(place.rated)
        for stage, wanted in stages.items():
            stage.finish(*wanted)

    def has_finished(self, candidate: Rated) -> bool:
        """Return whether `finish` would train nothing for a choice."""
        place = self._stage_of(candidate)
        return place is None or place.stage.has_finished(place.rated)

    def adopt(self, run: JudgedRun) -> None:
        """Take a training of the verdict for one of its own."""
        place = self._stage_of(run.rated)
        if place is not None:
            place.stage.adopt(replace(run, rated=place.rated))

    def _stage_of(self, candidate: Rated) -> _Place | None:
        """The stage that finishes a choice, and what it is called there; None if none does."""
        rated = self._assigned(candidate)
        choice = self._assignment(rated.choice)
        final = self._final_result
        if self._final is not None and final is not None and choice in final.task.candidates:
            return _Place(self._final, rated)
        if choice.only in {row.candidate for row in self._race.results()}:
            return _Place(self._race, Rated(choice.only, rated.factor))
        return None

    def builder(self, candidate: Rated) -> Callable[[], keras.Model] | None:
        """Return what builds the model of a choice."""
        choice = self._assignment(candidate.choice)
        build = partial(with_activations, self._model, choice, rescale_init=self._rescale_init)
        return at_factor(build, candidate.factor)

    def _assigned(self, rated: Rated) -> Rated:
        """A choice for each group, at the same rate."""
        return Rated(self._assignment(rated.choice), rated.factor)

    def _assignment(self, candidate: Choice) -> Assignment:
        if isinstance(candidate, Assignment):
            return candidate
        return Assignment(tuple((group, candidate) for group in self._groups))

    def _rank_key(self, rated: Rated, row: TrialResult) -> tuple[float, ...]:
        score = more_is_better(row.score or 0.0, self.objective.direction)
        chosen = None
        if self._chosen is not None:
            chosen = Rated(self._chosen, self._factor)
        return (rated != chosen, -(row.epochs or 0), row.status != "completed", -score)

    def _hyperparameters(self, candidate: Choice) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for group, chosen in self._assignment(candidate).groups:
            values |= self._space.hyperparameters(chosen, f"act.{group.name}")
        return values


def _fitting_trials(trials: int, epochs: int, total: int, starts: int) -> int:
    """How many candidates may start, so that the race takes no more epochs than it has.

    As many as are wanted, where no race is so short.
    """
    for fewer in range(trials, 1, -1):
        if cost(schedule(fewer, epochs, total, starts)) <= total:
            return fewer
    return trials


def _propose_nothing(
    rounds: Sequence[RungResult], known: set[Assignment], count: int
) -> Sequence[Assignment]:
    """The final has all its candidates from the beginning."""
    return []
