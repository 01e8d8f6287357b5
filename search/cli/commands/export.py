"""`keras-acts export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from .. import kept
from ..options import as_json, examples, overwriting, split_words
from ..running import Refused, interruptible, loading, one_line_errors


@click.command(
    short_help="Make a SavedModel of a .keras file or of a kept search.",
    epilog=examples(
        "keras-acts export mine.keras saved_models/mine --normalize my.csv",
        "keras-acts export searches/activations saved_models/best",
        'keras-acts export mine.keras models/flowers --versioned --classes "daisy,rose" --formats onnx',
    ),
)
@click.argument("model")
@click.argument("out", type=click.Path(path_type=Path))
@overwriting("Replace the SavedModel that is there.")
@click.option(
    "--versioned", is_flag=True, help="Write OUT/1, OUT/2, …, as TensorFlow Serving wants it."
)
@click.option(
    "--normalize",
    default=None,
    type=click.Path(path_type=Path),
    help="Put a normalization into the graph, with the mean and variance of each column of this .csv or .npz.",
)
@click.option(
    "--classes", default="", help='The names of the classes, in order, such as "ant,bee".'
)
@click.option(
    "--threshold",
    default=None,
    type=float,
    help="Of two classes and one unit: above which output it is the second.  [default: as the model's loss says]",
)
@click.option(
    "--formats", default="", help="What to write into OUT too: some of keras,litert,onnx."
)
@click.option(
    "--samples",
    default=None,
    type=click.Path(path_type=Path),
    help="A .csv or .npz, or a folder of images, with inputs to compare with.",
)
@click.option(
    "--takes-pixels",
    is_flag=True,
    help="MODEL takes pixels of 0 to 255: predict reads image files for it, in its size, or that of --samples.",
)
@as_json("Print path, difference and model card as JSON.")
@click.pass_context
def export(context: click.Context, model: str, out: Path, **options: Any) -> None:
    """Export MODEL, a .keras file or the folder of a kept search, as a SavedModel in the folder OUT.

    It is compared with the model in another process, without Keras, before it appears in its place.
    Of a search that is over it is the model that the search suggests; if seeds of its verdict are
    missing, they are trained.
    """
    for name in ("classes", "formats"):
        options[name] = split_words(options[name])
    with interruptible():
        with one_line_errors():
            from .. import jobs, resuming

            if resuming.holds_search(model):
                _check_only(context, model)
                kept.export(Path(model), out, {name: options[name] for name in _OF_SEARCHES})
                return
            job = jobs.prepare_export(model, out, **{name: options[name] for name in _CHECKED})
        left = {name: value for name, value in options.items() if name not in _READ}
        with loading():
            from .. import exports
        with one_line_errors():
            exports.export(job, **left)


# what is looked at before TensorFlow is loaded, and what of it is done by then
_CHECKED = ("overwrite", "versioned", "formats", "samples", "normalize", "takes_pixels")
_READ = ("samples", "normalize", "takes_pixels")
# what is left to say of a search, whose data say the rest
_OF_SEARCHES = ("overwrite", "versioned", "formats", "as_json")


def _check_only(context: click.Context, model: str) -> None:
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if name in ("model", "out", *_OF_SEARCHES) or source is not ParameterSource.COMMANDLINE:
            continue
        typed = max(parameter.opts, key=len)
        raise Refused(
            f"{typed} is of a .keras file: the data of a search say it. Received: {typed} for the "
            f"search in {model!r}"
        )
