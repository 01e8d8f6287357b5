"""Data that change while they are read: a copy for each training, which so begins with the first batch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import keras

from keras_acts.errors import DataError

from ..runtime.reasons import first_line
from .scoring import Data

# what Keras calls between epochs, where a dataset of the user's may draw another order
_HOOKS = ("on_epoch_begin", "on_epoch_end")
_DATA = ("x", "validation_data")
_INFINITE = -1  # `tf.data.INFINITE_CARDINALITY`


def own_data(fit: Mapping[str, Any], trained: int = 0) -> dict[str, Any]:
    """Return the arguments of `fit` for one training: no other one moves its data on.

    A `PyDataset` that does something between epochs, such as to shuffle, goes on from one training
    to the next. So each model would see other batches than the one before. And each `fit` begins a
    dataset anew, which in one `fit` goes on from epoch to epoch, where `steps_per_epoch` cuts them.

    Args:
        fit: the user's arguments, which are left as they are.
        trained: how many epochs there were before this `fit`.
    """
    own = dict(fit)
    for name in _DATA:
        if name in own:
            own[name] = _own(own[name])
    steps = fit.get("steps_per_epoch")
    if steps and trained and _has_no_end(own.get("x")):
        own["x"] = own["x"].skip(steps * trained)
    return own


def free_copies(own: Mapping[str, Any], fit: Mapping[str, Any]) -> None:
    """Empty the copies that `own_data` made, after a `fit` that has ended as it should.

    TensorFlow keeps each Python function that a dataset of Keras' calls, and with it the copy, for
    as long as the process lives: one for each training.

    Args:
        own: what `own_data` returned.
        fit: the user's arguments, which it was called with.
    """
    for name in _DATA:
        if name in own and own[name] is not fit[name] and changes_between_epochs(own[name]):
            vars(own[name]).clear()


def goes_on(fit: Mapping[str, Any]) -> bool:
    """Whether the data of an epoch depend on where the one before has ended.

    A second `fit`, which begins the data anew, is then not what a longer one would be.
    """
    if fit.get("steps_per_epoch") or fit.get("validation_steps"):
        return True
    data = (fit.get("x"), fit.get("validation_data"))
    return any(isinstance(part, keras.utils.PyDataset) for part in data)


def _has_no_end(data: Data) -> bool:
    """Whether data are a `tf.data.Dataset` that is repeated for ever."""
    if not hasattr(data, "cardinality") or not hasattr(data, "skip"):
        return False
    return int(data.cardinality()) == _INFINITE


def _own(data: Data) -> Data:
    if changes_between_epochs(data):
        return copy.deepcopy(data)
    return data


def changes_between_epochs(data: Data) -> bool:
    """Whether data are a `PyDataset` with hooks of its own."""
    if not isinstance(data, keras.utils.PyDataset):
        return False
    base = keras.utils.PyDataset
    return any(getattr(type(data), hook) is not getattr(base, hook) for hook in _HOOKS)


def check_own_data(fit: Mapping[str, Any]) -> None:
    """Check that data that change between epochs can be copied.

    Raises:
        DataError: naming those that cannot.
    """
    for name in _DATA:
        try:
            _own(fit.get(name))
        except Exception as error:
            raise DataError(
                f"{name} must be a PyDataset that copy.deepcopy can copy, as it changes between epochs, and each "
                f"model begins with its first. Received: {type(fit[name]).__name__}, {first_line(error)}"
            ) from error
