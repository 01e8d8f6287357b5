"""Progress of a search in the terminal: a bar where there is one, and a line a finished trial everywhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .result import TrialResult


class SearchProgress:
    """Shows a search while it works, on standard error.

    Args:
        trials: how many there will be at most.
        epochs: how many each has at most.
        objective: the name of the metric.
        verbose: 0 shows nothing.
    """

    def __init__(self, trials: int, epochs: int, objective: str, verbose: int = 1):
        self._console = Console(stderr=True, quiet=not verbose, highlight=False)
        self._objective, self._epochs = objective, epochs
        columns = (
            TextColumn("trial"),
            MofNCompleteColumn(),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
        )
        # what a user's callback prints stays on standard output
        self._bar = Progress(
            *columns, console=self._console, transient=True, disable=not verbose, redirect_stdout=False
        )
        self._task = self._bar.add_task("", total=trials)

    def __enter__(self) -> SearchProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, markup=False, soft_wrap=True)

    def epoch(self, candidate: str, epoch: int) -> None:
        """Show which candidate is trained, and how far it is."""
        self._bar.update(self._task, description=f"{candidate}, epoch {epoch + 1}/{self._epochs}")

    def trial(self, trial: TrialResult) -> None:
        """Record a finished trial."""
        score = trial.status if trial.score is None else f"{self._objective} {trial.score:.4f}"
        self.say(f"{trial.candidate!s:<36} {score}  {trial.seconds or 0:5.1f} s")
        self._bar.advance(self._task)
