"""What pieces of our own gain in whole searches: the same search with and without each, in turn.

    python -m benchmarks.pieces [--only adam checkpoints] [--repeats 5] [--trials 32] [--mlp letters.csv letter]

A piece that does here what Keras and TensorFlow do too stays only while it gains 5 % of a search:

- ``adam``: `search/population/one_kernel.py`, on ``--mlp`` (an MLP 64-64) if it is given and on the bundled digits,
  as a race and as random trials. Without it XLA compiles the update, or a graph runs it.
- ``checkpoints``: `search/tuner/checkpoints.py`, with a frozen MobileNetV2 (no weights are downloaded). Without it each
  trial's checkpoint is written by `keras.Model.save_weights`.

"gain" is what is saved of the search without the piece: medians of the pairs, by wall-clock and by this process'
own CPU time, which another program on the machine disturbs less. The order of a pair changes each time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks import search
from benchmarks.machine import environment
from benchmarks.population import Task, compiled
from keras_acts.search import search_activations
from keras_acts.search.population import step_tensorflow
from keras_acts.search.population.transfer import Contents
from keras_acts.search.tuner import populations


class Piece(NamedTuple):
    """One of ours: where it is measured, and a scope in which it is not used."""

    tasks: tuple[str, ...]
    strategies: tuple[str, ...]
    without: Callable[[], AbstractContextManager[object]]


class Seconds(NamedTuple):
    """What a search took."""

    wall: float
    cpu: float


class KerasCheckpoints:
    """Writes checkpoints as Keras does, one by one."""

    def __init__(self, model: keras.Model):
        self._model = model

    def write(self, path: str, contents: Contents) -> None:
        """Write a file in which the variables in `contents` have those values."""
        for variable, value in contents:
            variable.assign(value)
        self._model.save_weights(path)


PIECES = {
    "adam": Piece(
        ("mlp", "default"),
        ("race", "random"),
        lambda: mock.patch.object(step_tensorflow, "one_kernel", return_value=False),
    ),
    "checkpoints": Piece(
        ("frozen",),
        ("random",),
        lambda: mock.patch.object(populations, "Checkpoints", KerasCheckpoints),
    ),
}


def searched(task: Task, trials: int, strategy: str) -> Seconds:
    """Return what a search without a verdict takes."""
    keras.backend.clear_session()
    model = compiled(task.model())
    with tempfile.TemporaryDirectory() as folder:
        wall = time.perf_counter()
        cpu = time.process_time()
        search_activations(
            model,
            **task.fitted,
            trials=trials,
            strategy=strategy,
            verdict=0,
            directory=folder,
            learning_rates=None,  # with rates the verdict, which is left out, would choose them
        )
        return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def pairs(
    piece: Piece, task: Task, strategy: str, arguments: argparse.Namespace
) -> Iterator[tuple[Seconds, Seconds]]:
    """Yield what the search takes with the piece and without, measured one after the other."""
    scopes = [contextlib.nullcontext, piece.without]
    for repeat in range(arguments.repeats):
        order = [0, 1]
        if repeat % 2:
            order.reverse()
        seconds = {}
        for index in order:
            with scopes[index]():
                seconds[index] = searched(task, arguments.trials, strategy)
        yield seconds[0], seconds[1]


def main() -> None:
    """Print a table of gains."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PIECES, default=list(PIECES))
    parser.add_argument("--mlp", nargs=2, metavar=("CSV", "TARGET"))
    parser.add_argument("--trials", type=int, default=32, help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="(default: %(default)s)")
    arguments = parser.parse_args()
    console = Console(width=120)
    console.print(environment())
    table = Table(
        "piece",
        "search",
        "seconds with",
        "without",
        "gain",
        "CPU with",
        "without",
        "gain",
        box=MARKDOWN,
    )
    for name in arguments.only:
        piece = PIECES[name]
        wanted = argparse.Namespace(tasks=piece.tasks, mlp=arguments.mlp, cnn=None)
        for task in search.tasks(wanted):
            for strategy in piece.strategies:
                measured = list(pairs(piece, task, strategy, arguments))
                row = [name, f"{task.name}, {strategy}"]
                for clock in ("wall", "cpu"):
                    kept = [getattr(with_piece, clock) for with_piece, _ in measured]
                    left = [getattr(without, clock) for _, without in measured]
                    gains = [1 - a / b for a, b in zip(kept, left, strict=True)]
                    row.append(f"{statistics.median(kept):.1f}")
                    row.append(f"{statistics.median(left):.1f}")
                    row.append(f"{statistics.median(gains):.0%}")
                table.add_row(*row)
                console.print(*row, sep="  ")
    console.print(table)


if __name__ == "__main__":
    main()
