"""A table of texts: drawn for the terminal, or written as Markdown. No TensorFlow."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import rich.box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

# columns of words; all others hold numbers, whose digits stand below each other on the right
_OF_WORDS = {"activation", "the test says", "column", "kind", "what is done"}
# what is said of a table's columns
COLUMNS = ("column", "kind", "numbers", "what is done")
# spaces around a cell: above, right, below, left
_PADDING = (0, 1, 0, 0)
# spaces before a column
_BETWEEN = 2
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

    def drawn(self, width: int | None = None) -> Table:
        """Return the table for the terminal.

        Args:
            width: columns that it may take, where a line may end between words, of headers first; by
                default it is as wide as its content.
        """
        table = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=_PADDING)
        widths = _widths(self, width)
        for column, wide in zip(self.header, widths, strict=True):
            side: JustifyMethod = "right"
            if column in _OF_WORDS:
                side = "left"
            # texts, not markup: a name such as "flow [/min]" stays as it is
            table.add_column(Text(column), justify=side, overflow="fold", width=wide)
        for index, row in enumerate(self.rows):
            cells = map(Text, row)
            if index == self.bold:
                table.add_row(*cells, style="bold")
            else:
                table.add_row(*cells)
        return table

    def to_markdown(self) -> str:
        """Return the table as Markdown."""
        rule = ["---"] * len(self.header)
        return "\n".join(_markdown_row(row) for row in (self.header, rule, *self.rows))


def bullets(lines: Sequence[str]) -> str:
    """Return lines as a Markdown list."""
    return "\n".join(f"- {line}" for line in lines)


def print_text(text: str, *, stderr: bool = False) -> None:
    """Print a text as it is: brackets and colons in names are no markup of rich's.

    A terminal breaks lines between words; a file gets them whole.
    """
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    console.print(text, soft_wrap=not console.is_terminal)


def plain_text(table: Table) -> str:
    """Return a drawn table as text without colours, as wide as its content."""
    console = Console(width=_UNLIMITED, file=io.StringIO())
    with console.capture() as captured:
        console.print(table)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    return "\n".join(lines) + "\n"


def print_table(drawn: Callable[[int | None], Table], *, stderr: bool = False) -> None:
    """Print a table: in a file as wide as its content, in a terminal as that allows.

    Args:
        drawn: what draws it in so many columns, such as `TextTable.drawn`.
        stderr: whether it goes to standard error.
    """
    console = Console(stderr=stderr, highlight=False)
    if console.is_terminal:
        table = drawn(console.width)
        taken = sum(column.width + _BETWEEN for column in table.columns if column.width)
        if taken <= console.width:
            console.print(table)
            return
    # a terminal that is too narrow wraps the lines by itself: nothing is cut
    console.out(plain_text(drawn(None)), end="", highlight=False)


def _widths(table: TextTable, width: int | None) -> list[int]:
    """How wide each column is: headers wrap first, then cells between words, words never."""
    columns = [[row[index] for row in table.rows] for index in range(len(table.header))]
    full, whole_cells, words = [], [], []
    for header, cells in zip(table.header, columns, strict=True):
        word_of_header = _widest(header.split())
        full.append(_widest([header, *cells]))
        whole_cells.append(max(word_of_header, _widest(cells)))
        words.append(max(word_of_header, _widest(" ".join(cells).split())))
    if width is None:
        return full
    room = width - _BETWEEN * len(full)
    return _shrunk(_shrunk(full, whole_cells, room), words, room)


def _shrunk(widths: list[int], least: list[int], room: int) -> list[int]:
    """Widths that fit into the room, none below its least: those with most to give give first."""
    shrunk = list(widths)
    spare = [wide - small for wide, small in zip(widths, least, strict=True)]
    for index in sorted(range(len(spare)), key=lambda each: -spare[each]):
        too_much = sum(shrunk) - room
        if too_much > 0:
            shrunk[index] -= min(spare[index], too_much)
    return shrunk


def _widest(texts: Sequence[str]) -> int:
    return max(map(cell_len, texts), default=0)


def _markdown_row(cells: Sequence[str]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"
