"""Populations that train on.

Members that stay carry their weights on, new ones catch up on the same batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_acts.errors import KerasActsError, SearchError

from ..population import memory as planner
from ..population.best_weights import BestWeights
from ..population.frozen_prefix import frozen_prefix
from ..population.members import Member
from ..population.model import PopulationModel
from ..population.trainers import steps_per_execution
from ..rewrite.compiling import compile_arguments, steps_in_a_call_of
from ..rewrite.slots import slots as slots_of
from ..rewrite.walk import layers_of, variables_of
from ..runtime.memory import is_out_of_memory
from ..runtime.reasons import first_line
from ..runtime.seeding import Stream, derive, isolated_seed
from ..space.assignment import Choice
from ..strategy.direction import more_is_better
from ..vectorize.segments import arrange

_SLOTS = 128  # of one population: beyond, an epoch takes as long as it has slots

# the weights of one slot, by the path of the layer and the variable's key in it
Weights = dict[tuple[str, str], np.ndarray]


@dataclass
class MemberRecord:
    """What is known of one member.

    Attributes:
        epochs: how far it is.
        best: the objective at its best epoch.
        diverged: whether its loss or objective was not finite.
        seconds: its share of the time of its populations.
        error: why its candidate could not be trained; empty if it could.
    """

    epochs: int = 0
    best: float = np.nan
    diverged: bool = False
    seconds: float = 0.0
    error: str = ""


@dataclass
class _Cohort:
    population: PopulationModel
    epochs: int = 0


@dataclass(frozen=True)
class _Best:
    """The best epoch of a member that still trains: more is better."""

    value: float
    weights: Weights


class Cohorts:
    """Trains members of one model, in as few populations as the memory allows.

    What a run scores depends on its candidate, its seed and the stretches only, not on when it
    began or beside whom. But layers of noise, such as Dropout, draw for all members of a population
    at once, so there it does. So where memory runs out, those who were in the population begin
    again in two halves; and where one candidate cannot be trained, whatever the reason, halves find
    out which.

    Args:
        model: compiled.
        objective: what is recorded.
        fit: the arguments of `fit`, data included, without epochs.
        ends: the epochs where stretches of training end, rising. Each stretch has its own batch
            order.
        seed: of the batch orders.
        watch: called after each epoch of a population with the number of its slots.
        slots: the names of the activation slots that the candidates go to; by default all hidden
            ones.
        say: called with what the user should know.
        memory: the bytes that a population may use; None for half of what is free.
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
        say: Callable[[str], None] = lambda text: None,
        memory: int | None = None,
    ):
        self.runs: dict[Member, MemberRecord] = {}
        self.objective, self.watch, self.say = objective, watch, say
        self._model, self._fit, self._ends, self._seed = model, dict(fit), list(ends), seed
        self._slots = None if slots is None else tuple(slots)
        self._memory = memory
        self._most = _SLOTS  # slots of a population: fewer, once memory has run out
        self._cohorts: list[_Cohort] = []
        self._best: dict[Member, _Best] = {}
        hidden = self._slots or [slot.name for slot in slots_of(model).hidden]
        batch_size = max(fit.get("batch_size") or 32, fit.get("validation_batch_size") or 0)
        self._bytes = planner.bytes_per_member(model, batch_size, frozen_prefix(model, hidden))
        self._said_alone = False

    def train(self, members: Sequence[Member], epochs: int) -> None:
        """Train these members, and no others, until they have so many epochs, the end of a stretch.

        A candidate that raises, or does not fit into memory by itself, is set aside: its runs say
        why.

        Raises:
            Exception: what the training raised, if it is not one candidate's: two raise the same,
                and none trains.
        """
        for member in members:
            self.runs.setdefault(member, MemberRecord())
        wanted = [member for member in members if not self.runs[member].error]
        self._best = {member: best for member, best in self._best.items() if member in set(wanted)}
        self._cohorts = self._selected(set(wanted))
        for cohort in list(self._cohorts):
            try:
                self._until(cohort, epochs)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                # in smaller populations they begin again
                self._most = max(1, len(cohort.population.members) // 2)
                self._give_up(cohort)
        inside = {member for cohort in self._cohorts for member in cohort.population.members}
        self._start([member for member in wanted if member not in inside], epochs)

    def _start(self, members: list[Member], epochs: int) -> None:
        """Train members from their beginning, in as few populations as it takes."""
        waiting, trained = self._waves(members), bool(self._cohorts)
        failures: dict[Choice, str] = {}
        while waiting:
            wave = [member for member in waiting.pop(0) if not self.runs[member].error]
            if not wave:
                continue
            try:
                self._begin(wave, epochs)
                trained = True
            except KerasActsError:
                raise  # the settings are at fault, whoever trains
            except Exception as error:
                if is_out_of_memory(error):
                    self._most = max(1, len(wave) // 2)
                if len(wave) > 1:
                    half = len(wave) // 2
                    waiting[:0] = [wave[:half], wave[half:]]
                    continue
                reason = _reason(error)
                if not trained and reason in failures.values():
                    raise  # two fail in the same way, and none trains: no candidate is at fault
                failures[wave[0].candidate] = reason
                self._set_aside(wave[0].candidate, reason)

    def _begin(self, wave: list[Member], epochs: int) -> None:
        cohort = None
        try:
            cohort = self._begun(wave)
            self._cohorts.append(cohort)
            self._until(cohort, epochs)
        except Exception:
            if cohort is not None:
                self._give_up(cohort)
            raise

    def _until(self, cohort: _Cohort, epochs: int) -> None:
        for index, end in enumerate(self._ends[: self._ends.index(epochs) + 1]):
            if cohort.epochs < end:
                self._stretch(cohort, index, end)

    def _give_up(self, cohort: _Cohort) -> None:
        """Forget a population that could not go on; who was in it can begin again."""
        self._cohorts.remove(cohort)
        for member in cohort.population.members:
            self._best.pop(member, None)
            self.runs[member] = MemberRecord(seconds=self.runs[member].seconds)

    def _set_aside(self, candidate: Choice, reason: str) -> None:
        """Note that a candidate cannot be trained, on any seed."""
        for member, run in self.runs.items():
            if member.candidate == candidate:
                run.error = reason
        self.say(f"{candidate} is set aside: {reason}")

    def _waves(self, members: list[Member]) -> list[list[Member]]:
        """The members in as few populations of about the same size as the memory allows."""
        if not members:
            return []
        most = min(self._most, planner.most_members(self._bytes, self._memory))
        if most == 1 and len(members) > 1 and not self._said_alone:
            self._said_alone = True
            self.say(f"Training one by one: {planner.too_little(self._bytes, self._memory)}")
        return planner.waves(members, self._bytes, most * self._bytes)

    def _selected(self, members: set[Member]) -> list[_Cohort]:
        """The cohorts without others than these.

        Where one changes, those that are as far join it in one program.
        """
        parts: dict[int, list[tuple[PopulationModel, list[int]]]] = {}
        for cohort in self._cohorts:
            slots = [
                slot for slot, member in enumerate(cohort.population.members) if member in members
            ]
            if slots:
                parts.setdefault(cohort.epochs, []).append((cohort.population, slots))
        kept = []
        most = min(self._most, planner.most_members(self._bytes, self._memory))
        for epochs, found in parts.items():
            whole = all(len(slots) == len(population.members) for population, slots in found)
            together = not whole and sum(len(slots) for _, slots in found) <= most
            for part in [found] if together else [[one] for one in found]:
                (population, slots), *others = part
                same = not others and len(slots) == len(population.members)
                kept.append(_Cohort(population if same else PopulationModel.join(part), epochs))
        return kept

    def model(self, member: Member) -> keras.Model | None:
        """Return a member that was trained last as an ordinary model, with its best weights.

        None if it was not.
        """
        for cohort in self._cohorts:
            if member in cohort.population.members:
                made = cohort.population.model(cohort.population.members.index(member))
                # the search's own number would make its next `fit` or `evaluate` with a number of
                # steps take more
                made = steps_in_a_call_of(self._model, made)
                if member in self._best:
                    _assign(made, self._best[member].weights)
                return made
        return None

    def _begun(self, members: list[Member]) -> _Cohort:
        order, _ = arrange([member.candidate for member in members])
        inside = [members[index] for index in order]  # then its outputs need no sorting
        population = PopulationModel(self._model, inside, slots=self._slots)
        population.compile(
            **{**compile_arguments(self._model), **steps_per_execution(self._model, self._fit)}
        )
        return _Cohort(population)

    def _stretch(self, cohort: _Cohort, index: int, end: int) -> None:
        best = BestWeights(self.objective.name, self.objective.direction, restore=False)
        own = keras.tree.flatten(self._fit.get("callbacks") or [])
        # the weights of an epoch are remembered before anybody may end the training
        callbacks = [*own, _Record(self, cohort), best, _Watch(self, cohort)]
        options = {
            **self._fit,
            "callbacks": callbacks,
            "initial_epoch": cohort.epochs,
            "epochs": end,
        }
        try:
            with isolated_seed(derive(self._seed, Stream.BATCHES, index)):
                cohort.population.fit(**options, verbose=0)
        finally:
            self._remember(cohort.population, best)

    def _remember(self, population: PopulationModel, best: BestWeights) -> None:
        """Keep the best weights of those that were never better before this stretch."""
        # there are none, if the training did not begin
        for slot, value in enumerate(more_is_better(best.best, self.objective.direction)):
            member = population.members[slot]
            known = self._best.get(member)
            if np.isfinite(value) and (known is None or value > known.value):
                self._best[member] = _Best(float(value), best.weights(slot))


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
        key = f"val_members/{name[4:]}" if name.startswith("val_") else f"members/{name}"
        if logs is None or key not in logs:
            known = sorted(n for n in logs or {} if "members/" not in n)
            raise SearchError(f"The objective must be one of {known}. Received: {name!r}")
        values = np.asarray(keras.ops.convert_to_numpy(logs[key]), float)
        if values.shape != (len(members),):
            raise SearchError(
                f"The objective must be one number a model. Received: {name!r}, {values.shape[1:]} each"
            )
        frozen, now = set(self._cohort.population.diverged), time.perf_counter()
        for slot, member in enumerate(members):
            run = self._cohorts.runs[member]
            run.diverged |= slot in frozen or not np.isfinite(values[slot])
            before, score = (
                more_is_better(value, objective.direction)
                for value in (run.best, float(values[slot]))
            )
            run.best = more_is_better(float(np.fmax(before, score)), objective.direction)
            run.epochs = max(run.epochs, epoch + 1)
            run.seconds += (now - self._clock) / len(members)
        self._clock, self._cohort.epochs = now, epoch + 1


class _Watch(keras.callbacks.Callback):
    """Tells of each epoch; what it calls may end the training."""

    def __init__(self, cohorts: Cohorts, cohort: _Cohort):
        super().__init__()
        self._cohorts, self._cohort = cohorts, cohort

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._cohorts.watch(len(self._cohort.population.members))


def _assign(model: keras.Model, weights: Weights) -> None:
    variables = {
        (path, key): v for path, layer in layers_of(model) for key, v in variables_of(layer).items()
    }
    for place, value in weights.items():
        variables[place].assign(value)


def _reason(error: Exception) -> str:
    """What went wrong, in a line."""
    if is_out_of_memory(error):
        return "it does not fit into memory"
    return first_line(error)
