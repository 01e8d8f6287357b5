"""Populations that train on: members that stay carry their weights on, new ones catch up on the same batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_acts.errors import SearchError

from . import carry
from .best import BestWeights
from .direction import more_is_better
from .members import Member, arrange
from .population import PopulationModel
from .seeding import Stream, derive, isolated_seed
from .trainers import steps

_SLOTS = 128  # of one population: beyond, an epoch takes as long as it has slots


@dataclass
class Run:
    """What is known of one member.

    Attributes:
        epochs: how far it is.
        best: the objective at its best epoch.
        diverged: whether its loss or objective was not finite.
        seconds: its share of the time of its populations.
    """

    epochs: int = 0
    best: float = np.nan
    diverged: bool = False
    seconds: float = 0.0


@dataclass
class _Cohort:
    population: PopulationModel
    epochs: int = 0


class Cohorts:
    """Trains members of one model, all of them at once.

    What a run scores depends on its candidate, its seed and the stretches only, not on when it began or beside whom.
    But layers of noise, such as Dropout, draw for all members of a population at once, so there it does.

    Args:
        model: compiled.
        objective: what is recorded.
        fit: the arguments of `fit`, data included, without epochs.
        ends: the epochs where stretches of training end, rising. Each stretch has its own batch order.
        seed: of the batch orders.
        watch: called after each epoch of a population with the number of its slots.
        slots: the names of the activation slots that the candidates go to; by default all hidden ones.
    """

    def __init__(
        self,
        model: keras.Model,
        objective: keras_tuner.Objective,
        fit: Mapping[str, Any],
        ends: Sequence[int],
        seed: int,
        watch: Callable[[int], None],
        *,
        slots: Iterable[str] | None = None,
    ):
        self.runs: dict[Member, Run] = {}
        self.objective, self.watch = objective, watch
        self._model, self._fit, self._ends, self._seed = model, dict(fit), list(ends), seed
        self._slots = None if slots is None else tuple(slots)
        self._cohorts: list[_Cohort] = []

    def train(self, members: Sequence[Member], epochs: int) -> None:
        """Train these members, and no others, until they have so many epochs, the end of a stretch."""
        kept = self._selected(set(members))
        inside = {member for cohort in kept for member in cohort.population.members}
        new = [member for member in members if member not in inside]
        self.runs |= {member: Run() for member in new if member not in self.runs}
        self._cohorts = kept + [self._begun(new[i : i + _SLOTS]) for i in range(0, len(new), _SLOTS)]
        for index, end in enumerate(self._ends[: self._ends.index(epochs) + 1]):
            for cohort in self._cohorts:
                if cohort.epochs < end:
                    self._stretch(cohort, index, end)

    def _selected(self, members: set[Member]) -> list[_Cohort]:
        """The cohorts without others than these. Where one changes, those that are as far join it in one program."""
        parts: dict[int, list[tuple[PopulationModel, list[int]]]] = {}
        for cohort in self._cohorts:
            slots = [slot for slot, member in enumerate(cohort.population.members) if member in members]
            if slots:
                parts.setdefault(cohort.epochs, []).append((cohort.population, slots))
        kept = []
        for epochs, found in parts.items():
            whole = all(len(slots) == len(population.members) for population, slots in found)
            together = not whole and sum(len(slots) for _, slots in found) <= _SLOTS
            for part in [found] if together else [[one] for one in found]:
                (population, slots), *others = part
                same = not others and len(slots) == len(population.members)
                kept.append(_Cohort(population if same else PopulationModel.join(part), epochs))
        return kept

    def model(self, member: Member) -> keras.Model | None:
        """Return a member that was trained last as an ordinary model; None if it was not."""
        for cohort in self._cohorts:
            if member in cohort.population.members:
                return cohort.population.model(cohort.population.members.index(member))
        return None

    def _begun(self, members: list[Member]) -> _Cohort:
        order, _ = arrange(tuple(members))
        inside = [members[index] for index in order]  # then its outputs need no sorting
        population = PopulationModel(self._model, inside, slots=self._slots)
        population.compile(**{**carry.compile_arguments(self._model), **steps(self._model, self._fit)})
        return _Cohort(population)

    def _stretch(self, cohort: _Cohort, index: int, end: int) -> None:
        callbacks = [*keras.tree.flatten(self._fit.get("callbacks") or []), _Record(self, cohort)]
        if end == self._ends[-1]:
            callbacks.append(BestWeights(self.objective.name, self.objective.direction))
        options = {**self._fit, "callbacks": callbacks, "initial_epoch": cohort.epochs, "epochs": end}
        with isolated_seed(derive(self._seed, Stream.BATCHES, index)):
            cohort.population.fit(**options, verbose=0)


class _Record(keras.callbacks.Callback):
    """Notes what each slot of a population does in each epoch."""

    def __init__(self, cohorts: Cohorts, cohort: _Cohort):
        super().__init__()
        self._cohorts, self._cohort = cohorts, cohort

    def on_train_begin(self, logs: Any = None) -> None:
        self._clock = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        objective, members = self._cohorts.objective, self._cohort.population.members
        name = objective.name
        key = f"val_slots/{name[4:]}" if name.startswith("val_") else f"slots/{name}"
        if logs is None or key not in logs:
            known = sorted(n for n in logs or {} if "slots/" not in n)
            raise SearchError(f"The objective must be one of {known}. Received: {name!r}")
        values = np.asarray(keras.ops.convert_to_numpy(logs[key]), float)
        if values.shape != (len(members),):
            raise SearchError(f"The objective must be one number a model. Received: {name!r}, {values.shape[1:]} each")
        frozen, now = set(self._cohort.population.diverged), time.perf_counter()
        for slot, member in enumerate(members):
            run = self._cohorts.runs[member]
            run.diverged |= slot in frozen or not np.isfinite(values[slot])
            before, score = (more_is_better(value, objective.direction) for value in (run.best, float(values[slot])))
            run.best = more_is_better(float(np.fmax(before, score)), objective.direction)
            run.epochs = max(run.epochs, epoch + 1)
            run.seconds += (now - self._clock) / len(members)
        self._clock, self._cohort.epochs = now, epoch + 1
        self._cohorts.watch(len(members))
