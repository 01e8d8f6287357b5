"""Callbacks of the members of a population: to each, its member is a model of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from keras_acts.compat import given_learning_rate

from ..rewrite.compiling import compile_arguments
from ..strategy.appended_logs import AppendedLogs
from ..strategy.batch_hooks import watch_batches
from ..strategy.callbacks import OneTraining, label, own_copies
from ..strategy.scoring import numbers
from .best_weights import value_now
from .members import Member
from .model import PopulationModel

Logs: TypeAlias = Mapping[str, Any]

# they look at the logs of an epoch, and do what a member can do by itself
_OF_MEMBERS = (
    keras.callbacks.CSVLogger,
    keras.callbacks.EarlyStopping,
    keras.callbacks.LambdaCallback,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
)
# they look at the epoch alone, and set the rate of all
_OF_ALL = (keras.callbacks.LearningRateScheduler,)
# what it does a population does for each member
_NEEDLESS = (keras.callbacks.TerminateOnNaN,)
_RATES = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)


def why_callbacks_alone(callbacks: Iterable[Any], model: keras.Model) -> str:
    """Return why callbacks want single models; empty if they can watch the members of a population.

    Args:
        callbacks: the user's.
        model: compiled.
    """
    given = list(callbacks)
    for callback in given:
        is_known = type(callback) in (*_OF_MEMBERS, *_NEEDLESS) or isinstance(callback, _OF_ALL)
        if not is_known:
            return f"the callback {type(callback).__name__} belongs to a single model"
        if watch_batches(callback) and type(callback) not in _NEEDLESS:
            return f"the callback {type(callback).__name__} sees each batch of a single model"
    if not of_members(given):
        return ""
    optimizer = keras.optimizers.get(compile_arguments(model)["optimizer"])
    if getattr(optimizer, "use_ema", False):
        return "callbacks may end one model before the others, and its optimizer ends with averages"
    if _own_rates(given):
        if keras.backend.backend() != "tensorflow":
            return "callbacks set the learning rate of a single model"
        if not isinstance(given_learning_rate(optimizer), keras.Variable):
            return "callbacks set a learning rate that is no number"
    return ""


def of_all(callbacks: Iterable[Any]) -> list[Any]:
    """Return those of the user's callbacks that a population has as one model."""
    given = list(callbacks)
    if of_members(given):
        return []
    return [callback for callback in given if isinstance(callback, _OF_ALL)]


def of_members(callbacks: Iterable[Any]) -> list[Any]:
    """Return those that each member gets copies of; none, if no callback looks at one member."""
    chosen = [callback for callback in callbacks if type(callback) not in _NEEDLESS]
    if all(isinstance(callback, _OF_ALL) for callback in chosen):
        return []
    # all: who logs the learning rate comes before who writes down what is logged
    return chosen


def _own_rates(callbacks: Iterable[Any]) -> bool:
    """Whether members get learning rates of their own in the training."""
    return any(isinstance(callback, _RATES) for callback in of_members(callbacks))


class _MemberOptimizer:
    """What a member's callbacks see as its optimizer."""

    def __init__(self, rate: np.float32):
        self.learning_rate: Any = rate


class MemberView:
    """What a member's callbacks see as their model.

    Attributes:
        stop_training: ends the member's training, nobody else's.
        optimizer: whose `learning_rate` is the member's.
        metrics: tell what is better.
        history: as `fit` leaves it.
    """

    def __init__(self, rate: np.float32):
        self.stop_training = False
        self.optimizer = _MemberOptimizer(rate)
        self.history: Any = None
        self._population: PopulationModel | None = None
        self._index = 0

    def become(self, population: PopulationModel, index: int) -> None:
        """Be a member of a population."""
        self._population = population
        self._index = index

    @property
    def population(self) -> PopulationModel:
        """The one that it is in now."""
        assert self._population is not None  # it trains in one
        return self._population

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Those of the population, which are called as a single model's."""
        return list(self.population.metrics)

    def get_weights(self) -> list[np.ndarray]:
        """Return the member's weights, for `set_weights`."""
        return rows_of_member(self.population, self._index)

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Take weights that `get_weights` returned."""
        put_rows(self.population, {self._index: weights})

    def save(self, filepath: Any, **options: Any) -> None:
        """Save the member as an ordinary model."""
        self.population.model(self._index).save(filepath, **options)

    def save_weights(self, filepath: Any, **options: Any) -> None:
        """Save the weights of the member as those of an ordinary model."""
        self.population.model(self._index).save_weights(filepath, **options)


def rows_of_member(population: PopulationModel, member: int) -> list[np.ndarray]:
    """Return a member's part of all stacked variables, and whether it is healthy at last."""
    position = population.positions[member]
    rows = []
    for _, block in population.blocks():
        if block.start <= position < block.stop:
            values = block.by_member(value_now(block.variable))
            rows.append(values[position - block.start].copy())
    rows.append(value_now(population.healthy)[position].copy())
    return rows


def put_rows(population: PopulationModel, rows: Mapping[int, Sequence[np.ndarray]]) -> None:
    """Give members what `rows_of_member` returned of them."""
    if not rows:
        return
    remaining = {population.positions[member]: iter(parts) for member, parts in rows.items()}
    for _, block in population.blocks():
        inside = [position for position in remaining if block.start <= position < block.stop]
        if inside:
            values = block.by_member(value_now(block.variable)).copy()
            for position in inside:
                values[position - block.start] = next(remaining[position])
            block.assign(values)
    healthy = value_now(population.healthy).copy()
    for position, parts in remaining.items():
        healthy[position] = next(parts)
    population.healthy.assign(healthy)


class MemberTrainings:
    """The callbacks of members, each through its whole training, in whatever populations it is.

    Args:
        model: the ordinary one, compiled.
        callbacks: the user's.
        epochs: of a whole training.
        restore: whether members get their best weights back where a callback does that at its end;
            for who keeps the best epoch anyway it is a copy for each epoch less.
        say: called with what failed as a member left.
        appended: knows what members have appended to files, of all that train for a search.
    """

    def __init__(
        self,
        model: keras.Model,
        callbacks: Iterable[Any],
        epochs: int,
        *,
        restore: bool = True,
        say: Callable[[str], None] = lambda text: None,
        appended: AppendedLogs | None = None,
    ):
        given = list(callbacks)
        self.own_rates = _own_rates(given)
        self._given = of_members(given)
        self._epochs = epochs
        self._restore = restore
        self._say = say
        self._appended = appended or AppendedLogs()
        self._rate: Any = None
        if self.own_rates:
            optimizer = keras.optimizers.get(compile_arguments(model)["optimizer"])
            self._rate = keras.ops.convert_to_numpy(given_learning_rate(optimizer))
        self._of: dict[Member, OneTraining] = {}
        self._views: dict[Member, MemberView] = {}

    def __bool__(self) -> bool:
        """Whether members have callbacks at all."""
        return bool(self._given)

    def begin(self, population: PopulationModel) -> None:
        """Have the members of a population trained with their callbacks, from now on or further on.

        Raises:
            ValueError: if two members are equal: callbacks would hear of both as one training.
        """
        twice = [member for member, count in Counter(population.members).items() if count > 1]
        if self and twice:
            raise ValueError(
                f"Members with callbacks must differ. Received: {twice[0]} more than once"
            )
        for index, member in enumerate(population.members):
            if member not in self._of:
                self._start(member)
            self._views[member].become(population, index)
        self.set_rates(population)

    def _start(self, member: Member) -> None:
        copies = own_copies(self._given, label(member.rated, member.seed), member.factor)
        for callback in copies:
            if isinstance(callback, keras.callbacks.EarlyStopping) and not self._restore:
                callback.restore_best_weights = False
        self._appended.begin(copies)
        self._of[member] = OneTraining(copies, self._epochs)
        rate = np.float32(1.0)
        if self.own_rates:
            rate = np.float32(self._rate) * np.float32(member.factor)
        self._views[member] = MemberView(rate)

    def set_rates(self, population: PopulationModel) -> None:
        """Train each member at the rate that its callbacks have set."""
        if not self.own_rates:
            return
        views = [self._views[member] for member in population.members]
        rates = [float(np.float32(view.optimizer.learning_rate)) for view in views]
        population.set_learning_rates(rates)

    def of(self, member: Member) -> OneTraining:
        """Return the callbacks of a member that has begun."""
        return self._of[member]

    def view(self, member: Member) -> MemberView:
        """Return what the callbacks of a member see as their model."""
        return self._views[member]

    def stopped(self, member: Member) -> int:
        """Return after how many epochs its callbacks ended a member's training; 0 if they did not."""
        training = self._of.get(member)
        if training is None or training.stopped >= self._epochs:
            return 0
        return training.stopped

    def is_over(self, member: Member) -> bool:
        """Whether callbacks have ended a member's training."""
        training = self._of.get(member)
        return training is not None and bool(training.stopped)

    def leave(self, member: Member) -> None:
        """End a member's training where it is; it may begin again."""
        training = self._of.pop(member, None)
        self._views.pop(member, None)
        if training is not None:
            training.leave(label(member.rated, member.seed), self._say)


class MemberCallbacks(keras.callbacks.Callback):
    """Hands the members of a population their own epochs, until callbacks end them.

    A member that was ended trains on in the population, unseen; when all are, the training ends.

    Args:
        trainings: of the members, which `begin` has begun in this population.
        ended: called with the index of a member that has just ended, with its weights as they then
            are.
    """

    def __init__(self, trainings: MemberTrainings, ended: Callable[[int], None]):
        super().__init__()
        self._trainings = trainings
        self._ended = ended
        self._logs: dict[Member, dict[str, float]] = {}

    def _running(self) -> list[tuple[int, Member]]:
        members = enumerate(self.model.members)
        return [(i, member) for i, member in members if not self._trainings.is_over(member)]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin, or go on."""
        for _, member in self._running():
            callbacks = self._trainings.of(member)
            callbacks.set_params(self.params)
            callbacks.set_model(self._trainings.view(member))
            callbacks.on_train_begin({})

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begin an epoch of every member that runs."""
        for _, member in self._running():
            self._trainings.of(member).on_epoch_begin(epoch, {})
        self._trainings.set_rates(self.model)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """End it, and the members that their callbacks end."""
        values = {name: np.asarray(value) for name, value in (logs or {}).items()}
        for index, member in self._running():
            self._logs[member] = member_logs(values, index)
            callbacks = self._trainings.of(member)
            callbacks.on_epoch_end(epoch, self._logs[member])
            if callbacks.stopped:
                callbacks.on_train_end(self._logs[member])
                self._ended(index)
        self._trainings.set_rates(self.model)
        if not self._running():
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """End the trainings that have all their epochs."""
        for _, member in self._running():
            self._trainings.of(member).on_train_end(self._logs.get(member, {}))


def member_logs(logs: Mapping[str, Any], index: int) -> dict[str, float]:
    """Return the logs that an ordinary model in the place of a member would have.

    Args:
        logs: of a population.
        index: of the member in it.
    """
    of_member = {}
    of_population = {}
    for name, value in logs.items():
        if "members/" in name:
            of_member[name.replace("members/", "")] = value[index]
        else:
            of_population[name] = value
    values = {name: of_member.get(name, value) for name, value in of_population.items()}
    return {name: float(value) for name, value in numbers(values).items()}
