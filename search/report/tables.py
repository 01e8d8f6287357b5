"""A table of texts: drawn for the terminal, or written as Markdown. No TensorFlow."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import rich.box
from rich.console import Console
from rich.table import Table

# columns of words; all others hold numbers, whose digits stand below each other on the right
_OF_WORDS = {"activation"}
# spaces around a cell: above, right, below, left
_WIDE = (0, 1, 0, 1)
_NARROW = (0, 1, 0, 0)


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

    def drawn(self, *, narrow: bool = False) -> Table:
        """Return the table for the terminal.

        Args:
            narrow: whether one space between columns must do, because there are many.
        """
        padding = _WIDE
        if narrow:
            padding = _NARROW
        table = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=padding)
        for column in self.header:
            if column in _OF_WORDS:
                table.add_column(column, justify="left")
            else:
                table.add_column(column, justify="right")
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


def plain_text(table: Table, width: int) -> str:
    """Return a drawn table as text without colours, of this many columns at most."""
    console = Console(width=width, file=io.StringIO())
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
