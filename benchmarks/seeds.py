"""Seeds with batch orders of their own, in one population or one after the other, in one process.

    python -m benchmarks.seeds [--at-once 1 2 4 8] [--only MLP] [--repeats 3]

Four activations each, on random data. A row shows how many values the layers put out a member and
batch, which the verdict looks at (`keras_acts.search.runtime.costs`), the seconds of building
and tracing a population, and then those of a training of 5 epochs a seed, the start of its weights
included (the median of the repeats).
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers
from rich.console import Console
from rich.table import Table

from benchmarks.machine import environment, parsed
from keras_acts.search import Candidate
from keras_acts.search.population import trainers
from keras_acts.search.population.memory import outputs_per_sample
from keras_acts.search.runtime import costs

ACTIVATIONS = ("relu", "mish", "gelu", "silu")
EPOCHS = 5


def mlp(*sizes: int) -> list[keras.layers.Layer]:
    """Return dense layers of these sizes."""
    return [layers.Dense(size, activation="relu") for size in sizes]


def cnn(filters: int) -> list[keras.layers.Layer]:
    """Return two convolutions with pooling, and a dense layer."""
    blocks = [
        [layers.Conv2D(n, 3, activation="relu"), layers.MaxPooling2D()]
        for n in (filters, 2 * filters)
    ]
    return [*blocks[0], *blocks[1], layers.Flatten(), *mlp(64)]


# by name: the shape of a sample, the hidden layers, the batch size and the batches of an epoch
CASES = {
    "MLP 16-64-64": ((16,), lambda: mlp(64, 64), 128, 94),
    "MLP 784-256-256": ((784,), lambda: mlp(256, 256), 64, 30),
    "CNN 12x12, 16 filters": ((12, 12, 1), lambda: cnn(16), 32, 30),
    "CNN 28x28, 8 filters": ((28, 28, 1), lambda: cnn(8), 32, 10),
    "CNN 28x28, 16 filters": ((28, 28, 1), lambda: cnn(16), 32, 5),
    "CNN 28x28, 32 filters": ((28, 28, 1), lambda: cnn(32), 64, 3),
    "CNN 32x32 in colour, 32 filters": ((32, 32, 3), lambda: cnn(32), 32, 3),
}


def measure(name: str, at_once: Sequence[int], repeats: int, table: Table) -> None:
    """Add the rows of one model."""
    shape, hidden, batch, batches = CASES[name]
    model = keras.Sequential(
        [keras.Input(shape), *hidden(), layers.Dense(10, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch * batches, *shape)).astype("float32")
    fit = {"x": x, "y": rng.integers(0, 10, len(x)), "batch_size": batch, "epochs": EPOCHS}
    for seeds in at_once:
        trainer = trainers.PopulationTrainer(model, [Candidate.of(name) for name in ACTIVATIONS])

        def seconds(trainer: trainers.PopulationTrainer = trainer, seeds: int = seeds) -> float:
            start = time.perf_counter()
            list(trainer.train(range(seeds), fit, seeds))
            return time.perf_counter() - start

        first, then = seconds(), statistics.median(seconds() for _ in range(repeats))
        values = f"{batch * outputs_per_sample(model) / 1000:,.0f}"
        row = (name, values, str(seeds), f"{first - then:.1f}", f"{then / seeds:.2f}")
        print(*row, sep="  ", flush=True)
        table.add_row(*row)


def main() -> None:
    """Measure all that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--only", nargs="+", default=[""], help="parts of the names")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parsed(parser, at_once=[1, 2], only=["MLP"], repeats=1)
    costs.SEEDS_TOGETHER_MOST_OUTPUTS = math.inf  # what the product would not do is measured too
    console, table = Console(), Table("model", "thousand values", "seeds", "start s", "s a seed")
    for name in CASES:
        if any(part in name for part in arguments.only):
            measure(name, arguments.at_once, arguments.repeats, table)
    console.print(environment(), table)


if __name__ == "__main__":
    main()
