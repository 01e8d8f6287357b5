"""The options that several commands have, and lists as they are typed: with commas."""

from __future__ import annotations

import re
from collections.abc import Callable

import click

from .tables import command_options

TRAINING = (
    click.option(
        "--data",
        default="digits",
        help="digits, breast_cancer, iris, wine, diabetes; or a file: .csv, .tsv, .csv.gz, .parquet, .npz.",
    ),
    click.option(
        "--target",
        default=None,
        help="The column of a table that is predicted.  [default: the last]",
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


def training(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that every training has."""
    command = command_options.of_search(command)
    for option in reversed(TRAINING):
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
