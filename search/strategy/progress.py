"""Progress in the terminal.

A bar where there is one, and a line for what is finished everywhere.
"""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from ..report.numbers import number

Self = TypeVar("Self", bound="Progress")


class Progress:
    """Shows what is done of a number of things, on standard error.

    Args:
        total: how many there will be at most.
        verbose: 0 shows nothing.
        unit: what they are called.
        clock: shows the time; by default what went by.
    """

    def __init__(
        self, total: int, verbose: int = 1, unit: str = "trial", clock: ProgressColumn | None = None
    ):
        self._console = Console(stderr=True, quiet=not verbose, highlight=False)
        columns = (
            TextColumn("{task.fields[unit]}"),
            MofNCompleteColumn(),
            BarColumn(),
            clock or TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
        )
        # what a user's callback prints stays on standard output
        self._bar = Bar(
            *columns,
            console=self._console,
            transient=True,
            disable=not verbose,
            redirect_stdout=False,
        )
        self._task = self._bar.add_task("", total=total, unit=unit)

    def __enter__(self: Self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def begin(self, total: int, unit: str) -> None:
        """Begin with other things."""
        self._bar.reset(self._task, total=total, description="", unit=unit)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, markup=False, soft_wrap=True)

    def show(self, text: str) -> None:
        """Show what is worked on, beside the bar."""
        self._bar.update(self._task, description=text)

    def advance(self) -> None:
        """Count one more as done."""
        self._bar.advance(self._task)


class SearchProgress(Progress):
    """Shows a search while it works.

    Args:
        trials: how many there will be at most.
        epochs: how many each has at most.
        objective: the name of the metric.
        verbose: 0 shows nothing.
    """

    def __init__(self, trials: int, epochs: int, objective: str, verbose: int = 1):
        super().__init__(trials, verbose)
        self._objective, self._epochs = objective, epochs

    def epoch(self, candidate: str, epoch: int) -> None:
        """Show which candidate is trained, and how far it is."""
        self.show(f"{candidate}, epoch {epoch + 1}/{self._epochs}")

    def trial(self, candidate: str, status: str, score: float | None, seconds: float) -> None:
        """Record a finished trial: its score, or why it has none."""
        outcome = status
        if score is not None:
            outcome = f"{self._objective} {number(score, zeros=True)}"
        self.say(f"{candidate:<36} {outcome}  {seconds:5.1f} s")
        self.advance()


class RaceProgress(Progress):
    """Shows a race: its round, how many candidates are alive, the best so far with its spread, the time left.

    Args:
        total: how many epochs all runs have together.
        verbose: 0 shows nothing.
    """

    def __init__(self, total: int, verbose: int = 1):
        super().__init__(total, verbose, "epoch", TimeRemainingColumn())
        self._total = total

    def expect(self, more: int) -> None:
        """Expect so many more epochs of all runs, or fewer."""
        self._total += more
        self._bar.update(self._task, total=self._total)

    def epoch(self, text: str, slots: int) -> None:
        """Count one more epoch of so many runs as done, and show how the race stands."""
        self.show(text)
        self._bar.advance(self._task, slots)
