"""A population against training its models one after the other, in one process.

    python -m benchmarks.population --mlp letters.csv letter --cnn optdigits.csv digit [--repeats 3]

The features are all numbers of the .csv but the target. The same candidates, epochs and batch size, ``verbose=0``,
against (a) KerasTuner's GridSearch as users write it, (b) the same with ``steps_per_execution`` tuned, (c) a plain loop
of `fit`. The peers train one model after the other, so their time is measured at ``--peers`` models and scaled; ours is
measured whole, building and tracing included. More than 8 slots are 8 activations with several seeds each.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import io
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_tuner
import numpy as np
import pandas
import tensorflow as tf
from rich.console import Console
from rich.table import Table

import keras_acts as ka
from keras_acts.search import with_activations
from keras_acts.search.population import PopulationModel

ACTIVATIONS = ("relu", "mish", "tanh", "elu", "leaky_relu(alpha=0.1)", "trelu(theta=0.5)", "gelu", "silu")
STEPS = 125


@dataclass(frozen=True)
class Task:
    """What is trained: data, a model, a batch size and how many epochs."""

    name: str
    x: np.ndarray
    y: np.ndarray
    model: Callable[[], keras.Model]
    batch_size: int
    epochs: int

    @property
    def fitted(self) -> dict[str, Any]:
        """The arguments of every `fit`."""
        return {"x": self.x, "y": self.y, "batch_size": self.batch_size, "epochs": self.epochs, "verbose": 0}


def mlp(features: int, classes: int) -> Callable[[], keras.Model]:
    """Return what builds the MLP 64-64."""

    def build() -> keras.Model:
        hidden = [keras.layers.Dense(64, activation="relu") for _ in range(2)]
        return keras.Sequential([keras.Input((features,)), *hidden, keras.layers.Dense(classes, activation="softmax")])

    return build


def cnn(side: int, classes: int, normalized: bool) -> Callable[[], keras.Model]:
    """Return what builds the CNN that `keras-acts search` trains on digits, with BatchNormalization if `normalized`."""

    def build() -> keras.Model:
        layers = keras.layers
        model = keras.Sequential([keras.Input((side, side, 1))])
        for filters in (16, 32):
            model.add(layers.Conv2D(filters, 3, padding="same", activation=None if normalized else "relu"))
            if normalized:
                model.add(layers.BatchNormalization())
                model.add(layers.Activation("relu"))
            if filters == 16:
                model.add(layers.MaxPooling2D(padding="same"))
        for layer in (
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ):
            model.add(layer)
        return model

    return build


def compiled(model: keras.Model, **options: Any) -> keras.Model:
    """Return the model, compiled as all of them are."""
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return model


def population(task: Task, count: int, jit_compile: bool) -> float:
    """Return the seconds that a population takes, building and tracing included."""
    keras.backend.clear_session()
    start = time.perf_counter()
    made = PopulationModel(task.model(), ACTIVATIONS[:count], seeds=max(1, count // len(ACTIVATIONS)))
    compiled(made, steps_per_execution=STEPS, jit_compile=jit_compile).fit(**task.fitted)
    return time.perf_counter() - start


def tuner(task: Task, count: int, **options: Any) -> float:
    """Return the seconds of KerasTuner's GridSearch; `options` are for compile."""
    keras.backend.clear_session()
    base = task.model()

    def build(hp: keras_tuner.HyperParameters) -> keras.Model:
        return compiled(with_activations(base, hp.Choice("activation", list(ACTIVATIONS[:count]))), **options)

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        search = keras_tuner.GridSearch(build, "loss", max_trials=count, directory=folder)
        start = time.perf_counter()
        search.search(**task.fitted)
        return time.perf_counter() - start


def loop(task: Task, count: int) -> float:
    """Return the seconds of a plain loop."""
    keras.backend.clear_session()
    base = task.model()
    start = time.perf_counter()
    for candidate in ACTIVATIONS[:count]:
        compiled(with_activations(base, candidate)).fit(**task.fitted)
    return time.perf_counter() - start


PEERS = {
    "a: KerasTuner": tuner,
    "b: KerasTuner, tuned": lambda task, count: tuner(task, count, steps_per_execution=STEPS),
    "c: loop of fit": loop,
}


def read(path: str, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Return scaled features and the classes from 0."""
    table = pandas.read_csv(path)
    x = table.drop(columns=target).select_dtypes("number").to_numpy("float32")
    return x / np.abs(x).max(), np.unique(table[target], return_inverse=True)[1]


def tasks(arguments: argparse.Namespace) -> list[Task]:
    """Return what is measured."""
    found = []
    if arguments.mlp:
        x, y = read(*arguments.mlp)
        found += [Task(f"MLP, {e} epochs", x, y, mlp(x.shape[1], int(y.max()) + 1), 128, e) for e in arguments.epochs]
    if arguments.cnn:
        x, y = read(*arguments.cnn)
        side = int(x.shape[1] ** 0.5)
        x = x.reshape(-1, side, side, 1)
        found += [
            Task(f"{name}, {e} epochs", x, y, cnn(side, int(y.max()) + 1, normalized), 32, e)
            for e in arguments.epochs
            for name, normalized in (("CNN", False), ("BatchNorm CNN", True))
        ]
    return found


def environment() -> str:
    """Return one line about the machine, the versions and the day."""
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    return (
        f"{datetime.date.today()}: {platform.machine()}, {os.cpu_count()} cores, on {device}; Python "
        f"{platform.python_version()}, TensorFlow {tf.__version__}, Keras {keras.__version__}, KerasTuner "
        f"{keras_tuner.__version__}, ours {ka.__version__}; load {os.getloadavg()[0]:.1f}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mlp", nargs=2, metavar=("CSV", "TARGET"), help="data for the MLP")
    parser.add_argument("--cnn", nargs=2, metavar=("CSV", "TARGET"), help="square images for the CNNs")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 8, 32, 128], help="(default: %(default)s)")
    parser.add_argument("--epochs", type=int, nargs="+", default=[5], help="(default: %(default)s)")
    parser.add_argument("--peers", type=int, default=4, help="models that the peers train (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="of everything (default: %(default)s)")
    parser.add_argument("--xla", action="store_true", help="compile ours with XLA")
    arguments = parser.parse_args()
    if arguments.peers > len(ACTIVATIONS) or any(n > 8 and n % 8 for n in arguments.slots):
        parser.error("--slots must be at most 8 or multiples of 8 (activations x seeds), --peers at most 8")
    if not (arguments.mlp or arguments.cnn):
        parser.error("give --mlp or --cnn")
    console = Console(width=120)
    console.print(
        f"{environment()}; {arguments.repeats} repeats, peers measured at {arguments.peers} models and scaled"
    )
    table = Table("task", "models", "seconds", "ms/model/epoch", *(f"x {peer}" for peer in PEERS), "peak MB")
    for task in tasks(arguments):
        times = {
            name: statistics.median(peer(task, arguments.peers) for _ in range(arguments.repeats)) / arguments.peers
            for name, peer in PEERS.items()
        }
        for count in arguments.slots:
            seconds = statistics.median(population(task, count, arguments.xla) for _ in range(arguments.repeats))
            ratios = (f"{times[name] * count / seconds:.1f}" for name in PEERS)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            each = 1e3 * seconds / count / task.epochs
            table.add_row(task.name, str(count), f"{seconds:.1f}", f"{each:.1f}", *ratios, f"{peak:.0f}")
        table.add_section()
    console.print(table)


if __name__ == "__main__":
    main()
