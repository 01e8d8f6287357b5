"""Which way a search goes: as a race, as a race group by group, or trial by trial; and where it is kept."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import keras

from keras_acts.errors import SearchError

from .race.effort import costs_of
from .race.journal import Journal
from .race.one_by_one import Build
from .race.per_group import PerGroupSearch
from .race.planner import Job, PopulationCosts, kind_of
from .race.planner import plan as plan_rungs
from .race.planner import race as race_rungs
from .race.planner import short as short_rungs
from .race.runner import RaceSearch, job_of, race_in, why_not_race, why_one_by_one
from .race.schedule import Rung, cost
from .request import SearchRequest
from .runtime import device
from .runtime.kept_command import keep_command
from .runtime.ownership import check_clearable, check_directory, clear_project
from .runtime.project_lock import locked
from .strategy.base import Strategy
from .strategy.learning_rates import RatePlan, plan_rates
from .strategy.progress import RaceProgress, SearchProgress
from .strategy.resume import check_resume
from .strategy.rounds import Kind
from .tracking.callback import Followers
from .tracking.records import SearchRecord
from .tuner.kerastuner import has_chief_oracle
from .tuner.trials import TrialSearch

# with learning rates a race starts so many times the candidates, and trains so many times the epochs
MORE_WITH_RATES = 1.5
# the baseline, and one that races with it
_LEAST_TRIALS = 2

_TOGETHER = "All candidates train to the end: with a model of this size a race takes longer"
_AS_PLANNED = (
    "The rounds are those that were planned when the search began: another time limit, strategy or "
    "version does not change them"
)
_ADVICE = "strategy 'race' races anyway"
_SHORT = (
    "{trials} candidates train {half} of {epochs} epochs, and the best {keep} of them and {baseline} go on "
    "to the end: with a model of this size that takes less time, and finds as much"
)
_SHORT_ADVICE = "strategy 'random' trains all to the end"


class Way(StrEnum):
    """A way to search, as a kept search calls it."""

    RACE = "race"
    RACE_BY_GROUP = "race by layer"
    TRIALS = "trials"


@dataclass(frozen=True)
class Plan:
    """How a search goes.

    Attributes:
        way: which one.
        why_not_race: why it is no race; empty if it is one.
        why_one_by_one: why the models of a race train one by one; empty if they train as populations.
        rates: which learning rates are tried.
    """

    way: Way
    why_not_race: str = ""
    why_one_by_one: str = ""
    rates: RatePlan = field(default_factory=RatePlan)


def planned(request: SearchRequest) -> Plan:
    """Return how a search goes.

    Raises:
        SearchError: if a race is asked for, or a limit that only a race keeps, and is not possible.
    """
    why_not = _why_not_race(request)
    alone = ""
    if not why_not:
        alone = _why_one_by_one(request)
        if alone:
            why_not = _why_not_race_one_by_one(request, alone)
    limits = request.limits
    if why_not and limits.strategy == "race":
        raise SearchError(f"A race is not possible here. Received: {why_not}")
    if why_not and limits.only_of_races:
        given = ", ".join(f"{name}={value}" for name, value in limits.only_of_races.items())
        raise SearchError(
            f"max_epochs and max_seconds need a race. Received: {given}, and {why_not}"
        )
    rates = plan_rates(request.learning_rates, request.example, request.callbacks, why_not or alone)
    if not isinstance(request.model, keras.Model):
        # each model that a function builds may have another
        rates = replace(rates, own=None)
    if why_not:
        _check_one_process()
        return Plan(Way.TRIALS, why_not_race=why_not, rates=rates)
    way = Way.RACE_BY_GROUP
    if request.space.per == "model":
        way = Way.RACE
    return Plan(way, why_one_by_one=alone, rates=rates)


def _check_one_process() -> None:
    """Check that KerasTuner is not set to share out trials: a search would wait for workers, or for a chief.

    Raises:
        SearchError: if it is.
    """
    if has_chief_oracle():
        raise SearchError(
            "A search of trials runs in one process; ActivationTuner shares them out to several. "
            f"Received: KERASTUNER_ORACLE_IP={os.environ['KERASTUNER_ORACLE_IP']!r} in the environment"
        )


def _why_not_race(request: SearchRequest) -> str:
    """Why a search is no race, whatever its models train like; empty if it may be one."""
    limits = request.limits
    if limits.strategy == "random":
        return "strategy is 'random'"
    one_by_one = limits.population == 1 and limits.strategy == "race"
    if limits.population != "auto" and not one_by_one:
        return f"population={limits.population} says how many trials train together"
    return why_not_race(request.objective, request.fit)


def _why_one_by_one(request: SearchRequest) -> str:
    """Why the models of a race train one by one; empty if they train as populations."""
    if request.limits.population == 1:
        return "population=1"
    return why_one_by_one(request.model, request.space, request.fit)


def _why_not_race_one_by_one(request: SearchRequest, alone: str) -> str:
    """Why models that train one by one do not race; empty if they do."""
    if isinstance(request.model, keras.Model):
        return ""
    if request.own_hyperparameters:
        names = ", ".join(request.own_hyperparameters)
        return f"the function has hyperparameters of its own, {names}, and a race tries activations"
    if request.space.per != "model":
        return "the function may return models of different slots"
    limits = request.limits
    if limits.strategy == "race" or limits.only_of_races:
        return ""
    # as trials they may train together
    return alone


@dataclass(frozen=True)
class Place:
    """Where a search writes.

    Attributes:
        directory: the folder of projects.
        project: the search's own folder in it; None for a search that is not kept.
        resumes: whether an earlier process has begun the search.
    """

    directory: Path
    project: Path | None
    resumes: bool = False


@contextlib.contextmanager
def place_for(request: SearchRequest, plan: Plan) -> Iterator[Place]:
    """Give a search a place; a temporary one, if it is not to be kept.

    No other process searches there meanwhile.

    Raises:
        SearchError: if another search is kept there, or works there now, or something that is none
            lies there.
    """
    limits = request.limits
    if limits.directory is None:
        # a file that another program holds open costs no result
        with tempfile.TemporaryDirectory(
            prefix="keras-acts-", ignore_cleanup_errors=True
        ) as folder:
            yield Place(Path(folder), None)
        return
    settings = {"strategy": str(plan.way), **request.settings()}
    if plan.way is not Way.TRIALS:  # a search of trials may go on with more of them
        settings |= {"trials": limits.trials, "max_epochs": limits.max_epochs}
    if plan.why_one_by_one:  # settings that were kept before there was such a race do not say it
        settings["one_by_one"] = True
    project = Path(limits.directory) / limits.project_name
    check_directory(Path(limits.directory), project)
    if limits.overwrite:
        # before the lock, whose file must not come into a folder that is no search's
        check_clearable(project)
    with locked(project):
        if limits.overwrite:
            clear_project(project)
        resumes = check_resume(project, settings)
        keep_command(project)
        yield Place(Path(limits.directory), project, resumes)


def strategy_for(
    request: SearchRequest, plan: Plan, place: Place, followers: Followers
) -> Strategy:
    """Return what searches, and tells those who follow it."""
    if plan.way is Way.RACE:
        return _race(request, plan, place, followers)
    if plan.way is Way.RACE_BY_GROUP:
        return _race_by_group(request, plan, place, followers)
    return _trials(request, place, followers)


@dataclass(frozen=True)
class Size:
    """How many candidates a race starts, and how many epochs all of its runs may take."""

    trials: int
    epochs: int


def size_of(request: SearchRequest, plan: Plan) -> Size:
    """Return the size of a search: a race with learning rates has more to try, unless the user limits it."""
    limits = request.limits
    trials = limits.trials
    if plan.way is Way.RACE:
        trials = max(trials, _LEAST_TRIALS)
    if plan.way is Way.TRIALS or not plan.rates.searches:
        return Size(trials, limits.total_epochs)
    trials = max(trials, round(MORE_WITH_RATES * limits.trials))
    if limits.max_epochs is not None:
        return Size(trials, limits.max_epochs)
    return Size(trials, round(MORE_WITH_RATES * limits.total_epochs))


def record_of(request: SearchRequest, plan: Plan) -> SearchRecord:
    """Return what those who follow a search are told as it begins."""
    objective = request.objective
    if isinstance(objective, list):
        name = ", ".join(one.name for one in objective)
        direction = "min"
    else:
        name = objective.name
        direction = objective.direction
    return SearchRecord(
        model=str(getattr(request.model, "name", "") or request.example.name),
        strategy=str(plan.way),
        objective=name,
        direction=direction,
        baseline=str(request.baseline),
        trials=size_of(request, plan).trials,
        epochs=request.limits.epochs,
        seed=int(request.limits.seed),
        device=device.describe(),
    )


def _race(request: SearchRequest, plan: Plan, place: Place, followers: Followers) -> RaceSearch:
    limits, space = request.limits, request.space
    size = size_of(request, plan)
    factors = plan.rates.factors
    journal = None
    if place.project is not None:
        journal = place.project / "race.json"
    rungs = _kept_rungs(request, plan, journal)
    is_kept = bool(rungs)
    if not is_kept:
        rungs = _rungs(request, plan)
    race = race_in(space, size.trials, limits.epochs, size.epochs, limits.seed, factors, rungs)
    progress = RaceProgress(cost(race.rungs), limits.verbose)
    note = _note(request, plan, race.rungs, is_kept=is_kept)
    return RaceSearch(
        request.model,
        race,
        request.objective,
        request.fit,
        hyperparameters=space.hyperparameters,
        seconds=limits.max_seconds,
        costs=_costs(request, plan),
        seed=limits.seed,
        journal=journal,
        resumes=place.resumes,
        progress=progress,
        note=note,
        own_rate=plan.rates.own,
        rescale_init=request.rescale_init,
        build=_build_one_by_one(request, plan),
        followers=followers,
    )


def _note(request: SearchRequest, plan: Plan, rungs: tuple[Rung, ...], *, is_kept: bool) -> str:
    """What is said of the rounds before they begin."""
    note = ""
    advice = ""
    if _is_instead_of_race(request, plan, rungs):
        note = _TOGETHER
        advice = _ADVICE
    elif rungs == short_rungs(_job(request, plan)):
        note = _told_short(request, rungs)
        # trials that train to the end keep no such limits, and are refused with them
        if not request.limits.only_of_races:
            advice = _SHORT_ADVICE
    if advice and not is_kept:  # what has begun goes on as it is
        note = f"{note} ({advice})"
    if is_kept and _is_planned_otherwise(request, plan, rungs):
        note = ". ".join([*filter(None, [note]), _AS_PLANNED])
    return note


def _told_short(request: SearchRequest, rungs: tuple[Rung, ...]) -> str:
    """How a short race goes, and why, in words."""
    first = rungs[0]
    last = rungs[-1]
    return _SHORT.format(
        trials=1 + sum(rung.enter for rung in rungs),
        half=first.epochs,
        epochs=last.epochs,
        keep=last.keep,
        baseline=request.baseline,
    )


def _is_planned_otherwise(request: SearchRequest, plan: Plan, kept: tuple[Rung, ...]) -> bool:
    """Whether the rounds would be others if the search began now."""
    return (_rungs(request, plan) or race_rungs(_job(request, plan))) != kept


def _kept_rungs(request: SearchRequest, plan: Plan, journal: Path | None) -> tuple[Rung, ...]:
    """The rounds that an earlier process has begun with; none where nobody knows them.

    Raises:
        SearchError: if a race is asked for, and the kept search is none.
    """
    if journal is None or not journal.is_file():
        return ()
    kept = Journal(journal)
    if kept.only_races:
        return race_rungs(_job(request, plan))
    if request.limits.strategy == "race" and _is_instead_of_race(request, plan, kept.plan):
        raise SearchError(
            "A search goes on with the settings it began with; use another directory or "
            "overwrite=True. "
            "Expected: strategy='auto', with all candidates to their end. "
            "Received: strategy='race'"
        )
    return kept.plan


def _is_instead_of_race(request: SearchRequest, plan: Plan, rungs: tuple[Rung, ...]) -> bool:
    """Whether all train to the end in these rounds where a race would have let some leave.

    In a race of one epoch nobody can leave before the end either.
    """
    if not rungs or kind_of(rungs) is not Kind.TOGETHER:
        return False
    return rungs != race_rungs(_job(request, plan))


def _job(request: SearchRequest, plan: Plan) -> Job:
    """What is to be searched, as the planner takes it."""
    limits = request.limits
    size = size_of(request, plan)
    job = job_of(request.space, size.trials, limits.epochs, size.epochs, plan.rates.factors)
    # more seeds would take more than the user allows
    return replace(job, limited=bool(limits.only_of_races))


def _rungs(request: SearchRequest, plan: Plan) -> tuple[Rung, ...]:
    """The rounds of a search: those of a race, or fewer where all had better train to the end.

    By what can be counted of the model, so that they are the same each time.
    """
    limits = request.limits
    costs = _costs(request, plan)
    if limits.strategy == "race" or costs is None:
        return ()
    return plan_rungs(_job(request, plan), costs, limits.max_seconds or math.inf).rungs


def _costs(request: SearchRequest, plan: Plan) -> PopulationCosts | None:
    """What populations of the model take; None where there are none, or it cannot be counted."""
    if plan.why_one_by_one:
        return None
    return costs_of(request.model, request.fit)


def _build_one_by_one(request: SearchRequest, plan: Plan) -> Build | None:
    """What makes the models of a race that train one by one; None if they train as populations."""
    if not plan.why_one_by_one:
        return None
    return request.hypermodel.model_of


def _race_by_group(
    request: SearchRequest, plan: Plan, place: Place, followers: Followers
) -> PerGroupSearch:
    limits = request.limits
    size = size_of(request, plan)
    return PerGroupSearch(
        request.model,
        request.space,
        request.objective,
        request.fit,
        trials=size.trials,
        epochs=limits.epochs,
        total=size.epochs,
        seconds=limits.max_seconds,
        costs=_costs(request, plan),
        seed=limits.seed,
        project=place.project,
        resumes=place.resumes,
        verbose=limits.verbose,
        factors=plan.rates.factors,
        own_rate=plan.rates.own,
        rescale_init=request.rescale_init,
        build=_build_one_by_one(request, plan),
        followers=followers,
    )


def _trials(request: SearchRequest, place: Place, followers: Followers) -> TrialSearch:
    limits = request.limits
    with _kerastuner_prints_to_stderr(limits.verbose):
        search = TrialSearch(
            request.hypermodel,
            request.objective,
            limits.trials,
            fit={**request.fit, "epochs": limits.epochs},
            seed=limits.seed,
            population=limits.population,
            executions_per_trial=limits.executions_per_trial,
            directory=place.directory,
            project_name=limits.project_name,
            # one that fails says nothing about the next
            max_consecutive_failed_trials=limits.trials + 1,
        )
    search.kept = place.project is not None
    search.followers = followers
    name = search.objective.name
    search.progress = SearchProgress(
        limits.trials,
        limits.epochs,
        name,
        limits.verbose,
        maximize=search.objective.direction == "max",
    )
    return search


@contextlib.contextmanager
def _kerastuner_prints_to_stderr(verbose: int) -> Iterator[None]:
    """Keep what KerasTuner prints, that it resumes for one, off standard output."""
    if verbose:
        with contextlib.redirect_stdout(sys.stderr):
            yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
