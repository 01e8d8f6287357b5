"""Trains candidates at several learning rates, on seeds that no verdict sees."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_acts.errors import SearchError

from ..population.trainers import OneByOneTrainer, Trainer, most_together, trainer_for
from ..runtime.seeding import Stream, derive, isolated_seed
from ..space.assignment import Choice
from ..space.learning_rates import wider
from ..space.rated import Rated
from ..strategy.learning_rates import RatePlan
from ..strategy.progress import Progress
from .rates import RateStudy, extended, study

# on so many seeds each rate is tried
RATE_SEEDS = 4
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
    """

    model: keras.Model | None
    choices: tuple[Choice, ...]
    builder: Builder
    slots: tuple[str, ...] | None = None
    rescale_init: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called."""
        return tuple(str(choice) for choice in self.choices)

    def builds(self, rated: Iterable[Rated]) -> list[Callable[[], keras.Model]]:
        """Return what builds each."""
        return [self.builder(one) for one in rated]

    def trainer(self, rated: Sequence[Rated], callbacks: Sequence[Any]) -> Trainer:
        """Return what trains candidates at their rates."""
        builds = self.builds(rated)
        if self.model is None:  # a function may build each of another shape
            return OneByOneTrainer(builds, [one.factor for one in rated])
        return trainer_for(
            self.model, rated, builds, self.slots, callbacks, rescale_init=self.rescale_init
        )


def choose_rates(
    models: RatedModels,
    plan: RatePlan,
    fit: Mapping[str, Any],
    objective: keras_tuner.Objective,
    *,
    seed: int,
    progress: Progress,
) -> RateStudy:
    """Return the learning rate for each candidate, by its scores on the validation data.

    Args:
        models: the candidates.
        plan: which rates are tried.
        fit: the arguments of `fit`, data included.
        objective: what ranks.
        seed: that the seeds are derived from.
        progress: shows what happens.

    Raises:
        SearchError: if the objective is no metric of the models.
    """
    metric = objective.name.removeprefix("val_")
    maximize = objective.direction == "max"
    seeds = [derive(seed, Stream.RATES, index) for index in range(RATE_SEEDS)]

    def scores_at(tried: Sequence[float]) -> np.ndarray:
        progress.begin(RATE_SEEDS, "seed")
        pairs = itertools.product(models.choices, tried)
        rated = [Rated(choice, factor) for choice, factor in pairs]
        scores = _scores(models, rated, fit, metric, seeds, seed, progress)
        return scores.reshape(len(models.choices), len(tried), RATE_SEEDS)

    scores = scores_at(plan.factors)
    found = study(
        models.names, plan.factors, scores, metric=metric, maximize=maximize, own=plan.own
    )
    for _ in range(_MOST_WIDENINGS):
        beyond = _beyond(found)
        if beyond is None or not plan.widens:
            break
        progress.say(f"The best learning rate is the {found.best_at_end} one: further")
        found = extended(found, beyond, scores_at([beyond])[:, 0])
    return found


def _beyond(found: RateStudy) -> float | None:
    """A factor beyond the range, where a chosen one is at an end; None if all are inside."""
    for index in sorted(set(found.chosen), reverse=True):
        beyond = wider(found.factors, found.factors[index])
        if beyond is not None:
            return beyond
    return None


def _scores(
    models: RatedModels,
    rated: Sequence[Rated],
    fit: Mapping[str, Any],
    metric: str,
    seeds: Sequence[int],
    seed: int,
    progress: Progress,
) -> np.ndarray:
    """The validation score of each on each seed, (N, S); nan where it diverged."""
    columns = []
    parts = list(_parts(models, rated, fit))
    for index, part in enumerate(parts):
        callbacks = keras.tree.flatten(fit.get("callbacks") or [])
        with isolated_seed(seed):
            trainer = models.trainer(part, callbacks)
        rows = []
        for trained in trainer.train(seeds, fit, at_once=len(seeds)):
            if f"val_{metric}" not in trained.history:
                raise SearchError(
                    f"The objective must be one of {sorted(trained.history)}. "
                    f"Received: 'val_{metric}'"
                )
            last = trained.history[f"val_{metric}"][-1]
            rows.append(np.where(trained.diverged | ~np.isfinite(last), np.nan, last))
            if index == len(parts) - 1:
                progress.advance()
        columns.append(np.stack(rows, axis=1))
    return np.concatenate(columns)


def _parts(
    models: RatedModels, rated: Sequence[Rated], fit: Mapping[str, Any]
) -> Iterator[Sequence[Rated]]:
    """The candidates in as few parts as fit into memory, each as one population."""
    most = len(rated)
    if models.model is not None:
        most = max(1, min(most, most_together(models.model, fit)))
    for start in range(0, len(rated), most):
        yield rated[start : start + most]
