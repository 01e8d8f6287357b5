"""What is chosen by the device, each both ways on this one, and what to set.

    python -m benchmarks.choices [--members 32] [--steps 1000] [--repeats 3] [--only convolutions ...] [--quick]

For each choice of `search/runtime/choices.py`: the seconds until the first epoch is over (it is
traced, and perhaps compiled), the milliseconds of a step afterwards, and what so many steps take in
all. A way that is 5 % faster than what is chosen by itself is printed as what to set. How many
members a population shall have, `most_members`, `python -m benchmarks.population` shows. For JAX set
KERAS_BACKEND. Lanes are to be tried with TF_NUM_INTRAOP_THREADS=1.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.machine import environment, parsed
from keras_acts.search import PopulationModel
from keras_acts.search.runtime import choices

ACTIVATIONS = ("relu", "mish", "tanh", "elu")
BATCH = 64
# so that the last batch of an epoch is smaller
SAMPLES = 10 * BATCH + 20
EPOCHS = 4
# what is faster by less may be so by chance
GAIN = 1.05


class Choice(NamedTuple):
    """One choice, and where it matters.

    Attributes:
        name: in `Choices`.
        values: to try.
        task: of `TASKS`.
        on_jax: whether JAX has it.
    """

    name: str
    values: tuple[bool | str | int, ...]
    task: str
    on_jax: bool


class Taken(NamedTuple):
    """Seconds until the first epoch was over, and of a step after it."""

    begin: float
    step: float

    def seconds(self, steps: int) -> float:
        """Return what so many steps take in all."""
        return self.begin + self.step * steps


BOTH = (True, False)
CHOICES = (
    Choice("xla_steps", BOTH, "mlp", on_jax=False),
    Choice("xla_updates", BOTH, "mlp", on_jax=False),
    Choice("fill_batches", BOTH, "mlp", on_jax=True),
    Choice("products", choices.PRODUCTS, "mlp", on_jax=True),
    Choice("lanes", (1, 2), "cnn", on_jax=False),
    Choice("convolutions", choices.CONVOLUTIONS, "cnn", on_jax=True),
    Choice("graph_optimizer", BOTH, "cnn", on_jax=False),
)


def mlp() -> keras.Model:
    """Return a small MLP."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def cnn() -> keras.Model:
    """Return a small CNN."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )


TASKS: dict[str, Callable[[], keras.Model]] = {"mlp": mlp, "cnn": cnn}


def measured(task: str, members: int) -> Taken:
    """Train a population as things are chosen now."""
    model = TASKS[task]()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(SAMPLES, *model.input_shape[1:])).astype("float32")
    y = rng.integers(0, 10, SAMPLES)
    seeds = max(1, members // len(ACTIVATIONS))
    begun = time.perf_counter()
    population = PopulationModel(model, ACTIVATIONS, seeds=seeds)
    # RMSprop, as Adam has a kernel of its own for the update on TensorFlow. Compiled itself: in a
    # model that is compiled, Keras has already said what "auto" is
    population.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    times = EpochTimes()
    population.fit(x, y, BATCH, epochs=EPOCHS, verbose=0, callbacks=[times])
    steps = -(-SAMPLES // BATCH)
    epochs = np.diff(times.ends)
    return Taken(times.ends[0] - begun, float(epochs.min()) / steps)


class EpochTimes(keras.callbacks.Callback):
    """When each epoch ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Look at the clock."""
        self.ends.append(time.perf_counter())


def ways(choice: Choice, members: int, repeats: int) -> dict[str, Taken]:
    """Return what each way takes at its fastest, first the one that is chosen by itself.

    They train in turn, so that what else runs on the machine slows all of them.
    """
    fixed: dict[str, bool | str | int] = {}
    if choice.name == "fill_batches" and keras.backend.backend() == "tensorflow":
        fixed["xla_steps"] = True  # a smaller last batch matters to XLA alone
    settings = {"by itself": fixed}
    for value in choice.values:
        settings[_written(value)] = {**fixed, choice.name: value}
    taken: dict[str, list[Taken]] = {name: [] for name in settings}
    measured(choice.task, members)  # the first of a process takes longer than all others
    for _ in range(repeats):
        for name, setting in settings.items():
            with choices.using(**setting):
                taken[name].append(measured(choice.task, members))
    return {name: Taken(*np.min(runs, axis=0)) for name, runs in taken.items()}


def _written(value: bool | str) -> str:
    if isinstance(value, str):
        return value
    return "yes" if value else "no"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [choice.name for choice in CHOICES]
    parser.add_argument("--members", type=int, default=32, help="(default: %(default)s)")
    parser.add_argument(
        "--steps", type=int, default=1000, help="of the training that is compared (%(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    arguments = parsed(parser, members=4, repeats=1)
    console = Console(width=120)
    console.print(environment())
    columns = ("choice", "model", "value", "begin, s", "step, ms", f"{arguments.steps} steps, s")
    table = Table(*columns, box=MARKDOWN)
    better = {}
    for choice in CHOICES:
        if choice.name not in arguments.only:
            continue
        if keras.backend.backend() == "jax" and not choice.on_jax:
            continue
        seconds = {}
        for value, taken in ways(choice, arguments.members, arguments.repeats).items():
            seconds[value] = taken.seconds(arguments.steps)
            row = (f"{taken.begin:.2f}", f"{taken.step * 1e3:.2f}", f"{seconds[value]:.1f}")
            console.print(choice.name, choice.task, value, *row)
            table.add_row(choice.name, choice.task, value, *row)
        fastest = min(seconds, key=lambda value: seconds[value])
        if seconds["by itself"] > GAIN * seconds[fastest]:
            better[choice.name] = fastest
    console.print(table)
    if better:
        text = ",".join(f"{name}={value}" for name, value in better.items())
        console.print(f'faster here: KERAS_ACTS_CHOICES="{text}"')
    else:
        console.print("nothing to set: no way is 5 % faster than what is chosen by itself")


if __name__ == "__main__":
    main()
