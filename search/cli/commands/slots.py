"""`keras-acts slots`."""

from __future__ import annotations

import click

from ..options import examples
from ..running import loading, one_line_errors


@click.command(
    short_help="Print the places of a model where an activation sits.",
    epilog=examples("keras-acts slots mine.keras", "keras-acts slots mine.keras --json"),
)
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
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
