"""`compare_activations`: whether one of a few activations is really better than the baseline."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import keras
import keras_tuner
import numpy as np

from keras_acts.errors import DataError, ModelError, SearchError, shown

from ..population.trainers import why_alone
from ..rewrite.building import Model, build_of, built_for, is_build, takes_activation
from ..rewrite.learning_rate import at_factor
from ..rewrite.slots import left_alone, slots
from ..runtime import device
from ..runtime.calls import written_call
from ..runtime.seeding import isolated_seed
from ..space.candidate import Candidate
from ..space.learning_rates import LearningRates, LearningRatesLike
from ..space.rated import Rated
from ..strategy.callbacks import check_callbacks
from ..strategy.checks import (
    check_budget,
    check_data,
    check_every_epoch,
    check_from_the_start,
    check_kinds,
    check_names_of_fit,
    check_readable_again,
    check_rescaling,
    check_seed,
    check_targets,
    check_weights,
    may_mask,
    validation_options,
)
from ..strategy.kept_comparison import Place, settings_of
from ..strategy.labels import count_labels
from ..strategy.learning_rates import plan_rates
from ..strategy.objective import checked_objective, default_objective
from ..strategy.own_data import check_own_data
from ..strategy.progress import Progress
from ..strategy.rehearsal import rehearse
from ..strategy.scoring import Data, without_series
from ..tracking.callback import Followers, checked_search_callbacks
from ..tracking.records import COMPARISON, SearchRecord
from .decide import judged_at_rates
from .kept_seeds import Keeping
from .rate_trials import RatedModels
from .sequential import planned
from .verdict import Verdict

# a name, an activation object, a registered function, or a `Candidate`
ActivationLike: TypeAlias = Any


def compare_activations(
    model: Model | keras_tuner.HyperModel,
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
    learning_rates: LearningRatesLike = "auto",
    rescale_init: bool = False,
    seed: int = 0,
    directory: str | os.PathLike[str] | None = None,
    project_name: str = "comparison",
    overwrite: bool = False,
    verbose: int = 1,
    search_callbacks: Any = None,
    **fit_options: Any,
) -> Verdict:
    """Train a model with a few activations on many seeds, and say whether one really beats the baseline.

    A seed changes initialization, batch order and Dropout; initialization and batch order are the
    same for all activations of the seed. Planned looks at the validation scores end the training
    when the leader is clear, or the baseline is clearly better than all; then the test data are
    scored, once. Scores are those of the models as their trainings end: after the last epoch, or
    with the weights that a callback such as `EarlyStopping` puts back then.

    Args:
        model: a compiled Sequential or Functional model, whose hidden activation slots are changed;
            or a function ``build(hp)`` or ``build(hp, activation)`` that returns any compiled model,
            also a subclassed one, whose hyperparameters have their defaults. Its models train one by
            one.
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
        learning_rates: at which rates each activation is tried first, on seeds of their own and the
            validation data, so that each is judged at a rate that suits it. ``"auto"``: a quarter,
            a half, once, twice and four times the rate that the model is compiled with, and beyond
            where the best is at an end; the model's own where candidates train one by one. A list
            of rates (``0.004``) and of multiples of the model's own (``"x2"``), which is always
            among them. None: all train at the model's own. Each rate adds up to four trainings of each
            activation, as populations, and the baseline is judged at its two best rates, of which the
            better one counts.
        rescale_init: whether each activation, the baseline too, has kernels initialized for it, with
            variance ``gain**2 / fan_in``, as by `with_activations`; else all have the model's own
            initializers, which suit some activations better than others.
        seed: that the seeds are derived from. The user's own global seed is left as it was.
        directory: where the comparison is kept, in a folder of its own; None keeps nothing. Seeds
            that are trained are kept, and those that train as populations now and then between
            epochs: the same call goes on from there, to the same numbers. With other settings it is
            refused.
        project_name: of the folder in it.
        overwrite: whether what is kept there is deleted first.
        verbose: 0 shows nothing.
        search_callbacks: `SearchCallback` objects, which hear that the comparison begins, its
            verdict with all trainings, and its end, as those of a search. `TensorBoardLogger`,
            `MLflowLogger` and `WandbLogger` are such. One that fails costs the comparison nothing.
        **fit_options: further arguments of `fit`. Each model has copies of the callbacks, with files
            called after its activation and seed. With callbacks of your own, `TensorBoard` and those
            that see each batch, models train one by one.

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
    # first of all: what else is a local name later was not given
    call = written_call(compare_activations, locals(), shown=["activations"])
    device.check_backend()
    check_budget(epochs=epochs, looks=looks, seeds=seeds)
    check_seed(seed)
    seed = int(seed)  # Keras takes no integers of NumPy for a seed
    place = Place(directory, project_name, overwrite)
    followers = Followers(checked_search_callbacks(search_callbacks))
    x, y, validation_data, test_data = map(without_series, (x, y, validation_data, test_data))
    if "sample_weight" in fit_options:
        fit_options["sample_weight"] = without_series(fit_options["sample_weight"])
    check_every_epoch(fit_options)
    check_from_the_start(fit_options)
    model = build_of(model)
    _check_seeds_and_model(seeds, model, rescale_init)
    check_callbacks(_with_flat_callbacks(fit_options).get("callbacks") or [], model)
    base, candidates = checked_candidates(model, activations, baseline)
    # what would fail after hours of training shall fail now, and the user's random numbers stay
    with isolated_seed(seed):
        example = built_for(model, candidates[0], rescale_init=rescale_init)
    original = model
    if not isinstance(model, keras.Model):
        original = _checked_example(example)
    check_names_of_fit(fit_options, original, inspect.signature(compare_activations).parameters)
    ranking = checked_objective(objective or default_objective(original), original)
    check_rescaling(original, rescale_init)
    _check_all_data(model, original, x, y, validation_data, test_data)
    fit = {
        **validation_options(x, y, validation_data, validation_split),
        "x": x,
        "y": y,
        "epochs": epochs,
        "batch_size": batch_size,
        **_with_flat_callbacks(fit_options),
    }
    check_weights(fit, validation_data, test_data)
    check_readable_again(fit)
    check_own_data(fit)
    rehearse(example, ranking, fit, ranking=validation_data, test=test_data)
    callbacks = fit.get("callbacks") or []
    one_model = None
    alone = "the model is made by a function"
    if isinstance(model, keras.Model):
        one_model = model
        alone = why_alone(model, None, callbacks)
    rate_plan = plan_rates(LearningRates.of(learning_rates), original, callbacks, alone)
    if one_model is None:
        # each model that a function builds may have another
        rate_plan = replace(rate_plan, own=None)
    models = RatedModels(
        one_model,
        tuple(candidates),
        partial(_at_rate, model, rescale_init),
        rescale_init=rescale_init,
    )
    if test_data is None:
        looks = 1  # what a look has seen cannot be judged as if it had not
    names = ", ".join(models.names)
    settings = partial(
        settings_of,
        model,
        original,
        candidates,
        base,
        ranking,
        fit,
        seeds=seeds,
        looks=looks,
        learning_rates=list(rate_plan.factors),
        widens=rate_plan.widens,
        rescale_init=rescale_init,
        seed=int(seed),
    )
    with place.held(settings) as folder, Progress(seeds, verbose, "seed") as progress:
        if folder is not None:
            models = replace(models, keeping=Keeping(folder, progress.say))
        if alone:
            progress.say(f"Training one by one: {alone}")
        for sentence in left_alone(model):
            progress.say(sentence)
        if rate_plan.why_not:
            progress.say(f"At the model's own learning rate: {rate_plan.why_not}")
        judged = partial(
            judged_at_rates,
            models,
            str(base),
            rate_plan,
            fit,
            ranking,
            planned(seeds, looks),
            seed=seed,
            test_data=test_data,
            progress=progress,
            announcement=f"Training {names} on up to {seeds} seeds each on {device.describe()}",
        )
        told = partial(replace, rescale_init=rescale_init, call=call)
        followers.say = progress.say
        record = SearchRecord(
            model=original.name,
            strategy=COMPARISON,
            objective=ranking.name,
            direction=ranking.direction,
            baseline=str(base),
            trials=len(candidates),
            epochs=epochs,
            seed=int(seed),
            device=device.describe(),
        )
        return _followed(followers, record, lambda: told(judged()))


def _followed(
    followers: Followers, record: SearchRecord, compared: Callable[[], Verdict]
) -> Verdict:
    """Compare, and tell those who follow it; what fails there is among the verdict's errors."""
    followers.search_begins(record)
    verdict: Verdict | None = None
    try:
        verdict = compared()
        followers.judged(verdict)
    finally:
        # whatever ends the comparison, who follows it closes what is open
        followers.search_ends(verdict)
    return replace(verdict, errors={**verdict.errors, **followers.errors})


def _at_rate(model: Model, rescale_init: bool, rated: Rated) -> Callable[[], keras.Model]:
    build = partial(built_for, model, rated.choice, rescale_init=rescale_init)
    return at_factor(build, rated.factor)


def _check_seeds_and_model(seeds: int, model: Model, rescale_init: bool) -> None:
    if seeds < 2:
        raise SearchError(
            "seeds must be at least 2: one seed says nothing about the noise between seeds. "
            f"Received: seeds={shown(seeds)}"
        )
    if not isinstance(model, keras.Model):
        _check_build(model, rescale_init)
    elif not model.compiled:
        raise ModelError(
            f"The model must be a compiled Keras model: candidates train like it. Received: {model!r}"
        )


def _check_build(build: Any, rescale_init: bool) -> None:
    """Check a function that builds the model of each candidate."""
    if not is_build(build):
        raise ModelError(
            "The model must be a compiled Keras model, or a function build(hp) or build(hp, activation). "
            f"Received: {build!r}"
        )
    if takes_activation(build) and rescale_init:
        raise SearchError(
            "build(hp, activation) has its own initializers. Received: rescale_init=True"
        )


def _checked_example(example: Any) -> keras.Model:
    """Return what a function has built, if candidates can train like it."""
    if not isinstance(example, keras.Model) or not example.compiled:
        raise ModelError(f"The function must return a compiled Keras model. Received: {example!r}")
    return example


def _with_flat_callbacks(fit_options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `fit` with the callbacks, one or a list in Keras, as a list."""
    if fit_options.get("callbacks") is None:
        return dict(fit_options)
    return {**fit_options, "callbacks": keras.tree.flatten(fit_options["callbacks"])}


def _check_all_data(
    model: Model, example: keras.Model, x: Data, y: Data, validation_data: Data, test_data: Data
) -> None:
    masks = may_mask(example)
    check_targets(example, x, y, validation_data)
    check_kinds(example, x, validation_data, test_data)
    check_data(model, x, y, masks=masks)
    for part in (validation_data, test_data):
        if isinstance(part, tuple | list):
            check_data(model, *part[:2], masks=masks)
    reason = why_not_test_data(model, test_data)
    if reason:
        raise DataError(
            f"The test data must be at least as many as the classes. Received: {reason}"
        )


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
    model: Model, activations: Iterable[ActivationLike], baseline: ActivationLike
) -> tuple[Candidate, list[Candidate]]:
    """Return the baseline and all candidates, the baseline among them.

    Raises:
        SearchError: if there is nothing to compare, or no one baseline.
        ModelError: if a candidate does not suit the model.
    """
    if isinstance(activations, str) or not isinstance(activations, Iterable):
        raise SearchError(
            f"activations must be a list of activations. Received: activations={shown(activations)}"
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
            built_for(model, candidate)  # raises what is wrong with it
    return base, candidates


def _checked_baseline(
    model: Model, given: Sequence[Candidate], baseline: ActivationLike
) -> Candidate:
    """The baseline that is wanted, else relu if it is among the activations, else the model's own."""
    if baseline is not None:
        return Candidate.of(baseline)
    relu = Candidate.of("relu")
    if relu in given:
        return relu
    if not isinstance(model, keras.Model):
        raise SearchError(
            "baseline must be given where relu is not among the activations of a function's models. Received: None"
        )
    own = sorted({slot.current for slot in slots(model).hidden})
    if len(own) != 1:
        raise SearchError(
            f"baseline must be given where the model's own activations are {own}. Received: None"
        )
    return Candidate.of(own[0])
