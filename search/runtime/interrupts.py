"""Whether Ctrl-C came, also where a library has made another error of it, or none."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

# what ends a process politely; the command line takes the second as the first
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], Any]


class Interrupts:
    """The signals that come while models train.

    A KeyboardInterrupt may come while TensorFlow or Keras traces a program: some of what they do
    then stands in an `except` that takes any error, and goes on, or fails in another way.
    """

    def __init__(self) -> None:
        self._came = False

    def raise_if_lost(self) -> None:
        """Raise what a library has kept for itself.

        Raises:
            KeyboardInterrupt: if a signal came.
        """
        if self._came:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def not_an_error(self) -> Iterator[None]:
        """Have no error that a library has made of a signal stand for what failed inside.

        Raises:
            KeyboardInterrupt: instead of an error, if a signal came.
        """
        try:
            yield
        except Exception:
            self.raise_if_lost()
            raise

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Note signals, which whoever handled them handles as before.

        One whose handler raises nothing is no interrupt: what a program of the user's does with it is
        its own.

        Raises:
            KeyboardInterrupt: at the end, if one came and nothing was raised.
        """
        self._came = False
        before = {}
        if threading.current_thread() is threading.main_thread():
            # only that thread may say what a signal does
            for number in _SIGNALS:
                handler = signal.getsignal(number)
                if callable(handler):  # else it ends the process at once, or is ignored
                    before[number] = handler
                    signal.signal(number, self._noting(handler))
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        self.raise_if_lost()

    def _noting(self, handler: Handler) -> Handler:
        def note(number: int, frame: FrameType | None) -> None:
            try:
                handler(number, frame)
            except BaseException:
                self._came = True
                raise

        return note
