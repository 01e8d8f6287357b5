"""The options that several commands have, each in one place, and lists as they are typed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import click

from .tables import command_options

Command: TypeAlias = Callable[..., None]
Option: TypeAlias = Callable[[Command], Command]


def new_file(name: str, text: str) -> Option:
    """Return the option of a file that a command writes."""
    kind = click.Path(path_type=Path, dir_okay=False)
    return click.option(name, default=None, type=kind, help=text)


def overwriting(text: str = "Replace the file that is there.") -> Option:
    """Return the option without which a command replaces nothing."""
    return click.option("--overwrite", is_flag=True, help=text)


def as_json(text: str) -> Option:
    """Return the option of a command for programs."""
    return click.option("--json", "as_json", is_flag=True, help=text)


def count(name: str, default: int, text: str, *, argument: str = "", least: int = 1) -> Option:
    """Return the option of a number of trials, seeds, epochs and the like.

    Args:
        name: of the option.
        default: the number.
        text: for the help.
        argument: what it is called in Python; as the option by default.
        least: the smallest that makes sense.
    """
    names = (name, argument) if argument else (name,)
    return click.option(*names, default=default, type=click.IntRange(min=least), help=text)


TRAINING = (
    click.option(
        "--data",
        default="digits",
        help="digits, breast_cancer, iris, wine, diabetes; a file: .csv, .tsv, .csv.gz, .parquet, .npz; or a "
        "folder with a folder of images for each class.",
    ),
    click.option(
        "--target",
        default=None,
        help="The column of a table that is predicted.  [default: the last]",
    ),
    click.option(
        "--image-size",
        default=None,
        metavar="HxW",
        help="Of a folder of images: to which size all are brought, in pixels.  [default: the model's, else the "
        "commonest, at most 64 on the longer side]",
    ),
    click.option(
        "--skip-broken",
        is_flag=True,
        help="Of a folder of images: leave out files that cannot be read, and say which.",
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
        "--activations",
        default=None,
        help='The candidates, such as "relu,mish,trelu(theta=0.5)".',
    ),
    count("--epochs", 10, "How long to train each."),
    count("--batch-size", 32, "Samples a training step."),
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
    as_json("Print the result as JSON; progress stays on standard error."),
    click.option("--quiet", is_flag=True, help="Show no progress."),
)
# where it is kept, and goes on: `keeping.py` reads them
KEEPING = (
    click.option(
        "--directory",
        default=None,
        type=click.Path(path_type=Path),
        help="Keep what is trained in this folder; the same command goes on from there after an interrupt.",
    ),
    click.option(
        "--restart",
        is_flag=True,
        help="Delete what is kept of it in --directory; begin again.",
    ),
    click.option(
        "--resume",
        default=None,
        type=click.Path(path_type=Path, file_okay=False),
        help="Begin in this folder, or go on with what is kept there, or in a folder in it, with the options "
        "that it had last; what would make it another one is refused.",
    ),
)
# who is told of the trainings: `following.py` reads them
FOLLOWING = (
    click.option(
        "--tensorboard",
        default=None,
        type=click.Path(path_type=Path, file_okay=False),
        help="Write every training into this folder, for TensorBoard.",
    ),
    click.option(
        "--mlflow",
        default=None,
        metavar="STORE",
        help="Log every training to this store of MLflow, such as sqlite:///mlflow.db or http://….",
    ),
    click.option(
        "--wandb",
        default=None,
        metavar="PROJECT",
        help="Log every training to this project of Weights & Biases.",
    ),
)


def training(command: Command) -> Command:
    """Give a command the options that every training has."""
    command = command_options.of_search(command)
    return given(command, (*TRAINING, *KEEPING, *FOLLOWING))


def given(command: Command, options: tuple[Option, ...]) -> Command:
    """Give a command options, in their order."""
    for option in reversed(options):
        command = option(command)
    return command


def examples(*lines: str) -> str:
    """Return what a help page ends with: commands, one a line, as they are typed."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def split_list(text: str) -> list[str]:
    """Split at the commas that are not inside parentheses."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def split_words(text: str) -> tuple[str, ...]:
    """Split at all commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
