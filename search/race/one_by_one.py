"""Models of a race that train one by one, each as in one ordinary `fit`.

Whatever they do in their own way, and whatever callbacks they have.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_acts.errors import SearchError

from ..population import memory as planner
from ..population.members import Member
from ..rewrite.learning_rate import at_factor
from ..rewrite.own_training import own_methods
from ..runtime.interrupts import Interrupts
from ..runtime.kept_files import is_disk_full
from ..runtime.memory import is_out_of_memory
from ..runtime.reasons import first_line
from ..runtime.seeding import RandomState, Stream, derive, isolated_seed
from ..runtime.tracing import steps_forgotten
from ..space.assignment import Choice
from ..strategy.appended_logs import AppendedLogs
from ..strategy.callbacks import OneTraining, label, own_copies
from ..strategy.curves import Values, add_epoch
from ..strategy.data_order import DataOrder, State
from ..strategy.direction import more_is_better
from ..strategy.own_data import free_copies, goes_on, own_data
from ..strategy.scoring import numbers
from .record import MemberRecord, Told, tell_nobody

Build = Callable[[Choice], keras.Model]  # returns a compiled, freshly initialized model
# a `fit` of the user's own may have no `initial_epoch`, or begin with something
_OWN_LOOPS = {"fit", "make_train_function"}


@dataclass
class _Training:
    """A member that trains, or has trained to its end.

    Attributes:
        model: as it is now.
        callbacks: the user's, those of this training.
        history: of all its epochs.
        order: where the shuffling of a `tf.data.Dataset` is after its last epoch; None before the
            first.
        random: where Python's and NumPy's random numbers are after its last epoch, which shuffle the
            batches of a `PyDataset`; None before the first.
        curve: what each of its epochs logged.
        epochs: how many it has.
        best: the objective of its best epoch, of which more is better.
        weights: of that epoch.
    """

    model: keras.Model
    callbacks: OneTraining
    history: _WholeHistory
    order: State | None = None
    random: RandomState | None = None
    curve: Values = field(default_factory=dict)
    epochs: int = 0
    best: float = -math.inf
    weights: list[np.ndarray] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether it trains no more."""
        return self.callbacks.ended

    @property
    def bytes(self) -> int:
        """About what it takes while it waits: its variables, and copies of its weights."""
        optimizer = getattr(self.model, "optimizer", None)
        variables = [*self.model.variables, *getattr(optimizer, "variables", [])]
        sizes = [math.prod(variable.shape) * 4 for variable in variables]
        copies = [*self.weights, *self.callbacks.weights]
        return sum(sizes) + sum(weight.nbytes for weight in copies)


class OneByOne:
    """Trains members one after the other, with what `Cohorts` says of them.

    A member is one training, however many rungs it goes through: its model is built under its seed,
    its batches have the order of one seed, the race's, and its callbacks, copies of the user's, begin
    and end once. A member that its callbacks end keeps its score, and trains no more. Where a model
    has a `fit` of its own, or ends each `fit` with averaged weights, or where the data of an epoch
    depend on those before, each rung trains it again from its beginning: what goes on would not be
    one training.

    Args:
        build: makes the compiled model of a choice, at the user's own learning rate.
        objective: what is recorded.
        fit: the arguments of `fit`, data included, without epochs.
        ends: the epochs where stretches of training end, rising.
        seed: of the batch order.
        watch: called after each epoch with the number of members that trained it, 1, or 0 if they
            have trained it before.
        say: called with what the user should know.
        memory: the bytes that models that wait for the next rung may take; None for half of what is
            free. A member that finds no place begins again.
        order_of_each_seed: whether each seed has a batch order of its own.
        appended: knows what members have appended to files, of all that train for a search.
        data_order: where the shuffling of the data was, as the search began.
        told: called after each epoch of a member with what it logged.
    """

    def __init__(
        self,
        build: Build,
        objective: keras_tuner.Objective,
        fit: Mapping[str, Any],
        ends: Sequence[int],
        seed: int,
        watch: Callable[[int], None],
        *,
        say: Callable[[str], None] = lambda text: None,
        memory: int | None = None,
        order_of_each_seed: bool = False,
        appended: AppendedLogs | None = None,
        data_order: DataOrder | None = None,
        told: Told | None = None,
    ):
        self.runs: dict[Member, MemberRecord] = {}
        self.objective = objective
        self.watch = watch
        self.say = say
        self.told = told or tell_nobody
        self._build = build
        self._fit = dict(fit)
        self._given = keras.tree.flatten(self._fit.pop("callbacks", None) or [])
        self._whole = ends[-1]
        self._seed = seed
        self._memory = memory
        self._order_of_each_seed = order_of_each_seed
        self._trainings: dict[Member, _Training] = {}
        self._said_again = False
        self._appended = appended or AppendedLogs()
        self._data_order = data_order or DataOrder(self._fit)
        self._said_order = False
        self._interrupts = Interrupts()

    def train(self, members: Sequence[Member], epochs: int) -> None:
        """Train these members, and no others, until they have so many epochs.

        A candidate that raises is set aside: its runs say why.

        Raises:
            Exception: what the training raised, if it is not one candidate's: two raise the same,
                and none trains.
        """
        with self._interrupts.noted():
            self._train(members, epochs)

    def _train(self, members: Sequence[Member], epochs: int) -> None:
        for member in members:
            self.runs.setdefault(member, MemberRecord())
        for member in set(self._trainings) - set(members):
            self._leave(member)
        self._say_order()
        reasons: set[str] = set()
        anyone_trains = False
        for member in members:
            run = self.runs[member]
            if run.error or run.diverged:
                continue
            try:
                self._until(member, epochs)
                anyone_trains = True
            except SearchError:
                raise  # the settings are at fault, whoever trains
            except Exception as error:
                self._leave(member)
                self._interrupts.raise_if_lost()
                if is_disk_full(error):
                    raise  # the next would fail as this one
                reason = _reason(error)
                if reason in reasons and not anyone_trains:
                    raise
                reasons.add(reason)
                self._set_aside(member.candidate, reason)

    def _say_order(self) -> None:
        why_not = self._data_order.why_not
        if why_not and not self._said_order:
            self._said_order = True
            self.say(f"A dataset that shuffles has another order in each training: {why_not}")

    def _set_aside(self, candidate: Choice, reason: str) -> None:
        for member, run in self.runs.items():
            if member.candidate == candidate:
                run.error = reason
        self.say(f"{candidate} is set aside: {reason}")

    def _until(self, member: Member, epochs: int) -> None:
        """Train a member to the end of a rung."""
        training = self._trainings.get(member)
        if training is not None and self._begins_again(training, epochs):
            self._leave(member)
            training = None
        if training is None:
            training = self._begin(member)
        if training.epochs < epochs and not training.over:
            self._stretch(member, training, epochs)
        run = self.runs[member]
        self.note_best(run, training)
        if not run.diverged:
            # one that its callbacks ended is where it stays: as far as those that train on
            run.epochs = epochs
            stopped = training.callbacks.stopped
            if stopped < self._whole:
                run.stopped = stopped
        self._keep_if_there_is_memory(member)

    def note_best(self, run: MemberRecord, training: _Training) -> None:
        """Have a record tell of this training, the one whose model there is."""
        run.curve = training.curve
        run.best = math.nan
        if np.isfinite(training.best):
            run.best = more_is_better(training.best, self.objective.direction)

    def _begin(self, member: Member) -> _Training:
        copies = own_copies(self._given, label(member.rated, member.seed), member.factor)
        self._appended.begin(copies)
        with isolated_seed(member.seed):
            model = at_factor(lambda: self._build(member.candidate), member.factor)()
        training = _Training(model, OneTraining.of(copies, self._whole), _WholeHistory())
        self._trainings[member] = training
        return training

    def _begins_again(self, training: _Training, epochs: int) -> bool:
        """Whether a member that is to go on cannot: a further `fit` is not what a longer one is."""
        if training.over or training.epochs >= epochs:
            return False
        model = training.model
        if goes_on(self._fit):
            self._say_again("each fit begins the data anew")
            return True
        own = set(own_methods(model)) & _OWN_LOOPS
        averages = bool(getattr(getattr(model, "optimizer", None), "use_ema", False))
        if own:
            self._say_again(f"the model has a {min(own)} of its own")
        elif averages:
            self._say_again("the optimizer ends each fit with averages")
        return bool(own) or averages

    def _say_again(self, why: str) -> None:
        if not self._said_again:
            self._said_again = True
            self.say(f"Each round trains from the beginning: {why}")

    def _stretch(self, member: Member, training: _Training, end: int) -> None:
        record = _Record(self, member, training)
        # what a callback logs counts, and the weights are those before any callback changes them
        callbacks = [_Snapshot(record), training.callbacks, record, training.history]
        first = training.epochs
        # a copy of the data ends with this `fit`: no member that waits holds one, as whose data
        # change between epochs begins again with the first
        own = own_data(self._fit)
        options = {**own, "callbacks": callbacks, "epochs": end, "verbose": 0}
        if first:
            options["initial_epoch"] = first
        # the same for all stretches: under one seed the epochs of a `fit` have one order
        seed = derive(self._seed, Stream.BATCHES, 0)
        if self._order_of_each_seed:
            seed = member.seed
        self._data_order.restore(training.order or self._data_order.start)
        with isolated_seed(seed), steps_forgotten():
            if training.random is not None:
                training.random.restore()
            training.model.fit(**options)
            training.random = RandomState.now()
        training.order = self._data_order.now()
        free_copies(own, self._fit)
        finished = training.callbacks.stopped or end
        if training.epochs != finished and not self.runs[member].diverged:
            raise SearchError(
                "A model must train the epochs that it is asked for, and tell its callbacks of each. "
                f"Received: {training.epochs - first} of {finished - first} epochs"
            )
        if self.runs[member].diverged:
            training.callbacks.end()

    def _keep_if_there_is_memory(self, member: Member) -> None:
        """Forget a member that waits for the next rung, if all together take too much memory."""
        waiting = sum(training.bytes for training in self._trainings.values())
        if len(self._trainings) > 1 and waiting > planner.budget(self._memory):
            self._leave(member)

    def _leave(self, member: Member) -> None:
        """Forget a member; its callbacks close what they have open."""
        training = self._trainings.pop(member, None)
        if training is not None:
            training.callbacks.leave(label(member.rated, member.seed), self.say)

    def end(self) -> None:
        """End all trainings where they are: their callbacks close what they have open."""
        for member, training in self._trainings.items():
            training.callbacks.leave(label(member.rated, member.seed), self.say)

    def model(self, member: Member) -> keras.Model | None:
        """Return a member that was trained last, with the weights of its best epoch.

        None if it was not, or was ended while it trained again what its record tells.
        """
        training = self._trainings.get(member)
        if training is None:
            return None
        is_as_far = training.epochs >= self.runs[member].epochs
        if not is_as_far and not training.callbacks.stopped:
            return None
        if training.weights:
            training.model.set_weights(training.weights)
        return training.model


class _Snapshot(keras.callbacks.Callback):
    """Keeps the weights of an epoch before anybody may change them."""

    def __init__(self, record: _Record):
        super().__init__()
        self._record = record

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._record.before(logs or {})


class _Record(keras.callbacks.Callback):
    """Notes what a member does in each epoch, and ends it if it diverges."""

    def __init__(self, members: OneByOne, member: Member, training: _Training):
        super().__init__()
        self._members = members
        self._member = member
        self._training = training
        self._clock = time.perf_counter()
        self._weights: list[np.ndarray] = []

    def before(self, logs: Mapping[str, Any]) -> None:
        """Keep the weights of an epoch that may be the best."""
        objective = self._members.objective
        value = logs.get(objective.name)
        self._weights = []
        if value is None or self._is_better(value):
            self._weights = self._training.model.get_weights()

    def _is_better(self, value: Any) -> bool:
        signed = more_is_better(float(value), self._members.objective.direction)
        return bool(np.isfinite(signed) and signed > self._training.best)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        value = self._value(logs)
        training = self._training
        run = self._members.runs[self._member]
        if self._is_better(value):
            training.best = more_is_better(value, self._members.objective.direction)
            training.weights = self._weights or training.model.get_weights()
        metrics = _floats(logs)
        add_epoch(training.curve, epoch, metrics)
        training.epochs = epoch + 1
        is_new = training.epochs > run.epochs
        # one that trains again from its beginning may be ended before it is as far as it was: until
        # then its record is that of the training before
        if training.epochs >= run.epochs:
            self._members.note_best(run, training)
        run.epochs = max(run.epochs, training.epochs)
        if not np.isfinite(value) or not np.isfinite(logs.get("loss", 0.0)):
            run.diverged = True
            self.model.stop_training = True
        now = time.perf_counter()
        run.seconds += now - self._clock
        self._clock = now
        self._members.told(self._member, epoch + 1, metrics)
        self._members.watch(int(is_new))

    def _value(self, logs: Mapping[str, Any]) -> float:
        name = self._members.objective.name
        if name not in logs:
            raise SearchError(f"The objective must be one of {sorted(logs)}. Received: {name!r}")
        value = np.asarray(keras.ops.convert_to_numpy(logs[name]), float)
        if value.shape:
            raise SearchError(
                f"The objective must be one number a model. Received: {name!r}, {value.shape} each"
            )
        return float(value)


class _WholeHistory(keras.callbacks.History):
    """The history of a training that goes on in several calls of `fit`."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Keep what there is."""


def _floats(logs: Mapping[str, Any]) -> dict[str, float]:
    """What an epoch logged, each value a number; without what is none, which a user's loop may log."""
    floats: dict[str, float] = {}
    for name, value in logs.items():
        with contextlib.suppress(TypeError, ValueError):
            floats |= {part: float(number) for part, number in numbers({name: value}).items()}
    return floats


def _reason(error: Exception) -> str:
    """What went wrong, in a line."""
    if is_out_of_memory(error):
        return "it does not fit into memory"
    return first_line(error)
