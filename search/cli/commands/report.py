"""`keras-acts report`."""

from __future__ import annotations

from pathlib import Path

import click

from .. import kept
from ..options import examples, overwriting
from ..running import interruptible, loading, one_line_errors


@click.command(
    short_help="Write the report of a kept search or an export anew.",
    epilog=examples(
        "keras-acts report searches/activations",
        "keras-acts report saved_models/digits-cnn --out digits.html",
    ),
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--out",
    default=Path("report.html"),
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write.",
)
@overwriting()
def report(folder: Path, out: Path, overwrite: bool) -> None:
    """Write the report of the search that FOLDER keeps, or of the export in FOLDER, as one .html file.

    A search must be over; if seeds of its verdict are missing, they are trained. Of an export alone
    the page tells what its model card knows; the report of its search lies beside it.
    """
    with interruptible(), one_line_errors():
        from .. import files, resuming

        files.check_new(out, "--out", overwrite=overwrite)
        files.check_writable(out, "--out", ())
        if resuming.holds_search(str(folder)):
            kept.report(folder, out)
            return
        from .. import jobs

        path, card = jobs.card_of(folder)
        with loading():
            from .. import exports
        exports.report(path, card, out)
