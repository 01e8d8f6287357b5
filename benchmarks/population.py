"""A population against training its models one after the other, in one process.

    python -m benchmarks.population --mlp letters.csv letter --cnn optdigits.csv digit [--repeats 3] [--plot growth.png]
    python -m benchmarks.population --by-hand --mlp letters.csv letter --cnn optdigits.csv digit --members 32 128

The features are all numbers of the .csv but the target. The same candidates, epochs and batch size,
``verbose=0``, against (a) KerasTuner's GridSearch as users write it, (b) the same with
``steps_per_execution`` tuned, (c) a plain loop of `fit`. The peers train one model after the other,
so their time is measured at ``--peers`` models and scaled; ours is measured whole, building and
tracing included. More than 8 members are 8 activations with several seeds each.

With ``--by-hand`` the peers are populations too, written by hand for these models (`benchmarks.by_hand`, the
extra ``bench``): each is measured whole, and must have learned what ours has. "CPU" is this process' own
time, which other programs on the machine disturb less.

"in steps" is the share of the seconds that the steps take at their median speed; the rest is
building, tracing, compiling and Keras. "floor" is the time of the model's multiplications alone at
the machine's own measured rate (`benchmarks.peak`), "of floor" its share of the time in steps.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_tuner
import numpy as np
import pandas
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks import by_hand
from benchmarks.machine import environment, parsed
from benchmarks.peak import seconds_at_peak
from keras_acts.search import with_activations
from keras_acts.search.population.model import PopulationModel

ACTIVATIONS = (
    "relu",
    "mish",
    "tanh",
    "elu",
    "leaky_relu(alpha=0.1)",
    "trelu(theta=0.5)",
    "gelu",
    "silu",
)
STEPS = 125


@dataclass(frozen=True)
class Task:
    """What is trained: data, a model, a batch size and how many epochs.

    `kind` is what `benchmarks.by_hand` calls the model; empty if it does not know it.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    model: Callable[[], keras.Model]
    batch_size: int
    epochs: int
    kind: str = ""

    @property
    def fitted(self) -> dict[str, Any]:
        """The arguments of every `fit`."""
        return {
            "x": self.x,
            "y": self.y,
            "batch_size": self.batch_size,
            "epochs": self.epochs,
            "verbose": 0,
        }


def mlp(features: int, classes: int) -> Callable[[], keras.Model]:
    """Return what builds the MLP 64-64."""

    def build() -> keras.Model:
        hidden = [keras.layers.Dense(64, activation="relu") for _ in range(2)]
        return keras.Sequential(
            [keras.Input((features,)), *hidden, keras.layers.Dense(classes, activation="softmax")]
        )

    return build


def cnn(side: int, classes: int, normalized: bool) -> Callable[[], keras.Model]:
    """Return what builds the CNN that `keras-acts search` trains on digits, with BatchNormalization if `normalized`."""

    def build() -> keras.Model:
        layers = keras.layers
        model = keras.Sequential([keras.Input((side, side, 1))])
        for filters in (16, 32):
            model.add(
                layers.Conv2D(filters, 3, padding="same", activation=None if normalized else "relu")
            )
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


class StepTimer(keras.callbacks.Callback):
    """Measures the seconds of a step in each block that Keras runs."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.ends: list[tuple[float, int]] = []
        self.steps = 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Start the clock."""
        self.start, self.first = time.perf_counter(), batch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop it."""
        count = (
            min(batch + 1, self.params["steps"]) - self.first
        )  # Keras counts a block as if it were full
        self.seconds.append((time.perf_counter() - self.start) / count)
        self.steps += count

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note it."""
        self.ends.append((time.perf_counter(), self.steps))

    @property
    def total(self) -> float:
        """The seconds of all steps at their median speed."""
        return self.steps * statistics.median(self.seconds)

    @property
    def warm(self) -> tuple[float, float]:
        """The seconds from the end of the first epoch to that of the last, and of the steps there."""
        (begun, before), (ended, after) = self.ends[0], self.ends[-1]
        return ended - begun, (after - before) * statistics.median(self.seconds)


def population(task: Task, count: int, jit_compile: bool | str) -> tuple[float, float]:
    """Return the seconds that a population takes, building and tracing included, and those of its steps."""
    keras.backend.clear_session()
    timer = StepTimer()
    start = time.perf_counter()
    made = PopulationModel(
        task.model(), ACTIVATIONS[:count], seeds=max(1, count // len(ACTIVATIONS))
    )
    compiled(made, steps_per_execution=STEPS, jit_compile=jit_compile).fit(
        **task.fitted, callbacks=[timer]
    )
    return time.perf_counter() - start, timer.total


def tuner(task: Task, count: int, **options: Any) -> float:
    """Return the seconds of KerasTuner's GridSearch; `options` are for compile."""
    keras.backend.clear_session()
    base = task.model()

    def build(hp: keras_tuner.HyperParameters) -> keras.Model:
        return compiled(
            with_activations(base, hp.Choice("activation", list(ACTIVATIONS[:count]))), **options
        )

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


class Whole(NamedTuple):
    """What a population took, everything included, and what its members learned."""

    seconds: float
    cpu: float
    accuracy: float


def clocked(train: Callable[[], float]) -> Whole:
    """Return what a training takes that returns the mean accuracy of its members."""
    begun = time.perf_counter()
    begun_cpu = time.process_time()
    accuracy = train()
    return Whole(time.perf_counter() - begun, time.process_time() - begun_cpu, accuracy)


def learned(task: Task, count: int, jit_compile: bool | str) -> float:
    """Train a population, and return the mean accuracy of its members in the last epoch."""
    together = PopulationModel(
        task.model(), ACTIVATIONS[:count], seeds=max(1, count // len(ACTIVATIONS))
    )
    compiled(together, steps_per_execution=STEPS, jit_compile=jit_compile)
    return float(together.fit(**task.fitted).history["accuracy"][-1])


def by_hand_table(
    wanted: Iterable[Task],
    counts: Sequence[int],
    repeats: int,
    jit_compile: bool | str,
    console: Console,
) -> Table:
    """Return what populations take that are written by hand, and ours, in turn: medians."""
    columns = ("task", "models", "population", "seconds", "x ours", "CPU", "x ours", "accuracy")
    table = Table(*columns, box=MARKDOWN)
    for task, count in itertools.product(wanted, counts):
        if not task.kind:
            continue
        ways = {"ours": partial(learned, task, count, jit_compile)}
        names = ACTIVATIONS[:count]
        seeds = max(1, count // len(ACTIVATIONS))
        sizes = (names, seeds, task.batch_size, task.epochs)
        work = by_hand.Work(task.x, task.y, task.kind, *sizes)
        for name, train in by_hand.peers().items():
            ways[name] = partial(train, work)
        runs: dict[str, list[Whole]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, train in ways.items():
                keras.backend.clear_session()
                runs[name].append(clocked(train))
        middle = {name: Whole(*np.median(found, axis=0)) for name, found in runs.items()}
        ours = middle["ours"]
        for name, found in middle.items():
            by_hand.check(name, found.accuracy, ours.accuracy)
            row = [task.name, str(count), name]
            row += [f"{found.seconds:.1f}", f"{found.seconds / ours.seconds:.1f}"]
            row += [f"{found.cpu:.1f}", f"{found.cpu / ours.cpu:.1f}", f"{found.accuracy:.3f}"]
            console.print(*row, sep="  ")  # should it be interrupted
            table.add_row(*row)
    return table


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
        found += [
            Task(f"MLP, {e} epochs", x, y, mlp(x.shape[1], int(y.max()) + 1), 128, e, "mlp")
            for e in arguments.epochs
        ]
    if arguments.cnn:
        x, y = read(*arguments.cnn)
        side = int(x.shape[1] ** 0.5)
        x = x.reshape(-1, side, side, 1)
        found += [
            Task(f"{name}, {e} epochs", x, y, cnn(side, int(y.max()) + 1, normalized), 32, e, kind)
            for e in arguments.epochs
            for name, normalized, kind in (("CNN", False, "cnn"), ("BatchNorm CNN", True, ""))
        ]
    return found


def draw(growth: dict[str, list[tuple[int, float, float]]], path: str) -> None:
    """Draw the seconds of populations and of KerasTuner against the number of models."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for name, rows in growth.items():
        counts, seconds, theirs = zip(*rows, strict=True)
        (line,) = axes.plot(counts, seconds, "o-", label=f"{name}: population")
        axes.plot(counts, theirs, ":", color=line.get_color(), label=f"{name}: KerasTuner")
    axes.set(
        xscale="log", yscale="log", xlabel="models", ylabel="seconds, building and tracing included"
    )
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


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
        "--members", type=int, nargs="+", default=[1, 8, 32, 128], help="(default: %(default)s)"
    )
    parser.add_argument("--epochs", type=int, nargs="+", default=[5], help="(default: %(default)s)")
    parser.add_argument(
        "--peers", type=int, default=4, help="models that the peers train (default: %(default)s)"
    )
    parser.add_argument(
        "--repeats", type=int, default=3, help="of everything (default: %(default)s)"
    )
    parser.add_argument(
        "--jit", choices=("auto", "yes", "no"), default="auto", help="XLA for ours (default: auto)"
    )
    parser.add_argument(
        "--by-hand", action="store_true", help="against populations that are written by hand"
    )
    parser.add_argument(
        "--plot", metavar="PNG", help="draw the seconds against the members (needs matplotlib)"
    )
    arguments = parsed(parser, members=[1, 8], epochs=[1], peers=1, repeats=1)
    if arguments.peers > len(ACTIVATIONS) or any(n > 8 and n % 8 for n in arguments.members):
        parser.error(
            "--members must be at most 8 or multiples of 8 (activations x seeds), --peers at most 8"
        )
    if not (arguments.mlp or arguments.cnn):
        parser.error("give --mlp or --cnn")
    console = Console(width=160)
    jit = {"auto": "auto", "yes": True, "no": False}[arguments.jit]
    if arguments.by_hand:
        console.print(f"{environment()}; medians of {arguments.repeats}")
        for line in by_hand.missing():
            console.print(line)
        wanted = tasks(arguments)
        counts = arguments.members
        console.print(by_hand_table(wanted, counts, arguments.repeats, jit, console))
        return
    console.print(
        f"{environment()}; {arguments.repeats} repeats, peers measured at {arguments.peers} models and scaled"
    )
    columns = (
        "ms/model/epoch",
        *(f"x {peer}" for peer in PEERS),
        "in steps",
        "floor s",
        "of floor",
        "peak MB",
    )
    table = Table("task", "models", "seconds", *columns, box=MARKDOWN)
    growth: dict[str, list[tuple[int, float, float]]] = {}
    for task in tasks(arguments):
        times = {
            name: statistics.median(peer(task, arguments.peers) for _ in range(arguments.repeats))
            / arguments.peers
            for name, peer in PEERS.items()
        }
        alone = seconds_at_peak(task.model(), len(task.x) * task.epochs)
        for count in arguments.members:
            found = sorted(population(task, count, jit) for _ in range(arguments.repeats))
            seconds, in_steps = found[len(found) // 2]
            ratios = (f"{times[name] * count / seconds:.1f}" for name in PEERS)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            shares = (
                f"{in_steps / seconds:.0%}",
                f"{alone * count:.1f}",
                f"{alone * count / in_steps:.0%}",
            )
            each = f"{1e3 * seconds / count / task.epochs:.1f}"
            row = (task.name, str(count), f"{seconds:.1f}", each, *ratios, *shares, f"{peak:.0f}")
            console.print(*row, sep="  ")  # an hour's work, should it be interrupted
            table.add_row(*row)
            growth.setdefault(task.name, []).append(
                (count, seconds, times["a: KerasTuner"] * count)
            )
    console.print(table)
    if arguments.plot:
        draw(growth, arguments.plot)


if __name__ == "__main__":
    main()
