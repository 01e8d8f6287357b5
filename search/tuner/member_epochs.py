"""What each member of a population goes through, as in a `fit` of its own.

Its logs, callbacks, end and best epoch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import keras_tuner
import numpy as np

from ..population.best_weights import BestWeights
from ..population.block import StackedVariable
from ..population.data import are_arrays, as_adapter, may_be_in_other_orders
from ..population.member_callbacks import member_logs
from ..population.model import PopulationModel
from ..population.transfer import per_variable
from ..runtime import costs
from ..strategy.skipped_epochs import SkippedEpochs, WhenTraining

if TYPE_CHECKING:
    from .kept_population import KeptTraining

Logs: TypeAlias = Mapping[str, Any]
Hook = Callable[[int, keras.Model, int, dict[str, float]], None]
KeepFinished = Callable[[PopulationModel, "BestEpochs", np.ndarray], None]

# of the members, as chosen: a population that is hardly smaller is hardly faster
_LEAST_GONE = 0.5


class MemberView:
    """What a member's callbacks see as their model: `stop_training` ends the member.

    Metrics tell what is better.
    """

    def __init__(self, population: PopulationModel):
        self.metrics = list(population.metrics)
        self.stop_training = False


class MemberEpochs(keras.callbacks.Callback):
    """Hands each member of a population its own epochs, until it is done.

    Stopped by its callbacks, or not finite.

    A member that is done trains no more epochs in anyone's eyes. When all are done, the training
    ends. It also ends to go on with a smaller population, where that is expected to save more than
    it costs (`train_until_done`).

    Args:
        watched: names whose values end a member when they are not finite.
        begin: called with member, population, epoch and logs before an epoch of a member.
        end: called with them after it.
        callbacks: of each member.
        models: what they see as the model, `MemberView` by default.

    Attributes:
        histories: of each member.
        running: whether each member is not done.
        inside: the members that the population has now.
        may_leave: whether the training may go on without those that are done.
        leaving: whether it ended for them to leave.
    """

    def __init__(
        self,
        watched: Sequence[str],
        begin: Hook,
        end: Hook,
        callbacks: list[list[keras.callbacks.Callback]],
        models: Sequence[keras.Model | MemberView] | None = None,
    ):
        super().__init__()
        self._watched = watched
        self._begin = begin
        self._end = end
        self._callbacks = callbacks
        self._models = models
        self.histories: list[dict[str, list[float]]] = [{} for _ in callbacks]
        self.running = np.ones(len(callbacks), bool)
        self.inside = np.arange(len(callbacks))
        self.leaving = False
        self.may_leave = False
        # where an earlier process was: the first epoch of its histories
        self._goes_on_from: int | None = None

    def go_on(
        self, histories: Sequence[Mapping[str, list[float]]], running: np.ndarray, first: int
    ) -> None:
        """Go on, in the next `fit`, where an earlier process was.

        Args:
            histories: of each member.
            running: whether each is not done.
            first: the epoch with which the histories begin.
        """
        self.histories = [dict(history) for history in histories]
        self.running = running.copy()
        self._goes_on_from = first

    @property
    def trained(self) -> int:
        """How many epochs the members have that have most."""
        return max(map(length, self.histories))

    @property
    def all_began(self) -> bool:
        """Whether each member has an epoch."""
        return all(map(length, self.histories))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin with every member, or go on with those that run."""
        if self.leaving:
            self.leaving = False
            return
        if self._models is None:
            self._models = [MemberView(self.model) for _ in self._callbacks]
        for model, callbacks in zip(self._models, self._callbacks, strict=True):
            for callback in callbacks:
                callback.set_params(self.params)
                callback.set_model(model)
                callback.on_train_begin()
        if self._goes_on_from is not None:
            self._tell_again(self._goes_on_from)
            self._goes_on_from = None

    def _tell_again(self, first: int) -> None:
        """Tell the members' callbacks of the epochs that were: they know of none."""
        for callbacks, history in zip(self._callbacks, self.histories, strict=True):
            for number in range(length(history)):
                logs = {name: values[number] for name, values in history.items()}
                for callback in callbacks:
                    callback.on_epoch_begin(first + number)
                    callback.on_epoch_end(first + number, logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begin an epoch of every member that runs."""
        # those that are done train on in the population, unseen, until they leave it
        for member in map(int, np.flatnonzero(self.running)):
            self._begin(member, self.model, epoch, {})
            for callback in self._callbacks[member]:
                callback.on_epoch_begin(epoch)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """End it, and the members that are done."""
        values = {name: np.asarray(value) for name, value in (logs or {}).items()}
        for index, member in enumerate(map(int, self.inside)):
            if self.running[member]:
                self._end_epoch(member, epoch, member_logs(values, index))
        left = self.params["epochs"] - epoch - 1
        anyone_runs = bool(self.running.any())
        self.leaving = bool(self.may_leave and left and anyone_runs and self._saves(left))
        if self.leaving or not anyone_runs:
            self.model.stop_training = True

    def _end_epoch(self, member: int, epoch: int, logs: dict[str, float]) -> None:
        for name, value in logs.items():
            self.histories[member].setdefault(name, []).append(value)
        self._end(member, self.model, epoch, logs)
        for callback in self._callbacks[member]:
            callback.on_epoch_end(epoch, dict(logs))
        assert self._models is not None  # there are since the training began
        finite = all(np.isfinite(logs.get(name, 0.0)) for name in self._watched)
        if self._models[member].stop_training or not finite:
            self.running[member] = False

    def _saves(self, left: int) -> bool:
        """Whether a smaller population is expected to save time.

        It has at most half as many members. As members stop, nobody knows how many of the epochs
        left will be trained: as many as there were is a guess that never loses much. It is made in
        steps, not in seconds, which would not be the same in the next run.
        """
        epochs_ahead = min(left, self.trained)
        steps_ahead = epochs_ahead * (self.params["steps"] or 0)
        gone = 1 - self.running[self.inside].mean()
        saved_steps = steps_ahead * gone
        return bool(gone >= _LEAST_GONE and saved_steps >= costs.SMALLER_POPULATION_LEAST_STEPS)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """End every member's training."""
        if self.leaving:
            return
        for callbacks in self._callbacks:
            for callback in callbacks:
                callback.on_train_end()


class KeepNowAndThen(keras.callbacks.Callback):
    """Keeps a population at the ends of epochs, when it is time.

    Args:
        training: that keeps it.
        best: the best epochs so far.
        epochs: of its members.
    """

    def __init__(self, training: KeptTraining, best: BestEpochs, epochs: MemberEpochs):
        super().__init__()
        self._training = training
        self._best = best
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Keep it, if it is time."""
        if self._training.keeps(self.model, self._epochs):
            self._training.keep(self.model, self._best, self._epochs)


def train_until_done(
    population: PopulationModel,
    fit: Mapping[str, Any],
    epochs: MemberEpochs,
    objective: keras_tuner.Objective,
    keep_finished: KeepFinished,
    kept: KeptTraining | None = None,
) -> None:
    """Train a population until all members are done; those that are leave it when that saves time.

    Args:
        population: freshly made.
        fit: the arguments of `fit`, with callbacks that see the population as a whole.
        epochs: of its members.
        objective: of a search.
        keep_finished: called with a population and the best epochs of its members, whose weights
            and optimizer states they have again, and with the indices in it of those that are done.
        kept: what keeps it now and then, and goes on from there; None keeps nothing.

    Raises:
        KeyboardInterrupt: on Ctrl-C, after `keep_finished`, if each member has an epoch.
    """
    epochs.may_leave = _may_leave(population, fit)
    options = {**fit, "verbose": 0}
    if epochs.may_leave:
        options = _with_adapter(options)
    best = BestEpochs(epochs, objective)
    first = fit.get("initial_epoch", 0)
    given = keras.tree.flatten(fit.get("callbacks") or [])
    interrupted = False
    goes_on_at = 0
    if kept is not None:
        goes_on_at = kept.go_on(population, best, epochs, first)
    while True:
        own: list[keras.callbacks.Callback] = [best, epochs]
        if kept is not None:
            own.append(KeepNowAndThen(kept, best, epochs))
        options["callbacks"] = [*given, *own]
        options["initial_epoch"] = first + epochs.trained
        if goes_on_at:
            # the batches come as they do from the beginning
            options["initial_epoch"] = first
            skipped = SkippedEpochs(
                first + goes_on_at,
                reads_validation=may_be_in_other_orders(fit.get("validation_data")),
            )
            options["callbacks"] = [skipped, *given, *(WhenTraining(skipped, one) for one in own)]
            goes_on_at = 0
        try:
            population.fit(**options)
        except KeyboardInterrupt:
            if not epochs.all_began:
                raise
            interrupted = True
        stays = np.zeros(len(epochs.inside), bool)
        if epochs.leaving and not interrupted:
            stays = epochs.running[epochs.inside]
        staying = np.flatnonzero(stays)
        # before the best weights are put back: who stays goes on from the last ones
        rest = None
        if len(staying):
            rest = population.select(staying)
        best.restore_weights()
        keep_finished(population, best, np.flatnonzero(~stays))
        if interrupted:
            raise KeyboardInterrupt
        if rest is None:
            return
        best_of_all = best
        best = BestEpochs(epochs, objective)
        best_of_all.hand_over(best, rest, staying)
        population = rest
        epochs.inside = epochs.inside[staying]


def _may_leave(population: PopulationModel, fit: Mapping[str, Any]) -> bool:
    """Whether a population may become smaller on the way, and nothing else changes by it.

    What goes on sees the same batches in the same order, if each epoch begins anew with arrays; the
    end of a `fit` replaces the weights by their moving averages, if there are any.
    """
    if keras.backend.backend() != "tensorflow" or population.optimizer.use_ema:
        return False
    if fit.get("steps_per_epoch") is not None:
        return False
    validation = fit.get("validation_data")
    if validation is not None and not are_arrays(validation):
        return False
    return are_arrays(fit.get("x"), fit.get("y"), fit.get("sample_weight"))


def _with_adapter(fit: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `fit` with data that Keras splits and shuffles once for all its calls."""
    data = ("x", "y", "batch_size")
    others = {name: value for name, value in fit.items() if name not in data}
    batch_size = fit.get("batch_size")
    x, y, options = as_adapter(fit.get("x"), fit.get("y"), batch_size, others, ())
    return {**options, "x": x, "y": y, "batch_size": batch_size}


def length(history: Mapping[str, list[float]]) -> int:
    """Return how many epochs it has."""
    return len(next(iter(history.values()), ()))


class BestEpochs(BestWeights):
    """`BestWeights` of the members that still run, with the optimizer's state, for checkpoints.

    Args:
        epochs: what tells which members run; its `on_epoch_end` must come after this one's.
        objective: of a search.
    """

    def __init__(self, epochs: MemberEpochs, objective: keras_tuner.Objective):
        super().__init__(objective.name, objective.direction, restore=False)
        self._epochs = epochs

    def monitored(self, logs: Mapping[str, Any]) -> np.ndarray | None:
        """Return the values of the members that run; NaN for those that are done."""
        values = super().monitored(logs)
        if values is None:
            return None
        running = self._epochs.running[self._epochs.inside]
        return np.where(running, values, np.nan)

    def kept_variables(self) -> list[StackedVariable]:
        """Return the weights, and then the optimizer's state of each."""
        blocks = super().kept_variables()
        block_of = {id(block.variable): block for block in blocks}
        variables = self.model.trainable_variables
        of_optimizer = []
        for states in per_variable(self.model.optimizer, len(variables)).values():
            for variable, state in zip(variables, states, strict=True):
                block = block_of[id(variable)]
                of_optimizer.append(
                    dataclasses.replace(
                        block, variable=state, key="", name=state.name, regularizer=None
                    )
                )
        return [*blocks, *of_optimizer]
