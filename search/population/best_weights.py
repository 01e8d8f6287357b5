"""The best epoch of each member of a population.

A callback that remembers its weights and puts them back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_acts.errors import ModelError

from ..strategy.direction import more_is_better
from ..strategy.objective import direction_of, metrics_of
from .block import StackedVariable
from .model import PopulationModel


class BestWeights(keras.callbacks.Callback):
    """Remembers the weights of the epoch with the best monitored value, for each member of a population.

    What Keras' `EarlyStopping(restore_best_weights=True)` does for one model, without the stopping.
    Normalization states are weights too; the optimizer's are not. The weights are kept once, in the
    host's memory, however many epochs there are. NaN and infinities never are best: a member that
    has none but those keeps its last weights. Each `fit` starts afresh, but for the first one after
    `hand_over`.

    A subclass may say otherwise which values count (`monitored`) and what else is kept
    (`kept_variables`).

    Args:
        monitor: a name that an ordinary model would log, ``"val_loss"`` or ``"accuracy"``; each
            member's own value counts. It must be logged at the end of the first epoch; later epochs
            without it are passed over.
        mode: ``"min"``, ``"max"``, or ``"auto"``: what Keras knows of the metric; losses are
            minimized.
        restore: whether the members get their best weights when training ends; else
            `restore_weights` does it.

    Attributes:
        best: (P,) float64, the best value of each member; NaN where there was none.
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
        self.monitor = monitor
        self.mode = mode
        self.restore = restore
        self.best = np.zeros(0)
        self.best_epoch = np.zeros(0)
        self._weights: dict[int, np.ndarray] = {}  # by the identity of the stacked variable
        self._goes_on = False  # with what was handed over

    def set_model(self, model: keras.Model) -> None:
        """Take a population."""
        if not isinstance(model, PopulationModel):
            raise ModelError(
                "BestWeights is for the members of a PopulationModel. "
                f"Received: {type(model).__name__}"
            )
        super().set_model(model)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Forget what was, unless it was handed over for this training."""
        if self._goes_on:
            self._goes_on = False
            return
        count = len(self.model.members)
        self.best = np.full(count, np.nan)
        self.best_epoch = np.full(count, -1)
        self._weights = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Remember the weights of the members that improved."""
        values = self.monitored(logs or {})
        if values is None:
            return
        direction = self._direction()
        better = more_is_better(values, direction) > more_is_better(self.best, direction)
        # the first value is the best there is, however bad
        better = np.isfinite(values) & (better | np.isnan(self.best))
        if not better.any():
            return
        self.best = np.where(better, values, self.best)
        self.best_epoch = np.where(better, epoch, self.best_epoch)
        inside = better[list(self.model.order)]
        for block in self.kept_variables():
            self._remember(block, np.flatnonzero(inside[block.start : block.stop]))

    def _remember(self, block: StackedVariable, rows: np.ndarray) -> None:
        """Keep some rows of a stacked variable; all, where there are none yet."""
        value = block.by_member(value_now(block.variable))
        kept = self._weights.get(id(block.variable))
        if kept is None:
            self._weights[id(block.variable)] = value.copy()
            return
        # row by row: an index array would make a copy of the rows first
        for row in rows:
            kept[row] = value[row]

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Restore, if asked to."""
        if self.restore:
            self.restore_weights()

    def restore_weights(self) -> None:
        """Give each member its best weights."""
        if not self._weights:
            return
        has_best = (self.best_epoch >= 0)[list(self.model.order)]
        for block in self.kept_variables():
            value = block.by_member(value_now(block.variable)).copy()
            rows = has_best[block.start : block.stop]
            value[rows] = self._weights[id(block.variable)][rows]
            block.assign(value)
        self.model.regroup()

    def kept_variables(self) -> list[StackedVariable]:
        """Return the variables of the population whose values are kept and restored: its weights.

        A subclass may keep more. The order is the same for each population of one model.
        """
        return [block for _, block in self.model.blocks()]

    def weights(self, member: int) -> dict[tuple[str, str], np.ndarray]:
        """Return a copy of what a member had in its best epoch.

        By the path of the layer, and the key of the variable in it.
        """
        position = self.model.positions[member]
        weights = {}
        for path, block in self.model.blocks():
            if block.start <= position < block.stop:
                value = self._weights[id(block.variable)][position - block.start]
                weights[path, block.key] = value.copy()
        return weights

    def hand_over(self, successor: BestWeights, rest: PopulationModel, members: np.ndarray) -> None:
        """Have a `BestWeights` go on, in the next `fit` of a population of some members, where this one is.

        Args:
            successor: what goes on.
            rest: the population, with the weights that the members train on from. Those of ours must
                have their best weights now, by `restore_weights`.
            members: which of ours are in it, in its order.
        """
        # the same members with their best weights, where `rest` has their last ones
        successor.set_model(self.model.select(members))
        values = []
        for block in successor.kept_variables():
            values.append(block.by_member(keras.ops.convert_to_numpy(block.variable)))
        successor.set_model(rest)
        blocks = zip(successor.kept_variables(), values, strict=True)
        successor._weights = {id(block.variable): value for block, value in blocks}
        successor.best = self.best[members]
        successor.best_epoch = self.best_epoch[members]
        successor._goes_on = True

    def kept_values(self) -> list[np.ndarray]:
        """Return what is kept of all members, in the order of `kept_variables`; for `go_on`."""
        return [self._weights[id(block.variable)] for block in self.kept_variables()]

    def go_on(
        self,
        population: PopulationModel,
        best: np.ndarray,
        best_epoch: np.ndarray,
        values: Sequence[np.ndarray],
    ) -> None:
        """Go on, in the next `fit` of a population, where another of the same members was.

        Args:
            population: that trains on.
            best: as of the other.
            best_epoch: as of the other.
            values: its `kept_values`.
        """
        self.set_model(population)
        blocks = zip(self.kept_variables(), values, strict=True)
        self._weights = {id(block.variable): value.copy() for block, value in blocks}
        self.best = best
        self.best_epoch = best_epoch
        self._goes_on = True

    def monitored(self, logs: Mapping[str, Any]) -> np.ndarray | None:
        """Return each member's value in an epoch, (P,), or None in one without validation.

        What a subclass replaces by NaN does not count.
        """
        logged = logs.get(self._key())
        if logged is None:
            if (self.best_epoch >= 0).any():
                return None
            raise self._unknown(logs, "which the first epoch did not log")
        values = np.asarray(keras.ops.convert_to_numpy(logged), "float64")
        if values.shape != self.best.shape:
            raise self._unknown(logs, "which has no number a member")
        return values

    def _key(self) -> str:
        """Where the members' values are in the logs."""
        if self.monitor.startswith("val_"):
            return f"val_members/{self.monitor.removeprefix('val_')}"
        return f"members/{self.monitor}"

    def _unknown(self, logs: Mapping[str, Any], reason: str) -> ModelError:
        known = sorted(key for key in logs if "members/" not in key)
        return ModelError(
            f"monitor must be one of {known}. Received: monitor={self.monitor!r}, {reason}"
        )

    def _direction(self) -> str:
        if self.mode != "auto":
            return self.mode
        name = self.monitor.removeprefix("val_")
        metric = metrics_of(self.model, self.model.member_graph).get(name)
        direction = None
        if metric is not None:
            direction = direction_of(metric)
        elif name == "loss" or name.endswith("_loss"):
            direction = "min"
        if direction is None:
            raise ModelError(
                "mode must be 'min' or 'max' for a metric of unknown direction. "
                f"Received: {self.monitor!r}"
            )
        return direction


def value_now(variable: keras.Variable) -> np.ndarray:
    """Return a variable's value as it is now; not a copy, where there need not be one."""
    value = variable.value
    if hasattr(value, "read_value"):  # TensorFlow's: without, NumPy copies it
        value = value.read_value()
    return np.asarray(value)
