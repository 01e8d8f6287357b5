"""Populations that train on.

Members that stay carry their weights on, new ones catch up on the same batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import keras_tuner
import numpy as np

from keras_acts.errors import KerasActsError, ModelError, SearchError

from ..population import memory as planner
from ..population.batch_view import seeds_of
from ..population.best_weights import BestWeights
from ..population.data import BY_SEED, as_in_first_fit, may_be_in_other_orders
from ..population.frozen_prefix import frozen_prefix
from ..population.member_callbacks import MemberCallbacks, MemberTrainings, member_logs
from ..population.members import Member
from ..population.model import PopulationModel
from ..population.step_tensorflow import Decided
from ..population.trainers import several_orders_at_once, steps_per_execution
from ..population.transfer import restore, values_of
from ..report.numbers import counted
from ..rewrite.compiling import compile_arguments, steps_in_a_call_of
from ..rewrite.slots import slots as slots_of
from ..rewrite.walk import layers_of, variables_of
from ..runtime import choices
from ..runtime.interrupts import Interrupts
from ..runtime.kept_arrays import why_not_kept
from ..runtime.kept_files import is_disk_full
from ..runtime.memory import is_out_of_memory
from ..runtime.pace import Pace
from ..runtime.reasons import first_line
from ..runtime.seeding import Stream, derive, isolated_seed
from ..space.assignment import Choice
from ..strategy.appended_logs import AppendedLogs
from ..strategy.curves import add_epoch
from ..strategy.direction import more_is_better
from ..strategy.own_data import free_copies, own_data
from ..strategy.skipped_epochs import SkippedEpochs, WhenTraining
from ..vectorize.segments import arrange
from . import checkpoint
from .checkpoint import BestEpoch, Checkpoint, KeptPopulation, renamed
from .record import MemberRecord, Told, Weights, tell_nobody

# Keras' own, where `fit` is given none
_BATCH_SIZE = 32


@dataclass
class _Cohort:
    """A population, how many epochs it has, and what it compiled when it began with the last ones."""

    population: PopulationModel
    epochs: int = 0
    decided: Decided | None = None


class _Part(NamedTuple):
    """Who of a population goes on, by their indices in it."""

    population: PopulationModel
    staying: list[int]

    @property
    def is_whole(self) -> bool:
        return len(self.staying) == len(self.population.members)


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
        watch: called after each epoch of a population with the number of its members.
        slots: the names of the activation slots that the candidates go to; by default all hidden
            ones.
        say: called with what the user should know.
        memory: the bytes that a population may use; None for half of what is free.
        order_of_each_seed: whether each seed has a batch order of its own, the one that `fit` has
            under it, instead of one for all. Then there is one stretch. With one order for all,
            what it does for a candidate is in the scores of all seeds, and no number of seeds tells
            it from the candidate.
        rescale_init: as of `PopulationModel`.
        member_callbacks: of which each member gets copies; those of `fit` see a population as one
            model.
        appended: knows what members have appended to files, of all that train for a search.
        told: called after each epoch of a member with what it logged.
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
        order_of_each_seed: bool = False,
        rescale_init: bool = False,
        member_callbacks: Sequence[keras.callbacks.Callback] = (),
        appended: AppendedLogs | None = None,
        told: Told | None = None,
    ):
        # a second stretch would begin the seeds' orders again
        assert len(ends) == 1 or not order_of_each_seed
        self.runs: dict[Member, MemberRecord] = {}
        self.objective = objective
        self.watch = watch
        self.say = say
        self.told = told or tell_nobody
        self._model = model
        self._fit = dict(fit)
        self._ends = list(ends)
        self._seed = seed
        self._slots: tuple[str, ...] | None = None
        if slots is not None:
            self._slots = tuple(slots)
        self._memory = memory
        self._order_of_each_seed = order_of_each_seed
        self._rescale_init = rescale_init
        self._max_members = choices.most_members()  # fewer, once memory has run out
        self._cohorts: list[_Cohort] = []
        self._best: dict[Member, BestEpoch] = {}
        # its members' best epochs are kept in any case
        self._trainings = MemberTrainings(
            model, member_callbacks, ends[-1], restore=False, say=say, appended=appended
        )
        self._ended: dict[Member, keras.Model] = {}  # by callbacks, as they were then
        self._bytes = self._bytes_per_member()
        self._said_alone = False
        self._rung = 0
        self._pace = Pace()
        self._interrupts = Interrupts()
        self._file: Path | None = None
        self._goes_on = False

    def _bytes_per_member(self) -> int:
        chosen = self._slots or [slot.name for slot in slots_of(self._model).hidden]
        batch_size = max(
            self._fit.get("batch_size") or _BATCH_SIZE,
            self._fit.get("validation_batch_size") or 0,
        )
        shared = frozen_prefix(self._model, chosen)
        if self._order_of_each_seed:
            shared = frozenset()  # it runs once for each seed
        return planner.bytes_per_member(self._model, batch_size, shared)

    def keep_in(self, file: Path) -> None:
        """Keep the populations in a file now and then, and go on from what is in it.

        Nothing is kept where that is not possible: what it takes to go on in the middle of a
        stretch is TensorFlow's, and nobody knows what the callbacks of members have in mind.
        """
        if keras.backend.backend() == "tensorflow" and not self._trainings:
            self._file = file
            self._goes_on = True

    def begin_rung(self, rung: int, members: Sequence[Member]) -> None:
        """Hear which rung is trained next, and by whom; the first one may go on in its middle.

        From the populations that an earlier process kept, if they are those of this race.

        Args:
            rung: its number.
            members: who trains in it.
        """
        self._rung = rung
        if self._goes_on and self._file is not None and self._file.is_file():
            self._go_on(self._file, rung, members)
        self._goes_on = False

    def _go_on(self, file: Path, rung: int, members: Sequence[Member]) -> None:
        known = dict.fromkeys([*self.runs, *members])
        kept = checkpoint.read(file, list(known))
        # what comes after the rung would tell too much of it
        if kept is None or kept.rung > rung or list(kept.ends) != self._ends:
            self.say(
                f"{file} is not of this race, or damaged: whoever is still in the race trains again"
            )
            return
        try:
            cohorts = [self._kept_cohort(population) for population in kept.populations]
            names = {str(number): path for number, path in enumerate(_layers_of(cohorts))}
            best = renamed(kept.best, names)
        except (KeyError, ModelError) as error:
            self.say(f"{file} is not of this race: {error}")
            return
        self._cohorts = cohorts
        self._best = best
        self._max_members = kept.most_members
        for member, record in kept.records.items():
            if member not in self.runs or record.epochs > self.runs[member].epochs:
                self.runs[member] = record
        furthest = max((cohort.epochs for cohort in cohorts), default=0)
        self.say(f"Going on from {file}, after {counted(furthest, 'epoch')}")

    def _kept_cohort(self, kept: KeptPopulation) -> _Cohort:
        cohort = self._cohort_of(kept.members)
        restore(cohort.population, kept.values)
        cohort.epochs = kept.epochs
        cohort.decided = kept.decided
        step = cohort.population.training_step
        if step is not None and kept.decided is not None:
            step.decided = kept.decided
        return cohort

    @property
    def is_time_to_keep(self) -> bool:
        """Whether the populations should be kept now."""
        return self._file is not None and self._pace.is_time()

    def keep(self) -> None:
        """Keep the populations as they are.

        A full disk, or too little memory, costs no more than that.
        """
        if self._file is None:
            return
        self._pace.begin()
        try:
            checkpoint.write(self._file, self._checkpoint())
        except Exception as error:
            reason = why_not_kept(error)
            if not reason:
                raise
            self.say(f"The race cannot be kept: {reason}")
            self._file = None
        self._pace.end()

    def _checkpoint(self) -> Checkpoint:
        populations = []
        for cohort in self._cohorts:
            population = cohort.population
            decided = cohort.decided
            if cohort.epochs in self._ends and population.training_step is not None:
                decided = population.training_step.decided
            values = values_of(population)
            populations.append(KeptPopulation(population.members, cohort.epochs, decided, values))
        numbers = {path: str(number) for number, path in enumerate(_layers_of(self._cohorts))}
        best = renamed(self._best, numbers)
        return Checkpoint(self._rung, self._ends, self._max_members, self.runs, best, populations)

    def train(self, members: Sequence[Member], epochs: int) -> None:
        """Train these members, and no others, until they have so many epochs, the end of a stretch.

        A candidate that raises, or does not fit into memory by itself, is set aside: its runs say
        why.

        Raises:
            Exception: what the training raised, if it is not one candidate's: two raise the same,
                and none trains.
        """
        with self._interrupts.noted():
            self._train(members, epochs)

    def _train(self, members: Sequence[Member], epochs: int) -> None:
        for member in members:
            self.runs.setdefault(member, MemberRecord())
        wanted = [member for member in members if not self.runs[member].error]
        self._forget_all_but(set(wanted))
        for cohort in list(self._cohorts):
            try:
                self._until(cohort, epochs)
            except KerasActsError:
                raise  # the settings are at fault, whoever trains
            except Exception as error:
                self._interrupts.raise_if_lost()
                if is_disk_full(error):
                    raise  # the next would fail as this one
                # they begin again: in smaller populations, where memory ran out; else it comes
                # again, and halves find out whose fault it is
                count = len(cohort.population.members)
                self.say(f"{count} models begin again: {_reason(error)}")
                if is_out_of_memory(error):
                    self._max_members = max(1, count // 2)
                self._give_up(cohort)
        training: set[Member] = set()
        for cohort in self._cohorts:
            training.update(cohort.population.members)
        training.update(self._ended)
        self._start([member for member in wanted if member not in training], epochs)
        for member in wanted:
            # whom its callbacks ended is where it stays: as far as those that train on
            if member in self._ended and not self.runs[member].diverged:
                self.runs[member].epochs = epochs

    def _forget_all_but(self, wanted: set[Member]) -> None:
        for member in set(self.runs) - wanted:
            self._trainings.leave(member)
        self._best = {member: best for member, best in self._best.items() if member in wanted}
        self._ended = {member: model for member, model in self._ended.items() if member in wanted}
        self._cohorts = self._selected(wanted - set(self._ended))

    def _start(self, members: list[Member], epochs: int) -> None:
        """Train members from their beginning, in as few populations as it takes."""
        waiting = self._waves(members)
        anyone_trains = bool(self._cohorts)
        reasons: set[str] = set()  # why candidates failed
        while waiting:
            # a candidate that was set aside meanwhile may have other seeds in this wave
            wave = [member for member in waiting.pop(0) if not self.runs[member].error]
            if not wave:
                continue
            try:
                self._begin(wave, epochs)
                anyone_trains = True
            except KerasActsError:
                raise  # the settings are at fault, whoever trains
            except Exception as error:
                self._interrupts.raise_if_lost()
                if is_disk_full(error):
                    raise  # the next would fail as this one
                half = len(wave) // 2
                if is_out_of_memory(error):
                    self._max_members = max(1, half)
                if half:
                    # the halves find out which candidate it is
                    waiting[:0] = [wave[:half], wave[half:]]
                    continue
                reason = _reason(error)
                if reason in reasons and not anyone_trains:
                    raise  # two fail in the same way, and none trains: no candidate is at fault
                reasons.add(reason)
                self._set_aside(wave[0].candidate, reason)

    def _begin(self, wave: list[Member], epochs: int) -> None:
        """Train members from their beginning, or leave no trace of them."""
        cohort = self._new_cohort(wave)
        self._cohorts.append(cohort)
        try:
            self._until(cohort, epochs)
        except Exception:
            self._give_up(cohort)
            raise

    def _until(self, cohort: _Cohort, epochs: int) -> None:
        last = self._ends.index(epochs)
        for index, end in enumerate(self._ends[: last + 1]):
            anyone_trains = any(not self.has_ended(m) for m in cohort.population.members)
            if cohort.epochs < end and anyone_trains:
                self._stretch(cohort, index, end)

    def _give_up(self, cohort: _Cohort) -> None:
        """Forget a population that could not go on; who was in it can begin again."""
        self._cohorts.remove(cohort)
        for member in cohort.population.members:
            self._best.pop(member, None)
            self._ended.pop(member, None)
            self._trainings.leave(member)
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
        most = self._affordable_members()
        if most == 1 and len(members) > 1 and not self._said_alone:
            self._said_alone = True
            self.say(f"Training one by one: {planner.too_little(self._bytes, self._memory)}")
        waves = []
        for together in self._trainable_together(members):
            waves += planner.waves(together, self._bytes, most * self._bytes)
        return waves

    def _trainable_together(self, members: list[Member]) -> list[list[Member]]:
        """The members in as few parts as may be populations, whatever the memory."""
        if not self._order_of_each_seed or several_orders_at_once(self._fit):
            return [members]
        by_seed: dict[int, list[Member]] = {}
        for member in members:
            by_seed.setdefault(member.seed, []).append(member)
        return list(by_seed.values())

    def _affordable_members(self) -> int:
        """How many members a population may have, by the memory and by experience."""
        return min(self._max_members, planner.most_members(self._bytes, self._memory))

    def _selected(self, members: set[Member]) -> list[_Cohort]:
        """The cohorts without others than these.

        Where one changes, those that are as far join it in one program.
        """
        by_epochs: dict[int, list[_Part]] = {}
        for cohort in self._cohorts:
            population = cohort.population
            staying = [i for i, member in enumerate(population.members) if member in members]
            if staying:
                by_epochs.setdefault(cohort.epochs, []).append(_Part(population, staying))
        most = self._affordable_members()
        selected = []
        for epochs, parts in by_epochs.items():
            for population in _joined(parts, most):
                selected.append(_Cohort(population, epochs))
        return selected

    def end(self) -> None:
        """End all trainings where they are: their callbacks close what they have open."""
        for member in self.runs:
            self._trainings.leave(member)

    def model(self, member: Member) -> keras.Model | None:
        """Return a member that was trained last as an ordinary model, with its best weights.

        None if it was not, or was ended while it trained again what its record tells.
        """
        model = self._ended.get(member)
        for cohort in self._cohorts:
            members = cohort.population.members
            is_as_far = member in members and cohort.epochs >= self.runs[member].epochs
            if model is None and is_as_far:
                model = cohort.population.model(members.index(member))
        if model is None:
            return None
        # the search's own number would make its next `fit` or `evaluate` with a number of steps
        # take more
        model = steps_in_a_call_of(self._model, model)
        if member in self._best:
            _assign(model, self._best[member].weights)
        return model

    def has_ended(self, member: Member) -> bool:
        """Whether callbacks have ended its training."""
        return member in self._ended

    def _end(self, cohort: _Cohort, index: int) -> None:
        """Keep a member that its callbacks have just ended."""
        member = cohort.population.members[index]
        self._ended[member] = cohort.population.model(index)
        self.runs[member].stopped = self._trainings.stopped(member)

    def _new_cohort(self, members: list[Member]) -> _Cohort:
        order, _ = arrange([member.candidate for member in members])
        # then its outputs need no sorting
        return self._cohort_of([members[index] for index in order])

    def _cohort_of(self, inside: Sequence[Member]) -> _Cohort:
        population = PopulationModel(
            self._model, inside, slots=self._slots, rescale_init=self._rescale_init
        )
        several_steps = steps_per_execution(self._model, self._fit)
        population.compile(**{**compile_arguments(self._model), **several_steps})
        return _Cohort(population)

    def _stretch(self, cohort: _Cohort, index: int, end: int) -> None:
        """Train a population to the end of a stretch."""
        best = _BestOfRunning(self, cohort)
        of_members = []
        if self._trainings:
            self._trainings.begin(cohort.population)
            of_members = [MemberCallbacks(self._trainings, partial(self._end, cohort))]
        given = keras.tree.flatten(self._fit.get("callbacks") or [])
        # the weights of an epoch are remembered before anybody may end the training
        callbacks: list[keras.callbacks.Callback] = [_Record(self, cohort), best, *of_members]
        callbacks += [_Keep(self, cohort, best), _Watch(self, cohort)]
        start = self._start_of_stretch(index)
        if cohort.epochs > start:
            # an earlier process was in the middle of it
            skipped = SkippedEpochs(
                cohort.epochs,
                reads_validation=may_be_in_other_orders(self._fit.get("validation_data")),
            )
            given = [skipped, *given]
            callbacks = [WhenTraining(skipped, callback) for callback in callbacks]
        elif cohort.population.training_step is not None:
            cohort.decided = cohort.population.training_step.decided
        own = own_data(self._fit, start)
        options = {
            **own,
            "callbacks": [*given, *callbacks],
            "initial_epoch": start,
            "epochs": end,
            "verbose": 0,
        }
        seed = derive(self._seed, Stream.BATCHES, index)
        if self._order_of_each_seed:
            seeds = seeds_of(cohort.population.members)
            seed = seeds[0]
            if len(seeds) > 1 and self._fit.get("shuffle", True):
                options["shuffle"] = BY_SEED
        try:
            with isolated_seed(seed):
                # whoever trains this stretch does on the same batches, however it came to it
                options["callbacks"] = [*as_in_first_fit(own), *options["callbacks"]]
                cohort.population.fit(**options)
            free_copies(own, self._fit)
        finally:
            self.remember(cohort.population, best)

    def _start_of_stretch(self, index: int) -> int:
        """The epoch at which a stretch begins."""
        if index == 0:
            return 0
        return self._ends[index - 1]

    def remember(self, population: PopulationModel, best: BestWeights) -> None:
        """Keep the best weights of those that were never better before these epochs."""
        # there are none, if the training did not begin
        values = more_is_better(best.best, self.objective.direction)
        for index, value in enumerate(values):
            member = population.members[index]
            known = self._best.get(member)
            if np.isfinite(value) and (known is None or value > known.value):
                self._best[member] = BestEpoch(float(value), best.weights(index))


def _layers_of(cohorts: Sequence[_Cohort]) -> list[str]:
    """The paths of all layers, in the order that they have in each population of a model."""
    for cohort in cohorts:
        return [path for path, _ in layers_of(cohort.population.blueprint.reference)]
    return []


def _joined(parts: list[_Part], most: int) -> Iterator[PopulationModel]:
    """The populations of those who go on, all as far: one, if anybody leaves and they fit."""
    count = sum(len(part.staying) for part in parts)
    anybody_leaves = not all(part.is_whole for part in parts)
    # a population that changes is traced again in any case, and one program for all is faster
    if anybody_leaves and count <= most:
        yield PopulationModel.join(parts)
        return
    for part in parts:
        if part.is_whole:
            yield part.population
        else:
            yield PopulationModel.join([part])


class _Record(keras.callbacks.Callback):
    """Notes what each member of a population does in each epoch."""

    def __init__(self, cohorts: Cohorts, cohort: _Cohort):
        super().__init__()
        self._cohorts = cohorts
        self._cohort = cohort
        self._clock = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._clock = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = self._values(logs or {})
        logged = {name: np.asarray(value) for name, value in (logs or {}).items()}
        direction = self._cohorts.objective.direction
        population = self._cohort.population
        frozen = set(population.diverged)
        now = time.perf_counter()
        share = (now - self._clock) / len(population.members)
        for index, member in enumerate(population.members):
            if self._cohorts.has_ended(member):
                continue  # it trains on unseen, until the population is made anew without it
            value = float(values[index])
            run = self._cohorts.runs[member]
            run.diverged |= index in frozen or not np.isfinite(value)
            # fmax: nan, which none has yet or this epoch has, is never the best
            best = np.fmax(more_is_better(run.best, direction), more_is_better(value, direction))
            run.best = more_is_better(float(best), direction)
            run.epochs = max(run.epochs, epoch + 1)
            run.seconds += share
            metrics = member_logs(logged, index)
            add_epoch(run.curve, epoch, metrics)
            self._cohorts.told(member, epoch + 1, metrics)
        self._clock = now
        self._cohort.epochs = epoch + 1

    def _values(self, logs: Mapping[str, Any]) -> np.ndarray:
        """Each member's objective, (P,)."""
        name = self._cohorts.objective.name
        key = _key_of_members(name)
        if key not in logs:
            known = sorted(logged for logged in logs if "members/" not in logged)
            raise SearchError(f"The objective must be one of {known}. Received: {name!r}")
        values = np.asarray(keras.ops.convert_to_numpy(logs[key]), float)
        if values.shape != (len(self._cohort.population.members),):
            raise SearchError(
                "The objective must be one number a model. "
                f"Received: {name!r}, {values.shape[1:]} each"
            )
        return values


def _key_of_members(name: str) -> str:
    """Under what a population logs the values that its members have of a metric."""
    if name.startswith("val_"):
        return f"val_members/{name.removeprefix('val_')}"
    return f"members/{name}"


class _BestOfRunning(BestWeights):
    """The best epochs of the members that callbacks have not ended."""

    def __init__(self, cohorts: Cohorts, cohort: _Cohort):
        objective = cohorts.objective
        super().__init__(objective.name, objective.direction, restore=False)
        self._cohorts = cohorts
        self._cohort = cohort

    def monitored(self, logs: Mapping[str, Any]) -> np.ndarray | None:
        """Return the values of the members that run; NaN for the others."""
        values = super().monitored(logs)
        if values is None:
            return None
        members = self._cohort.population.members
        ended = [self._cohorts.has_ended(member) for member in members]
        return np.where(ended, np.nan, values)


class _Keep(keras.callbacks.Callback):
    """Has the populations kept now and then, with the best weights so far."""

    def __init__(self, cohorts: Cohorts, cohort: _Cohort, best: BestWeights):
        super().__init__()
        self._cohorts = cohorts
        self._cohort = cohort
        self._best = best

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._cohorts.is_time_to_keep:
            self._cohorts.remember(self._cohort.population, self._best)
            self._cohorts.keep()


class _Watch(keras.callbacks.Callback):
    """Tells of each epoch; what it calls may end the training."""

    def __init__(self, cohorts: Cohorts, cohort: _Cohort):
        super().__init__()
        self._cohorts = cohorts
        self._cohort = cohort

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        members = self._cohort.population.members
        # those that end with this epoch have trained it
        running = [member for member in members if self._trains(member, epoch + 1)]
        self._cohorts.watch(len(running))

    def _trains(self, member: Member, epoch: int) -> bool:
        stopped = self._cohorts.runs[member].stopped
        return not stopped or stopped >= epoch


def _assign(model: keras.Model, weights: Weights) -> None:
    variables: dict[tuple[str, str], keras.Variable] = {}
    for path, layer in layers_of(model):
        for key, variable in variables_of(layer).items():
            variables[path, key] = variable
    for place, value in weights.items():
        variables[place].assign(value)


def _reason(error: Exception) -> str:
    """What went wrong, in a line."""
    if is_out_of_memory(error):
        return "it does not fit into memory"
    return first_line(error)
