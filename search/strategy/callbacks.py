"""The user's callbacks: a copy for each training, which may go on in several calls of `fit`.

A callback remembers: how long it has waited, what the best was, the file that it writes. So no two
trainings may share one.
"""

from __future__ import annotations

import copy
import os
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from keras_acts.compat import all_layers
from keras_acts.errors import SearchError

from ..runtime.reasons import first_line
from ..space.rated import Rated
from .batch_hooks import watch_batches
from .scaled_callbacks import scaled_callbacks, without_scale

Logs: TypeAlias = Mapping[str, Any] | None

# what a callback of Keras writes into, by the attribute that says where
_FILES = {
    keras.callbacks.ModelCheckpoint: "filepath",
    keras.callbacks.CSVLogger: "filename",
    keras.callbacks.TensorBoard: "log_dir",
}
_FOLDERS = (keras.callbacks.TensorBoard,)
# they leave a model with the weights of its last epoch; what another callback does nobody knows
_LEAVE_WEIGHTS = (
    keras.callbacks.CSVLogger,
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.RemoteMonitor,
    keras.callbacks.TensorBoard,
    keras.callbacks.TerminateOnNaN,
)
# a file system takes 255 bytes a name, and the user's own part wants some of them
_LONGEST_LABEL = 80


def check_callbacks(callbacks: Iterable[Any], model: object = None) -> None:
    """Check that each training can have callbacks of its own that do what they do in a `fit`.

    Args:
        callbacks: the user's.
        model: that is searched, or what builds one.

    Raises:
        SearchError: naming the callback that cannot.
    """
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise SearchError(
                f"callbacks must be Keras callbacks. Received: {callback!r} of type {type(callback).__name__}"
            )
        reason = _why_not_copied(callback, model)
        if reason:
            name = type(callback).__name__
            raise SearchError(
                f"Each model that is trained needs a callback of its own. Received: {name}, {reason}"
            )


def check_validated_weights(callbacks: Iterable[Any]) -> None:
    """Check that each epoch is scored with the weights that it ends with, which a search keeps.

    Args:
        callbacks: the user's.

    Raises:
        SearchError: naming the callback that validates with others.
    """
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.SwapEMAWeights):
            raise SearchError(
                "A search keeps the weights that an epoch ends with, so these must be the ones that it "
                f"is validated with. Received: {type(callback).__name__}, which validates with averages "
                "and puts the weights back: leave it out, or compare with compare_activations"
            )


def _why_not_copied(callback: keras.callbacks.Callback, model: object) -> str:
    """Why a callback is not the same for each of many models; empty if it is."""
    if isinstance(callback, keras.callbacks.CallbackList):
        return "which holds others for one model: give a list of callbacks"
    if isinstance(callback, keras.callbacks.BackupAndRestore):
        # what it restores are epochs that no race or verdict has seen the scores of
        return "which would begin a model in the middle of its training: directory= keeps a search"
    if type(callback).__name__ == "OrbaxCheckpoint":
        return "which manages one folder for one model: ModelCheckpoint writes a file for each"
    for name, value in vars(callback).items():
        reason = _why_not_held(value, model)
        if reason and name != "_model":
            return f"whose {name} {reason}"
    try:
        _copied([callback])
    except Exception as error:
        return f"which cannot be copied: {first_line(error)}"
    return ""


def _why_not_held(value: object, model: object) -> str:
    """Why a callback cannot have a value, or a list of some, as an attribute; empty if it can."""
    parts: list[object] = []
    if isinstance(model, keras.Model):
        parts = [*all_layers(model), getattr(model, "optimizer", None)]
    for held in keras.tree.flatten(value):
        if held is model and isinstance(model, keras.Model):
            return (
                "is the model that is searched, which never trains: self.model is the one that does"
            )
        if held is not None and any(held is part for part in parts):
            return "is a part of the model that is searched, which never trains: take it from self.model"
        if isinstance(held, keras.Variable):
            # a copy of the callback would set a copy of the variable, which no layer reads
            return (
                "is a variable, of which each copy would have another than the models: take it "
                "from self.model"
            )
    return ""


def put_weights_back(callbacks: Iterable[Any]) -> bool:
    """Whether a training ends with other weights than those that its last epoch was scored with."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.EarlyStopping) and callback.restore_best_weights:
            return True
    return False


def may_put_weights_back(callbacks: Iterable[Any]) -> list[str]:
    """Return the classes of callbacks after which a training may end with other weights.

    Other than those that its last epoch was scored with: as `put_weights_back`, or nobody knows.
    """
    names: dict[str, None] = {}
    for callback in callbacks:
        if type(callback) is keras.callbacks.EarlyStopping:
            leaves_weights = not callback.restore_best_weights
        else:
            leaves_weights = type(callback) in _LEAVE_WEIGHTS
        if not leaves_weights:
            names[type(callback).__name__] = None
    return list(names)


def own_copies(callbacks: Sequence[Any], name: str, factor: float) -> list[Any]:
    """Return copies of the user's callbacks for one training, each with files of its own.

    Args:
        callbacks: the user's, which are left as they are.
        name: of the training, see `label`.
        factor: what the user's learning rate is multiplied by.
    """
    copies = _copied(callbacks)
    give_own_files(copies, name)
    return scaled_callbacks(copies, factor)


def give_own_files(callbacks: Iterable[Any], name: str) -> None:
    """Have the callbacks of a training write into files of its own.

    Args:
        callbacks: copies that the training has.
        name: of the training, see `label`.
    """
    for callback in callbacks:
        for kind, attribute in _FILES.items():
            if isinstance(callback, kind):
                place = str(getattr(callback, attribute))
                is_folder = isinstance(callback, _FOLDERS)
                setattr(callback, attribute, _own_place(place, name, is_folder))


def _copied(callbacks: Sequence[Any]) -> list[Any]:
    # one that was in a `fit` before holds its model, of which nobody wants a copy
    without_models: dict[int, None] = {}
    for callback in callbacks:
        model = getattr(callback, "_model", None)
        if model is not None:
            without_models[id(model)] = None
    # all at once: callbacks that know of each other still do
    return list(copy.deepcopy(list(callbacks), without_models))


def label(rated: Rated, seed: int | None = None) -> str:
    """Return what the files of a training are called after: its candidate, rate and seed, if it has one.

    Example:
        >>> label(Rated(Candidate.of("relu")), 7)
        'relu-seed7'
    """
    text = str(rated)
    name = re.sub(r"[^\w.=-]+", "_", text)[:_LONGEST_LABEL]
    if name != text:
        # two candidates may have become one name
        name += f"-{zlib.crc32(text.encode()):08x}"
    if seed is None:
        return name
    return f"{name}-seed{seed}"


def _own_place(place: str, name: str, is_folder: bool) -> str:
    """The file or folder of one training, beside or inside the user's."""
    if is_folder:
        return os.path.join(place, name)
    stem, suffix = os.path.splitext(place)
    if stem.endswith(".weights"):  # Keras wants weights in .weights.h5
        stem = stem.removesuffix(".weights")
        suffix = f".weights{suffix}"
    return f"{stem}-{name}{suffix}"


class OneTraining(keras.callbacks.Callback):
    """Callbacks of one training that goes on in several calls of `fit`, as if it were one.

    They begin once and end once; how many epochs there are, they hear of the whole training.

    Args:
        callbacks: of the training.
        epochs: of the whole training.

    Attributes:
        stopped: after how many epochs they ended the training; 0 if they did not.
        ended: whether they heard of its end.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback], epochs: int):
        super().__init__()
        self.stopped = 0
        self.ended = False
        self._callbacks = list(callbacks)
        self._epochs = epochs
        self._trained = 0
        self._begun = False

    @classmethod
    def of(cls, callbacks: Sequence[keras.callbacks.Callback], epochs: int) -> OneTraining:
        """Return one that hands on batches where a callback wants to see them."""
        # Keras waits for each batch of whom it tells of them
        if any(map(watch_batches, callbacks)):
            return _OneTrainingOfBatches(callbacks, epochs)
        return cls(callbacks, epochs)

    @property
    def weights(self) -> list[np.ndarray]:
        """Return the weights of a best epoch that they hold."""
        held: list[np.ndarray] = []
        for callback in map(without_scale, self._callbacks):
            if isinstance(callback, keras.callbacks.EarlyStopping):
                held += callback.best_weights or []
        return held

    def set_params(self, params: dict[str, Any]) -> None:
        """Hand them on, with the epochs of the whole training."""
        super().set_params(params)
        for callback in self._callbacks:
            callback.set_params({**params, "epochs": self._epochs})

    def set_model(self, model: keras.Model) -> None:
        """Hand it on, once: some begin something when they hear of it."""
        super().set_model(model)
        if self._begun:
            return
        for callback in self._callbacks:
            callback.set_model(model)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Begin, the first time."""
        if self._begun:
            return
        self._begun = True
        for callback in self._callbacks:
            callback.on_train_begin(logs)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Hand it on."""
        for callback in self._callbacks:
            callback.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Hand it on, and see whether a callback ends the training."""
        for callback in self._callbacks:
            callback.on_epoch_end(epoch, logs)
        self._trained = epoch + 1
        if self.model.stop_training:
            self.stopped = epoch + 1

    def on_test_begin(self, logs: Logs = None) -> None:
        """Hand it on."""
        for callback in self._callbacks:
            callback.on_test_begin(logs)

    def on_test_end(self, logs: Logs = None) -> None:
        """Hand it on."""
        for callback in self._callbacks:
            callback.on_test_end(logs)

    def on_train_end(self, logs: Logs = None) -> None:
        """End, if this is the end of the whole training."""
        if self.stopped or self._trained >= self._epochs:
            self.end(logs)

    def end(self, logs: Logs = None) -> None:
        """End now: nobody trains on."""
        if self.ended or not self._begun:
            return
        self.ended = True
        for callback in self._callbacks:
            callback.on_train_end(logs)

    def leave(self, name: str, say: Callable[[str], None]) -> None:
        """End, as others go on; a callback that fails now costs nobody else the training.

        Args:
            name: of the training.
            say: called with what failed.
        """
        if self.ended or not self._begun:
            return
        self.ended = True
        for callback in self._callbacks:
            try:
                callback.on_train_end(None)
            except Exception as error:  # the others have files to close
                say(f"A callback failed as {name} left: {first_line(error)}")


class _OneTrainingOfBatches(OneTraining):
    """With callbacks that want to see each batch."""

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Hand it on."""
        for callback in self._callbacks:
            callback.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Hand it on."""
        for callback in self._callbacks:
            callback.on_train_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Hand it on."""
        for callback in self._callbacks:
            callback.on_test_batch_begin(batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Hand it on."""
        for callback in self._callbacks:
            callback.on_test_batch_end(batch, logs)
