"""Files that trainings append to, where a training may begin again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import keras

from .scaled_callbacks import without_scale


class AppendedLogs:
    """Takes back what a training has appended to its own file, where it begins again.

    A `CSVLogger` that appends would have its first epochs twice. What was in the file before the
    search stays.
    """

    def __init__(self) -> None:
        self._bytes_before: dict[str, int] = {}

    def begin(self, callbacks: Iterable[Any]) -> None:
        """Hear of a training that begins, perhaps again.

        Args:
            callbacks: of the training, with files of its own, none of them open.
        """
        for callback in map(without_scale, callbacks):
            if isinstance(callback, keras.callbacks.CSVLogger) and callback.append:
                self._begin_file(os.fspath(callback.filename))

    def _begin_file(self, path: str) -> None:
        size = 0
        if os.path.isfile(path):
            size = os.path.getsize(path)
        before = self._bytes_before.setdefault(path, size)
        if size > before:
            os.truncate(path, before)
