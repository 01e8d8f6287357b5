"""Which callbacks want to see each batch."""

from __future__ import annotations

from typing import Any

import keras

_HOOKS_OF_BATCHES = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)


def watch_batches(callback: Any) -> bool:
    """Whether a callback has a hook of its own for batches.

    `ModelCheckpoint` has one, and needs it where it counts batches only.
    """
    if type(callback) is keras.callbacks.ModelCheckpoint and callback.save_freq == "epoch":
        return False
    for hook in _HOOKS_OF_BATCHES:
        function = getattr(getattr(callback, hook), "__func__", None)
        if function is not getattr(keras.callbacks.Callback, hook):
            return True
    return False
