"""The user's callbacks in a population.

Which of them each trial gets a copy of, as KerasTuner gives it.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, TypeAlias

import keras

from keras_acts.errors import ModelError

from ..runtime.seeding import Stream, derive, isolated_seed
from ..strategy.scaled_callbacks import scaled_callbacks
from .kerastuner import Trial, copies_of_callbacks, set_tensorboard_folder

if TYPE_CHECKING:
    from .member_epochs import MemberView
    from .tuner import ActivationTuner

    MemberModel: TypeAlias = keras.Model | MemberView

# they read the logs of an epoch, and may end the training
_PER_TRIAL = (keras.callbacks.EarlyStopping, keras.callbacks.TensorBoard)
# they look at the epoch alone
_SHARED = (keras.callbacks.LearningRateScheduler,)
# what it does a population does for each member
_NEEDLESS = (keras.callbacks.TerminateOnNaN,)


class TrialCallbacks:
    """Copies of the user's callbacks for the members of a population.

    Args:
        tuner: whose TensorBoard folders they write into.
        trials: of the members.
        execution: of the trials.
        callbacks: the user's.

    Attributes:
        per_trial: a list of callbacks for each member.
        shared: callbacks of the population as a whole.
    """

    def __init__(
        self,
        tuner: ActivationTuner,
        trials: list[Trial],
        execution: int,
        callbacks: list[keras.callbacks.Callback],
    ):
        self._tuner = tuner
        self._trials = trials
        shared = [copy.deepcopy(given) for given in callbacks if type(given) in _SHARED]
        # where there are any, all trials have one rate
        self.shared = scaled_callbacks(shared, tuner.factor(trials[0]))
        originals = [given for given in callbacks if type(given) in _PER_TRIAL]
        board = keras.callbacks.TensorBoard
        self._write_models = any(isinstance(given, board) for given in originals)
        self.per_trial: list[list[keras.callbacks.Callback]] = []
        for trial in trials:
            copies = copies_of_callbacks(tuner, originals)
            for copied in copies:
                if isinstance(copied, keras.callbacks.EarlyStopping):
                    copied.restore_best_weights = False  # the checkpoint has them
            set_tensorboard_folder(tuner, copies, trial, execution)
            self.per_trial.append(copies)

    def models(self) -> list[MemberModel] | None:
        """Return what the members' callbacks see as models: ordinary ones for TensorBoard.

        None if none needs it.
        """
        if not self._write_models:
            return None
        with isolated_seed(derive(self._tuner.seed, Stream.BUILDS)):
            return [self._tuner.fresh_model(trial.hyperparameters) for trial in self._trials]


def check_callbacks(callbacks: list[keras.callbacks.Callback]) -> None:
    """Check that all callbacks can watch members of a population.

    Raises:
        ModelError: if one may act on its model in a way that a member has not.
    """
    for callback in callbacks:
        if type(callback) not in (*_PER_TRIAL, *_SHARED, *_NEEDLESS):
            raise ModelError(f"the callback {type(callback).__name__} may act on its model")
        if isinstance(callback, keras.callbacks.TensorBoard) and _writes_more_than_logs(callback):
            raise ModelError("TensorBoard is to write more than an epoch's logs")


def _writes_more_than_logs(callback: keras.callbacks.TensorBoard) -> bool:
    writes_weights = callback.histogram_freq or callback.embeddings_freq
    return bool(writes_weights or callback.update_freq != "epoch")
