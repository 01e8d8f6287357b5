"""`keras-acts doctor`."""

from __future__ import annotations

import click

from .. import options
from ..running import interruptible, loading, one_line_errors


@click.command(
    short_help="Say what trains here, what a step costs, what would help.",
    epilog=options.examples("keras-acts doctor", "keras-acts doctor --json"),
)
@options.as_json("Print what was found as JSON.")
def doctor(as_json: bool) -> None:
    """Say what trains here, what a training step costs, and what would make it faster.

    It trains a small model for a second, alone and as 32 at once.
    """
    with interruptible():
        with loading():
            from .. import checkup
        with one_line_errors():
            checkup.run(as_json=as_json)
