"""How a search goes, for whoever looks on.

One table that is drawn anew where there is a terminal, one box in a notebook, and a line for what
is finished everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from ..report.numbers import number
from .live import Standing, display_for

Self = TypeVar("Self", bound="Progress")

# of all that is to be done, before what it takes tells what the rest will
_ENOUGH = 0.1
_TOGETHER = 0.02  # seconds
_MINUTE = 60  # seconds, and minutes of an hour


class Progress:
    """Shows what is done of a number of things, on standard error.

    Args:
        total: how many there will be at most.
        verbose: 0 shows nothing.
        unit: what they are called.
        clock: returns the seconds now.

    Attributes:
        deadline: the second, by the clock, at which it ends in any case; None if there is none.
    """

    def __init__(
        self,
        total: int,
        verbose: int = 1,
        unit: str = "trial",
        clock: Callable[[], float] = time.monotonic,
    ):
        self.deadline: float | None = None
        self._clock = clock
        self._done = 0
        self._total = total
        self._unit = unit
        self._cells: dict[str, str] = {}
        self._what = ""
        self._unsure = False
        self._begun = clock()
        self._latest = self._begun
        self._speed = Speed(clock)
        self._display = display_for(self.standing, quiet=not verbose)

    def __enter__(self: Self) -> Self:
        self._begun = self._clock()
        self._display.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._display.stop()

    def begin(self, total: int, unit: str, what: str = "") -> None:
        """Begin with other things.

        Args:
            total: how many there will be at most.
            unit: what they are called.
            what: what is done, in a word or two.
        """
        self._total = total
        self._unit = unit
        self._done = 0
        self._unsure = False
        self._cells = {}
        self._put("now", what)
        self._what = what
        self._begun = self._clock()
        self._speed = Speed(self._clock)
        self.deadline = None
        self._display.changed()

    def say(self, text: str) -> None:
        """Say a line that stays, above what is drawn."""
        self._display.say(text)

    def show(self, text: str) -> None:
        """Show what is worked on."""
        if self._what:
            text = f"{self._what}, {text}"
        self._put("now", text)
        self._display.changed()

    def lead(self, text: str) -> None:
        """Show what is ahead so far, with its score and how sure that is."""
        self._put("best so far", text)
        self._display.changed()

    def cannot_tell(self) -> None:
        """Hear that what is done tells nothing of what is left: some of it was done earlier."""
        self._unsure = True

    def advance(self, count: int = 1) -> None:
        """Count so many more as done."""
        self._done += count
        self._latest = self._clock()
        self._display.changed()

    def standing(self) -> Standing:
        """Return how it stands now."""
        # another thread may draw while this one writes
        cells = dict(self._cells)
        rate = self._speed.rate
        if rate is not None:
            cells["epochs/s"] = f"{rate:.3g}"
        left = self.seconds_left
        if left is not None:
            cells["time left"] = in_words(left)
        return Standing(cells, self._done, self._total, self._unit)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes if it is like what is done; None while too little is done to tell.

        All that was waited for counts, compiling too, as it will again.
        """
        now = self._clock()
        rest = self._total - self._done
        if rest <= 0:
            return None
        left = None
        if self._done >= max(1.0, _ENOUGH * self._total) and not self._unsure:
            # from the latest end of one on; where that lasts longer than it should, nobody knows
            each = (self._latest - self._begun) / self._done
            left = each * rest - (now - self._latest)
            if left <= 0:
                left = None
        if self.deadline is None:
            return left
        until = max(0.0, self.deadline - now)
        if left is None:
            return until
        return min(left, until)

    def _put(self, name: str, text: str) -> None:
        """Set a cell; an empty one is not shown."""
        if text:
            self._cells[name] = text
        else:
            self._cells.pop(name, None)


class Speed:
    """How many epochs a second are trained, from the latest ones.

    The first one after each pause does not count: it compiles. Nor do those that end with it, of
    models that train together.

    Args:
        clock: returns the seconds now.
    """

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._since: float | None = None
        self._until = 0.0
        self._epochs = 0

    def pause(self) -> None:
        """Begin anew with the next epoch; what was measured is shown until then."""
        self._since = None

    def count(self, epochs: int) -> None:
        """Count epochs that ended together, just now."""
        now = self._clock()
        if self._since is None:
            self._since = now
            self._epochs = 0
            return
        if not self._epochs and now - self._since < _TOGETHER:
            return
        self._epochs += epochs
        self._until = now

    @property
    def rate(self) -> float | None:
        """Epochs a second; None while nothing is measured."""
        if self._since is None or not self._epochs or self._until <= self._since:
            return None
        return self._epochs / (self._until - self._since)


def in_words(seconds: float) -> str:
    """Return a time that is left, no more exact than it is known."""
    if seconds < _MINUTE:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / _MINUTE)
    if minutes < _MINUTE:
        return f"{minutes} min"
    hours, rest = divmod(minutes, _MINUTE)
    return f"{hours} h {rest:02d} min"


class SearchProgress(Progress):
    """Shows a search while it works.

    Args:
        trials: how many there will be at most.
        epochs: how many each has at most.
        objective: the name of the metric.
        verbose: 0 shows nothing.
        maximize: whether a higher score is better.
    """

    def __init__(
        self,
        trials: int,
        epochs: int,
        objective: str,
        verbose: int = 1,
        *,
        maximize: bool = True,
    ):
        super().__init__(trials, verbose)
        self._objective = objective
        self._epochs = epochs
        self._maximize = maximize
        self._best: float | None = None

    def epoch(self, candidate: str, epoch: int) -> None:
        """Show which candidate is trained, and how far it is."""
        self._speed.count(1)
        self.show(f"{candidate}, epoch {epoch + 1}/{self._epochs}")

    def trial(self, candidate: str, status: str, score: float | None, seconds: float) -> None:
        """Record a finished trial: its score, or why it has none."""
        outcome = status
        if score is not None:
            outcome = f"{self._objective} {number(score, zeros=True)}"
            self._note_best(candidate, score)
        self.say(f"{candidate:<36} {outcome}  {seconds:5.1f} s")
        self.advance()

    def _note_best(self, candidate: str, score: float) -> None:
        best = self._best
        is_better = best is None or (score > best if self._maximize else score < best)
        if is_better:
            self._best = score
            self._put("best so far", f"{candidate} {number(score, zeros=True)}")


class RaceProgress(Progress):
    """Shows a race: its round, how many candidates are left, the best so far with its spread.

    Args:
        total: how many epochs all runs have together.
        verbose: 0 shows nothing.
    """

    def __init__(self, total: int, verbose: int = 1):
        super().__init__(total, verbose, "epoch")

    def expect(self, more: int) -> None:
        """Expect so many more epochs of all runs, or fewer."""
        self._total += more
        self._display.changed()

    def epoch(self, a_round: str, candidates: int, best: str, members: int) -> None:
        """Count one more epoch of so many runs as done, and show how the race stands.

        Args:
            a_round: which one it is: ``"2 of 5"``.
            candidates: that are left.
            best: what is ahead, with its score; empty if nothing is known.
            members: the runs that trained the epoch.
        """
        if self._cells.get("round") != a_round:
            self._speed.pause()
        self._put("round", a_round)
        self._put("candidates left", str(candidates))
        self._put("best so far", best)
        self._speed.count(members)
        self.advance(members)
