"""How a search should go: all candidates to the end together, or as a race. What each finds, and what it takes.

    python -m benchmarks.plans --data FOLDER [--tasks letters-mlp ...] [--rates] [--finalists] [--searches 100]
    python -m benchmarks.plans --costs
    python -m benchmarks.plans --ratios
    python -m benchmarks.plans --resnet [--trials 12] [--epochs 8] [--images 1200] [--strategies auto random]

The first command searches the tables of `benchmarks.regret` (trained once, 17 activations, at five
learning rates with ``--rates``, 12 seeds) in each of the ways that `search/race/planner.py` knows, and
prints what each misses of the best candidate: in the task's units, and as a share of what the median
candidate misses. What the product expects stands in `search/runtime/costs.py`. With ``--finalists``
each way in which all train to the end has a last round besides, of the best on more seeds, as if it took no
program of its own.

The second trains populations of 8 and 32 members, and prints what a program and a step take of this
process' own CPU time, next to what is expected of them.

The third does the same with models of several sizes, of which 16 train to the end or as a short race,
and prints how long the race takes, as a multiple, by what was measured and by what is expected.

The fourth searches a large model for real (`benchmarks.resnet`).
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks import population
from benchmarks.machine import environment
from benchmarks.population import compiled
from benchmarks.regret import BUDGETS, SPACE, Grid, Replay, automatic_factors, trainings
from benchmarks.regret_ground_truth import (
    TASKS,
    Costs,
    Task,
    Truth,
    counted_of,
    grid,
    prepared,
    runs_of,
)
from benchmarks.resnet import SIDE, STRATEGIES, resnet, resnet_table
from benchmarks.verdict_bank import default_cache
from keras_acts.search import PopulationModel
from keras_acts.search.population.members import Member
from keras_acts.search.population.trainers import steps_per_execution
from keras_acts.search.race import planner
from keras_acts.search.race.effort import costs_of
from keras_acts.search.race.race import Race
from keras_acts.search.race.runner import job_of, race_in
from keras_acts.search.race.schedule import Rung, cost
from keras_acts.search.rewrite.compiling import compile_arguments
from keras_acts.search.strategy.rounds import Kind

POINTS = 2
SEEDS = 12
MEMBERS = (8, 32)
STEPS = 30
EPOCHS = 8
# a step of many large models takes a second
FEW_STEPS = 6
FEW_EPOCHS = 3
# members that race, and steps an epoch for which it is told how long that takes
RACING = 16
EPOCH_STEPS = (10, 20, 50, 200)
# of the table no seconds are wanted
_NO_COSTS = Costs((0.0, 0.0), (0.0, 0.0), (1,), (0.0,), (0.0,))
# how many of the best train on how many seeds at last, the baseline besides
FINALISTS = ((2, 2), (4, 2), (4, 3), (4, 4))


class Found(NamedTuple):
    """What searches of one kind have found in a table.

    `times` are the seconds that the product expects of it, as a multiple of the plain population's.
    """

    kind: str
    programs: int
    epochs: int
    times: float
    regrets: list[float]


def truth_of(task: Task, folder: Path | None, factors: Sequence[float], cache: Path) -> Truth:
    """Return the table of a task, trained where it is not known."""
    model, parts = prepared(task, folder)
    candidates = grid(POINTS, factors)
    wider = grid(POINTS, automatic_factors())
    validation, test = runs_of(task, model, parts, candidates, SEEDS, cache, wider)
    mean = np.nan_to_num(test.mean(axis=0), nan=-np.inf)
    error = test.std(axis=0)
    counted = counted_of(task, model, parts)
    return Truth(task, candidates, validation, mean, error, _NO_COSTS, task.name, counted)


def searched(known: Grid, replay: Replay, race: Race) -> float:
    """Return what a search misses of the best candidate."""
    places: list[int] = []
    while (task := race.ask()) is not None:
        places = [known.nearest(candidate) for candidate in task.candidates]
        scores = [
            [replay.run(place, seed, task.epochs).max() for seed in range(task.seeds)]
            for place in places
        ]
        race.tell(np.array(scores))
    means = np.nan_to_num(race.rounds[-1].means, nan=-np.inf)
    best = places[int(np.argmax(means))]
    test = replay.truth.test
    return float(test.max() - test[best])


def with_finalists(rungs: Sequence[Rung], count: int, seeds: int) -> tuple[Rung, ...]:
    """Return rounds with one more, in which the best train to the end on more seeds."""
    return (*rungs, Rung(rungs[-1].epochs, seeds, keep=count, enter=0))


def _regrets(truth: Truth, trials: int, count: int, rungs: Sequence[Rung]) -> list[float]:
    known = Grid(truth)
    epochs = truth.task.epochs
    found = []
    for index in range(count):
        replay = Replay(truth, np.random.default_rng((7919, 104729 * index)))
        seed = int(replay.rng.integers(2**31))
        race = race_in(SPACE, trials, epochs, trials * epochs, seed, known.factors, rungs)
        found.append(searched(known, replay, race))
    return found


def ways(truth: Truth, trials: int, count: int, finalists: bool) -> Iterator[Found]:
    """Yield what each way to search finds, over so many searches."""
    epochs = truth.task.epochs
    job = job_of(SPACE, trials, epochs, trials * epochs, Grid(truth).factors)
    possible = planner.options(job, truth.counted)
    plain = possible[0].seconds
    for option in possible:
        kind = str(option.kind)
        seeds = option.rungs[0].seeds
        if option.kind is Kind.TOGETHER:
            kind += f", {seeds} seeds, {len(option.rungs)} rounds"
        elif option.rungs == planner.short(job):
            kind = "short race"
        regrets = _regrets(truth, trials, count, option.rungs)
        times = option.seconds / plain
        programs = planner.programs(option.rungs)
        yield Found(kind, programs, cost(option.rungs), times, regrets)
        if not finalists or option.kind is not Kind.TOGETHER:
            continue
        for number, on in FINALISTS:
            if on <= seeds:
                continue
            rungs = with_finalists(option.rungs, number, on)
            # as if they trained in the program that is there
            taken = planner.seconds(rungs, truth.counted) - truth.counted.program
            regrets = _regrets(truth, trials, count, rungs)
            name = f"{kind}, then {number} on {on}"
            yield Found(name, programs, cost(rungs), taken / plain, regrets)


def regrets_of(truth: Truth, trials: Sequence[int], count: int, finalists: bool) -> Table:
    """Return what each way misses."""
    scale = 1
    if truth.task.maximize:
        scale = 100
    median = float(truth.test.max() - np.median(truth.test))
    table = Table(
        "trials",
        "way",
        "programs",
        "epochs",
        "seconds, x plain",
        "regret",
        "of the median's",
        title=f"{truth.task.name}: the median candidate misses {scale * median:.3g}",
        title_justify="left",
        box=MARKDOWN,
    )
    for asked in trials:
        for found in ways(truth, asked, count, finalists):
            mean = np.mean(found.regrets)
            error = np.std(found.regrets, ddof=1) / np.sqrt(count)
            regret = f"{scale * mean:.3g} ± {scale * error:.2g}"
            share = f"{mean / median:.2f}"
            row = [str(asked), found.kind, str(found.programs), str(found.epochs)]
            table.add_row(*row, f"{found.times:.2f}", regret, share)
    return table


class Measured(NamedTuple):
    """A model whose costs are measured: what builds it, the shape of a sample, samples a batch."""

    build: Callable[[], keras.Model]
    shape: tuple[int, ...]
    batch_size: int


def models() -> dict[str, Measured]:
    """Return the models whose programs and steps are measured."""
    return {
        "MLP 64-64": Measured(population.mlp(16, 26), (16,), 128),
        "the same, batches of 32": Measured(population.mlp(16, 26), (16,), 32),
        "MLP 512-512": Measured(_wide_mlp, (64,), 128),
        "CNN": Measured(population.cnn(8, 10, normalized=False), (8, 8, 1), 32),
    }


def _wide_mlp() -> keras.Model:
    hidden = [keras.layers.Dense(512, activation="relu") for _ in range(2)]
    head = keras.layers.Dense(10, activation="softmax")
    return keras.Sequential([keras.Input((64,)), *hidden, head])


def _larger_cnn() -> keras.Model:
    """Return a CNN of some 400,000 parameters, ten times those of the default one."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(128, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(256, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def in_between() -> dict[str, Measured]:
    """Return models between the small ones, which train to the end, and the large ones, which race."""
    return {
        "MLP 512-512": Measured(_wide_mlp, (64,), 128),
        "CNN of 370,000 parameters": Measured(_larger_cnn, (16, 16, 3), 32),
        "ResNet of 700,000 parameters": Measured(resnet, (SIDE, SIDE, 1), 32),
    }


class _EpochClock(keras.callbacks.Callback):
    """The CPU seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._begun = 0.0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._begun = time.process_time()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.seconds.append(time.process_time() - self._begun)


def measured(
    of: Measured, members: int, steps: int = STEPS, epochs: int = EPOCHS
) -> tuple[float, float, planner.PopulationCosts]:
    """Return the CPU seconds of a program and of a step, and what is expected of them."""
    random = np.random.default_rng(0)
    batch_size = of.batch_size
    x = random.normal(size=(batch_size * steps, *of.shape)).astype("float32")
    y = random.integers(0, 10, len(x))
    fit = {"x": x, "y": y, "batch_size": batch_size}
    model = compiled(of.build())
    choices = list(itertools.islice(itertools.cycle(SPACE.grid(3)), members))
    begun = time.process_time()
    together = PopulationModel(
        model, [Member(choice, index) for index, choice in enumerate(choices)]
    )
    together.compile(**{**compile_arguments(model), **steps_per_execution(model, fit)})
    validation = (x[: 4 * batch_size], y[: 4 * batch_size])
    together.fit(**fit, epochs=1, validation_data=validation, verbose=0)
    start = time.process_time() - begun
    clock = _EpochClock()
    together.fit(**fit, epochs=epochs, validation_data=validation, verbose=0, callbacks=[clock])
    epoch = float(np.median(clock.seconds))
    expected = costs_of(model, fit)
    assert expected is not None  # the data are arrays
    return start - epoch, epoch / steps, expected


def costs_table() -> Table:
    """Return what programs and steps take."""
    table = Table(
        "model", "members", "program, s", "expected", "step, ms", "expected", box=MARKDOWN
    )
    for name, of in models().items():
        for members in MEMBERS:
            program, step, expected = measured(of, members)
            row = (
                f"{program:.2f}",
                f"{expected.program + members * expected.start:.2f}",
                f"{1000 * step:.1f}",
                f"{1000 * (expected.step + members * expected.member):.1f}",
            )
            table.add_row(name, str(members), *row)
    return table


def ratios_table() -> Table:
    """Return how long a short race takes beside all to the end, measured and expected."""
    columns = ("model", "steps an epoch", "measured", "expected", "planned")
    table = Table(*columns, box=MARKDOWN)
    job = planner.Job(RACING, EPOCHS, RACING * EPOCHS, starts=9)
    first, last = planner.short(job)
    for name, of in in_between().items():
        parts = {}
        for members in (RACING, last.keep + 1):
            program, step, expected = measured(of, members, steps=FEW_STEPS, epochs=FEW_EPOCHS)
            parts[members] = (program, step)
            told = f"{name}: {members} members, program {program:.2f} s, step {1000 * step:.1f} ms"
            print(told, flush=True)  # should it be interrupted
        all_program, all_step = parts[RACING]
        few_program, few_step = parts[last.keep + 1]
        for steps in EPOCH_STEPS:
            whole = all_program + EPOCHS * steps * all_step
            raced = all_program + first.epochs * steps * all_step
            raced += few_program + (last.epochs - first.epochs) * steps * few_step
            costs = replace(expected, steps=steps)
            plain = planner.options(job, costs)[0].seconds
            times = planner.seconds((first, last), costs) / plain
            chosen = str(planner.plan(job, costs).kind)
            row = (name, str(steps), f"{raced / whole:.2f}", f"{times:.2f}", chosen)
            table.add_row(*row)
    return table


def main() -> None:
    """Measure and print."""
    names = [task.name for task in TASKS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="the folder of letters.csv and optdigits.csv")
    parser.add_argument("--tasks", nargs="+", choices=names, default=names)
    parser.add_argument("--rates", action="store_true", help="at five learning rates too")
    parser.add_argument(
        "--finalists", action="store_true", help="with a last round of the best on more seeds too"
    )
    parser.add_argument("--searches", type=int, default=100, help="(default: %(default)s)")
    parser.add_argument("--costs", action="store_true", help="measure programs and steps instead")
    parser.add_argument("--ratios", action="store_true", help="how long a short race takes instead")
    parser.add_argument("--resnet", action="store_true", help="search a large model instead")
    parser.add_argument("--trials", type=int, default=12, help="of that (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=8, help="of that (default: %(default)s)")
    parser.add_argument("--images", type=int, default=1200, help="of that (default: %(default)s)")
    parser.add_argument(
        "--strategies", nargs="+", default=STRATEGIES, help="of that (default: auto random)"
    )
    parser.add_argument("--cache", type=Path, default=default_cache())
    arguments = parser.parse_args()
    console = Console(width=140, highlight=False)
    console.print(environment(), soft_wrap=True)
    if arguments.costs:
        console.print(costs_table())
        return
    if arguments.ratios:
        console.print(ratios_table())
        return
    if arguments.resnet:
        size = (arguments.trials, arguments.epochs, arguments.images)
        console.print(resnet_table(*size, arguments.strategies))
        return
    factors: tuple[float, ...] = (1.0,)
    if arguments.rates:
        factors = automatic_factors()
    trials = [trainings(asked, factors) for asked in BUDGETS]
    for task in TASKS:
        if task.name not in arguments.tasks:
            continue
        truth = truth_of(task, arguments.data, factors, arguments.cache)
        console.print(regrets_of(truth, trials, arguments.searches, arguments.finalists))


if __name__ == "__main__":
    main()
