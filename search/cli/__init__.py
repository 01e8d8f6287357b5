"""The command `keras-acts`.

This package is apart from keras_acts so that `--help` need not wait for TensorFlow.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import click
from click.core import ParameterSource

from . import places, written

# a shell says of a process that a signal has ended this plus the signal's number
_EXIT_CODE_OF_SIGNALS = 128


class _Refused(click.ClickException):
    """Bad input: one line, exit code 2, no traceback."""

    exit_code = 2


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    from keras_acts.errors import ExportError, KerasActsError, SearchError

    try:
        yield
    except KerasActsError as error:
        text = str(error)
        # what an argument of Python's is called here
        if isinstance(error, ExportError):
            text = text.replace("overwrite=True", "--overwrite")
        if isinstance(error, SearchError):
            text = text.replace("overwrite=True", "--restart")
        raise _Refused(text) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep TensorFlow's start-up notes off the terminal.

    TF_CPP_MIN_LOG_LEVEL=0 shows them again.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        yield
        return
    # the first notes come before TensorFlow reads the variable, straight from C++
    terminal = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="keras-acts", prog_name="keras-acts")
def main() -> None:
    """Find the activation function that suits a Keras model best."""
    if platform.machine().lower() in ("x86_64", "amd64"):
        # TensorFlow leaves it off on CPUs without AVX512-VNNI, and there are no grouped
        # convolutions then
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@main.command()
@click.argument("model")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace the SavedModel that is there.")
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
    help="A .csv or .npz with inputs to compare with.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print path, difference and model card as JSON."
)
def export(model: str, out: Path, classes: str, formats: str, **options: Any) -> None:
    """Export a .keras file MODEL as a SavedModel in the folder OUT.

    It is compared with the model in another process, without Keras, before it appears in its place.
    """
    with _quiet():
        from . import exports
    with _one_line_errors():
        exports.export(model, out, classes=_split(classes), formats=_split(formats), **options)


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--out",
    default=None,
    type=click.Path(path_type=Path),
    help="A file instead of standard output.",
)
@click.option(
    "--allow-nan",
    is_flag=True,
    help="Predict rows with gaps too: the model knows what to do with NaN.",
)
def predict(path: Path, data: Path, out: Path | None, allow_nan: bool) -> None:
    """Print the predictions of the export in the folder PATH for each row of DATA, as CSV.

    DATA is a .csv with a header line, of which the columns that the model was trained with are
    taken, or a .npz with an array x. Of a folder of versions the newest is used. A row with an
    empty cell is refused.
    """
    with _quiet():
        from . import exports
    with _one_line_errors():
        exports.predict(path, data, out=out, allow_nan=allow_nan)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


_SHARED = (
    click.option(
        "--data",
        default="digits",
        help="digits, breast_cancer, iris, wine, diabetes; or a .npz or .csv file.",
    ),
    click.option(
        "--target",
        default=None,
        help="The column of a .csv that is predicted.  [default: the last]",
    ),
    click.option(
        "--task",
        default="auto",
        type=click.Choice(["auto", "classes", "regression"]),
        help="What the target is; auto takes fractions and many different numbers for a regression.",
    ),
    click.option(
        "--model",
        default=None,
        help="cnn, mlp, or a .keras file.  [default: cnn for images, else mlp]",
    ),
    click.option(
        "--epochs", default=10, type=click.IntRange(min=1), help="How long to train each."
    ),
    click.option(
        "--batch-size", default=32, type=click.IntRange(min=1), help="Samples a training step."
    ),
    click.option(
        "--learning-rates",
        default="auto",
        help="At which rates each activation is tried: auto, none (the model's own), or a list such as "
        '"0.001,0.004" or "x0.5,x2".',
    ),
    click.option(
        "--rescale-init",
        is_flag=True,
        help="Initialize kernels for the activation that they feed, the baseline's too; else all have "
        "the model's own initializers.",
    ),
    click.option(
        "--seed",
        default=0,
        type=click.IntRange(0, 2**32 - 1),
        help="Of the split, the candidates and the training.",
    ),
    click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print the result as JSON; progress stays on standard error.",
    ),
    click.option("--quiet", is_flag=True, help="Show no progress."),
)


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that every training has."""
    for option in reversed(_SHARED):
        command = option(command)
    return command


@main.command(context_settings={"show_default": True})
@_shared
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
    if resume is not None and (options["directory"] is not None or options["restart"]):
        raise _Refused(
            "--resume DIR is --directory DIR with the options that are kept there: give one of --resume, "
            "--directory, --restart."
        )
    if resume is not None:
        given = {
            name
            for name in options
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        }
        options = _resumed(resume, options, given, quiet)
    _check_free(options["out"], options["data"], options["model"], options["overwrite"])
    if options["restart"] and options["directory"] is None:
        raise _Refused("--restart is of a search that is kept. Received: no --directory")
    _run("search", quiet=quiet, **options)


def _check_free(out: Path | None, data: str, model: str | None, overwrite: bool) -> None:
    """Refuse a place that is taken at once: TensorFlow takes seconds to load, a search longer."""
    place = out or places.early_place(data, model)
    if place is not None and os.path.lexists(place) and not overwrite:
        raise _Refused(
            "The export's place must be free: --overwrite replaces an export that is there, --out "
            f"names another place. Received: {str(place)!r}, which is there"
        )


def _resumed(folder: Path, options: dict[str, Any], given: set[str], quiet: bool) -> dict[str, Any]:
    """The options of a search that goes on, or begins; says what is there."""
    with _quiet():
        from . import resuming
    with _one_line_errors():
        merged, said = resuming.resumed(folder, options, given)
    if not quiet:
        for line in said:
            click.echo(line, err=True)
    return merged


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def status(folder: Path) -> None:
    """Say what the searches that are kept in FOLDER have found, and what is left of each."""
    with _quiet():
        from . import resuming
    with _one_line_errors():
        resuming.status(folder)


@main.command(context_settings={"show_default": True})
@_shared
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
def compare(quiet: bool, **options: Any) -> None:
    """Say whether one of a few activations is really better than relu.

    On many seeds, in a sentence.
    """
    _run("compare", quiet=quiet, **options)


def _run(command: str, quiet: bool, **options: Any) -> None:
    if not quiet:
        click.echo("Loading TensorFlow …", err=True)
    with _quiet():
        from . import resuming, run
    call = written.command(click.get_current_context())
    with _interrupts() as interrupts:
        try:
            with _one_line_errors(), resuming.keeping(options):
                getattr(run, command)(quiet=quiet, call=call, **options)
        except run.InterruptedWithResult:
            raise click.exceptions.Exit(interrupts.code) from None
        except KeyboardInterrupt:
            click.echo("Interrupted: there is no result.", err=True)
            raise click.exceptions.Exit(interrupts.code) from None
        except _Refused as error:
            if not interrupts.exit_code:
                raise
            error.show()
            raise click.exceptions.Exit(interrupts.exit_code) from None
    if interrupts.exit_code:
        raise click.exceptions.Exit(interrupts.exit_code)


class _Interrupts:
    """Which signal has asked a command to end, if one has.

    Attributes:
        exit_code: what the shell gives a process that the signal has ended; 0 without.
    """

    def __init__(self) -> None:
        self.exit_code = 0

    @property
    def code(self) -> int:
        """The exit code after an interrupt, whoever has raised it."""
        return self.exit_code or _EXIT_CODE_OF_SIGNALS + signal.SIGINT

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take any such signal as Ctrl-C: a search ends with what it has found."""
        self.exit_code = _EXIT_CODE_OF_SIGNALS + number
        raise KeyboardInterrupt


@contextlib.contextmanager
def _interrupts() -> Iterator[_Interrupts]:
    """Have SIGTERM, with which systems end a process, be as Ctrl-C."""
    interrupts = _Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts  # only that thread may say what a signal does
        return
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, interrupts.handle)
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
