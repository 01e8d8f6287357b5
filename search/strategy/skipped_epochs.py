"""A training that goes on in the middle: its batches come as if it had never stopped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_acts.compat import given_learning_rate

Logs = Any  # of an epoch, as Keras hands them to callbacks


class SkippedEpochs(keras.callbacks.Callback):
    """Has the first epochs of a `fit` pass without training: their batches are read, and that is all.

    The orders of batches follow from those before, so a `fit` that should go on at a later epoch
    begins where it began. The first of the callbacks; those that look at epochs are wrapped in
    `WhenTraining`. On TensorFlow.

    Args:
        until: the epoch, from 0, that trains again.
        reads_validation: whether the validation data may come in another order each time: then they
            are read too.
    """

    def __init__(self, until: int, *, reads_validation: bool):
        super().__init__()
        self.active = False
        self._until = until
        self._evaluates = reads_validation
        self._train_function: Any = None
        self._rate: Any = None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Skip an epoch, or have the training begin."""
        skips = epoch < self._until
        if skips and not self.active:
            self._begin()
        elif self.active and not skips:
            self._end()

    def on_train_end(self, logs: Logs = None) -> None:
        """Leave the population as it was."""
        if self.active:
            self._end()

    def _begin(self) -> None:
        model = self.model
        self.active = True
        self._train_function = model.train_function
        model.train_function = self._read
        # metrics that have seen no batch know none
        model.get_metrics_result = _nothing
        if not self._evaluates:
            model.evaluate = _nothing
        # a scheduler sets it in each epoch, and may do so by what it was before
        self._rate = _rate(model.optimizer)

    def _end(self) -> None:
        model = self.model
        self.active = False
        model.train_function = self._train_function
        self._train_function = None
        del model.get_metrics_result
        if not self._evaluates:
            del model.evaluate
        if self._rate is not None:
            model.optimizer.learning_rate = self._rate

    def _read(self, batches: Iterator[Any]) -> dict[str, Any]:
        """Take as many batches as one call of the train function does."""
        for taken in range(self.model.steps_per_execution):
            try:
                next(batches)
            except StopIteration:
                if taken == 0:
                    raise
                break
        return {}


def _nothing(*args: Any, **options: Any) -> dict[str, Any]:
    """Stand for what an epoch that is skipped does not know."""
    return {}


def _rate(optimizer: Any) -> np.ndarray | None:
    """The learning rate, if it is a number that can be set."""
    if isinstance(given_learning_rate(optimizer), keras.Variable):
        return keras.ops.convert_to_numpy(optimizer.learning_rate)
    return None


class WhenTraining(keras.callbacks.Callback):
    """A callback that hears nothing of skipped epochs.

    Args:
        skipped: tells which these are.
        callback: that hears of the others.
    """

    def __init__(self, skipped: SkippedEpochs, callback: keras.callbacks.Callback):
        super().__init__()
        self._skipped = skipped
        self._callback = callback

    def set_model(self, model: Any) -> None:
        """Hand it on."""
        super().set_model(model)
        self._callback.set_model(model)

    def set_params(self, params: Any) -> None:
        """Hand them on."""
        super().set_params(params)
        self._callback.set_params(params)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Hand it on."""
        self._callback.on_train_begin(logs)

    def on_train_end(self, logs: Logs = None) -> None:
        """Hand it on."""
        self._callback.on_train_end(logs)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Hand it on, if the epoch trains."""
        if not self._skipped.active:
            self._callback.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Hand it on, if the epoch trained."""
        if not self._skipped.active:
            self._callback.on_epoch_end(epoch, logs)
