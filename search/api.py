"""`search_activations`: a whole search in one call."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from keras_acts.errors import ModelError, SearchError

from .evaluation import scores, validated
from .intervals import with_intervals
from .race.per_group import PerGroupSearch
from .race.runner import RaceSearch, race_in, why_not_race
from .race.schedule import cost
from .result import SearchResult, kept
from .resume import (
    check_resume,
    fingerprint_data,
    fingerprint_model,
    fingerprint_training,
    fingerprint_value,
)
from .rewrite.first_inputs import few
from .rewrite.groups import chosen_slots, groups
from .rewrite.slots import slots
from .runtime import device
from .runtime.ownership import check_project_name, clear_project
from .runtime.reasons import first_line, headline
from .runtime.seeding import Stream, derive, isolated_seed
from .runtime.tracing import expected_traces
from .space.assignment import Choice, SlotGroup
from .space.candidate import Candidate
from .space.space import ActivationSpace
from .strategy.base import TrialResult
from .strategy.checks import (
    check_budget,
    check_data,
    check_every_epoch,
    check_from_the_start,
    check_population,
    check_readable_again,
    check_strategy,
    check_targets,
    check_verdict,
    may_mask,
    validation_options,
)
from .strategy.objective import checked_objectives, default_objective
from .strategy.progress import RaceProgress, SearchProgress
from .strategy.rehearsal import rehearse
from .tuner.hypermodel import ActivationHyperModel
from .tuner.trials import TrialSearch
from .verdict import retrain

# the verdict judges so many besides the baseline: each more makes all intervals wider
_LEADERS = 3


def search_activations(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    validation_data: Any = None,
    validation_split: float = 0.2,
    test_data: Any = None,
    activations: Any = None,
    baseline: Any = "relu",
    objective: Any = None,
    trials: int = 20,
    epochs: int = 10,
    batch_size: int | None = None,
    executions_per_trial: int = 1,
    strategy: str = "auto",
    max_epochs: int | None = None,
    max_seconds: float | None = None,
    verdict: int = 8,
    seed: int = 0,
    population: int | str = "auto",
    directory: Any = None,
    project_name: str = "activations",
    overwrite: bool = False,
    verbose: int = 1,
    **fit_options: Any,
) -> SearchResult:
    """Search for the activation that suits a model best, and return the ranked trials, the verdict and the best model.

    Args:
        model: a compiled Keras model, whose hidden activation slots are searched, or a function
            ``build(hp, activation)``.
        x: training inputs, as `keras.Model.fit` takes them.
        y: training targets.
        validation_data: what ranks the candidates; else the last `validation_split` of the training
            data, as in Keras.
        validation_split: the share of the training data that ranks the candidates, in (0, 1).
        test_data: ``(x, y)`` or ``(x, y, sample_weight)`` that neither trains nor ranks: the models
            of the verdict, the best model and the baseline are scored on it, once.
        activations: an `ActivationSpace`, or a list of names, objects and functions. By default
            every registered activation that suits a hidden layer, and Keras' gelu and silu.
        baseline: the activation to compare with; it is always tried, first.
        objective: the name of a metric, such as ``"val_auc"``, or ``"val_OUTPUT_auc"`` with several
            outputs; whether more of it is better the model's metric says. Of a metric of your own
            say it: ``keras_tuner.Objective("val_mine", "max")``. By default the validation value of
            the model's accuracy, else of its loss: the first metric that is ``"accuracy"`` or
            Keras' binary, categorical or sparse categorical accuracy, if the model has one output;
            a top-k accuracy is none.
        trials: how many candidates to try.
        epochs: how long to train each.
        batch_size: as in `fit`.
        executions_per_trial: how many seeds a candidate; its score is their mean. A race trains so
            many times longer.
        strategy: ``"race"``: all candidates train at once, as populations; who falls behind leaves,
            who stays trains longer and on more seeds, about ``trials * epochs`` epochs in all.
            ``"random"``: each trial trains to its end, those that can together. ``"auto"``: a race
            where the model can be a population, else random. With an `ActivationSpace` that chooses
            for layers, blocks or groups, a race finds the best choice for all of them, and goes on
            among changes of it, within the same epochs.
        max_epochs: how many epochs all runs of a race may take together, instead of ``trials *
            epochs``.
        max_seconds: that a race may take. After each rung those to come are planned to fit in; at
            the latest the race ends then with what it has. The verdict's time is its own.
        verdict: on how many fresh seeds, at most, the three best activations and the baseline are
            trained again, to say whether one of them is really better, which decides what model is
            kept; with 0 the ranking decides. See `compare_activations`.
        seed: of candidates, initialization and batch order. The user's own global seed is left as
            it was.
        population: how many trials train together at most where it is no race: ``"auto"`` for as
            many as can and fit into memory, 1 for one by one. The scores are the same; see
            `ActivationTuner`. A number means no race.
        directory: where the search keeps its files, so that it can go on after an interrupt;
            temporary by default. A race keeps the scores of finished rungs; who is alive trains
            again.
        project_name: the folder inside `directory`.
        overwrite: whether to start again where the project exists.
        verbose: 0 shows nothing.
        **fit_options: further arguments of `fit`, such as `callbacks`, `class_weight`,
            `sample_weight`.

    Returns:
        The result. After Ctrl-C: what was found so far, if anything was, with its verdict; a second
        Ctrl-C ends the verdict with the seeds that were trained.

    Raises:
        SearchError: on impossible settings, or if no candidate could be trained.
        DataError: if the data do not fit each other or the model.
        ModelError: if the model cannot be searched.
    """
    device.check_backend()
    check_budget(trials=trials, epochs=epochs, executions_per_trial=executions_per_trial)
    check_verdict(verdict)
    check_population(population)
    check_strategy(strategy, max_epochs, max_seconds)
    check_project_name(project_name)
    check_every_epoch(fit_options)
    check_from_the_start(fit_options)
    space = (
        activations if isinstance(activations, ActivationSpace) else ActivationSpace(activations)
    )
    base = Candidate.of(baseline)
    hypermodel = ActivationHyperModel(model, space.with_baseline(str(base)))
    example = _example(hypermodel, seed)
    masks = may_mask(example)
    check_targets(example, x, y, validation_data)
    check_data(model, x, y, masks=masks)
    for part in (validation_data, test_data):
        if isinstance(part, tuple | list):
            check_data(model, *part[:2], masks=masks)
    if fit_options.get("callbacks") is not None:
        fit_options["callbacks"] = keras.tree.flatten(fit_options["callbacks"])
    fit_options.update(validation_options(x, y, validation_data, validation_split))
    goal = checked_objectives(objective or default_objective(example), example)
    fit = {**fit_options, "x": x, "y": y, "batch_size": batch_size}
    check_readable_again(fit)
    rehearse(example, goal, fit, ranking=validation_data, test=test_data)
    if strategy == "random":
        reason = "strategy is 'random'"
    elif population != "auto":
        reason = f"population={population} says how many trials train together"
    else:
        reason = why_not_race(model, hypermodel.space, goal, fit)
    raced = not reason
    if reason and (strategy == "race" or max_epochs is not None or max_seconds is not None):
        raise SearchError(f"A race is not possible here. Received: {reason}")
    project = None
    # a search that is not kept need not know its data again
    hashed = directory is not None
    training = fingerprint_data(x, y, hashed=hashed)
    validation: Any = f"the last {validation_split:g} of training"
    if validation_data is not None:
        validation = fingerprint_data(validation_data, hashed=hashed)
    # now, as nothing that fails may come after the training
    tested = None if test_data is None else fingerprint_data(test_data, hashed=hashed)
    way = "trials" if not raced else "race" if hypermodel.space.per == "model" else "race by layer"
    errors: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(expected_traces())
        if directory is None:
            made = tempfile.TemporaryDirectory(prefix="keras-acts-", ignore_cleanup_errors=True)
            directory = stack.enter_context(made)
        else:
            described = fingerprint_model(model)
            settings = {
                "strategy": way,
                "model": described
                if isinstance(model, keras.Model)
                else [described, fingerprint_model(example)],
                **fingerprint_training(example),
                "data": training,
                "validation": validation,
                "activations": hypermodel.space.fingerprint,
                "baseline": str(base),
                "objective": _described(goal),
                "epochs": epochs,
                "batch_size": batch_size,
                "executions_per_trial": executions_per_trial,
                "seed": seed,
                **{
                    name: fingerprint_value(value)
                    for name, value in fit_options.items()
                    if name != "validation_data"
                },
            }
            if raced:  # other trials may be more
                settings |= {"trials": trials, "max_epochs": max_epochs}
            project = Path(directory) / project_name
            if overwrite:
                clear_project(project)
            check_resume(project, settings)
        where = device.describe()
        found: RaceSearch | PerGroupSearch | TrialSearch
        total = max_epochs or trials * epochs * executions_per_trial
        if raced and hypermodel.space.per != "model":
            found = PerGroupSearch(
                model,
                hypermodel.space,
                goal,
                fit,
                trials=trials,
                epochs=epochs,
                total=total,
                seconds=max_seconds,
                seed=seed,
                project=project,
                verbose=verbose,
            )
        elif raced:
            race = race_in(hypermodel.space, trials, epochs, total, seed)
            found = RaceSearch(
                model,
                race,
                goal,
                fit,
                hyperparameters=hypermodel.space.hyperparameters,
                seconds=max_seconds,
                seed=seed,
                journal=None if project is None else project / "race.json",
                progress=RaceProgress(cost(race.rungs), verbose),
            )
        else:
            # KerasTuner prints that it resumes
            told: Any = sys.stderr if verbose else stack.enter_context(open(os.devnull, "w"))
            try:
                with contextlib.redirect_stdout(told):
                    found = TrialSearch(
                        hypermodel,
                        goal,
                        trials,
                        fit={**fit, "epochs": epochs},
                        seed=seed,
                        population=population,
                        executions_per_trial=executions_per_trial,
                        directory=directory,
                        project_name=project_name,
                        # one that fails says nothing about the next
                        max_consecutive_failed_trials=trials + 1,
                    )
            except json.JSONDecodeError as error:
                raise SearchError(
                    "The files of the project are torn; overwrite=True begins again. "
                    f"Received: directory={str(directory)!r} ({error})"
                ) from error
            found.progress = SearchProgress(trials, epochs, found.objective.name, verbose)
        progress = stack.enter_context(found.progress)
        progress.say(f"Training up to {trials} candidates on {where}")
        if strategy == "auto" and reason:
            progress.say(f"Not as a race: {reason}")
        found.run()
        trials_done = found.results()
        if not trials_done or trials_done[0].rank is None:
            raise SearchError(_failure(trials_done))
        judged = None
        if verdict:
            if found.interrupted:
                progress.say(
                    "Interrupted: the verdict on what was found; another Ctrl-C judges by the seeds so far"
                )
            with _kept_going(errors, "verdict"):
                judged = retrain.retrain_leaders(
                    model,
                    _judged(found, base),
                    str(base),
                    {**fit, "epochs": epochs},
                    found.objective,
                    seeds=verdict,
                    seed=seed,
                    test_data=test_data,
                    progress=progress,
                    slots=chosen_slots(slots(model), hypermodel.space.per)
                    if isinstance(model, keras.Model)
                    else None,
                )
        if judged is not None and not judged.withheld:
            with _kept_going(errors, "finish"):
                found.finish(_named(found, judged.suggested))
            trials_done = found.results()
        best = test = own = baseline_test = None
        intervals: dict[str, Any] = {}
        with _kept_going(errors, "model"):
            best = _model(found, kept(trials_done, judged).candidate)
        if best is not None and found.objective.name.startswith("val_"):
            with _kept_going(errors, "validation"):
                own = validated(best, fit)
        if best is not None and test_data is not None:
            with _kept_going(errors, "test"):
                test = scores(best, test_data)
                intervals = {name: {"value": value} for name, value in test.items()}
            with _kept_going(errors, "intervals"):
                if test is not None:
                    intervals = with_intervals(best, test_data, test)
        if test_data is not None:
            with _kept_going(errors, "baseline"):
                other = found.model(base)
                baseline_test = None if other is None else scores(other, test_data)
        errors = {**found.errors, **errors}
        for what, reason in errors.items():
            progress.say(f"What failed besides: {what}: {reason}")
    return SearchResult(
        objective=found.objective.name,
        direction=found.objective.direction,
        trials=trials_done,
        model=best,
        baseline=base,
        executions_per_trial=executions_per_trial,
        device=where,
        test=test,
        baseline_test=baseline_test,
        interrupted=found.interrupted,
        verdict=judged,
        seed=seed,
        data={
            "training": training,
            "validation": validation,
            "test": tested,
        },
        intervals=intervals,
        samples=few(x),
        validation=own,
        groups=_groups(model, hypermodel),
        errors=errors,
    )


def _described(goal: Any) -> list[str]:
    """An objective, or several, in words that are the same in each process."""
    several = goal if isinstance(goal, list) else getattr(goal, "objectives", [goal])
    return [f"{one.name} ({one.direction})" for one in several]


@contextlib.contextmanager
def _kept_going(errors: dict[str, str], what: str) -> Iterator[None]:
    """Do what comes after the training.

    Whatever happens there, the search is not lost, and `errors` says what did.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        errors[what] = first_line(error)


def _model(found: RaceSearch | PerGroupSearch | TrialSearch, candidate: Choice) -> keras.Model:
    """The model of what is kept.

    Trained once more, if that is what it takes and the user is not in a hurry.
    """
    model = found.model(candidate)
    if model is None and not found.interrupted:
        found.finish(candidate)
        model = found.model(candidate)
    if model is None:
        raise SearchError(
            f"The model of what is kept must have been trained to its end. Received: {candidate}"
        )
    return model


def _named(found: Any, name: str) -> Choice:
    return next(row.candidate for row in found.results() if str(row.candidate) == name)


def _groups(model: Any, hypermodel: ActivationHyperModel) -> tuple[SlotGroup, ...]:
    """The groups of slots that a search chooses for, each by itself.

    Empty where one activation is for all.
    """
    per = hypermodel.space.per
    if per == "model" or not isinstance(model, keras.Model):
        return ()
    return groups(slots(model), per)


def _judged(
    found: RaceSearch | PerGroupSearch | TrialSearch, baseline: Candidate
) -> dict[Any, Callable[[], Any]]:
    """The best of each activation and the baseline, each with what builds its model as in its best trial.

    Two alphas of one activation are hardly ever told apart; another activation may be.
    """
    ranked = [choice for choice in found.leaders() if choice != baseline]
    best = {getattr(choice, "name", choice): choice for choice in reversed(ranked)}
    leaders = [choice for choice in dict.fromkeys(ranked) if choice in best.values()]
    builds = {choice: found.builder(choice) for choice in [*leaders[:_LEADERS], baseline]}
    return {choice: build for choice, build in builds.items() if build}


def _failure(trials: tuple[TrialResult, ...]) -> str:
    """Why a search has no result."""
    if not trials:
        return "The search was interrupted before its first trial was done."
    return f"No candidate could be trained. The last one, {trials[-1].candidate}: {headline(trials[-1].message)}"


def _example(hypermodel: ActivationHyperModel, seed: int) -> keras.Model:
    """A model as the search trains them."""
    with isolated_seed(derive(seed, Stream.BUILDS)):
        model = hypermodel.build(keras_tuner.HyperParameters())
    if not isinstance(model, keras.Model) or not model.compiled:
        raise ModelError(f"The function must return a compiled Keras model. Received: {model!r}")
    return model
