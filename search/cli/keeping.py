"""What --directory, --restart and --resume say: where a command keeps its work, and goes on with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from .running import Refused


def going_on(
    context: click.Context, options: Mapping[str, Any], kind: str, quiet: bool
) -> dict[str, Any]:
    """Return the options of a command without --resume, with those that are kept where it goes on.

    Args:
        context: of the command.
        options: of the command.
        kind: what the command makes: `places.SEARCH` or `places.COMPARISON`.
        quiet: whether nothing is said of what is there.

    Raises:
        KerasActsError: if that folder keeps something else, or is damaged.
        Refused: if the options contradict each other.
    """
    own = {name: value for name, value in options.items() if name != "resume"}
    folder: Path | None = options["resume"]
    if folder is None:
        if options["restart"] and options["directory"] is None:
            raise Refused("--restart is of what is kept. Received: no --directory")
        return own
    if options["directory"] is not None or options["restart"]:
        raise Refused(
            "--resume DIR is --directory DIR with the options that are kept there: give one of --resume, "
            "--directory, --restart."
        )
    from . import resuming

    merged, said = resuming.resumed(folder, own, set(_typed(context, own)), kind)
    if not quiet:
        for line in said:
            click.echo(line, err=True)
    return merged


def _typed(context: click.Context, options: Mapping[str, Any]) -> Iterator[str]:
    """The options that the user wrote."""
    for name in options:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            yield name
