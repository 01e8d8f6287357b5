"""`keras-acts compare`."""

from __future__ import annotations

from typing import Any

import click

from .. import keeping, places, written
from ..help_pages import SectionedCommand
from ..options import count, examples, new_file, overwriting, training
from ..running import interruptible, loading, one_line_errors
from ..tables.command_options import READ


@click.command(
    cls=SectionedCommand,
    short_help="Say whether one of a few activations is really better than relu.",
    context_settings={"show_default": True},
    epilog=examples(
        "keras-acts compare --activations relu,mish,gelu",
        "keras-acts compare --data my.csv --target label --activations relu,mish --seeds 32 --report r.html",
    ),
)
@training
@click.option(
    "--baseline",
    default=None,
    help="What the others have to beat.  [default: relu if it is among them, else the model's own]",
)
@count("--seeds", 16, "The most seeds.", least=2)
@count("--looks", 3, "Planned looks that may end it; 1: all seeds.")
@new_file("--csv", "For every epoch x seed x activation.")
@new_file("--report", "A report with pictures, such as report.html: one file for any browser.")
@overwriting("Replace the files of --csv and --report.")
@click.pass_context
def compare(context: click.Context, quiet: bool, overwrite: bool, **options: Any) -> None:
    """Say whether one of a few activations, --activations, is really better than relu.

    On many seeds, in a sentence.
    """
    with interruptible():
        with one_line_errors():
            options = keeping.going_on(context, options, places.COMPARISON, quiet)
            _check_given(context, options["activations"])
            from .. import checks

            task = checks.compare_task(options, overwrite=overwrite)
        with loading(announced=not quiet):
            from .. import resuming, run
        left = {name: value for name, value in options.items() if name not in READ}
        with one_line_errors(), resuming.keeping(options):
            run.compare(task=task, quiet=quiet, call=written.command(context), **left)


def _check_given(context: click.Context, activations: str | None) -> None:
    """Refuse a comparison of nothing: one that goes on has its activations already."""
    if activations is not None:
        return
    (option,) = (known for known in context.command.params if known.name == "activations")
    raise click.MissingParameter(ctx=context, param=option)
