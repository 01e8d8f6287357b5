"""What the planner expects a member of a population to take, against what it takes.

    python -m benchmarks.memory --mlp letters.csv letter --cnn optdigits.csv digit [--members 16 128]

Each row trains two populations, one process each, for an epoch, and divides the difference of their
peaks of memory (the process's resident set, so on a CPU) by the difference of their members.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.machine import environment, parsed
from benchmarks.population import ACTIVATIONS, STEPS, Task, cnn, compiled, mlp, read
from keras_acts.search.population.memory import bytes_per_member
from keras_acts.search.population.model import PopulationModel


def task(kind: str, csv: str, target: str, batch_size: int) -> Task:
    """Return what is trained."""
    x, y = read(csv, target)
    if kind == "mlp":
        return Task("MLP", x, y, mlp(x.shape[1], int(y.max()) + 1), batch_size, 1)
    side = int(x.shape[1] ** 0.5)
    normalized = kind == "normalized"
    model = cnn(side, int(y.max()) + 1, normalized)
    return Task(
        "BatchNorm CNN" if normalized else "CNN",
        x.reshape(-1, side, side, 1),
        y,
        model,
        batch_size,
        1,
    )


def peak(pipe: Any, count: int, *of: Any) -> None:
    """Send the peak of this process after it has trained a population, and what was expected of a member."""
    found = task(*of)
    model = found.model()
    population = PopulationModel(model, ACTIVATIONS, seeds=count // len(ACTIVATIONS))
    compiled(population, steps_per_execution=STEPS).fit(**found.fitted)
    pipe.send(
        (
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            bytes_per_member(model, found.batch_size),
        )
    )


def measured(count: int, *of: Any) -> tuple[int, int]:
    """Return what `peak` sends from a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=peak, args=(sending, count, *of))
    process.start()
    found: tuple[int, int] = receiving.recv()
    process.join()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mlp", nargs=2, metavar=("CSV", "TARGET"), help="data for the MLP")
    parser.add_argument(
        "--cnn", nargs=2, metavar=("CSV", "TARGET"), help="square images for the CNNs"
    )
    parser.add_argument(
        "--members",
        nargs=2,
        type=int,
        default=[16, 128],
        help="multiples of 8 (default: %(default)s)",
    )
    arguments = parsed(parser, members=[8, 16])
    few, many = arguments.members
    wanted = [("mlp", *arguments.mlp)] * bool(arguments.mlp)
    wanted += [(kind, *arguments.cnn) for kind in ("cnn", "normalized") if arguments.cnn]
    table = Table(
        "task",
        "batch",
        f"MB at {few} members",
        f"MB at {many}",
        "MB a member",
        "expected",
        box=MARKDOWN,
    )
    for kind, csv, target in wanted:
        for batch_size in (32, 512):
            of = (kind, csv, target, batch_size)
            (less, expected), (more, _) = measured(few, *of), measured(many, *of)
            each = (more - less) / (many - few)
            numbers = (
                f"{value / 2**20:.{digits}f}"
                for value, digits in ((less, 0), (more, 0), (each, 2), (expected, 2))
            )
            table.add_row(task(*of).name, str(batch_size), *numbers)
    Console().print(environment(), table)


if __name__ == "__main__":
    main()
