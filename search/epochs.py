"""What each slot of a population goes through, as in a `fit` of its own: its logs, callbacks, end and best epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from .best import BestWeights
from .carry import per_variable
from .loop import Block

Hook = Callable[[int, Any, int, dict[str, float]], None]


class SlotView:
    """What a slot's callbacks see as their model: `stop_training` ends the slot; metrics tell what is better."""

    def __init__(self, population: Any):
        self.population, self.stop_training = population, False

    @property
    def metrics(self) -> list[Any]:
        """The population's."""
        return list(self.population.metrics)


class SlotEpochs(keras.callbacks.Callback):
    """Hands each slot of a population its own epochs, until it is done: stopped by its callbacks, or not finite.

    A slot that is done trains no more epochs in anyone's eyes. When all are done, the training ends.

    Args:
        watched: names whose values end a slot when they are not finite.
        begin: called with slot, population, epoch and logs before an epoch of a slot.
        end: called with them after it.
        callbacks: of each slot.
        views: what they see as the model, `SlotView` by default.
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
        self._watched, self._begin, self._end, self._callbacks, self._views = watched, begin, end, callbacks, views
        self.histories: list[dict[str, list[float]]] = []
        self.running = np.ones(len(callbacks), bool)

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin with every slot."""
        self.histories = [{} for _ in self._callbacks]
        self._views = self._views or [SlotView(self.model) for _ in self._callbacks]
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
        for slot in map(int, np.flatnonzero(self.running)):
            own = slot_logs(found, slot)
            for name, value in own.items():
                self.histories[slot].setdefault(name, []).append(value)
            self._end(slot, self.model, epoch, own)
            for callback in self._callbacks[slot]:
                callback.on_epoch_end(epoch, dict(own))
            finite = all(np.isfinite(own.get(name, 0.0)) for name in self._watched)
            if self._views[slot].stop_training or not finite:
                self.running[slot] = False
        if not self.running.any():
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        """End every slot's training."""
        for callbacks in self._callbacks:
            for callback in callbacks:
                callback.on_train_end()


def slot_logs(logs: dict[str, Any], slot: int) -> dict[str, float]:
    """Return the logs that an ordinary model in the place of a slot would have."""
    apart = {name.replace("slots/", ""): values[slot] for name, values in logs.items() if "slots/" in name}
    return {name: float(apart.get(name, value)) for name, value in logs.items() if "slots/" not in name}


class BestEpochs(BestWeights):
    """`BestWeights` of the slots that still run, with the optimizer's state, for checkpoints.

    Args:
        epochs: what tells which slots run; its `on_epoch_end` must come after this one's.
        objective: of a search.
    """

    def __init__(self, epochs: SlotEpochs, objective: Any):
        super().__init__(objective.name, objective.direction, restore=False)
        self._epochs = epochs

    def _values(self, logs: dict[str, Any]) -> np.ndarray | None:
        values = super()._values(logs)
        return None if values is None else np.where(self._epochs.running, values, np.nan)

    def _blocks(self) -> list[Any]:
        blocks = super()._blocks()
        variables = self.model.trainable_variables
        own = {id(block.variable): block for block in blocks}
        states = [
            Block(state, own[id(variable)].start, "", state.name, None)
            for found in per_variable(self.model.optimizer, len(variables)).values()
            for variable, state in zip(variables, found, strict=True)
        ]
        return [*blocks, *states]
