"""The user's callbacks in a population.

Which of them each trial gets a copy of, as KerasTuner gives it.
"""

from __future__ import annotations

import copy
from typing import Any

import keras

from keras_acts.errors import ModelError

from ..runtime.seeding import Stream, derive, isolated_seed
from .kerastuner import Trial, copies_of_callbacks, set_tensorboard_folder

# they read the logs of an epoch, and may end the training
_EACH = (keras.callbacks.EarlyStopping, keras.callbacks.TensorBoard)
# they look at the epoch alone
_SHARED = (keras.callbacks.LearningRateScheduler,)
# what it does a population does for each slot
_NEEDLESS = (keras.callbacks.TerminateOnNaN,)


class TrialCallbacks:
    """Copies of the user's callbacks for the slots of a population.

    Args:
        tuner: whose TensorBoard folders they write into.
        trials: of the slots.
        execution: of the trials.
        callbacks: the user's.

    Attributes:
        each: a list of callbacks for each slot.
        shared: callbacks of the population as a whole.
    """

    def __init__(self, tuner: Any, trials: list[Trial], execution: int, callbacks: list[Any]):
        self._tuner, self._trials = tuner, trials
        self.shared = [
            copy.deepcopy(callback) for callback in callbacks if type(callback) in _SHARED
        ]
        self.each: list[list[keras.callbacks.Callback]] = []
        for trial in trials:
            own = copies_of_callbacks(
                tuner, [callback for callback in callbacks if type(callback) in _EACH]
            )
            for callback in own:
                if isinstance(callback, keras.callbacks.EarlyStopping):
                    callback.restore_best_weights = False  # the checkpoint has them
            set_tensorboard_folder(tuner, own, trial, execution)
            self.each.append(own)

    def views(self) -> list[Any] | None:
        """Return what the slots' callbacks see as models: ordinary ones for TensorBoard.

        None if none needs it.
        """
        if not any(isinstance(c, keras.callbacks.TensorBoard) for own in self.each for c in own):
            return None
        with isolated_seed(derive(self._tuner.seed, Stream.BUILDS)):
            return [self._tuner._try_build(trial.hyperparameters) for trial in self._trials]


def check_callbacks(callbacks: list[Any]) -> None:
    """Check that all callbacks can watch slots.

    Raises:
        ModelError: if one may act on its model in a way that a slot has not.
    """
    for callback in callbacks:
        if type(callback) not in (*_EACH, *_SHARED, *_NEEDLESS):
            raise ModelError(f"the callback {type(callback).__name__} may act on its model")
        if isinstance(callback, keras.callbacks.TensorBoard) and (
            callback.histogram_freq or callback.embeddings_freq or callback.update_freq != "epoch"
        ):
            raise ModelError("TensorBoard is to write more than an epoch's logs")
