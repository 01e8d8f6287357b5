"""Where the seconds of the default job go: `keras-acts search` in an empty folder, stage by stage.

    python -m benchmarks.default_job [--options="--trials 8 --verdict 4"] [--quick]

Each stage is told without the stages inside it: its seconds, the CPU seconds of this process (other programs on
the machine disturb them less), how many training steps were traced in it, and how many functions Keras made for
training, testing and predicting. A last row has the CPU seconds of the processes that it started.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import resource
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import click
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

import keras_acts_cli

# what is called where, and the stage that it is; loaded by the command itself
STAGES = (
    ("keras_acts_cli.run", "encoded", "make the data"),
    ("keras_acts_cli.run", "models.build", "make the model"),
    ("keras_acts.search.api", "checked_request", "check"),
    ("keras_acts.search.api", "plan.planned", "plan"),
    ("keras_acts.search.api", "plan.strategy_for", "plan"),
    ("keras_acts.search.race.runner", "RaceSearch.run", "search"),
    ("keras_acts.search.verdict.decide", "choose_rates", "learning rates"),
    ("keras_acts.search.verdict.decide", "RatedModels.trainer", "verdict: its population"),
    ("keras_acts.search.verdict.decide", "decide", "verdict: its seeds"),
    ("keras_acts.search.verdict.decide", "_score_test_data", "verdict: test data"),
    ("keras_acts.search.verdict.decide", "_Yardstick.measure", "verdict: guessing"),
    ("keras_acts.search.verdict.decide", "_timed", "verdict: inference"),
    ("keras_acts.search.verdict.decide", "judge", "verdict: statistics"),
    ("keras_acts.search.race.runner", "RaceSearch.finish", "kept model: training"),
    ("keras_acts.search.outcome", "Outcome.keep", "kept model: scores"),
    ("keras_acts.search.result", "SearchResult.export", "export: notes and report"),
    ("keras_acts.search.exporting.export", "export", "export: SavedModel"),
    ("keras_acts.search.exporting.verify", "Checker.check", "export: its check"),
)
QUICK = "--trials 2 --epochs 1 --verdict 2 --learning-rates none"
FUNCTIONS = ("make_train_function", "make_test_function", "make_predict_function")


@dataclass
class Stage:
    """What a stage took, without those inside it."""

    seconds: float = 0.0
    cpu: float = 0.0
    steps: int = 0
    functions: int = 0


@dataclass
class Timeline:
    """The stages in the order in which they began, and those that run now, the innermost last."""

    stages: dict[str, Stage] = field(default_factory=dict)
    running: list[str] = field(default_factory=list)
    since: tuple[float, float] = (0.0, 0.0)

    @property
    def stage(self) -> Stage:
        """The innermost stage that runs."""
        return self.stages[self.running[-1]]

    def settle(self) -> None:
        """Add what passed since the last change to the stage that runs."""
        now = (time.perf_counter(), time.process_time())
        if self.running:
            self.stage.seconds += now[0] - self.since[0]
            self.stage.cpu += now[1] - self.since[1]
        self.since = now

    @contextlib.contextmanager
    def during(self, name: str) -> Iterator[None]:
        """Count what passes inside the scope for a stage."""
        self.settle()
        self.stages.setdefault(name, Stage())
        self.running.append(name)
        try:
            yield
        finally:
            self.settle()
            self.running.pop()

    def watch(self, module: str, path: str, name: str) -> None:
        """Have what a module calls so be a stage."""
        owner: Any = importlib.import_module(module)
        *owners, attribute = path.split(".")
        for each in owners:
            owner = getattr(owner, each)
        setattr(owner, attribute, self._as_stage(getattr(owner, attribute), name))

    def _as_stage(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            with self.during(name):
                return function(*args, **options)

        return call

    def count_programs(self) -> None:
        """Count what is traced, and what Keras makes, in the stage that runs then."""
        import keras

        from keras_acts.search.population.step_tensorflow import TrainingStep

        trace = TrainingStep._trace

        def traced(*args: Any, **options: Any) -> Any:
            self.stage.steps += 1
            return trace(*args, **options)

        TrainingStep._trace = traced  # type: ignore[method-assign]
        for name in FUNCTIONS:
            setattr(keras.Model, name, self._counted(getattr(keras.Model, name)))

    def _counted(self, make: Callable[..., Any]) -> Callable[..., Any]:
        attribute = make.__name__.removeprefix("make_")

        def made(model: Any, *args: Any, **options: Any) -> Any:
            before = getattr(model, attribute)
            function = make(model, *args, **options)
            if getattr(model, attribute) is not before:
                self.stage.functions += 1
            return function

        return made


def table_of(timeline: Timeline) -> Table:
    """Return the stages as a table."""
    table = Table("stage", "seconds", "CPU", "steps traced", "functions", box=MARKDOWN)
    total = Stage()
    for name, stage in timeline.stages.items():
        table.add_row(name, *_cells(stage))
        for part in vars(total):
            setattr(total, part, getattr(total, part) + getattr(stage, part))
    table.add_row("all", *_cells(total))
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    table.add_row("other processes", "", f"{children.ru_utime + children.ru_stime:.1f}", "", "")
    return table


def _cells(stage: Stage) -> tuple[str, ...]:
    counts = [str(count or "") for count in (stage.steps, stage.functions)]
    return (f"{stage.seconds:.1f}", f"{stage.cpu:.1f}", *counts)


def run(timeline: Timeline, options: list[str]) -> None:
    """Run the command as users do, in an empty folder."""
    command = importlib.import_module("keras_acts_cli.commands.search")
    loading = command.loading

    @contextlib.contextmanager
    def watched(**options: Any) -> Iterator[None]:
        with timeline.during("load TensorFlow"), loading(**options):
            yield
        for stage in STAGES:
            timeline.watch(*stage)
        timeline.count_programs()

    command.loading = watched
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        timeline.during("the rest"),
        contextlib.suppress(click.exceptions.Exit),
    ):
        keras_acts_cli.main(["search", *options], standalone_mode=False)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--options", default="", help="of `keras-acts search`")
    parser.add_argument("--quick", action="store_true", help=f"only whether it runs: {QUICK}")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.options = QUICK
    timeline = Timeline()
    run(timeline, shlex.split(arguments.options))
    # it loads TensorFlow, which is a stage of the command
    from benchmarks.machine import environment

    console = Console(width=max(Console().width, 100))
    console.print(environment())
    console.print(table_of(timeline))


if __name__ == "__main__":
    main()
