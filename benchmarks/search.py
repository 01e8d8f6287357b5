"""Whole searches by wall-clock, from the call to the best model in hand, against the same search in plain KerasTuner.

    python -m benchmarks.search --mlp letters.csv letter --cnn optdigits.csv digit [--trials 32] [--tasks mlp cnn ...]
    python -m benchmarks.search --calls [--trials 16 32] [--tasks default ...] [--only auto random ...]

Tasks: ``default``, the search of ``keras-acts search`` on its bundled digits without verdict and
export; ``mlp``, an MLP 64-64 on ``--mlp``; ``cnn``, that CNN on ``--cnn``; ``lstm``, an LSTM on
sequences; ``frozen``, a frozen MobileNetV2 (no weights are downloaded) with a trained head;
``augmented``, the same behind layers that flip and rotate; ``text``, an Embedding and convolutions
with Adam; ``vit``, a Vision Transformer with layers of its own.

Ours is `ActivationTuner` as users call it, the peer `keras_tuner.RandomSearch` with the same
hypermodel, data, epochs and batch size. The peer trains one trial after the other, so it is
measured at ``--peers`` trials and scaled, its best model loaded once. "in steps" is the share of
our seconds that the training steps take at their median speed, "warm" the same from the end of the
first epoch to that of the last, validation and checkpoints in memory included.

With ``--calls`` it is `search_activations`, as users call it: with ``strategy="auto"``, as a race and at
random, without a verdict and with it, at the model's own learning rate as the peer; and with rates, of
which the last is all that it does by default. "CPU" is this process' own time, which other programs on the
machine disturb less, "programs" how many training steps were traced, "of random's" the share of the
seconds that the same call takes with ``strategy="random"``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_tuner
import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.machine import environment, parsed
from benchmarks.population import StepTimer, Task, cnn, compiled, mlp, read
from benchmarks.real_models.vision import PatchEncoder, Patches
from keras_acts.search import (
    ActivationHyperModel,
    ActivationTuner,
    PopulationModel,
    search_activations,
)
from keras_acts.search.population.step_tensorflow import TrainingStep
from keras_acts_cli import data as datasets
from keras_acts_cli import models

# how users call a search: with which strategy, with rates, and with the verdict
_OWN_RATE = {"learning_rates": None}
_ALONE = {**_OWN_RATE, "verdict": 0}
CALLS: dict[str, dict[str, Any]] = {
    "auto": _ALONE,
    "race": {**_ALONE, "strategy": "race"},
    "random": {**_ALONE, "strategy": "random"},
    "auto, verdict": _OWN_RATE,
    "race, verdict": {**_OWN_RATE, "strategy": "race"},
    "random, verdict": {**_OWN_RATE, "strategy": "random"},
    "auto, rates": {"verdict": 0},
    "auto, rates, verdict": {},
}

TASKS = ("default", "mlp", "cnn", "lstm", "frozen", "augmented", "text", "vit")


def lstm() -> keras.Model:
    """Return an LSTM whose cell and head have an activation each."""
    layers = [
        keras.layers.LSTM(32),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dense(4, "softmax"),
    ]
    return keras.Sequential([keras.Input((24, 6)), *layers])


def frozen() -> keras.Model:
    """Return a frozen MobileNetV2 with a trained head."""
    base = keras.applications.MobileNetV2(
        (96, 96, 3), alpha=0.35, include_top=False, weights=None, pooling="avg"
    )
    base.trainable = False
    head = [keras.layers.Dense(64, activation="relu"), keras.layers.Dense(5, activation="softmax")]
    return keras.Sequential([keras.Input((96, 96, 3)), base, *head])


def augmented() -> keras.Model:
    """Return the frozen base with a trained head, behind an augmentation of the images."""
    augmentation = [keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)]
    return keras.Sequential([keras.Input((96, 96, 3)), *augmentation, *frozen().layers])


def text() -> keras.Model:
    """Return a classifier of texts: a trained Embedding, and convolutions."""
    layers = [
        keras.layers.Embedding(2000, 32),
        keras.layers.Conv1D(32, 5, activation="relu"),
        keras.layers.GlobalMaxPooling1D(),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dense(4, activation="softmax"),
    ]
    return keras.Sequential([keras.Input((64,), dtype="int32"), *layers])


def vit() -> keras.Model:
    """Return a small Vision Transformer, as keras.io's example writes it."""
    layers = keras.layers
    inputs = keras.Input((24, 24, 3))
    encoded = PatchEncoder(16, 32)(Patches(6)(inputs))
    for _ in range(2):
        x = layers.LayerNormalization()(encoded)
        attention = layers.MultiHeadAttention(num_heads=2, key_dim=16)(x, x)
        x = layers.Add()([attention, encoded])
        wide = layers.Dense(64, activation="gelu")(layers.LayerNormalization()(x))
        narrow = layers.Dense(32, activation="gelu")(wide)
        encoded = layers.Add()([narrow, x])
    x = layers.Flatten()(layers.LayerNormalization()(encoded))
    x = layers.Dense(64, activation="gelu")(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x))


def words(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sentences of tokens, whose class is in how often the first ones occur."""
    random = np.random.default_rng(0)
    y = random.integers(0, 4, samples)
    x = random.integers(4, 2000, (samples, 64))
    marked = random.random(x.shape) < 0.1
    return np.where(marked, y[:, None], x).astype("int32"), y


def sequences(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random walks, each with the channel that ends highest among the first four as its class."""
    x = np.random.default_rng(0).normal(size=(samples, 24, 6)).astype("float32")
    return x, x[:, :, :4].sum(axis=1).argmax(axis=1)


def images(samples: int, size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Return noise whose brightness is the class."""
    y = np.random.default_rng(0).integers(0, 5, samples)
    noise = np.random.default_rng(1).normal(size=(samples, size, size, 3))
    return (noise + y[:, None, None, None]).astype("float32"), y


def tasks(arguments: argparse.Namespace) -> Iterator[Task]:
    """Yield what is measured."""
    wanted = arguments.tasks
    if "default" in wanted:
        dataset = datasets.load("digits")
        parts = dataset.split(0)
        yield Task("default", *parts.train, lambda: models.build(None, dataset, parts, 0), 32, 10)
    if "mlp" in wanted and arguments.mlp:
        x, y = read(*arguments.mlp)
        yield Task("mlp", x, y, mlp(x.shape[1], int(y.max()) + 1), 128, 5)
    if "cnn" in wanted and arguments.cnn:
        x, y = read(*arguments.cnn)
        side = int(x.shape[1] ** 0.5)
        yield Task(
            "cnn",
            x.reshape(-1, side, side, 1),
            y,
            cnn(side, int(y.max()) + 1, normalized=False),
            32,
            10,
        )
    if "lstm" in wanted:
        yield Task("lstm", *sequences(2000), lstm, 64, 3)
    if "frozen" in wanted:
        yield Task("frozen", *images(320), frozen, 32, 3)
    if "augmented" in wanted:
        yield Task("augmented", *images(320), augmented, 32, 3)
    if "text" in wanted:
        yield Task("text", *words(2000), text, 64, 3)
    if "vit" in wanted:
        yield Task("vit", *images(1000, size=24), vit, 64, 3)


def ours(task: Task, trials: int) -> tuple[float, float, float]:
    """Return the seconds of our search, those of its steps, and the share of steps after the first epoch."""
    timers: list[StepTimer] = []
    fit = PopulationModel.fit

    def timed(self: PopulationModel, *args: Any, callbacks: Any = None, **kwargs: Any) -> Any:
        timers.append(StepTimer())
        return fit(self, *args, callbacks=[timers[-1], *(callbacks or [])], **kwargs)

    model = compiled(task.model())
    PopulationModel.fit = timed  # type: ignore[method-assign]  # the tuner takes no callback that it does not know
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            tuner = ActivationTuner(model, "val_accuracy", trials, directory=folder)
            tuner.search(**task.fitted, validation_split=0.2)
            tuner.get_best_models()
            warm = np.sum([timer.warm for timer in timers], axis=0)
            return (
                time.perf_counter() - start,
                sum(timer.total for timer in timers),
                warm[1] / warm[0],
            )
    finally:
        PopulationModel.fit = fit  # type: ignore[method-assign]


def plain(task: Task, trials: int, peers: int) -> float:
    """Return the seconds of KerasTuner's search."""
    model = compiled(task.model())
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        tuner = keras_tuner.RandomSearch(
            ActivationHyperModel(model), "val_accuracy", max_trials=peers, seed=1, directory=folder
        )
        begun = time.perf_counter() - start
        tuner.search(**task.fitted, validation_split=0.2)
        searched = time.perf_counter() - start - begun
        tuner.get_best_models()
        return time.perf_counter() - start + searched * (trials / peers - 1)


class Call(NamedTuple):
    """What a call of `search_activations` took."""

    seconds: float
    cpu: float
    programs: int


def called(task: Task, trials: int, options: Mapping[str, Any]) -> Call:
    """Search as users do, and return what it took."""
    keras.backend.clear_session()
    model = compiled(task.model())
    trace = TrainingStep._trace
    with mock.patch.object(TrainingStep, "_trace", autospec=True, side_effect=trace) as traced:
        cpu = time.process_time()
        seconds = time.perf_counter()
        search_activations(model, **task.fitted, trials=trials, **options)
        return Call(
            time.perf_counter() - seconds, time.process_time() - cpu, len(traced.mock_calls)
        )


def calls_table(
    wanted: Iterable[Task],
    counts: Sequence[int],
    names: Sequence[str],
    *,
    peers: int,
    repeats: int,
    console: Console,
) -> Table:
    """Return what calls take, in turn, and as a ratio to KerasTuner's search and to `random`'s."""
    columns = ("seconds", "CPU", "programs", "KerasTuner", "times faster", "of random's")
    table = Table("task", "trials", "call", *columns, box=MARKDOWN)
    for task, trials in itertools.product(wanted, counts):
        theirs = plain(task, trials, peers)
        runs: dict[str, list[Call]] = {name: [] for name in names}
        for _, name in itertools.product(range(repeats), names):
            runs[name].append(called(task, trials, CALLS[name]))
        taken = {name: Call(*np.median(calls, axis=0)) for name, calls in runs.items()}
        for name, call in taken.items():
            row = [task.name, str(trials), name, f"{call.seconds:.1f}", f"{call.cpu:.1f}"]
            row += [f"{call.programs:.0f}", f"{theirs:.0f}", f"{theirs / call.seconds:.1f}"]
            row.append(_of_random(name, taken))
            table.add_row(*row)
            console.print(*row, sep="  ")  # should it be interrupted
    return table


def _of_random(name: str, taken: Mapping[str, Call]) -> str:
    """Which share of the seconds of a random search a call takes, both with a verdict or both without."""
    random = "random"
    if name.endswith("verdict"):
        random = "random, verdict"
    if random not in taken:
        return "-"
    return f"{taken[name].seconds / taken[random].seconds:.2f}"


def main() -> None:
    """Print a table of ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mlp", nargs=2, metavar=("CSV", "TARGET"))
    parser.add_argument("--cnn", nargs=2, metavar=("CSV", "TARGET"))
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--trials", type=int, nargs="+", default=[32])
    parser.add_argument("--calls", action="store_true", help="search_activations as users call it")
    parser.add_argument(
        "--only", nargs="+", choices=CALLS, default=list(CALLS), help="of the calls (default: all)"
    )
    parser.add_argument("--peers", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=1, help="of both, in turn; medians count")
    arguments = parsed(parser, tasks=["default"], trials=[4], peers=1)
    console = Console()
    console.print(environment())
    if arguments.calls:
        made = calls_table(
            tasks(arguments),
            arguments.trials,
            arguments.only,
            peers=arguments.peers,
            repeats=arguments.repeats,
            console=console,
        )
        console.print(made)
        return
    table = Table(
        "task", "trials", "seconds", "KerasTuner", "times faster", "in steps", "warm", box=MARKDOWN
    )
    for task, trials in itertools.product(tasks(arguments), arguments.trials):
        found = [
            (*ours(task, trials), plain(task, trials, arguments.peers))
            for _ in range(arguments.repeats)
        ]
        times = np.median([peer / seconds for seconds, _, _, peer in found])
        seconds, steps, warm, peer = np.median(found, axis=0)
        row = (
            f"{seconds:.1f}",
            f"{peer:.1f}",
            f"{times:.1f}",
            f"{steps / seconds:.0%}",
            f"{warm:.0%}",
        )
        table.add_row(task.name, str(trials), *row)
        console.print(task.name, *row)
    console.print(table)


if __name__ == "__main__":
    main()
