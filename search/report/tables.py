"""A table of texts: drawn for the terminal, or written as Markdown. No TensorFlow."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import rich.box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

# columns of words; all others hold numbers, whose digits stand below each other on the right
_OF_WORDS = {"activation", "the test says"}
# spaces around a cell: above, right, below, left
_PADDING = (0, 1, 0, 1)
# columns of text that nobody wraps: as many as the widest table needs
_UNLIMITED = 10_000


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are written already.

    Attributes:
        header: the names of the columns.
        rows: the cells, as many each as there are columns.
        bold: the index of the row to point at; None for none.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    bold: int | None = None

    def drawn(self) -> Table:
        """Return the table for the terminal: where it is too narrow words are wrapped, never cut."""
        table = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=_PADDING)
        for index, column in enumerate(self.header):
            if column in _OF_WORDS:
                table.add_column(column, justify="left", overflow="fold")
                continue
            # a number in two lines is another number: headers wrap, and names of activations
            widest = max((cell_len(row[index]) for row in self.rows), default=0)
            table.add_column(column, justify="right", overflow="fold", min_width=widest)
        for index, row in enumerate(self.rows):
            if index == self.bold:
                table.add_row(*row, style="bold")
            else:
                table.add_row(*row)
        return table

    def to_markdown(self) -> str:
        """Return the table as Markdown."""
        rule = ["---"] * len(self.header)
        return "\n".join(_markdown_row(row) for row in (self.header, rule, *self.rows))


def plain_text(table: Table) -> str:
    """Return a drawn table as text without colours, as wide as its content."""
    console = Console(width=_UNLIMITED, file=io.StringIO())
    with console.capture() as captured:
        console.print(table)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    return "\n".join(lines) + "\n"


def print_table(table: Table) -> None:
    """Print a drawn table to standard output: in a file it is as wide as its content."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(table)
        return
    console.out(plain_text(table), end="", highlight=False)


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
