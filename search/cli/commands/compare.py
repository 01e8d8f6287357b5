"""`keras-acts compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import written
from ..options import examples, training
from ..running import interruptible, loading, one_line_errors
from ..tables.command_options import READ


@click.command(
    short_help="Say whether one of a few activations is really better than relu.",
    context_settings={"show_default": True},
    epilog=examples(
        "keras-acts compare --activations relu,mish,gelu",
        "keras-acts compare --data my.csv --target label --activations relu,mish --seeds 32 --report r.html",
    ),
)
@training
@click.option("--activations", required=True, help='The candidates, such as "relu,mish,gelu".')
@click.option(
    "--baseline",
    default=None,
    help="What the others have to beat.  [default: relu if it is among them, else the model's own]",
)
@click.option("--seeds", default=16, type=click.IntRange(min=2), help="The most seeds.")
@click.option(
    "--looks",
    default=3,
    type=click.IntRange(min=1),
    help="Planned looks that may end it; 1: all seeds.",
)
@click.option(
    "--csv",
    default=None,
    type=click.Path(path_type=Path, dir_okay=False),
    help="For every epoch x seed x activation.",
)
@click.option(
    "--report",
    default=None,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A report with pictures, such as report.html: one file for any browser.",
)
@click.option("--overwrite", is_flag=True, help="Replace the files of --csv and --report.")
@click.pass_context
def compare(context: click.Context, quiet: bool, overwrite: bool, **options: Any) -> None:
    """Say whether one of a few activations is really better than relu.

    On many seeds, in a sentence.
    """
    with interruptible():
        with one_line_errors():
            from .. import checks

            task = checks.compare_task(options, overwrite=overwrite)
        if not quiet:
            click.echo("Loading TensorFlow …", err=True)
        with loading():
            from .. import run
        left = {name: value for name, value in options.items() if name not in READ}
        with one_line_errors():
            run.compare(task=task, quiet=quiet, call=written.command(context), **left)
