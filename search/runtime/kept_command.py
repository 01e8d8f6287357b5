"""The options of the command that a kept search belongs to, beside its other files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from .kept_files import read_kept, write_kept

COMMAND = "keras_acts_command.json"

_options: ContextVar[Mapping[str, Any] | None] = ContextVar("options", default=None)


@contextlib.contextmanager
def searching_with(options: Mapping[str, Any]) -> Iterator[None]:
    """Have a search that is kept, and begins inside, keep these options of its command.

    Args:
        options: as JSON has them.
    """
    token = _options.set(options)
    try:
        yield
    finally:
        _options.reset(token)


def keep_command(project: Path) -> None:
    """Keep the options of the command in a project, if a command it is.

    Only once the search holds the project and may go on there: options that are refused must not
    be those of the next process.
    """
    options = _options.get()
    if options is not None:
        write_kept(project / COMMAND, options)


def kept_command(project: Path) -> dict[str, Any] | None:
    """Return the options with which a command last searched in a project; None if there are none.

    Raises:
        SearchError: if the file is damaged.
    """
    file = project / COMMAND
    if not file.is_file():
        return None
    return read_kept(file, signed=True)
