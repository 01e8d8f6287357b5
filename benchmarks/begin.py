"""From the call of `search_activations` to the first training steps, stage by stage.

    python -m benchmarks.begin [--trials 16] [--repeats 5]

The search is that of ``keras-acts search`` on its bundled digits, TensorFlow and everything else imported. Each repeat
begins a search anew and leaves it after the first block of steps, which Keras runs in one call. The stages follow each
other: "CPU" is this process' own time, which other programs on the machine disturb less. Medians of the repeats
after a first search that is not counted, as Keras and TensorFlow make things then that they keep.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks import search
from benchmarks.machine import environment, parsed
from benchmarks.population import Task, compiled
from keras_acts.search import PopulationModel, api, plan, request, search_activations
from keras_acts.search.population.step_tensorflow import TrainingStep
from keras_acts.search.race.cohorts import Cohorts

# how the search is called, and what ends each of its stages, in order
CALLS: dict[str, dict[str, Any]] = {"with rates": {}, "without": {"learning_rates": None}}
STAGES = (
    "checks of settings and data",
    "one evaluation of a few samples",
    "rest of the checks",
    "plan, with a copy of the model that shows whether it can be a population",
    "folders, progress",
    "first population: initial weights, stacked layers, compiled",
    "Keras' `fit` begins, its trace begins",
    "trace of the training step",
    "rest of Keras' trace, and the first block of steps",
)


class _Begun(BaseException):
    """The first steps are done. No search takes it for a failure of a candidate."""


class Clock:
    """Notes when each stage ends."""

    def __init__(self) -> None:
        self.walls = [time.perf_counter()]
        self.cpus = [time.process_time()]

    def stage_ends(self) -> None:
        """Note it."""
        self.walls.append(time.perf_counter())
        self.cpus.append(time.process_time())

    def around(self, function: Callable[..., Any], *, before: bool = True) -> Callable[..., Any]:
        """Return a function that ends a stage where it returns, and another where it begins."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            if before:
                self.stage_ends()
            result = function(*args, **kwargs)
            self.stage_ends()
            return result

        return timed


class _Leave(keras.callbacks.Callback):
    """Leaves the search after its first block of steps."""

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        raise _Begun


@contextlib.contextmanager
def timed(clock: Clock) -> Iterator[None]:
    """Have the stages of a search in the scope noted, and leave it when the first steps are done."""
    fit = PopulationModel.fit

    def left(self: PopulationModel, *args: Any, callbacks: Any = (), **options: Any) -> Any:
        return fit(self, *args, callbacks=[_Leave(), *callbacks], **options)

    patched = mock.patch.object
    with (
        patched(request, "rehearse", clock.around(request.rehearse)),
        patched(api, "checked_request", clock.around(api.checked_request, before=False)),
        patched(plan, "planned", clock.around(plan.planned, before=False)),
        patched(Cohorts, "_cohort_of", _method(clock, Cohorts._cohort_of)),
        patched(TrainingStep, "_trace", _method(clock, TrainingStep._trace)),
        patched(PopulationModel, "fit", left),
        contextlib.suppress(_Begun),
    ):
        yield
    clock.stage_ends()


def _method(clock: Clock, function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: object, *args: Any) -> Any:
        return clock.around(function)(self, *args)

    return method


def begun(task: Task, trials: int, options: dict[str, Any]) -> np.ndarray:
    """Return the seconds of each stage of a search, by the wall and of CPU time: (stages, 2)."""
    keras.backend.clear_session()
    model = compiled(task.model())
    clock = Clock()
    with timed(clock):
        search_activations(model, **task.fitted, trials=trials, verdict=0, **options)
    return np.diff([clock.walls, clock.cpus]).T


def main() -> None:
    """Print a table for each call."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=16, help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="(default: %(default)s)")
    arguments = parsed(parser, trials=2, repeats=1)
    console = Console(width=120)
    console.print(environment())
    (task,) = search.tasks(argparse.Namespace(tasks=["default"], mlp=None, cnn=None))
    for name, options in CALLS.items():
        runs = [begun(task, arguments.trials, options) for _ in range(arguments.repeats + 1)]
        medians = np.median(runs[1:], axis=0)
        table = Table("stage", "seconds", "CPU", box=MARKDOWN, title=name)
        for stage, (wall, cpu) in zip(STAGES, medians, strict=True):
            table.add_row(stage, f"{wall:.3f}", f"{cpu:.3f}")
        totals = np.median(np.sum(runs[1:], axis=1), axis=0)
        table.add_row("all", f"{totals[0]:.3f}", f"{totals[1]:.3f}")
        first = np.sum(runs[0], axis=0)
        table.add_row("all, the first search of a process", f"{first[0]:.3f}", f"{first[1]:.3f}")
        console.print(table)


if __name__ == "__main__":
    main()
