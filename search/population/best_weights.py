"""The best epoch of each slot of a population.

A callback that remembers its weights and puts them back.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_acts.errors import ModelError

from ..strategy.direction import more_is_better
from ..strategy.objective import direction_of, metrics_of
from .model import PopulationModel


class BestWeights(keras.callbacks.Callback):
    """Remembers, for each slot of a population, the weights of the epoch with the best monitored value.

    What Keras' `EarlyStopping(restore_best_weights=True)` does for one model, without the stopping.
    Normalization states are weights too; the optimizer's are not. The weights are kept once, in the
    host's memory, however many epochs there are. NaN and infinities never are best: a slot that has
    none but those keeps its last weights. Each `fit` starts afresh.

    Args:
        monitor: a name that an ordinary model would log, ``"val_loss"`` or ``"accuracy"``; each
            slot's own value counts. It must be logged at the end of the first epoch; later epochs
            without it are passed over.
        mode: ``"min"``, ``"max"``, or ``"auto"``: what Keras knows of the metric; losses are
            minimized.
        restore: whether the slots get their best weights when training ends; else `restore_weights`
            does it.

    Attributes:
        best: (P,) float64, the best value of each slot; NaN where there was none.
        best_epoch: (P,), the epoch of each, from 0; -1 where there was none.

    Raises:
        ModelError: on an unknown mode; in training, if the model is no population, or there is no
            such value.

    Example:
        >>> best = BestWeights("val_accuracy")
        >>> population.fit(x, y, epochs=20, validation_data=(x_val, y_val), callbacks=[best])
        >>> population.model(int(np.nanargmax(best.best))).save("best.keras")
    """

    def __init__(self, monitor: str = "val_loss", mode: str = "auto", restore: bool = True):
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise ModelError(f"mode must be 'auto', 'min' or 'max'. Received: mode={mode!r}")
        self.monitor, self.mode, self.restore = monitor, mode, restore
        self.best = self.best_epoch = np.zeros(0)
        self._weights: dict[int, np.ndarray] = {}  # by the identity of the stacked variable

    def set_model(self, model: Any) -> None:
        """Take a population."""
        if not isinstance(model, PopulationModel):
            raise ModelError(
                f"BestWeights is for the slots of a PopulationModel. Received: {type(model).__name__}"
            )
        super().set_model(model)

    def on_train_begin(self, logs: Any = None) -> None:
        """Forget what was."""
        slots = len(self.model.members)
        self.best, self.best_epoch = np.full(slots, np.nan), np.full(slots, -1)
        self._weights = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Remember the weights of the slots that improved."""
        values = self._values(logs or {})
        if values is None:
            return
        direction = self._direction()
        better = more_is_better(values, direction) > more_is_better(self.best, direction)
        better = np.isfinite(values) & (better | np.isnan(self.best))
        if better.any():
            self.best, self.best_epoch = (
                np.where(better, values, self.best),
                np.where(better, epoch, self.best_epoch),
            )
            inside = better[list(self.model._state.order)]
            for block in self._blocks():
                now, kept = _seen(block.variable), self._weights.get(id(block.variable))
                if kept is None:
                    self._weights[id(block.variable)] = now.copy()
                    continue
                for row in np.flatnonzero(inside[block.start : block.stop]):
                    kept[row] = now[row]

    def on_train_end(self, logs: Any = None) -> None:
        """Restore, if asked to."""
        if self.restore:
            self.restore_weights()

    def restore_weights(self) -> None:
        """Give each slot its best weights."""
        if self._weights:
            known = (self.best_epoch >= 0)[list(self.model._state.order)]
            for block in self._blocks():
                value, rows = _seen(block.variable).copy(), known[block.start : block.stop]
                value[rows] = self._weights[id(block.variable)][rows]
                block.variable.assign(value)

    def weights(self, slot: int) -> dict[tuple[str, str], np.ndarray]:
        """Return a copy of what a slot had in its best epoch, by the layer's path and the variable's key in it."""
        inside, found = self.model._state.positions[slot], {}
        for layer in self.model.stacked:
            for block in layer.plan.blocks:
                if block.start <= inside < block.stop:
                    value = self._weights[id(block.variable)][inside - block.start]
                    found[layer.plan.path, block.key] = value.copy()
        return found

    def _values(self, logs: dict[str, Any]) -> np.ndarray | None:
        """Each slot's value, (P,), or None in an epoch without validation."""
        prefix, name = (
            ("val_", self.monitor[4:]) if self.monitor.startswith("val_") else ("", self.monitor)
        )
        found = logs.get(f"{prefix}members/{name}")
        if found is None and (self.best_epoch >= 0).any():
            return None
        values = (
            np.asarray(keras.ops.convert_to_numpy(found), "float64") if found is not None else None
        )
        if values is None or values.shape != self.best.shape:
            known = sorted(key for key in logs if "members/" not in key)
            reason = (
                "which has no number a slot"
                if values is not None
                else "which the first epoch did not log"
            )
            raise ModelError(
                f"monitor must be one of {known}. Received: monitor={self.monitor!r}, {reason}"
            )
        return values

    def _direction(self) -> str:
        if self.mode != "auto":
            return self.mode
        name = self.monitor.removeprefix("val_")
        metric = metrics_of(self.model, self.model._state.graph).get(name)
        direction = direction_of(metric) if metric is not None else None
        if metric is None and (name == "loss" or name.endswith("_loss")):
            direction = "min"
        if direction is not None:
            return direction
        raise ModelError(
            f"mode must be 'min' or 'max' for a metric of unknown direction. Received: {self.monitor!r}"
        )

    def _blocks(self) -> list[Any]:
        return [block for layer in self.model.stacked for block in layer.plan.blocks]


def _seen(variable: Any) -> np.ndarray:
    """A variable's value as it is now; not a copy, where there need not be one."""
    value = variable.value
    return np.asarray(value.read_value() if hasattr(value, "read_value") else value)
