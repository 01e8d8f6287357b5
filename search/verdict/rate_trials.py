"""Trains candidates at several learning rates, on seeds that no verdict sees; and tells which cannot be trained."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_acts.errors import SearchError

from ..population.trainers import (
    OneByOneTrainer,
    TooManyTogether,
    Trained,
    Trainer,
    most_together,
    trainer_for,
)
from ..runtime.kept_files import is_disk_full
from ..runtime.memory import is_out_of_memory
from ..runtime.reasons import first_line
from ..runtime.seeding import Stream, derive, isolated_seed
from ..runtime.tracing import steps_forgotten
from ..space.assignment import Choice
from ..space.learning_rates import next_of, wider
from ..space.rated import Rated, written
from ..strategy.learning_rates import RatePlan
from ..strategy.progress import Progress
from .kept_seeds import Keeping, KeepingTrainer
from .rates import RateStudy, extended, study
from .words import named

# on so many seeds each rate is tried at most
RATE_SEEDS = 4
_LEAST_SEEDS = 2
# how often a range is widened at most: eight times its end is far from what the user has
_MOST_WIDENINGS = 3

# what builds a choice's compiled model at a multiple of its learning rate
Builder = Callable[[Rated], Callable[[], keras.Model]]


@dataclass(frozen=True)
class RatedModels:
    """Candidates as models at any learning rate.

    Attributes:
        model: that is compiled, and made anew with each choice; None if each is built by a function.
        choices: the K candidates.
        builder: of their models.
        slots: the names of the slots that the candidates go to; None for all hidden ones.
        rescale_init: whether the models that are built have kernels initialized for the activation
            that they feed.
        keeping: where trained seeds are kept; None keeps nothing.
    """

    model: keras.Model | None
    choices: tuple[Choice, ...]
    builder: Builder
    slots: tuple[str, ...] | None = None
    rescale_init: bool = False
    keeping: Keeping | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called."""
        return tuple(str(choice) for choice in self.choices)

    def builds(self, rated: Iterable[Rated]) -> list[Callable[[], keras.Model]]:
        """Return what builds each."""
        return [self.builder(one) for one in rated]

    def without(self, names: Collection[str]) -> RatedModels:
        """Return the candidates that are not called one of these."""
        remaining = tuple(choice for choice in self.choices if str(choice) not in names)
        return replace(self, choices=remaining)

    def trainer(
        self, rated: Sequence[Rated], callbacks: Sequence[Any], *, in_parts: bool = False
    ) -> Trainer:
        """Return what trains candidates at their rates.

        Args:
            rated: the candidates.
            callbacks: of the user's.
            in_parts: whether fewer are trained at once where memory runs out, instead of one by
                one: then it raises `TooManyTogether`.
        """
        trainer = self._trainer(rated, callbacks, in_parts)
        if self.keeping is None:
            return trainer
        return KeepingTrainer(trainer, list(map(str, rated)), self.keeping)

    def _trainer(self, rated: Sequence[Rated], callbacks: Sequence[Any], in_parts: bool) -> Trainer:
        builds = self.builds(rated)
        if self.model is None:  # a function may build each of another shape
            return OneByOneTrainer(builds, rated)
        return trainer_for(
            self.model,
            rated,
            builds,
            self.slots,
            callbacks,
            rescale_init=self.rescale_init,
            in_parts=in_parts,
        )


def choose_rates(
    models: RatedModels,
    plan: RatePlan,
    fit: Mapping[str, Any],
    objective: keras_tuner.Objective,
    *,
    seed: int,
    most_seeds: int,
    progress: Progress,
) -> RateStudy | None:
    """Return the learning rate for each candidate, by its scores on the validation data.

    None if the user ended it before a seed was trained. What was found before an interrupt or a
    failure of a further rate is kept.

    Args:
        models: the candidates.
        plan: which rates are tried.
        fit: the arguments of `fit`, data included.
        objective: what ranks.
        seed: that the seeds are derived from.
        most_seeds: of the verdict that follows: with few there, there are few here.
        progress: shows what happens.

    Raises:
        SearchError: if the objective is no metric of the models.
    """
    count = max(_LEAST_SEEDS, min(RATE_SEEDS, most_seeds // 2))
    trials = _RateTrials(
        models=models,
        fit=fit,
        metric=objective.name.removeprefix("val_"),
        seeds=[derive(seed, Stream.RATES, index) for index in range(count)],
        seed=seed,
        progress=progress,
    )
    tried = ", ".join(written(factor, plan.own) for factor in plan.factors)
    progress.say(f"First the learning rate of each: {tried}, on {count} seeds of their own")
    scores = trials.scores(plan.factors)
    if scores is None:
        return None
    found = study(
        models.names,
        plan.factors,
        scores,
        metric=trials.metric,
        maximize=objective.direction == "max",
        own=plan.own,
    )
    for _ in range(_MOST_WIDENINGS):
        beyond = _beyond(found, plan)
        if beyond is None or trials.interrupted:
            break
        progress.say(_widening(found, beyond))
        try:
            further = trials.scores([beyond])
        except Exception as error:
            progress.say(f"None beyond it could be tried: {first_line(error)}")
            break
        if further is None or trials.interrupted:
            break
        found = extended(found, beyond, further[:, 0])
    return found


def _beyond(found: RateStudy, plan: RatePlan) -> float | None:
    """A factor beyond the range, where a chosen one is at an end; None if all are inside."""
    end = found.best_at_end
    if not end:
        return None
    best = found.factors[0]
    if end == "highest":
        best = found.factors[-1]
    if plan.widens:
        return wider(found.factors, best)
    return next_of(plan.listed, best, end)


def _widening(found: RateStudy, beyond: float) -> str:
    """Which candidates learn best at an end of the range, so that a rate beyond it is tried."""
    end = found.best_at_end
    names = found.best_at(end)
    verb = "learn"
    if len(names) == 1:
        verb = "learns"
    rate = found.rate(names[0])
    return (
        f"{named(names)} {verb} best at the {end} learning rate so far, {rate}: "
        f"{written(beyond, found.own)} is tried too"
    )


@dataclass
class _RateTrials:
    """Trains candidates at learning rates, each on the same seeds.

    Attributes:
        models: the candidates.
        fit: the arguments of `fit`, data included.
        metric: that ranks, without ``val_``.
        seeds: of the trainings.
        seed: of what is built to be looked at.
        progress: shows what happens.
        interrupted: whether the user ended one; then there are fewer seeds.
    """

    models: RatedModels
    fit: Mapping[str, Any]
    metric: str
    seeds: Sequence[int]
    seed: int
    progress: Progress
    interrupted: bool = False

    def scores(self, factors: Sequence[float]) -> np.ndarray | None:
        """Return the validation scores of all candidates at some rates, (K, R, S).

        Nan where a training diverged. None if no seed was trained.
        """
        pairs = itertools.product(self.models.choices, factors)
        rated = [Rated(choice, factor) for choice, factor in pairs]
        parts = self._parts(rated)
        self.progress.begin(len(parts) * len(self.seeds), "seed", "learning rates")
        columns = []
        for part in parts:
            rows = self._part(part)
            if not rows:
                return None
            columns.append(np.stack(rows, axis=1))
        # an interrupt leaves later parts with fewer seeds
        seeds = min(part.shape[1] for part in columns)
        scores = np.concatenate([part[:, :seeds] for part in columns])
        return scores.reshape(len(self.models.choices), len(factors), seeds)

    def _part(self, rated: Sequence[Rated], last: bool = True) -> list[np.ndarray]:
        """The scores of some candidates, (N,) of each seed that was trained.

        In halves where memory runs out; only with the last of them a seed is done.
        """
        try:
            return self._together(rated, last)
        except TooManyTogether:
            self.progress.say(
                f"Memory ran out with {len(rated)} trainings at once: half of them are tried"
            )
        half = len(rated) // 2
        firsts = self._part(rated[:half], last=False)
        seconds: list[np.ndarray] = []
        if firsts:
            seconds = self._part(rated[half:], last)
        # an interrupt leaves fewer seeds
        return [np.concatenate(rows) for rows in zip(firsts, seconds, strict=False)]

    def _together(self, rated: Sequence[Rated], last: bool) -> list[np.ndarray]:
        """The scores of some candidates that train as one population, if the model can be one."""
        callbacks = keras.tree.flatten(self.fit.get("callbacks") or [])
        rows: list[np.ndarray] = []
        try:
            with isolated_seed(self.seed):
                trainer = self.models.trainer(rated, callbacks, in_parts=len(rated) > 1)
            for trained in trainer.train(self.seeds, self.fit, at_once=len(self.seeds)):
                rows.append(self._row(trained))
                if last:
                    self.progress.advance()
        except KeyboardInterrupt:
            self.interrupted = True
            self.progress.say("Interrupted: the learning rates are chosen by the seeds so far")
        return rows

    def _row(self, trained: Trained) -> np.ndarray:
        logged = f"val_{self.metric}"
        if logged not in trained.history:
            raise SearchError(
                f"The objective must be one of {sorted(trained.history)}. Received: {logged!r}"
            )
        last = trained.history[logged][-1]
        return np.where(trained.diverged | ~np.isfinite(last), np.nan, last)

    def _parts(self, rated: Sequence[Rated]) -> list[Sequence[Rated]]:
        """The candidates in as few parts as fit into memory, each as one population."""
        most = len(rated)
        if self.models.model is not None:
            most = max(1, min(most, most_together(self.models.model, self.fit)))
        return [rated[start : start + most] for start in range(0, len(rated), most)]


def who_fails(models: RatedModels, fit: Mapping[str, Any], seed: int) -> dict[str, str]:
    """Return why candidates cannot be trained, by their names; empty if each can.

    Args:
        models: the candidates.
        fit: the arguments of `fit`, data included.
        seed: of their weights.
    """
    # without callbacks: what one of these raises is no candidate's fault
    options = {**fit, "callbacks": None, "epochs": 1, "steps_per_epoch": 1, "verbose": 0}
    options.pop("initial_epoch", None)
    if fit.get("validation_data") is not None:
        options["validation_steps"] = 1
    failed: dict[str, str] = {}
    for name, choice in zip(models.names, models.choices, strict=True):
        with isolated_seed(seed), steps_forgotten():
            reason = _why_not(models.builder(Rated(choice)), options)
        if reason:
            failed[name] = reason
    return failed


def _why_not(build: Callable[[], keras.Model], options: Mapping[str, Any]) -> str:
    try:
        build().fit(**options)
    except Exception as error:
        if is_disk_full(error):
            raise  # no candidate is at fault
        if is_out_of_memory(error):
            return "it does not fit into memory"
        return first_line(error)
    return ""
