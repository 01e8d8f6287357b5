"""`keras-acts status`."""

from __future__ import annotations

from pathlib import Path

import click

from ..options import examples
from ..running import one_line_errors


@click.command(
    short_help="Say what kept searches have found, and what is left.",
    epilog=examples(
        "keras-acts status searches",
        "keras-acts status searches/activations",
    ),
)
@click.argument("folder", type=click.Path(path_type=Path))
def status(folder: Path) -> None:
    """Say what the searches that are kept in FOLDER have found, and what is left of each."""
    with one_line_errors():
        from .. import resuming

        resuming.status(folder)
