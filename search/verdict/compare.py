"""`compare_activations`: whether one of a few activations is really better than the baseline."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

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
from ..strategy.scoring import Data
from .guessing import best_guess, loss_of
from .judge import judge
from .replicates import Replicates
from .sequential import Look, look, planned
from .timing import inference_seconds
from .verdict import Guess, Verdict

# a name, an activation object, a registered function, or a `Candidate`
ActivationLike: TypeAlias = Any


def compare_activations(
    model: keras.Model,
    x: Data,
    y: Data,
    activations: Iterable[ActivationLike],
    *,
    baseline: ActivationLike = None,
    validation_data: Data = None,
    validation_split: float = 0.2,
    test_data: Data = None,
    objective: str | keras_tuner.Objective | None = None,
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
    _check_seeds_and_model(seeds, model)
    ranking = checked_objective(objective or default_objective(model), model)
    base, candidates = checked_candidates(model, activations, baseline)
    _check_all_data(model, x, y, validation_data, test_data)
    fit = {
        **validation_options(x, y, validation_data, validation_split),
        "x": x,
        "y": y,
        "epochs": epochs,
        "batch_size": batch_size,
        **_with_flat_callbacks(fit_options),
    }
    check_readable_again(fit)
    # what would fail after hours of training shall fail now, and the user's random numbers stay
    with isolated_seed(seed):
        example = with_activations(model, candidates[0])
    rehearse(example, ranking, fit, ranking=validation_data, test=test_data)
    builds = [partial(with_activations, model, candidate) for candidate in candidates]
    names = [str(candidate) for candidate in candidates]
    trainer = trainer_for(model, candidates, builds, callbacks=fit.get("callbacks"))
    if test_data is None:
        looks = 1  # what a look has seen cannot be judged as if it had not
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
            ranking,
            planned(seeds, looks),
            seed=seed,
            test_data=test_data,
            progress=progress,
        )


def _check_seeds_and_model(seeds: int, model: keras.Model) -> None:
    if seeds < 2:
        raise SearchError(
            f"seeds must be at least 2: one seed says nothing about the noise between seeds. Received: seeds={seeds!r}"
        )
    if not isinstance(model, keras.Model) or not model.compiled:
        raise ModelError(
            f"The model must be a compiled Keras model: candidates train like it. Received: {model!r}"
        )


def _with_flat_callbacks(fit_options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `fit` with the callbacks, one or a list in Keras, as a list."""
    if fit_options.get("callbacks") is None:
        return dict(fit_options)
    return {**fit_options, "callbacks": keras.tree.flatten(fit_options["callbacks"])}


def _check_all_data(
    model: keras.Model, x: Data, y: Data, validation_data: Data, test_data: Data
) -> None:
    masks = may_mask(model)
    check_targets(model, x, y, validation_data)
    check_data(model, x, y, masks=masks)
    for part in (validation_data, test_data):
        if isinstance(part, tuple | list):
            check_data(model, *part[:2], masks=masks)
    reason = why_not_test_data(model, test_data)
    if reason:
        raise DataError(
            f"The test data must be at least as many as the classes. Received: {reason}"
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
    test_data: Data,
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
    metric = objective.name.removeprefix("val_")
    looks: list[Look] = []
    errors: dict[str, str] = {}
    with _keeping_trained_seeds(replicates, errors, progress):
        for taken in _train_in_looks(replicates, baseline, objective, plan, seed, progress):
            looks.append(taken)
            progress.say(str(taken))
            if taken.stop:
                break
    part = "validation"
    withheld = ""
    if test_data is not None:
        with _noted(errors, "test"):
            _score_test_data(replicates, test_data, metric)
            part = "test"
        if "test" in errors:
            # what the looks have seen cannot be judged as if they had not
            withheld = f"no verdict: the test data could not be scored, {errors['test']}"
    yardstick = _Yardstick()
    with _noted(errors, "guess"), isolated_seed(seed):
        # any candidate would do: all have the same loss, metrics and outputs
        model = builds[replicates.names.index(baseline)]()
        yardstick.measure(model, replicates, objective, part, test_data)
    seconds: dict[str, float] = {}
    with _noted(errors, "timing"):
        seconds = _timed(replicates, builds, seed)
    verdict = judge(
        replicates.scores(metric, part),
        baseline=baseline,
        metric=metric,
        maximize=objective.direction == "max",
        part=part,
        seconds=seconds,
        withheld=withheld,
        looks=looks,
        runs=replicates.runs,
        guess=yardstick.guess,
        losses=yardstick.losses,
        loss_guess=yardstick.loss_guess,
        share=yardstick.share,
    )
    return replace(verdict, errors=errors)


def _train_in_looks(
    replicates: Replicates,
    baseline: str,
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
    # steps of as many seeds as divide all of the plan: so populations of one size train all
    at_once = math.gcd(*np.diff((0, *plan)))
    told_why_alone = False
    for start, stop in itertools.pairwise((0, *plan)):
        fresh = [derive(seed, Stream.VERDICT, index) for index in range(start, stop)]
        for _ in replicates.train(fresh, at_once=at_once):
            progress.advance()
            if replicates.reason and not told_why_alone:
                told_why_alone = True
                progress.say(f"Training one by one: {replicates.reason}")
            logged = replicates.runs.history
            if f"val_{metric}" not in logged:
                raise _NoSuchMetric(
                    f"The objective must be one of {sorted(logged)}. Received: {objective.name!r}"
                )
        if len(plan) > 1:
            scores = replicates.scores(metric, "validation")
            signed = {
                name: more_is_better(values, objective.direction) for name, values in scores.items()
            }
            yield look(signed, baseline, plan)


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


def _score_test_data(replicates: Replicates, test_data: Data, metric: str) -> None:
    replicates.test(test_data)
    if replicates.runs.seeds and metric not in replicates.runs.test:
        raise SearchError(
            f"The test data must have the metric that is judged. Received: {metric!r}"
        )


def _timed(
    replicates: Replicates, builds: Sequence[Callable[[], keras.Model]], seed: int
) -> dict[str, float]:
    """The seconds of inference of each candidate's single model."""
    with isolated_seed(seed):
        models = {name: build() for name, build in zip(replicates.names, builds, strict=True)}
    return inference_seconds(models, replicates.inputs)


@dataclass
class _Yardstick:
    """What scores are held against besides each other; see `judge`.

    One is measured after the other, so that a failure leaves those before it.
    """

    share: bool | None = None
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
        loss = loss_of(model, metric)
        if self.guess is None or metric == loss or loss not in known:
            return
        self.loss_guess = best_guess(model, scored, loss, False)
        if self.loss_guess is not None:
            self.losses = replicates.scores(loss, part)


def why_not_test_data(model: keras.Model | Callable[..., keras.Model], test_data: Data) -> str:
    """Return what is wrong with test data of fewer labels than the model has classes.

    Empty if nothing is.

    A sample of tokens or pixels has as many labels as it has of these.
    """
    if not isinstance(test_data, tuple | list) or not hasattr(test_data[0], "shape"):
        return ""
    # a function's model is not made for this: its training will say what is wrong
    if not isinstance(model, keras.Model) or not _classifies(model):
        return ""
    output = model.outputs[0].shape
    samples = test_data[0].shape[0]
    labels = samples
    if len(test_data) > 1 and hasattr(test_data[1], "shape"):
        labels = count_labels(np.asarray(test_data[1]), output)
    if labels >= output[-1]:
        return ""
    what = "labels"
    if labels == samples:
        what = "samples"
    return f"{labels} {what} for {output[-1]} classes"


def _classifies(model: keras.Model) -> bool:
    """Whether a model has one output, which tells classes apart."""
    if len(model.outputs) != 1:
        return False
    # an object, a function, or a name
    loss = getattr(model.loss, "name", None) or getattr(model.loss, "__name__", model.loss)
    return "categorical_crossentropy" in str(loss)


def checked_candidates(
    model: keras.Model, activations: Iterable[ActivationLike], baseline: ActivationLike
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
    twice = sorted({str(candidate) for candidate in given if given.count(candidate) > 1})
    if twice:
        raise SearchError(
            f"Each activation may be given once. Received: {', '.join(twice)} more than once"
        )
    base = _checked_baseline(model, given, baseline)
    candidates = list(dict.fromkeys([*given, base]))
    if len(candidates) < 2:
        raise SearchError(
            f"activations must hold another one than the baseline {base}. Received: {list(map(str, given))}"
        )
    with isolated_seed(0):
        for candidate in candidates:
            with_activations(model, candidate)  # raises what is wrong with it
    return base, candidates


def _checked_baseline(
    model: keras.Model, given: Sequence[Candidate], baseline: ActivationLike
) -> Candidate:
    """The baseline that is wanted, else relu if it is among the activations, else the model's own."""
    if baseline is not None:
        return Candidate.of(baseline)
    relu = Candidate.of("relu")
    if relu in given:
        return relu
    own = sorted({slot.current for slot in slots(model).hidden})
    if len(own) != 1:
        raise SearchError(
            f"baseline must be given where the model's own activations are {own}. Received: None"
        )
    return Candidate.of(own[0])
