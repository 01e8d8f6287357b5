"""What a process keeps of trials that have ended: its memory should not grow with their number.

    python -m benchmarks.leaks [--trials 100] [--ways race together …] [--quick]

Each way to search a small MLP runs in processes of its own, with so many trials and with twice as many. The table
shows by what they differ, a trial: the resident set at the end, and the living objects that training leaves behind.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import tempfile
import types
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_tuner
import numpy as np
import psutil
import tensorflow as tf
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

import keras_acts
from benchmarks.machine import environment, parsed
from keras_acts.search import ActivationTuner, RacingOracle, search_activations

# what a training makes
KINDS = ("Model", "Variable", "Tensor", "FuncGraph", "ConcreteFunction", "function", "dict")
SPACE = ["relu", "leaky_relu", "elu", "mish"]

# a search of so many trials in a folder; what it returns is alive while living objects are counted
Way = Callable[[int, Path], Any]


class Measured(NamedTuple):
    """A process after its search.

    Attributes:
        resident: its bytes.
        peak: its bytes at most.
        living: the number of its objects, by kind.
    """

    resident: int
    peak: int
    living: Counter[str]


def data() -> tuple[np.ndarray, np.ndarray]:
    """Three classes of points."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 96)
    centres = 2 * rng.normal(size=(3, 4))
    return (centres[labels] + rng.normal(size=(96, 4))).astype("float32"), labels


def model(activation: Any = "relu") -> keras.Model:
    """A small MLP."""
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(8, activation),
        keras.layers.Dropout(0.1),
        keras.layers.Dense(3, "softmax"),
    ]
    made = keras.Sequential(layers)
    loss = "sparse_categorical_crossentropy"
    made.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    return made


def searched(trials: int, folder: Path, **options: Any) -> Any:
    """What `search_activations` returns."""
    arguments = {"activations": SPACE, "epochs": 2, "verdict": 0, "learning_rates": None, **options}
    return search_activations(
        model(), *data(), trials=trials, directory=folder, verbose=0, **arguments
    )


def tuned(folder: Path, oracle: keras_tuner.Oracle, population: int | str) -> ActivationTuner:
    """Return a tuner after its search."""
    oracle.verbose = 0

    def build(hp: keras_tuner.HyperParameters) -> keras.Model:
        made = model(hp.Choice("act", SPACE))
        made.optimizer.learning_rate = hp.Float("rate", 1e-3, 1e-1)
        return made

    tuner = ActivationTuner(build, oracle=oracle, directory=folder, population=population)
    tuner.search(*data(), validation_split=0.3, epochs=2, verbose=0)
    return tuner


def tuned_at_random(trials: int, folder: Path, population: int | str) -> ActivationTuner:
    """Return a tuner after a search at random."""
    oracle = keras_tuner.oracles.RandomSearchOracle("val_loss", max_trials=trials, seed=0)
    return tuned(folder, oracle, population)


def without_us(trials: int, folder: Path) -> None:
    """Train so many models with nothing but Keras: what grows here is not ours."""
    for number in range(trials):
        made = model(keras_acts.get(SPACE[number % len(SPACE)]))
        made.fit(*data(), validation_split=0.3, epochs=2, verbose=0)
        made.save_weights(folder / "model.weights.h5")
        gc.collect()


class _Mine(keras.callbacks.Callback):
    """A callback of the user's: its models train one by one."""


WAYS: dict[str, Way] = {
    "Keras alone": without_us,
    "race": lambda trials, folder: searched(trials, folder, strategy="race"),
    "race one by one": lambda trials, folder: searched(
        trials, folder, strategy="race", callbacks=[_Mine()]
    ),
    "random together": lambda trials, folder: searched(trials, folder, strategy="random"),
    "one by one": lambda trials, folder: searched(trials, folder, strategy="random", population=1),
    "tuner together": lambda trials, folder: tuned_at_random(trials, folder, "auto"),
    "tuner one by one": lambda trials, folder: tuned_at_random(trials, folder, 1),
    "racing oracle": lambda trials, folder: tuned(
        folder, RacingOracle("val_loss", trials=trials, max_epochs=4), "auto"
    ),
}


def living() -> Counter[str]:
    """Return the number of objects of each kind that garbage collection leaves."""
    gc.collect()
    classes: dict[str, type] = {
        "Model": keras.Model,
        "Variable": keras.Variable,
        "Tensor": tf.Tensor,
        "FuncGraph": tf.__internal__.FuncGraph,
        "function": types.FunctionType,
        "dict": dict,
    }
    counts: Counter[str] = Counter()
    for each in gc.get_objects():
        kind = type(each)
        for name, wanted in classes.items():
            if issubclass(kind, wanted):
                counts[name] += 1
        if kind.__name__ == "ConcreteFunction":
            counts["ConcreteFunction"] += 1
    return counts


def measure(pipe: Connection, way: str, trials: int) -> None:
    """Search, and send what the process is then."""
    process = psutil.Process()
    with tempfile.TemporaryDirectory(prefix="keras-acts-leaks-") as folder:
        # alive while objects are counted, as in a user's session
        found = WAYS[way](trials, Path(folder))
        memory = process.memory_info()
        peak = max(memory.rss, getattr(memory, "peak_wset", 0))
        pipe.send(Measured(memory.rss, peak, living()))
    del found


def measured(way: str, trials: int) -> Measured:
    """Return what a process of its own sends."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(sending, way, trials))
    process.start()
    # else nobody hears that it failed
    sending.close()
    result: Measured = receiving.recv()
    process.join()
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=100, help="the fewer of the two numbers")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    arguments = parsed(parser, trials=4, ways=["race"])
    console = Console(width=160)
    console.print(environment())
    few, many = arguments.trials, 2 * arguments.trials
    table = Table("way", f"MB at {few}", f"MB at {many}", "KB a trial", *KINDS, box=MARKDOWN)
    for way in arguments.ways:
        less = measured(way, few)
        more = measured(way, many)
        each = (more.resident - less.resident) / (many - few) / 2**10
        differences = [
            f"{(more.living[kind] - less.living[kind]) / (many - few):.1f}" for kind in KINDS
        ]
        numbers = [f"{less.resident / 2**20:.0f}", f"{more.resident / 2**20:.0f}", f"{each:.0f}"]
        console.print(way, numbers, dict(more.living - less.living))
        table.add_row(way, *numbers, *differences)
    console.print(table)


if __name__ == "__main__":
    main()
