"""Where the seconds of a population's training step go: its graph's nodes by kind.

    python -m benchmarks.step [--tasks mlp cnn] [--members 32] [--rates] [--epochs 5] [--top 10]

Trains as many members of the MLP 64-64 and of the default CNN on random data, with the eight activations of
`benchmarks.population`, and records one epoch with TensorFlow's profiler. "ms a step" are those of the kernels
of one kind, all threads together, "nodes" how many ran in a step. The first line is what a step takes without the
profiler, by the clock and of this process' own CPU time. With ``--rates`` each member has a learning rate of its
own, as in a default search. TF_NUM_INTRAOP_THREADS=1 parts the members into two lanes (`search/population/lanes.py`),
with KERAS_ACTS_CHOICES=lanes=1 too it does not.
"""

from __future__ import annotations

import argparse
import collections
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.machine import environment, parsed
from benchmarks.population import ACTIVATIONS, Task, cnn, compiled, mlp
from keras_acts.search import PopulationModel
from keras_acts.search.population.members import Member
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.vectorize.segments import arrange

_STEPS = 100
_RATES = (0.5, 1.0, 2.0, 4.0)


def tasks() -> dict[str, Task]:
    """Return what is trained, by name."""
    random = np.random.default_rng(0)
    table = random.normal(size=(128 * _STEPS, 16)).astype("float32")
    images = random.normal(size=(32 * _STEPS, 8, 8, 1)).astype("float32")
    letters = random.integers(0, 26, len(table))
    digits = random.integers(0, 10, len(images))
    return {
        "mlp": Task("mlp", table, letters, mlp(16, 26), 128, 1),
        "cnn": Task("cnn", images, digits, cnn(8, 10, normalized=False), 32, 1),
    }


def population(task: Task, members: int, *, rates: bool) -> PopulationModel:
    """Return a compiled population with the eight activations."""
    wanted = []
    for index in range(members):
        candidate = Candidate.of(ACTIVATIONS[index % len(ACTIVATIONS)])
        factor = 1.0
        if rates:
            factor = _RATES[index % len(_RATES)]
        wanted.append(Member(candidate, index // len(ACTIVATIONS), factor))
    # as a search has them: in the order in which they lie inside
    order, _ = arrange([member.candidate for member in wanted])
    made = PopulationModel(compiled(task.model()), [wanted[index] for index in order])
    return compiled(made, steps_per_execution=_STEPS)


class Profiled(keras.callbacks.Callback):
    """Measures each epoch after the first, and records the last with the profiler."""

    def __init__(self, folder: str):
        super().__init__()
        self.folder = folder
        # of a step, by the clock and of CPU time
        self.milliseconds: list[float] = []
        self.of_cpu: list[float] = []
        self._begun = 0.0
        self._begun_cpu = 0.0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Start the clock, or the profiler."""
        if epoch == self.params["epochs"] - 1:
            import tensorflow as tf

            tf.profiler.experimental.start(self.folder)
        self._begun = time.perf_counter()
        self._begun_cpu = time.process_time()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Stop it."""
        seconds = time.perf_counter() - self._begun
        of_cpu = time.process_time() - self._begun_cpu
        if epoch == self.params["epochs"] - 1:
            import tensorflow as tf

            tf.profiler.experimental.stop()
        elif epoch > 0:
            self.milliseconds.append(1000 * seconds / _STEPS)
            self.of_cpu.append(1000 * of_cpu / _STEPS)


def kinds(folder: str) -> dict[str, tuple[float, float]]:
    """Return, by kind of node, how many ran in a step and the milliseconds that they took in all."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    (file,) = Path(folder).rglob("*.xplane.pb")
    space.ParseFromString(file.read_bytes())
    count: collections.Counter[str] = collections.Counter()
    seconds: collections.Counter[str] = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                # the executor names a kernel "node:Kind"
                name, colon, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
                if colon and kind.isidentifier() and ":" not in name:
                    count[kind] += 1
                    seconds[kind] += event.duration_ps / 1e12
    found = {}
    for kind, total in seconds.most_common():
        found[kind] = (count[kind] / _STEPS, 1000 * total / _STEPS)
    return found


def measured(task: Task, arguments: argparse.Namespace) -> Table:
    """Return the table of one task."""
    made = population(task, arguments.members, rates=arguments.rates)
    fitted = {**task.fitted, "epochs": arguments.epochs}
    with tempfile.TemporaryDirectory() as folder:
        profiled = Profiled(folder)
        made.fit(**fitted, callbacks=[profiled])
        found = kinds(folder)
    step = statistics.median(profiled.milliseconds)
    of_cpu = statistics.median(profiled.of_cpu)
    table = Table("node", "a step", "ms a step", box=MARKDOWN)
    nodes = sum(count for count, _ in found.values())
    milliseconds = sum(each for _, each in found.values())
    table.title = (
        f"{task.name}, {arguments.members} members: {step:.2f} ms a step, {of_cpu:.2f} of CPU"
    )
    table.add_row("all", f"{nodes:.0f}", f"{milliseconds:.2f}")
    for kind, (count, each) in list(found.items())[: arguments.top]:
        table.add_row(kind, f"{count:.1f}", f"{each:.3f}")
    return table


def main() -> None:
    """Print a table for each task."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = tasks()
    parser.add_argument("--tasks", nargs="+", choices=known, default=list(known))
    parser.add_argument("--members", type=int, default=32, help="(default: %(default)s)")
    parser.add_argument("--rates", action="store_true", help="each at its own learning rate")
    parser.add_argument("--epochs", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--top", type=int, default=10, help="kinds that are shown")
    arguments = parsed(parser, members=2, epochs=3)
    console = Console()
    console.print(environment())
    for name in arguments.tasks:
        console.print(measured(known[name], arguments))


if __name__ == "__main__":
    main()
