"""What TensorFlow's graph optimizer (Grappler) costs and saves populations, which leave it out.

    python -m benchmarks.graph_optimizer --mlp letters.csv letter --cnn optdigits.csv digit

The tasks of `benchmarks.search`, 32 candidates: the seconds of a first fit of one epoch of 40 steps
with validation, and the milliseconds of a step after it, with the optimizer and without, the median
of interleaved repeats.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.machine import environment, parsed
from benchmarks.population import compiled
from benchmarks.search import tasks
from keras_acts.search import ActivationSpace, PopulationModel
from keras_acts.search.population import model as population_module

STEPS = 40


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mlp", nargs=2, metavar=("CSV", "TARGET"))
    parser.add_argument("--cnn", nargs=2, metavar=("CSV", "TARGET"))
    parser.add_argument("--tasks", nargs="+", default=["default", "mlp", "cnn", "lstm"])
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parsed(parser, tasks=["default"], repeats=1)
    # the product's own choice is what is measured here
    population_module.unoptimized = lambda layers, optimizer: contextlib.nullcontext()  # type: ignore[assignment]
    console = Console()
    console.print(environment())
    table = Table(
        "task",
        "begun with",
        "without, s",
        "step with",
        "without, ms",
        "without / with",
        box=MARKDOWN,
    )
    for task in tasks(arguments):
        fit = {**task.fitted, "epochs": 1}
        samples = STEPS * fit["batch_size"]
        fit |= {"x": fit["x"][:samples], "y": fit["y"][:samples]}
        populations, begun, steps = [], [], ([], [])
        PopulationModel(compiled(task.model()), ["relu", "mish"]).fit(
            **fit
        )  # what TensorFlow does once in a process
        for off in (False, True):
            tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": off})
            population = PopulationModel(
                compiled(task.model()), ActivationSpace().sample(32, seed=0)
            )
            start = time.perf_counter()
            population.fit(**fit, validation_data=(fit["x"][:64], fit["y"][:64]))
            begun.append(time.perf_counter() - start)
            populations.append(population)
        for _ in range(arguments.repeats):
            for off, population in enumerate(populations):
                tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": bool(off)})
                start = time.perf_counter()
                population.fit(**fit)
                steps[off].append((time.perf_counter() - start) / STEPS * 1000)
        ratio = np.median(np.divide(steps[1], steps[0]))
        table.add_row(
            task.name, *(f"{v:.1f}" for v in (*begun, *np.median(steps, axis=1))), f"{ratio:.2f}"
        )
    console.print(table)


if __name__ == "__main__":
    main()
