"""How often a training may stop to keep what it has: at most a small share of its time."""

from __future__ import annotations

import time

# of the time that a training takes, at most
SHARE = 0.02
# less is hardly worth being kept
LEAST_SECONDS = 10.0


class Pace:
    """Says when it is time to keep something again.

    Args:
        least: how many seconds there are between two times, at least.
    """

    def __init__(self, least: float | None = None):
        self._least = LEAST_SECONDS
        if least is not None:
            self._least = least
        self._taken = 0.0  # by the last time
        self._ended = time.monotonic()
        self._began = 0.0

    def is_time(self) -> bool:
        """Return whether enough time has gone since the last time, by what that took."""
        gone = time.monotonic() - self._ended
        return gone >= self._least and gone * SHARE >= self._taken

    def begin(self) -> None:
        """Hear that something is being kept."""
        self._began = time.monotonic()

    def end(self) -> None:
        """Hear that it is."""
        self._ended = time.monotonic()
        self._taken = self._ended - self._began
