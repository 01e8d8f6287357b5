"""`compare_activations`: whether one of a few activations is really better than the baseline."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_acts.errors import DataError, ModelError, SearchError

from ..population.trainers import trainer_for
from ..rewrite.clone import with_activations
from ..rewrite.slots import slots
from ..runtime import device
from ..runtime.reasons import first_line
from ..runtime.seeding import Stream, derive, isolated_seed
from ..runtime.tracing import expected_traces
from ..space.candidate import Candidate
from ..strategy.checks import (
    check_budget,
    check_data,
    check_every_epoch,
    check_readable_again,
    check_targets,
    may_mask,
    validation_options,
)
from ..strategy.direction import more_is_better
from ..strategy.labels import count_labels
from ..strategy.objective import checked_objective, default_objective, is_share, metrics_of
from ..strategy.progress import Progress
from ..strategy.rehearsal import rehearse
from .guessing import best_guess, loss_of
from .judge import judge
from .replicates import Replicates
from .sequential import look, planned
from .timing import inference_seconds
from .verdict import Verdict


def compare_activations(
    model: keras.Model,
    x: Any,
    y: Any,
    activations: Iterable[Any],
    *,
    baseline: Any = None,
    validation_data: Any = None,
    validation_split: float = 0.2,
    test_data: Any = None,
    objective: Any = None,
    seeds: int = 16,
    looks: int = 3,
    epochs: int = 10,
    batch_size: int | None = None,
    seed: int = 0,
    verbose: int = 1,
    **fit_options: Any,
) -> Verdict:
    """Train a model with a few activations on many seeds, and say whether one really beats the baseline.

    A seed changes initialization, batch order and Dropout; initialization and batch order are the
    same for all activations of the seed. Planned looks at the validation scores end the training
    when the leader is clear, or the baseline is clearly better than all; then the test data are
    scored, once. Scores are those after the last epoch.

    Args:
        model: a compiled Sequential or Functional model, whose hidden activation slots are changed.
        x: training inputs, as `keras.Model.fit` takes them; a dataset keeps the batch order that it
            has.
        y: training targets; None with a dataset.
        activations: names, activation objects or registered functions; parameters not written have
            their defaults.
        baseline: what the others have to beat; by default relu, if it is among `activations`, else
            the model's own.
        validation_data: what the looks see; else the last `validation_split` of the training data,
            as in Keras.
        validation_split: the share of the training data for the looks, in (0, 1).
        test_data: ``(x, y)`` or ``(x, y, sample_weight)`` that the verdict is about. Without, it is
            about the validation data, and all seeds are trained: what a look has seen cannot be
            judged as if it had not.
        objective: as in `search_activations`, such as ``"val_accuracy"``; by default the model's
            accuracy, else its loss.
        seeds: the most seeds, at least 2.
        looks: how many planned looks, the last one at the end; 1 trains all seeds.
        epochs: how long to train each.
        batch_size: as in `fit`.
        seed: that the seeds are derived from. The user's own global seed is left as it was.
        verbose: 0 shows nothing.
        **fit_options: further arguments of `fit`. With `EarlyStopping` or `ReduceLROnPlateau` each
            model trains by itself; any other callback sees all activations as one model, where they
            can be.

    Returns:
        The verdict, with every epoch x seed x activation. After Ctrl-C: of the seeds that were
        trained.

    Raises:
        SearchError: on impossible settings.
        DataError: if the data do not fit each other or the model, or the test data have fewer
            labels than there are classes.
        ModelError: if the model cannot be rewritten, or is not compiled.

    Example:
        >>> verdict = compare_activations(model, x, y, ["mish", "relu"], test_data=(x_test, y_test))
        >>> print(verdict.sentence)
        mish beats relu by 0.98 ± 0.15 points (16 seeds, p < 0.001)
    """
    device.check_backend()
    check_budget(epochs=epochs, looks=looks, seeds=seeds)
    check_every_epoch(fit_options)
    if seeds < 2:
        raise SearchError(
            f"seeds must be at least 2: one seed says nothing about the noise between seeds. Received: seeds={seeds!r}"
        )
    if not isinstance(model, keras.Model) or not model.compiled:
        raise ModelError(
            f"The model must be a compiled Keras model: candidates train like it. Received: {model!r}"
        )
    goal = checked_objective(objective or default_objective(model), model)
    base, candidates = checked_candidates(model, activations, baseline)
    masks = may_mask(model)
    check_targets(model, x, y, validation_data)
    check_data(model, x, y, masks=masks)
    for part in (validation_data, test_data):
        if isinstance(part, tuple | list):
            check_data(model, *part[:2], masks=masks)
    if fit_options.get("callbacks") is not None:
        fit_options["callbacks"] = keras.tree.flatten(fit_options["callbacks"])
    if reason := why_not_test_data(model, test_data):
        raise DataError(
            f"The test data must be at least as many as the classes. Received: {reason}"
        )
    fit = {
        **validation_options(x, y, validation_data, validation_split),
        **{"x": x, "y": y, "epochs": epochs, "batch_size": batch_size, **fit_options},
    }
    check_readable_again(fit)
    with isolated_seed(seed):
        example = with_activations(model, candidates[0])
    rehearse(example, goal, fit, ranking=validation_data, test=test_data)
    builds = [lambda c=candidate: with_activations(model, c) for candidate in candidates]
    names = [str(candidate) for candidate in candidates]
    trainer = trainer_for(model, candidates, builds, callbacks=fit_options.get("callbacks"))
    with (
        Progress(seeds, verbose, "seed") as progress,
        Replicates(trainer, names, fit, progress.show) as replicates,
    ):
        progress.say(
            f"Training {', '.join(names)} on up to {seeds} seeds each on {device.describe()}"
        )
        return decide(
            replicates,
            builds,
            str(base),
            goal,
            planned(seeds, looks if test_data is not None else 1),
            seed=seed,
            test_data=test_data,
            progress=progress,
        )


class _NoSuchMetric(SearchError):
    """What was trained has no such score, on any seed."""


@expected_traces()
def decide(
    replicates: Replicates,
    builds: Sequence[Callable[[], keras.Model]],
    baseline: str,
    objective: keras_tuner.Objective,
    plan: tuple[int, ...],
    *,
    seed: int,
    test_data: Any,
    progress: Progress,
) -> Verdict:
    """Train seeds until a planned look ends it, then score the test data, and judge.

    Args:
        replicates: what trains the candidates.
        builds: what makes each candidate's single model, to measure its inference.
        baseline: the name of the candidate that the others have to beat.
        objective: the metric and its direction.
        plan: after how many seeds to look.
        seed: that the seeds are derived from.
        test_data: what to score at the end; None for the validation scores.
        progress: shows what happens.

    Raises:
        SearchError: if the objective is no metric of the models.
    """
    metric, maximize = objective.name.removeprefix("val_"), objective.direction == "max"
    looked, told = [], ""
    errors: dict[str, str] = {}
    try:
        for start, stop in itertools.pairwise((0, *plan)):
            fresh = [derive(seed, Stream.VERDICT, index) for index in range(start, stop)]
            for _ in replicates.train(fresh, at_once=math.gcd(*np.diff((0, *plan)))):
                progress.advance()
                if replicates.reason and not told:
                    told = replicates.reason
                    progress.say(f"Training one by one: {told}")
                if f"val_{metric}" not in replicates.runs.history:
                    raise _NoSuchMetric(
                        f"The objective must be one of {sorted(replicates.runs.history)}. Received: {objective.name!r}"
                    )
            if len(plan) > 1:
                scores = more_is_better(
                    replicates.runs.scores(metric, "validation"), objective.direction
                )
                looked.append(
                    look(dict(zip(replicates.names, scores.T, strict=True)), baseline, plan)
                )
                progress.say(str(looked[-1]))
                if looked[-1].stop:
                    break
    except KeyboardInterrupt:
        progress.say("Interrupted: the verdict is of the seeds that were trained")
    except _NoSuchMetric:
        raise
    except Exception as error:
        if not replicates.runs.seeds:
            raise
        errors["training"] = first_line(error)
        progress.say(
            f"The training ended early, {errors['training']}: the verdict is of the seeds that were trained"
        )
    withheld, part = "", "validation" if test_data is None else "test"
    if test_data is not None:
        try:
            replicates.test(test_data)
            if replicates.runs.seeds and metric not in replicates.runs.test:
                raise SearchError(
                    f"The test data must have the metric that is judged. Received: {metric!r}"
                )
        except (Exception, KeyboardInterrupt) as error:
            errors["test"] = first_line(error)
            # what the looks have seen cannot be judged as if they had not
            withheld, part = (
                f"no verdict: the test data could not be scored, {errors['test']}",
                "validation",
            )
    runs = replicates.runs
    scores = runs.scores(metric, part) if runs.seeds else np.empty((0, len(replicates.names)))
    seconds: dict[str, float] = {}
    guess, losses, loss_guess, share = None, None, None, None
    # what was trained is judged all the same, whatever fails here
    try:
        with isolated_seed(seed):
            model = builds[replicates.names.index(baseline)]()
            logged = metrics_of(model).get(metric)
            share = None if logged is None else is_share(logged)
            scored = replicates.validation if part == "validation" else test_data
            if not replicates.weighted:  # else its loss aims at other scores than these
                guess = best_guess(model, scored, metric, maximize)
            loss = loss_of(model, metric)
            known = (
                runs.test
                if part == "test"
                else {name.removeprefix("val_") for name in runs.history}
            )
            if guess is not None and metric != loss and loss in known:
                loss_guess = best_guess(model, scored, loss, False)
            if loss_guess is not None:
                losses = dict(zip(replicates.names, runs.scores(loss, part).T, strict=True))
    except (Exception, KeyboardInterrupt) as error:
        errors["guess"] = first_line(error)
    try:
        with isolated_seed(seed):
            models = {name: build() for name, build in zip(replicates.names, builds, strict=True)}
        seconds = inference_seconds(models, replicates.inputs)
    except (Exception, KeyboardInterrupt) as error:
        errors["timing"] = first_line(error)
    found = judge(
        dict(zip(replicates.names, scores.T, strict=True)),
        baseline=baseline,
        metric=metric,
        maximize=maximize,
        part=part,
        seconds=seconds,
        withheld=withheld,
        looks=looked,
        runs=runs,
        guess=guess,
        losses=losses,
        loss_guess=loss_guess,
        share=share,
    )
    return replace(found, errors=errors)


def why_not_test_data(model: Any, test_data: Any) -> str:
    """Return what is wrong with test data of fewer labels than the model has classes.

    Empty if nothing is.

    A sample of tokens or pixels has as many labels as it has of these.
    """
    if (
        not isinstance(test_data, tuple | list)
        or not hasattr(test_data[0], "shape")
        or not _classifies(model)
    ):
        return ""
    output, targets = model.outputs[0].shape, test_data[1] if len(test_data) > 1 else None
    labels = (
        count_labels(np.asarray(targets), output)
        if hasattr(targets, "shape")
        else test_data[0].shape[0]
    )
    what = "samples" if labels == test_data[0].shape[0] else "labels"
    return f"{labels} {what} for {output[-1]} classes" if labels < output[-1] else ""


def _classifies(model: Any) -> bool:
    if not isinstance(model, keras.Model) or len(model.outputs) != 1:
        return False
    loss = getattr(model.loss, "name", None) or getattr(model.loss, "__name__", model.loss)
    return "categorical_crossentropy" in str(loss)


def checked_candidates(
    model: keras.Model, activations: Iterable[Any], baseline: Any
) -> tuple[Candidate, list[Candidate]]:
    """Return the baseline and all candidates, the baseline among them.

    Raises:
        SearchError: if there is nothing to compare, or no one baseline.
        ModelError: if a candidate does not suit the model.
    """
    if isinstance(activations, str) or not isinstance(activations, Iterable):
        raise SearchError(
            f"activations must be a list of activations. Received: activations={activations!r}"
        )
    given = [Candidate.of(activation) for activation in activations]
    twice = sorted({str(c) for c in given if given.count(c) > 1})
    if twice:
        raise SearchError(
            f"Each activation may be given once. Received: {', '.join(twice)} more than once"
        )
    base = Candidate.of("relu")
    if baseline is not None:
        base = Candidate.of(baseline)
    elif base not in given:
        own = sorted({slot.current for slot in slots(model).hidden})
        if len(own) != 1:
            raise SearchError(
                f"baseline must be given where the model's own activations are {own}. Received: None"
            )
        base = Candidate.of(own[0])
    candidates = list(dict.fromkeys([*given, base]))
    if len(candidates) < 2:
        raise SearchError(
            f"activations must hold another one than the baseline {base}. Received: {list(map(str, given))}"
        )
    with isolated_seed(0):
        for candidate in candidates:
            with_activations(model, candidate)  # raises what is wrong with it
    return base, candidates
