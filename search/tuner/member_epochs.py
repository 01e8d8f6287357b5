"""What each slot of a population goes through, as in a `fit` of its own.

Its logs, callbacks, end and best epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from ..population.best_weights import BestWeights
from ..population.block import StackedVariable
from ..population.data import are_arrays, as_adapter
from ..population.model import PopulationModel
from ..population.transfer import per_variable
from ..strategy.scoring import numbers

Hook = Callable[[int, Any, int, dict[str, float]], None]
Done = Callable[[PopulationModel, "BestEpochs", np.ndarray], None]

# A smaller population takes two to four seconds to build and to trace, which is so many steps of 32
# MLPs or fewer of CNNs (7 and 30 ms, on 2 cores)
_STEPS = 400


class MemberView:
    """What a slot's callbacks see as their model: `stop_training` ends the slot.

    Metrics tell what is better.
    """

    def __init__(self, population: Any):
        self.metrics, self.stop_training = list(population.metrics), False


class MemberEpochs(keras.callbacks.Callback):
    """Hands each slot of a population its own epochs, until it is done.

    Stopped by its callbacks, or not finite.

    A slot that is done trains no more epochs in anyone's eyes. When all are done, the training
    ends. It also ends to go on with a smaller population, where that is expected to save more than
    it costs (`train_until_done`).

    Args:
        watched: names whose values end a slot when they are not finite.
        begin: called with slot, population, epoch and logs before an epoch of a slot.
        end: called with them after it.
        callbacks: of each slot.
        views: what they see as the model, `SlotView` by default.

    Attributes:
        histories: of each slot.
        running: whether each slot is not done.
        inside: the slots that the population has now.
        may_leave: whether the training may go on without those that are done.
        leaving: whether it ended for them to leave.
    """

    def __init__(
        self,
        watched: tuple[str, ...],
        begin: Hook,
        end: Hook,
        callbacks: list[list[keras.callbacks.Callback]],
        views: list[Any] | None = None,
    ):
        super().__init__()
        self._watched, self._begin, self._end, self._callbacks, self._views = (
            watched,
            begin,
            end,
            callbacks,
            views,
        )
        self.histories: list[dict[str, list[float]]] = [{} for _ in callbacks]
        self.running = np.ones(len(callbacks), bool)
        self.inside = np.arange(len(callbacks))
        self.leaving = self.may_leave = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin with every slot, or go on with those that run."""
        if self.leaving:
            self.leaving = False
            return
        self._views = self._views or [MemberView(self.model) for _ in self._callbacks]
        for view, callbacks in zip(self._views, self._callbacks, strict=True):
            for callback in callbacks:
                callback.set_params(self.params)
                callback.set_model(view)
                callback.on_train_begin()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin an epoch of every slot that runs."""
        for slot in map(int, np.flatnonzero(self.running)):
            self._begin(slot, self.model, epoch, {})
            for callback in self._callbacks[slot]:
                callback.on_epoch_begin(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """End it, and the slots that are done."""
        assert self._views is not None  # there are since the training began
        found = {name: np.asarray(value) for name, value in (logs or {}).items()}
        for place, slot in enumerate(map(int, self.inside)):
            if not self.running[slot]:
                continue
            own = member_logs(found, place)
            for name, value in own.items():
                self.histories[slot].setdefault(name, []).append(value)
            self._end(slot, self.model, epoch, own)
            for callback in self._callbacks[slot]:
                callback.on_epoch_end(epoch, dict(own))
            finite = all(np.isfinite(own.get(name, 0.0)) for name in self._watched)
            if self._views[slot].stop_training or not finite:
                self.running[slot] = False
        left = self.params["epochs"] - epoch - 1
        self.leaving = bool(self.may_leave and left and self.running.any() and self._saves(left))
        if self.leaving or not self.running.any():
            self.model.stop_training = True

    def _saves(self, left: int) -> bool:
        """Whether a smaller population, of at most half as many slots, is expected to save time.

        As slots stop, nobody knows how many of the epochs left will be trained: as many as there
        were is a guess that never loses much. It is made in steps, not in seconds, which would not
        be the same in the next run.
        """
        ahead = min(left, max(map(length, self.histories))) * (self.params["steps"] or 0)
        gone = 1 - self.running[self.inside].mean()
        return bool(gone >= 0.5 and ahead * gone >= _STEPS)

    def on_train_end(self, logs: Any = None) -> None:
        """End every slot's training."""
        if not self.leaving:
            for callbacks in self._callbacks:
                for callback in callbacks:
                    callback.on_train_end()


def train_until_done(
    population: PopulationModel,
    fit: Mapping[str, Any],
    epochs: MemberEpochs,
    objective: Any,
    done: Done,
) -> None:
    """Train a population until all slots are done; those that are leave it when that saves time.

    Args:
        population: freshly made.
        fit: the arguments of `fit`, with callbacks that see the population as a whole.
        epochs: of its slots.
        objective: of a search.
        done: called with a population and the best epochs of its slots, whose weights and optimizer
            states they have again, and with the places of those that are done.

    Raises:
        KeyboardInterrupt: on Ctrl-C, after `done`, if each slot has an epoch.
    """
    # what goes on sees the same batches in the same order, if each epoch begins anew with arrays;
    # the end of a `fit` replaces the weights by their moving averages, if there are any
    x, y, weight, validation = (
        fit.get(name) for name in ("x", "y", "sample_weight", "validation_data")
    )
    epochs.may_leave = (
        keras.backend.backend() == "tensorflow"
        and are_arrays(x, y, weight)
        and (validation is None or are_arrays(validation))
        and fit.get("steps_per_epoch") is None
        and not population.optimizer.use_ema
    )
    fit = {**fit, "verbose": 0}
    if epochs.may_leave:
        options = {
            name: value for name, value in fit.items() if name not in ("x", "y", "batch_size")
        }
        x, y, options = as_adapter(x, y, fit.get("batch_size"), options, ())
        fit = {**options, "x": x, "y": y, "batch_size": fit.get("batch_size")}
    best, first, interrupted = BestEpochs(epochs, objective), fit.get("initial_epoch", 0), False
    while True:
        begun = first + max(map(length, epochs.histories))
        callbacks = [*keras.tree.flatten(fit.get("callbacks") or []), best, epochs]
        try:
            population.fit(**{**fit, "callbacks": callbacks, "initial_epoch": begun})
        except KeyboardInterrupt:
            if not all(map(length, epochs.histories)):
                raise
            interrupted = True
        stay = epochs.running[epochs.inside] & (epochs.leaving and not interrupted)
        rest = population.select(np.flatnonzero(stay)) if stay.any() else None
        best.restore_weights()
        done(population, best, np.flatnonzero(~stay))
        if interrupted:
            raise KeyboardInterrupt
        if rest is None:
            return
        best = best.taken_over(rest, np.flatnonzero(stay))
        population, epochs.inside = rest, epochs.inside[stay]


def member_logs(logs: dict[str, Any], slot: int) -> dict[str, float]:
    """Return the logs that an ordinary model in the place of a slot would have."""
    apart = {
        name.replace("members/", ""): values[slot]
        for name, values in logs.items()
        if "members/" in name
    }
    own = {name: apart.get(name, value) for name, value in logs.items() if "members/" not in name}
    return {name: float(value) for name, value in numbers(own).items()}


def length(history: Mapping[str, list[float]]) -> int:
    """Return how many epochs it has."""
    return len(next(iter(history.values()), ()))


class BestEpochs(BestWeights):
    """`BestWeights` of the slots that still run, with the optimizer's state, for checkpoints.

    Args:
        epochs: what tells which slots run; its `on_epoch_end` must come after this one's.
        objective: of a search.
    """

    def __init__(self, epochs: MemberEpochs, objective: Any):
        super().__init__(objective.name, objective.direction, restore=False)
        self._epochs, self._objective = epochs, objective

    def on_train_begin(self, logs: Any = None) -> None:
        """Forget what was, unless it was taken over."""
        if not self._weights:
            super().on_train_begin(logs)

    def taken_over(self, rest: PopulationModel, places: np.ndarray) -> BestEpochs:
        """Return those of a population of some slots; ours must have their best weights now.

        Args:
            rest: the population.
            places: where its slots are in ours.
        """
        made, model = BestEpochs(self._epochs, self._objective), self.model.select(places)
        made.set_model(model)
        values = [keras.ops.convert_to_numpy(block.variable) for block in made._blocks()]
        made.set_model(rest)
        made._weights = {
            id(b.variable): value for b, value in zip(made._blocks(), values, strict=True)
        }
        made.best, made.best_epoch = self.best[places], self.best_epoch[places]
        return made

    def _values(self, logs: dict[str, Any]) -> np.ndarray | None:
        values = super()._values(logs)
        running = self._epochs.running[self._epochs.inside]
        return None if values is None else np.where(running, values, np.nan)

    def _blocks(self) -> list[Any]:
        blocks = super()._blocks()
        variables = self.model.trainable_variables
        own = {id(block.variable): block for block in blocks}
        states = [
            StackedVariable(state, own[id(variable)].start, "", state.name, None)
            for found in per_variable(self.model.optimizer, len(variables)).values()
            for variable, state in zip(variables, found, strict=True)
        ]
        return [*blocks, *states]
