"""`keras-acts search`."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from .. import kept, places, written
from ..options import examples, training
from ..running import Refused, interruptible, loading, one_line_errors


@click.command(
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
    "--activations", default=None, help='The candidates, such as "relu,mish,trelu(theta=0.5)".'
)
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
@click.option(
    "--trials", default=16, type=click.IntRange(min=1), help="How many candidates to train."
)
@click.option(
    "--executions",
    "executions_per_trial",
    default=1,
    type=click.IntRange(min=1),
    help="How many seeds a candidate.",
)
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
@click.option(
    "--verdict",
    default=8,
    type=click.IntRange(min=0),
    help="Fresh seeds, at most, on which the best three and relu are compared; 0 for no verdict.",
)
@click.option(
    "--out",
    default=None,
    type=click.Path(path_type=Path),
    help="Where the best model goes.  [default: saved_models/DATA-MODEL]",
)
@click.option(
    "--directory",
    default=None,
    type=click.Path(path_type=Path),
    help="Keep the search's files here; an interrupted one goes on from them.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replace the export that is there; a search goes on."
)
@click.option(
    "--restart", is_flag=True, help="Delete the files of the search in --directory; begin again."
)
@click.option(
    "--resume",
    default=None,
    type=click.Path(path_type=Path, file_okay=False),
    help="Begin a search in this folder, or go on with the one that is kept there, or in a folder in it, with "
    "the options that it had last; what changes the search itself is refused, more trials are not.",
)
@click.pass_context
def search(context: click.Context, quiet: bool, resume: Path | None, **options: Any) -> None:
    """Train a model with many activations, rank them, judge the best, and export the best as a SavedModel.

    With no option: a small CNN on scikit-learn's digits, in about one minute on two cores.

    Ctrl-C or SIGTERM ends it with the best so far. Exit code: 0, or 130 after Ctrl-C and 143 after
    SIGTERM, with the result so far; 2 for what is refused, in one line; 1 for anything else.
    """
    with interruptible():
        with one_line_errors():
            if resume is not None:
                _check_alone(options)
                given = set(_typed(context, options))
                options = _resumed(resume, options, given, quiet)
            _check_places(options)
            from .. import checks

            task, place = checks.search_task(options)
        if not quiet:
            click.echo("Loading TensorFlow …", err=True)
        with loading():
            from .. import resuming, run
        left = {name: value for name, value in options.items() if name not in kept.READ}
        call = written.command(context)
        with one_line_errors(), resuming.keeping(options):
            run.search(task=task, place=place, quiet=quiet, call=call, **left)


def _check_alone(options: Mapping[str, Any]) -> None:
    if options["directory"] is not None or options["restart"]:
        raise Refused(
            "--resume DIR is --directory DIR with the options that are kept there: give one of --resume, "
            "--directory, --restart."
        )


def _typed(context: click.Context, options: Mapping[str, Any]) -> Iterator[str]:
    """The options that the user wrote."""
    for name in options:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            yield name


def _check_places(options: Mapping[str, Any]) -> None:
    """Refuse a place that is taken before anything is read."""
    if options["restart"] and options["directory"] is None:
        raise Refused("--restart is of a search that is kept. Received: no --directory")
    place = options["out"] or places.early_place(options["data"], options["model"])
    if place is not None and os.path.lexists(place) and not options["overwrite"]:
        raise Refused(
            "The export's place must be free: --overwrite replaces an export that is there, --out "
            f"names another place. Received: {str(place)!r}, which is there"
        )


def _resumed(
    folder: Path, options: Mapping[str, Any], given: Collection[str], quiet: bool
) -> dict[str, Any]:
    """The options of a search that goes on, or begins; says what is there."""
    from .. import resuming

    merged, said = resuming.resumed(folder, options, given)
    if not quiet:
        for line in said:
            click.echo(line, err=True)
    return merged
