"""Candidates trained on fresh seeds, each at its learning rate, until a look ends it; then the verdict."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_acts.errors import KerasActsError, SearchError

from ..report.names import quoted
from ..runtime.reasons import first_line
from ..runtime.seeding import Stream, derive, isolated_seed
from ..runtime.tracing import expected_traces
from ..space.rated import Rated, written
from ..strategy.callbacks import may_put_weights_back, put_weights_back
from ..strategy.direction import more_is_better
from ..strategy.learning_rates import RatePlan
from ..strategy.objective import is_share, metrics_of
from ..strategy.progress import Progress
from ..strategy.scoring import Data
from .entries import Entries, entries_of
from .guessing import best_guess, is_mean_square, loss_of
from .judge import judge
from .rate_trials import RatedModels, Trainers, choose_rates, who_fails
from .rates import RateStudy
from .replicates import BestRuns, HandOver, Replicates, hand_over_to_nobody
from .sequential import Look, look
from .timing import inference_seconds
from .verdict import Guess, Verdict
from .words import Unit, is_share_by_name


def judged_at_rates(
    models: RatedModels,
    baseline: str,
    rate_plan: RatePlan,
    fit: Mapping[str, Any],
    objective: keras_tuner.Objective,
    plan: tuple[int, ...],
    *,
    seed: int,
    test_data: Data,
    progress: Progress,
    announcement: str,
    hand_over: HandOver = hand_over_to_nobody,
) -> Verdict:
    """Choose a learning rate for each candidate, train all on fresh seeds at their rates, and judge.

    A candidate that cannot be trained is set aside, and `Verdict.errors` says why; the others are
    judged without it.

    Args:
        models: the candidates, the baseline among them.
        baseline: its name.
        rate_plan: which learning rates to try.
        fit: the arguments of `fit`, data included.
        objective: the metric and its direction.
        plan: after how many seeds to look.
        seed: that the seeds are derived from.
        test_data: what to score at the end; None for the validation scores.
        progress: shows what happens.
        announcement: what is said before the fresh seeds are trained.
        hand_over: gets the verdict with the trainings that it has judged.

    Raises:
        SearchError: if the objective is no metric of the models.
        Exception: what the training raised, if it is not the fault of single candidates, or if it
            is the baseline's, or if nothing is left to compare it with.
    """
    judged = partial(
        _judged_at_rates,
        baseline=baseline,
        rate_plan=rate_plan,
        fit=fit,
        objective=objective,
        plan=plan,
        seed=seed,
        test_data=test_data,
        progress=progress,
        announcement=announcement,
        hand_over=hand_over,
    )
    try:
        return judged(models)
    except KerasActsError:
        raise  # the settings are at fault, whoever trains
    except Exception:
        failed = who_fails(models, fit, seed)
        remaining = models.without(failed)
        if not failed or baseline in failed or len(remaining.choices) < 2:
            raise
    for name, reason in failed.items():
        progress.say(f"{name} is set aside: {reason}")
    names = ", ".join(remaining.names)
    verdict = judged(remaining, announcement=f"Training {names} without what is set aside")
    errors = {f"{name} is set aside": reason for name, reason in failed.items()}
    return replace(verdict, errors={**errors, **verdict.errors})


def _judged_at_rates(
    models: RatedModels,
    *,
    baseline: str,
    rate_plan: RatePlan,
    fit: Mapping[str, Any],
    objective: keras_tuner.Objective,
    plan: tuple[int, ...],
    seed: int,
    test_data: Data,
    progress: Progress,
    announcement: str,
    hand_over: HandOver,
) -> Verdict:
    """Judge candidates all of which can be trained, or raise what the training of one raises."""
    names = models.names
    trainers = Trainers(models, keras.tree.flatten(fit.get("callbacks") or []))
    rates = None
    if rate_plan.searches:
        with expected_traces():
            rates = choose_rates(
                models,
                trainers,
                rate_plan,
                fit,
                objective,
                baseline=baseline,
                seed=seed,
                most_seeds=plan[-1],
                progress=progress,
            )
        if rates is None:
            none: dict[str, list[float]] = {name: [] for name in names}
            withheld = "no verdict: interrupted while the learning rates were chosen"
            return judge(none, baseline=baseline, withheld=withheld)
    entries = entries_of(models, baseline, rates)
    if rates is not None:
        progress.say(_rates_chosen(rates, entries.rated[len(names) :]))
    with isolated_seed(seed):
        trainer = trainers.of(entries.rated)
    progress.begin(plan[-1], "seed", "verdict")
    with Replicates(trainer, entries.columns, fit, progress.show) as replicates:
        progress.say(announcement)
        return decide(
            replicates,
            entries,
            models.builds(entries.rated[: len(names)]),
            objective,
            plan,
            seed=seed,
            test_data=test_data,
            progress=progress,
            hand_over=hand_over,
        )


def _rates_chosen(rates: RateStudy, besides: Sequence[Rated]) -> str:
    """What is trained at which rate; besides, the baseline at another that may suit it as well."""
    different = {rates.rate(name) for name in rates.names}
    too = []
    for other in besides:
        too.append(f"{quoted(str(other.choice))} at {written(other.factor, rates.own)} too")
    if len(different) == 1:
        return ", ".join([f"The learning rate that suits all: {different.pop()}", *too])
    chosen = [f"{quoted(name)} at {rates.rate(name)}" for name in rates.names]
    return f"The learning rates that suit them: {', '.join([*chosen, *too])}"


class _NoSuchMetric(SearchError):
    """What was trained has no such score, on any seed."""


@expected_traces()
def decide(
    replicates: Replicates,
    entries: Entries,
    builds: Sequence[Callable[[], keras.Model]],
    objective: keras_tuner.Objective,
    plan: tuple[int, ...],
    *,
    seed: int,
    test_data: Data,
    progress: Progress,
    hand_over: HandOver = hand_over_to_nobody,
) -> Verdict:
    """Train seeds until a planned look ends it, then score the test data, and judge.

    Args:
        replicates: what trains the candidates.
        entries: what its columns are.
        builds: what makes each candidate's single model, to measure its inference.
        objective: the metric and its direction.
        plan: after how many seeds to look.
        seed: that the seeds are derived from.
        test_data: what to score at the end; None for the validation scores.
        progress: shows what happens.
        hand_over: gets the verdict with the trainings that it has judged.

    Raises:
        SearchError: if the objective is no metric of the models.
    """
    metric = objective.name.removeprefix("val_")
    unit = Unit(objective.name, is_share_by_name(metric))
    looks: list[Look] = []
    errors: dict[str, str] = {}
    with _keeping_trained_seeds(replicates, errors, progress):
        for taken in _train_in_looks(replicates, entries, objective, plan, seed, progress):
            looks.append(taken)
            progress.say(taken.told(entries.baseline, unit))
            if math.isfinite(taken.difference):
                progress.lead(taken.ahead(entries.baseline, unit))
            if taken.stop:
                break
    example: keras.Model | None = None
    with _noted(errors, "guess"), isolated_seed(seed):
        # any candidate would do: all have the same loss, metrics, outputs and optimizer
        example = builds[entries.names.index(entries.baseline)]()
    ends_otherwise = _may_end_otherwise(replicates, example)
    caveat = ""
    part = "validation"
    withheld = ""
    if test_data is not None:
        with _noted(errors, "test"):
            _score_test_data(replicates, test_data, metric)
            part = "test"
        if "test" in errors:
            # what the looks have seen cannot be judged as if they had not
            withheld = f"no verdict: the test data could not be scored, {errors['test']}"
    elif replicates.runs.seeds and ends_otherwise:
        caveat = _caveat(replicates, example)
        if not caveat:
            with _noted(errors, "validation"):
                replicates.validate(metric)
    yardstick = _Yardstick()
    if example is not None:
        with _noted(errors, "guess"), isolated_seed(seed):
            yardstick.measure(example, replicates, objective, part, test_data)
    seconds: dict[str, float] = {}
    with _noted(errors, "timing"):
        seconds = _timed(entries.names, builds, replicates.inputs, seed)
    maximize = objective.direction == "max"
    scores = replicates.scores(metric, part)
    columns = entries.chosen(scores, objective.direction)
    losses = None
    if yardstick.losses is not None:
        losses = entries.of_candidates(yardstick.losses, columns)
    verdict = judge(
        entries.of_candidates(scores, columns),
        baseline=entries.baseline,
        metric=metric,
        maximize=maximize,
        part=part,
        seconds=seconds,
        withheld=withheld,
        looks=looks,
        runs=replicates.runs.of_columns(columns, entries.names),
        guess=yardstick.guess,
        losses=losses,
        loss_guess=yardstick.loss_guess,
        share=yardstick.share,
        rates=entries.rates_of(columns),
    )
    verdict = replace(verdict, errors=errors, squared=yardstick.squared, caveat=caveat)
    # the scores of their last epochs are not those of other weights that trainings may end with
    if not ends_otherwise:
        runs = BestRuns(replicates, entries.rated, columns, entries.names, objective)
        # who wants a training and cannot have it trains another
        with _noted(errors, "hand over"):
            hand_over(verdict, runs)
    return verdict


def _train_in_looks(
    replicates: Replicates,
    entries: Entries,
    objective: keras_tuner.Objective,
    plan: tuple[int, ...],
    seed: int,
    progress: Progress,
) -> Iterator[Look]:
    """Train the seeds of a plan, and yield each look at their validation scores.

    A plan of one step has none: there is nothing left to decide.

    Raises:
        _NoSuchMetric: if the objective is no metric of the models.
    """
    metric = objective.name.removeprefix("val_")
    seeds = [derive(seed, Stream.VERDICT, index) for index in range(plan[-1])]
    told_why_alone = False
    # the first look comes after as many; where later ones lie closer together, seeds that train
    # beside those of a look cost less than a population of their own
    training = replicates.train(seeds, at_once=plan[0])
    for count, _ in enumerate(training, start=1):
        progress.advance()
        if replicates.reason and not told_why_alone:
            told_why_alone = True
            progress.say(f"Training one by one: {replicates.reason}")
        logged = replicates.runs.history
        if f"val_{metric}" not in logged:
            raise _NoSuchMetric(
                f"The objective must be one of {sorted(logged)}. Received: {objective.name!r}"
            )
        if len(plan) > 1 and count in plan:
            yield _look_at(replicates, entries, objective, plan)


def _look_at(
    replicates: Replicates,
    entries: Entries,
    objective: keras_tuner.Objective,
    plan: tuple[int, ...],
) -> Look:
    """What the validation scores of the seeds so far say."""
    metric = objective.name.removeprefix("val_")
    signed = {}
    for name, values in replicates.scores(metric, "validation").items():
        signed[name] = more_is_better(values, objective.direction)
    columns = entries.chosen(signed, "max")
    return look(entries.of_candidates(signed, columns), entries.baseline, plan)


@contextlib.contextmanager
def _keeping_trained_seeds(
    replicates: Replicates, errors: dict[str, str], progress: Progress
) -> Iterator[None]:
    """End a training early, by the user or a failure, with the seeds that are trained, and say so.

    Raises:
        Exception: what the training raised, if there is no seed yet, or none could be judged.
    """
    try:
        yield
    except KeyboardInterrupt:
        progress.say("Interrupted: the verdict is of the seeds that were trained")
    except _NoSuchMetric:
        raise  # what was trained could not be judged
    except Exception as error:
        if not replicates.runs.seeds:
            raise
        errors["training"] = first_line(error)
        progress.say(
            f"The training ended early, {errors['training']}: the verdict is of the seeds that were trained"
        )


@contextlib.contextmanager
def _noted(errors: dict[str, str], what: str) -> Iterator[None]:
    """Note a failure and go on: what was trained is judged all the same, whatever fails afterwards."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        errors[what] = first_line(error)


def _may_end_otherwise(replicates: Replicates, example: keras.Model | None) -> bool:
    """Whether trainings may end with other weights than their last epochs were validated with."""
    return _has_averages(example) or bool(may_put_weights_back(replicates.callbacks))


def _has_averages(example: keras.Model | None) -> bool:
    """Whether averages take the place of the weights when a training ends."""
    return bool(getattr(getattr(example, "optimizer", None), "use_ema", False))


def _caveat(replicates: Replicates, example: keras.Model | None) -> str:
    """What to say where weights may have been put back, and nothing can score them.

    Empty where they are scored, and where they are put back for sure: that fails, as an error.
    """
    reason = replicates.why_not_validated
    if not reason or _has_averages(example) or put_weights_back(replicates.callbacks):
        return ""
    names = " or ".join(may_put_weights_back(replicates.callbacks))
    return (
        f"{names} may have put other weights back as a training ended: the scores are those of each "
        f"last epoch, because with {reason} none can be scored afterwards."
    )


def _score_test_data(replicates: Replicates, test_data: Data, metric: str) -> None:
    replicates.test(test_data)
    if replicates.runs.seeds and metric not in replicates.runs.test:
        raise SearchError(
            f"The test data must have the metric that is judged. Received: {metric!r}"
        )


def _timed(
    names: Sequence[str], builds: Sequence[Callable[[], keras.Model]], inputs: Data, seed: int
) -> dict[str, float]:
    """The seconds of inference of each candidate's single model."""
    with isolated_seed(seed):
        models = {name: build() for name, build in zip(names, builds, strict=True)}
    return inference_seconds(models, inputs)


@dataclass
class _Yardstick:
    """What scores are held against besides each other; see `judge`.

    One is measured after the other, so that a failure leaves those before it.
    """

    share: bool | None = None
    squared: bool = False
    guess: Guess | None = None
    losses: dict[str, np.ndarray] | None = None
    loss_guess: Guess | None = None

    def measure(
        self,
        model: keras.Model,
        replicates: Replicates,
        objective: keras_tuner.Objective,
        part: str,
        test_data: Data,
    ) -> None:
        """Measure all that is known of a metric on the scored part of the data."""
        metric = objective.name.removeprefix("val_")
        logged = metrics_of(model).get(metric)
        if logged is not None:
            self.share = is_share(logged)
        if replicates.weighted:
            return  # its loss aims at other scores than these
        scored = test_data
        known = set(replicates.runs.test)
        if part == "validation":
            scored = replicates.validation
            known = {name.removeprefix("val_") for name in replicates.runs.history}
        self.guess = best_guess(model, scored, metric, objective.direction == "max")
        # where guessing is not known, the loss may hold penalties
        self.squared = self.guess is not None and is_mean_square(model, metric)
        loss = loss_of(model, metric)
        if self.guess is None or metric == loss or loss not in known:
            return
        self.loss_guess = best_guess(model, scored, loss, False)
        if self.loss_guess is not None:
            self.losses = replicates.scores(loss, part)
