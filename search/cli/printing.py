"""Tables of words for the terminal: as wide as what is in them, wrapped where the terminal is narrower."""

from __future__ import annotations

from collections.abc import Sequence

import rich.box
from rich.console import Console
from rich.table import Table

# of what is no terminal: wider than any table
_NO_LIMIT = 10_000


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose columns begin on the left."""
    table = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=_NO_LIMIT)
    console.print(table)


def print_facts(title: str, facts: Sequence[tuple[str, str]]) -> None:
    """Print a title, and below it names with what they are."""
    print(title)
    width = max((len(name) for name, _ in facts), default=0)
    for name, text in facts:
        print(f"  {name.ljust(width)}  {text}".rstrip())
