"""`keras-acts slots`."""

from __future__ import annotations

import click

from .. import options
from ..running import loading, one_line_errors


@click.command(
    short_help="Print the places of a model where an activation sits.",
    epilog=options.examples("keras-acts slots mine.keras", "keras-acts slots mine.keras --json"),
)
@click.argument("model")
@options.as_json("Print them as JSON.")
def slots(model: str, as_json: bool) -> None:
    """Print the places of the .keras file MODEL where an activation sits.

    A search changes those whose role is hidden.
    """
    with one_line_errors():
        from .. import keras_file

        keras_file.check_keras_file(model, "MODEL")
    with loading():
        from .. import exports
    with one_line_errors():
        exports.print_slots(model, as_json=as_json)
