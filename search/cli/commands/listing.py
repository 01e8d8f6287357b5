"""`keras-acts list` and `keras-acts show`."""

from __future__ import annotations

from pathlib import Path

import click

from .. import options
from ..running import loading, one_line_errors


@click.command(
    "list",
    short_help="List the activations.",
    epilog=options.examples("keras-acts list", "keras-acts list --json"),
)
@options.as_json("Print them as JSON.")
def list_activations(as_json: bool) -> None:
    """List the activations with their formulas, and what a search tries of each.

    Keras' own, which a search tries as they are, are named below.
    """
    with loading():
        from .. import catalogue
    with one_line_errors():
        catalogue.print_all(as_json=as_json)


@click.command(
    short_help="Tell what is known of activations, and draw them.",
    epilog=options.examples(
        "keras-acts show mish", 'keras-acts show mish "trelu(theta=0.5)" --out two.svg'
    ),
)
@click.argument("activations", nargs=-1, required=True)
@options.new_file(
    "--out",
    "Draw them with their derivatives into this .svg file; a .png or .pdf needs matplotlib.",
)
@options.overwriting()
@options.as_json("Print the facts as JSON.")
def show(activations: tuple[str, ...], out: Path | None, overwrite: bool, as_json: bool) -> None:
    """Say what is known of ACTIVATIONS: formula, values, derivative, parameters and source."""
    with one_line_errors():
        from .. import checks, files

        for written in activations:
            checks.check_activation(written)
        if out is not None:
            checks.check_picture(out)
            files.check_new(out, "--out", overwrite=overwrite)
    with loading():
        from .. import catalogue
    with one_line_errors():
        catalogue.show(activations, out, as_json=as_json)
