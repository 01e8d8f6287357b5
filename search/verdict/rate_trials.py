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

from ..population.data import may_be_in_other_orders
from ..population.trainers import (
    OneByOneTrainer,
    PopulationTrainer,
    TooManyTogether,
    Trained,
    Trainer,
    most_together,
    trainer_for,
    unwanted_members_pay,
)
from ..runtime.interrupts import Interrupts
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
        """Return what trains candidates at their rates; none of their seeds is kept.

        Args:
            rated: the candidates.
            callbacks: of the user's.
            in_parts: whether fewer are trained at once where memory runs out, instead of one by
                one: then it raises `TooManyTogether`.
        """
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


class Trainers:
    """What trains candidates at their rates: the last one again, where only the rates are others.

    They are numbers in a program, so that it is traced once for all of them.

    Args:
        models: the candidates.
        callbacks: of their `fit`.
    """

    def __init__(self, models: RatedModels, callbacks: Sequence[Any]):
        self._models = models
        self._callbacks = list(callbacks)
        self._last: PopulationTrainer | None = None
        self._choices: tuple[Choice, ...] = ()

    @property
    def together(self) -> bool:
        """Whether those that were asked for last train as populations."""
        return self._last is not None and not self._last.reason

    def of(self, rated: Sequence[Rated], *, in_parts: bool = False) -> Trainer:
        """Return what trains candidates at these rates, and keeps their seeds if any are kept.

        What it returned before is at these rates too from now on. The arguments are those of
        `RatedModels.trainer`.
        """
        trainer = self._trainer(rated, in_parts)
        keeping = self._models.keeping
        if keeping is None:
            return trainer
        return KeepingTrainer(trainer, list(map(str, rated)), keeping)

    def _trainer(self, rated: Sequence[Rated], in_parts: bool) -> Trainer:
        choices = tuple(each.choice for each in rated)
        if self._last is not None and self.together and choices == self._choices:
            self._last.become(rated, self._models.builds(rated), in_parts=in_parts)
            return self._last
        self._last = None  # its memory is wanted
        trainer = self._models.trainer(rated, self._callbacks, in_parts=in_parts)
        if isinstance(trainer, PopulationTrainer):
            self._last = trainer
            self._choices = choices
        return trainer


def choose_rates(
    models: RatedModels,
    trainers: Trainers,
    plan: RatePlan,
    fit: Mapping[str, Any],
    objective: keras_tuner.Objective,
    *,
    baseline: str,
    seed: int,
    most_seeds: int,
    progress: Progress,
) -> RateStudy | None:
    """Return the learning rate for each candidate, by its scores on the validation data.

    None if the user ended it before a seed was trained. What was found before an interrupt or a
    failure of a further rate is kept.

    Args:
        models: the candidates.
        trainers: what trains them.
        plan: which rates are tried.
        fit: the arguments of `fit`, data included.
        objective: what ranks.
        baseline: the name of the candidate that the verdict trains at two rates.
        seed: that the seeds are derived from.
        most_seeds: of the verdict that follows: with few there, there are few here.
        progress: shows what happens.

    Raises:
        SearchError: if the objective is no metric of the models.
    """
    count = max(_LEAST_SEEDS, min(RATE_SEEDS, most_seeds // 2))
    trials = _RateTrials(
        models=models,
        trainers=trainers,
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
            further = trials.scores([beyond], trials.beside(baseline, beyond))
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
        trainers: what trains them.
        fit: the arguments of `fit`, data included.
        metric: that ranks, without ``val_``.
        seeds: of the trainings.
        seed: of what is built to be looked at.
        progress: shows what happens.
        interrupted: whether the user ended one; then there are fewer seeds.
    """

    models: RatedModels
    trainers: Trainers
    fit: Mapping[str, Any]
    metric: str
    seeds: Sequence[int]
    seed: int
    progress: Progress
    interrupted: bool = False

    def beside(self, baseline: str, factor: float) -> list[Rated]:
        """Return who trains beside all candidates at one rate, so that they are those of the verdict.

        The verdict trains the baseline twice, and what trains both is traced once. Nobody, where
        that costs more than it saves, or members have callbacks of the user's.
        """
        choices = self.models.choices
        together = len(choices) + 1
        model = self.models.model
        if model is None or not self.trainers.together:
            return []
        if together > most_together(model, self.fit):
            return []
        if not unwanted_members_pay(1 / together, self.fit):
            return []
        return [Rated(choices[self.models.names.index(baseline)], factor)]

    def scores(self, factors: Sequence[float], beside: Sequence[Rated] = ()) -> np.ndarray | None:
        """Return the validation scores of all candidates at some rates, (K, R, S).

        Nan where a training diverged. None if no seed was trained.

        Args:
            factors: the rates.
            beside: who trains beside them, if all of them fit into memory, and has no score.
        """
        pairs = itertools.product(self.models.choices, factors)
        rated = [Rated(choice, factor) for choice, factor in pairs]
        parts = self._parts(rated)
        self.progress.begin(len(parts) * len(self.seeds), "seed", "learning rates")
        columns = []
        for part in parts:
            rows = self._part(part, beside)
            if not rows:
                return None
            columns.append(np.stack(rows, axis=1))
        # an interrupt leaves later parts with fewer seeds
        seeds = min(part.shape[1] for part in columns)
        scores = np.concatenate([part[:, :seeds] for part in columns])
        return scores.reshape(len(self.models.choices), len(factors), seeds)

    def _part(
        self, rated: Sequence[Rated], beside: Sequence[Rated] = (), last: bool = True
    ) -> list[np.ndarray]:
        """The scores of some candidates, (N,) of each seed that was trained.

        In halves where memory runs out, and nobody beside them; only with the last of them a seed
        is done.
        """
        try:
            return self._together(rated, beside, last)
        except TooManyTogether:
            self.progress.say(
                f"Memory ran out with {len(rated)} trainings at once: half of them are tried"
            )
        half = len(rated) // 2
        firsts = self._part(rated[:half], last=False)
        seconds: list[np.ndarray] = []
        if firsts:
            seconds = self._part(rated[half:], last=last)
        # an interrupt leaves fewer seeds
        return [np.concatenate(rows) for rows in zip(firsts, seconds, strict=False)]

    def _together(
        self, rated: Sequence[Rated], beside: Sequence[Rated], last: bool
    ) -> list[np.ndarray]:
        """The scores of some candidates that train as one population, if the model can be one."""
        rows: list[np.ndarray] = []
        try:
            with isolated_seed(self.seed):
                trainer = self.trainers.of([*rated, *beside], in_parts=len(rated) > 1)
            options = self._options()
            for trained in trainer.train(self.seeds, options, at_once=len(self.seeds)):
                rows.append(self._row(trained)[: len(rated)])
                if last:
                    self.progress.advance()
        except KeyboardInterrupt:
            self.interrupted = True
            self.progress.say("Interrupted: the learning rates are chosen by the seeds so far")
        return rows

    def _options(self) -> Mapping[str, Any]:
        """The arguments of `fit`, which validates after the last epoch only where nobody asks before.

        What is kept in the middle of a training has all epochs, data that come in another order each
        time are read as often as ever, and nobody knows what a user's own `fit` takes.
        """
        if not self.trainers.together or self.models.keeping is not None:
            return self.fit
        asked = keras.tree.flatten(self.fit.get("callbacks") or [])
        if asked or may_be_in_other_orders(self.fit.get("validation_data")):
            return self.fit
        return {**self.fit, "validation_freq": self.fit.get("epochs", 1)}

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
    if fit.get("validation_data") is not None:
        options["validation_steps"] = 1
    failed: dict[str, str] = {}
    interrupts = Interrupts()
    with interrupts.noted():
        for name, choice in zip(models.names, models.choices, strict=True):
            with isolated_seed(seed), steps_forgotten():
                reason = _why_not(models.builder(Rated(choice)), options, interrupts)
            if reason:
                failed[name] = reason
    return failed


def _why_not(
    build: Callable[[], keras.Model], options: Mapping[str, Any], interrupts: Interrupts
) -> str:
    try:
        with interrupts.not_an_error():
            build().fit(**options)
    except Exception as error:
        if is_disk_full(error):
            raise  # no candidate is at fault
        if is_out_of_memory(error):
            return "it does not fit into memory"
        return first_line(error)
    return ""
