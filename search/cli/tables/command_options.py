"""The options that say how a table is read. No TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import click

from .options import DECIMALS, KINDS, Reading, parsed_kinds
from .separators import checked_separator

_FILE = (
    click.option(
        "--separator",
        default="",
        show_default=False,
        help='Between the cells of a table: one character, or "tab".  [default: as the file says]',
    ),
    click.option(
        "--decimal",
        default="",
        show_default=False,
        type=click.Choice(["", *DECIMALS]),
        metavar="[.|,]",
        help="Before the decimals of a table's numbers; the other one stands between thousands.  "
        "[default: as the numbers say]",
    ),
    click.option(
        "--encoding",
        default="",
        show_default=False,
        help="Of a table's text, such as latin-1.  [default: UTF-8, else cp1252]",
    ),
    click.option(
        "--gaps",
        multiple=True,
        default=(),
        metavar="WORD",
        help="What stands for a missing value, besides an empty cell, ?, NA and their like.",
    ),
)
_COLUMNS = (
    click.option(
        "--drop",
        multiple=True,
        default=(),
        metavar="COLUMN",
        help="A column of a table to leave out.",
    ),
    click.option(
        "--column",
        multiple=True,
        default=(),
        metavar="NAME=KIND",
        help=f"What a column is: {', '.join(KINDS)}, or how a date is written, such as %d.%m.%Y.",
    ),
)
_PARTS = (
    click.option(
        "--validation",
        default=None,
        type=click.Path(path_type=Path),
        help="A file, or folder, whose rows rank the candidates.  [default: a part of --data]",
    ),
    click.option(
        "--test",
        default=None,
        type=click.Path(path_type=Path),
        help="A file, or folder, whose rows are looked at once.  [default: a part of --data]",
    ),
)
# what the data follow from, before TensorFlow is loaded: a search itself takes none of them
READ = (
    *("data", "target", "task", "validation", "test", "image_size", "skip_broken"),
    *("separator", "decimal", "encoding", "gaps", "drop", "column"),
)
Command: TypeAlias = Callable[..., None]


def of_search(command: Command) -> Command:
    """Give a command the options of data that train."""
    return _with(command, (*_PARTS, *_COLUMNS, *_FILE))


def of_file(command: Command) -> Command:
    """Give a command the options of a file that is only read."""
    return _with(command, _FILE)


def _with(command: Command, options: tuple[Callable[[Command], Command], ...]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def reading(options: Mapping[str, Any]) -> Reading:
    """Return what the options of a command say of a table.

    Raises:
        WrongOption: if one of them says nothing.
    """
    separator = options.get("separator") or ""
    if separator:
        separator = checked_separator(separator)
    return Reading(
        separator=separator,
        decimal=options.get("decimal") or "",
        encoding=options.get("encoding") or "",
        gaps=tuple(options.get("gaps") or ()),
        kinds=parsed_kinds(options.get("column") or ()),
        drop=tuple(options.get("drop") or ()),
    )
