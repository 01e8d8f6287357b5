"""Where progress is shown: a table in a terminal, a box in a notebook, lines in a log."""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

# how often a second it is drawn anew
_A_SECOND = 4
_BAR = 40  # columns, in a terminal
# lines of a box that are not folded up
_LAST_LINES = 6


@dataclass
class Standing:
    """How a search stands.

    Attributes:
        cells: what is known of it, by the names of the columns.
        done: how much of it is done.
        total: of how much.
        unit: what they are called: ``"epoch"``, ``"trial"``, ``"seed"``.
    """

    cells: dict[str, str] = field(default_factory=dict)
    done: int = 0
    total: int = 0
    unit: str = "trial"

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        if not self.total:
            return 0.0
        return min(1.0, self.done / self.total)

    @property
    def counted(self) -> str:
        """What is done in words."""
        units = f"{self.unit}s"
        if self.total == 1:
            units = self.unit
        return f"{min(self.done, self.total):,} of {self.total:,} {units}"


class Display(Protocol):
    """Shows how a search stands, and what is said of it."""

    def start(self) -> None:
        """Begin to show it."""

    def stop(self) -> None:
        """Leave the place as it was found, but for what was said."""

    def changed(self) -> None:
        """Hear that it stands otherwise."""

    def say(self, text: str) -> None:
        """Say a line that stays."""


class Lines:
    """Only what is said, a line each: for logs, files and pipes.

    Args:
        console: where to.
    """

    def __init__(self, console: Console):
        self._console = console

    def start(self) -> None:
        """Nothing is drawn."""

    def stop(self) -> None:
        """Nothing is left."""

    def changed(self) -> None:
        """Nothing is drawn."""

    def say(self, text: str) -> None:
        """Say a line."""
        # a terminal breaks lines between words; a log gets them whole
        whole = not self._console.is_terminal
        self._console.print(text, markup=False, emoji=False, soft_wrap=whole)


class Terminal(Lines):
    """A table that is drawn anew below what is said, and is gone at the end.

    Args:
        console: of the terminal.
        standing: returns how it stands now; called from a thread of rich's.
    """

    def __init__(self, console: Console, standing: Callable[[], Standing]):
        super().__init__(console)
        self._live = Live(
            console=console,
            get_renderable=lambda: drawn(standing()),
            refresh_per_second=_A_SECOND,
            transient=True,
            # what a user's callback prints stays on standard output
            redirect_stdout=False,
        )

    def start(self) -> None:
        """Draw the table."""
        self._live.start()

    def stop(self) -> None:
        """Take the table away, and give the cursor back."""
        self._live.stop()


def drawn(standing: Standing) -> RenderableType:
    """Return the table of a terminal, with a bar below it."""
    if not standing.cells:
        return _bar(standing)
    table = Table(box=None, header_style="dim", padding=(0, 3, 0, 0), pad_edge=False)
    for name in standing.cells:
        table.add_column(Text(name), overflow="fold")
    table.add_row(*(Text(value) for value in standing.cells.values()))
    return Group(table, _bar(standing))


def _bar(standing: Standing) -> RenderableType:
    bar = Table.grid(padding=(0, 2, 0, 0))
    bar.add_row(
        ProgressBar(total=1.0, completed=standing.share, width=_BAR), Text(standing.counted, "dim")
    )
    return bar


class Notebook:
    """One box that is updated in its place, with what was said folded up in it.

    Args:
        standing: returns how it stands now.
    """

    def __init__(self, standing: Callable[[], Standing]):
        self._standing = standing
        self._said: list[str] = []
        self._handle: Any = None  # IPython's, of what is shown
        self._drawn = 0.0
        self._over = False

    def start(self) -> None:
        """Show the box."""
        from IPython.display import HTML, display

        self._handle = display(HTML(self._html()), display_id=True)

    def stop(self) -> None:
        """Leave what was said."""
        self._over = True
        self._update()

    def changed(self) -> None:
        """Update the box, a few times a second at most."""
        if time.monotonic() - self._drawn >= 1 / _A_SECOND:
            self._update()

    def say(self, text: str) -> None:
        """Say a line, in the box."""
        self._said.append(text)
        self._update()

    def _update(self) -> None:
        self._drawn = time.monotonic()
        if self._handle is not None:
            from IPython.display import HTML

            self._handle.update(HTML(self._html()))

    def _html(self) -> str:
        return box(self._standing(), self._said, over=self._over)


def box(standing: Standing, said: list[str], *, over: bool) -> str:
    """Return what a notebook shows; colours are left to the notebook.

    Args:
        standing: how the search stands.
        said: all lines so far.
        over: whether it is over: then the lines are what is left.
    """
    parts = []
    if not over:
        names = "".join(f"<th>{html.escape(name)}</th>" for name in standing.cells)
        values = "".join(f"<td>{html.escape(value)}</td>" for value in standing.cells.values())
        parts.append(f"<table><tr>{names}</tr><tr>{values}</tr></table>")
        counted = html.escape(standing.counted)
        parts.append(f'<progress value="{standing.share:.3f}"></progress> {counted}')
    earlier = said[:-_LAST_LINES]
    if earlier:
        parts.append(
            f"<details><summary>{len(earlier)} lines before</summary>{_lines(earlier)}</details>"
        )
    parts.append(_lines(said[-_LAST_LINES:]))
    return f"<div>{''.join(parts)}</div>"


def _lines(said: list[str]) -> str:
    return "".join(f"<div>{html.escape(line)}</div>" for line in said)


def display_for(standing: Callable[[], Standing], *, quiet: bool) -> Display:
    """Return the display that suits where this process writes, on standard error.

    Args:
        standing: returns how the search stands now.
        quiet: whether nothing is to be shown.
    """
    console = Console(stderr=True, quiet=quiet, highlight=False)
    if quiet:
        return Lines(console)
    if console.is_jupyter:
        return Notebook(standing)
    # a terminal that cannot move its cursor shows lines
    if console.is_terminal and not console.is_dumb_terminal:
        return Terminal(console, standing)
    return Lines(console)
