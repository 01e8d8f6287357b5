"""What a search was asked for, checked as far as it can be before anything is trained."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import keras
import keras_tuner

from keras_acts.errors import ModelError, SearchError

from .rewrite.building import build_of
from .rewrite.groups import chosen_slots, groups
from .rewrite.slots import left_alone, slots
from .runtime import device
from .runtime.ownership import check_project_name
from .runtime.seeding import Stream, derive, isolated_seed
from .space.assignment import SlotGroup
from .space.candidate import Candidate
from .space.learning_rates import LearningRates, LearningRatesLike
from .space.space import ActivationSpace
from .strategy.callbacks import check_callbacks, check_validated_weights
from .strategy.checks import (
    check_budget,
    check_data,
    check_directory,
    check_every_epoch,
    check_flag,
    check_from_the_start,
    check_kinds,
    check_names_of_fit,
    check_population,
    check_readable_again,
    check_rescaling,
    check_seed,
    check_strategy,
    check_targets,
    check_verdict,
    check_weights,
    may_mask,
    validation_options,
)
from .strategy.description import (
    fingerprint_data,
    fingerprint_model,
    fingerprint_training,
    fingerprint_value,
)
from .strategy.objective import Objectives, checked_objectives, default_objective
from .strategy.own_data import check_own_data
from .strategy.rehearsal import rehearse
from .strategy.scoring import has_series, without_series
from .tuner.hypermodel import ActivationHyperModel


@dataclass(frozen=True)
class Limits:
    """How much a search may do, and where it is kept: the arguments of `search_activations`.

    Attributes:
        trials: how many candidates to try.
        epochs: how long to train each.
        executions_per_trial: how many seeds a candidate.
        strategy: ``"auto"``, ``"race"`` or ``"random"``.
        max_epochs: of all runs of a race together.
        max_seconds: of a race.
        verdict: the seeds of the verdict at most; 0 for none.
        population: how many trials train together at most: ``"auto"`` or a number.
        seed: of candidates, initialization and batch order.
        directory: where the search is kept; None if it is not.
        project_name: the folder in it.
        overwrite: whether to begin again where the project exists.
        verbose: 0 shows nothing.
    """

    trials: int
    epochs: int
    executions_per_trial: int
    strategy: str
    max_epochs: int | None
    max_seconds: float | None
    verdict: int
    population: int | str
    seed: int
    directory: Any
    project_name: str
    overwrite: bool
    verbose: int

    @property
    def only_of_races(self) -> dict[str, float]:
        """Those that the user has set and only a race keeps, by their names."""
        all_of_them = {"max_epochs": self.max_epochs, "max_seconds": self.max_seconds}
        return {name: value for name, value in all_of_them.items() if value is not None}

    def check(self) -> None:
        """Check what makes no sense whatever the model.

        Raises:
            SearchError: naming the rule and the value.
        """
        check_budget(
            trials=self.trials,
            epochs=self.epochs,
            executions_per_trial=self.executions_per_trial,
        )
        check_verdict(self.verdict)
        check_population(self.population)
        check_strategy(self.strategy, self.max_epochs, self.max_seconds)
        check_seed(self.seed)
        check_directory(self.directory)
        check_project_name(self.project_name)
        check_flag("overwrite", self.overwrite)

    @property
    def total_epochs(self) -> int:
        """How many epochs all runs may take together."""
        return self.max_epochs or self.trials * self.epochs * self.executions_per_trial


@dataclass(frozen=True)
class SearchRequest:
    """What a search was asked for. `checked_request` makes it.

    Attributes:
        model: a compiled Keras model, or a function that builds one.
        example: a model as the search trains them; it is never trained.
        hypermodel: builds a candidate's model from hyperparameters; it holds the space.
        baseline: what the others are compared with.
        objective: what ranks.
        fit: the arguments of `fit`, data included, without epochs.
        test_data: what neither trains nor ranks; None if there is none.
        limits: how much the search may do.
        data: what tells the data from others, for the result and for a resume.
        learning_rates: which are tried; None for the model's own.
        own_hyperparameters: the names of those that the user's function declares.
        had_columns: whether the user's data had columns of pandas, which are arrays (N, 1) here.
    """

    model: Any
    example: keras.Model
    hypermodel: ActivationHyperModel
    baseline: Candidate
    objective: Objectives
    fit: Mapping[str, Any]
    test_data: Any
    limits: Limits
    data: Mapping[str, Any]
    learning_rates: LearningRates | None = None
    own_hyperparameters: tuple[str, ...] = ()
    had_columns: bool = False

    @property
    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Those of the training."""
        return list(self.fit.get("callbacks") or [])

    @property
    def space(self) -> ActivationSpace:
        """What is searched, the baseline first."""
        return self.hypermodel.space

    @property
    def rescale_init(self) -> bool:
        """Whether kernels are initialized for the activation that they feed."""
        return self.hypermodel.rescale_init

    @property
    def groups(self) -> tuple[SlotGroup, ...]:
        """The groups of slots that are chosen for by themselves; empty where one choice is for all."""
        if self.space.per == "model" or not isinstance(self.model, keras.Model):
            return ()
        return groups(slots(self.model), self.space.per)

    @property
    def left_alone(self) -> tuple[str, ...]:
        """For each layer of a user's whose inside is not searched, a sentence that says why."""
        if not isinstance(self.model, keras.Model):
            return ()
        return left_alone(self.model)

    @property
    def searched_slots(self) -> tuple[str, ...] | None:
        """The names of the slots that candidates go to; None for those that a function fills."""
        if not isinstance(self.model, keras.Model):
            return None
        chosen = chosen_slots(slots(self.model), self.space.per)
        return None if chosen is None else tuple(chosen)

    def settings(self) -> dict[str, Any]:
        """Return all that must be the same for a kept search to go on, as plain data."""
        described = fingerprint_model(self.model)
        if not isinstance(self.model, keras.Model):
            described = [described, fingerprint_model(self.example)]
        fit_options = {
            name: fingerprint_value(value)
            for name, value in self.fit.items()
            if name not in ("x", "y", "validation_data", "batch_size")
        }
        # not in settings that were kept before there was such a thing
        initializers = {}
        if self.rescale_init:
            initializers["rescale_init"] = True
        rates: Any = None
        if self.learning_rates is not None:
            rates = self.learning_rates.written()
        return {
            "model": described,
            **fingerprint_training(self.example),
            "data": self.data["training"],
            "validation": self.data["validation"],
            "activations": self.space.fingerprint,
            "learning_rates": rates,
            **initializers,
            "baseline": str(self.baseline),
            "objective": _in_words(self.objective),
            "epochs": self.limits.epochs,
            "batch_size": self.fit["batch_size"],
            "executions_per_trial": self.limits.executions_per_trial,
            "seed": int(self.limits.seed),
            **fit_options,
        }


def checked_request(
    model: keras.Model | Callable[..., keras.Model],
    x: Any,
    y: Any,
    *,
    activations: Any,
    baseline: Any,
    objective: Any,
    validation_data: Any,
    validation_split: float,
    test_data: Any,
    batch_size: int | None,
    learning_rates: LearningRatesLike,
    rescale_init: bool,
    fit_options: Mapping[str, Any],
    limits: Limits,
) -> SearchRequest:
    """Return what is asked for, once all of it makes sense together.

    The model sees a first batch of each part of the data, so that what would fail after hours of
    training fails now.

    Args:
        model: as in `search_activations`, like all that follow.
        x: training inputs.
        y: training targets.
        activations: what is searched.
        baseline: what the others are compared with.
        objective: what ranks.
        validation_data: what ranks, or None.
        validation_split: the share of the training data that ranks otherwise.
        test_data: what neither trains nor ranks, or None.
        batch_size: of `fit`.
        learning_rates: which are tried, if the space does not say it itself.
        rescale_init: whether kernels are initialized for the activation that they feed.
        fit_options: further arguments of `fit`.
        limits: how much the search may do.

    Raises:
        SearchError: on settings that make no sense.
        DataError: on data that do not fit each other or the model.
        ModelError: on a model that cannot be searched.
    """
    device.check_backend()
    limits.check()
    # Keras and KerasTuner take no integers of NumPy for a seed
    limits = replace(limits, seed=int(limits.seed))
    had_columns = has_series((x, y, validation_data, test_data))
    x, y, validation_data, test_data = map(without_series, (x, y, validation_data, test_data))
    fit_options = {**fit_options}
    if "sample_weight" in fit_options:
        fit_options["sample_weight"] = without_series(fit_options["sample_weight"])
    model = build_of(model)
    check_every_epoch(fit_options)
    check_from_the_start(fit_options)
    space = activations
    if not isinstance(space, ActivationSpace):
        space = ActivationSpace(activations)
    base = Candidate.of(baseline)
    rates = _checked_rates(space.learning_rates, LearningRates.of(learning_rates))
    trials_have_rates = rates is not None and not rates.automatic
    # a race has rates of its own; trials one by one have more than the model's own only if asked to
    rates_of_trials = None
    if trials_have_rates:
        rates_of_trials = rates
    space = space.with_learning_rates(rates_of_trials)
    hypermodel = ActivationHyperModel(
        model, space.with_baseline(str(base)), rescale_init=rescale_init
    )
    hp = keras_tuner.HyperParameters()
    example = _example(hypermodel, hp, limits.seed)
    own_arguments = inspect.signature(checked_request).parameters
    check_names_of_fit(
        fit_options, example, [*own_arguments, *(one.name for one in fields(Limits))]
    )
    check_rescaling(example, rescale_init, space.per)
    masks = may_mask(example)
    check_targets(example, x, y, validation_data)
    check_kinds(example, x, validation_data, test_data)
    check_data(model, x, y, masks=masks)
    for part in (validation_data, test_data):
        if isinstance(part, tuple | list):
            check_data(model, *part[:2], masks=masks)
    validation = validation_options(x, y, validation_data, validation_split)
    fit = {**fit_options, **validation, "x": x, "y": y, "batch_size": batch_size}
    if fit.get("callbacks") is not None:
        fit["callbacks"] = keras.tree.flatten(fit["callbacks"])
        check_callbacks(fit["callbacks"], model)
        check_validated_weights(fit["callbacks"])
    goal = checked_objectives(objective or default_objective(example), example)
    check_weights(fit, validation_data, test_data)
    check_readable_again(fit)
    check_own_data(fit)
    rehearse(example, goal, fit, ranking=validation_data, test=test_data)
    # all values are read for it, which only a search that goes on needs
    hashed = limits.directory is not None
    # now, as nothing that fails may come after the training
    described = {
        "training": fingerprint_data(x, y, hashed=hashed),
        "validation": f"the last {validation_split:g} of training",
        "test": None,
    }
    if validation_data is not None:
        described["validation"] = fingerprint_data(validation_data, hashed=hashed)
    if test_data is not None:
        described["test"] = fingerprint_data(test_data, hashed=hashed)
    return SearchRequest(
        model=model,
        example=example,
        hypermodel=hypermodel,
        baseline=base,
        objective=goal,
        fit=fit,
        test_data=test_data,
        limits=limits,
        data=described,
        learning_rates=rates,
        own_hyperparameters=_own_hyperparameters(hypermodel, hp),
        had_columns=had_columns,
    )


def _checked_rates(
    of_space: LearningRates | None, given: LearningRates | None
) -> LearningRates | None:
    """Return the learning rates that are meant; those of the space, unless others are given."""
    if of_space is None:
        return given
    is_default = given is not None and given.automatic
    if not is_default and given != of_space:
        raise SearchError(
            "The space has learning rates already: learning_rates of the search must be the same, or left out. "
            f"Received: {given and given.written()} for a space with {of_space.written()}"
        )
    return of_space


def _example(
    hypermodel: ActivationHyperModel, hp: keras_tuner.HyperParameters, seed: int
) -> keras.Model:
    """Return a model as the search trains them; `hp` then holds all hyperparameters."""
    with isolated_seed(derive(seed, Stream.BUILDS)):
        model = hypermodel.build(hp)
    if not isinstance(model, keras.Model) or not model.compiled:
        raise ModelError(f"The function must return a compiled Keras model. Received: {model!r}")
    return model


def _own_hyperparameters(
    hypermodel: ActivationHyperModel, hp: keras_tuner.HyperParameters
) -> tuple[str, ...]:
    """Return the names of those hyperparameters that the user's function has declared."""
    if isinstance(hypermodel.model, keras.Model):
        return ()
    ours = keras_tuner.HyperParameters()
    hypermodel.candidate(ours)
    hypermodel.factor(ours)
    known = {declared.name for declared in ours.space}
    return tuple(one.name for one in hp.space if one.name not in known)


def _in_words(objective: Objectives) -> list[str]:
    """Return an objective, or several, in words that are the same in each process."""
    several = objective
    if not isinstance(objective, list):
        several = getattr(objective, "objectives", [objective])
    return [f"{one.name} ({one.direction})" for one in several]
