"""`keras-acts search`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from .. import keeping, kept, places, written
from ..help_pages import SectionedCommand
from ..options import count, examples, overwriting, training
from ..running import Refused, interruptible, loading, one_line_errors


@click.command(
    cls=SectionedCommand,
    short_help="Find the activation that suits a model, and export the best model.",
    context_settings={"show_default": True},
    epilog=examples(
        "keras-acts search",
        "keras-acts search --data my.csv --target price --trials 30 --out saved_models/price",
        'keras-acts search --model mine.keras --data my.npz --activations "relu,mish,elu(alpha=0.5)"',
    ),
)
@training
@click.option(
    "--per",
    default="model",
    type=click.Choice(["model", "block", "layer"]),
    help="What gets an activation of its own: the model, each of its blocks, as the names say, or each layer.",
)
@click.option(
    "--unit",
    default=None,
    help="Of a target of numbers, such as EUR: for the model card and predictions.",
)
@count("--trials", 16, "How many candidates to train.")
@count("--executions", 1, "How many seeds a candidate.", argument="executions_per_trial")
@click.option(
    "--strategy",
    default="auto",
    type=click.Choice(["auto", "race", "random"]),
    help="race: all at once, who falls behind leaves; random: each to its end; auto: a race where possible.",
)
@click.option(
    "--max-epochs",
    default=None,
    type=click.IntRange(min=1),
    help="Of all runs of a race.  [default: trials x epochs, and half as many more with learning rates]",
)
@click.option(
    "--max-seconds",
    default=None,
    type=click.FloatRange(min=0, min_open=True),
    help="End the race then, with the best so far.  [default: none]",
)
@count(
    "--verdict",
    8,
    "Fresh seeds, at most, on which the best three and relu are compared; 0 for no verdict.",
    least=0,
)
@click.option(
    "--out",
    default=None,
    type=click.Path(path_type=Path),
    help="Where the best model goes.  [default: saved_models/DATA-MODEL]",
)
@overwriting("Replace the export that is there; a search goes on.")
@click.pass_context
def search(context: click.Context, quiet: bool, **options: Any) -> None:
    """Train a model with many activations, rank them, judge the best, and export the best as a SavedModel.

    With no option: a small CNN on scikit-learn's digits, in about one minute on two cores.

    Ctrl-C or SIGTERM ends it with the best so far. Exit code: 0, or 130 after Ctrl-C and 143 after
    SIGTERM, with the result so far; 2 for what is refused, in one line; 1 for anything else.
    """
    with interruptible():
        with one_line_errors():
            options = keeping.going_on(context, options, places.SEARCH, quiet)
            _check_place(options)
            from .. import checks

            task, place = checks.search_task(options)
        with one_line_errors():
            from keras_acts.search.exporting import verify

            # the process that checks the export loads TensorFlow too, on another core
            context.with_resource(verify.started_ahead())
        with loading(announced=not quiet):
            from .. import resuming, run
        left = {name: value for name, value in options.items() if name not in kept.READ}
        call = written.command(context)
        with one_line_errors(), resuming.keeping(options):
            run.search(task=task, place=place, quiet=quiet, call=call, **left)


def _check_place(options: Mapping[str, Any]) -> None:
    """Refuse a place that is taken before anything is read."""
    place = options["out"] or places.early_place(options["data"], options["model"])
    if place is not None and os.path.lexists(place) and not options["overwrite"]:
        raise Refused(
            "The export's place must be free: --overwrite replaces an export that is there, --out "
            f"names another place. Received: {str(place)!r}, which is there"
        )
