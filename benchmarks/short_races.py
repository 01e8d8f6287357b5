"""What a short race misses: all train until some epoch, and the best of them train on to their end.

    python -m benchmarks.short_races --data FOLDER [--tasks letters-mlp ...] [--searches 200]

The tables are those of `benchmarks.plans`, at the model's own learning rate. Each search starts the
activations as their papers have them and random ones, on one seed, and is answered twice from the
table: as one population in which all train to the end, and as a short race, so that the two differ by
the race alone. Three things are printed:

- "found": how much more the race misses of the best candidate, by its mean test score over all seeds;
- "kept": the same of the very run that is kept, whose luck counts too;
- "same": how often both keep the same run, or one with the same validation score, and how often they do
  where trainings are cut: as if they ended after 5, 6 and 8 epochs, while models still learn fast.

The first two are shares of what the median candidate misses, as they are for the planner. The last rows
are the rule of `search/race/schedule.py`.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.machine import environment
from benchmarks.plans import POINTS, SEEDS, truth_of
from benchmarks.regret import OWN_RATE, SPACE, Grid, automatic_factors
from benchmarks.regret_ground_truth import TASKS, Task, Truth, grid, prepared, runs_of
from benchmarks.verdict_bank import default_cache
from keras_acts.search.race.race import survivors
from keras_acts.search.race.schedule import Rung, cost, short_race
from keras_acts.search.runtime.seeding import Stream, derive
from keras_acts.search.space.rated import Rated

ENDS = (0.25, 0.5, 0.75)
KEPT = (5, 0.25, 0.5, 0.7)
TRIALS = (10, 14, 16, 20)
CUT = (5, 6, 8)
_DRAWN = 256


@dataclass(frozen=True)
class Shape:
    """A short race: where its first round ends, and who goes on; shares, or a number of candidates."""

    end: float
    kept: float

    def rungs(self, trials: int, epochs: int) -> tuple[Rung, ...]:
        """Return its rounds."""
        keep = self.kept
        if keep < 1:
            keep *= trials
        end = max(1, math.ceil(self.end * epochs))
        return (Rung(end, 1, 0, trials - 1), Rung(epochs, 1, min(math.ceil(keep), trials - 1), 0))


class Known(NamedTuple):
    """A table, with the test scores of each run, (S, K)."""

    truth: Truth
    test: np.ndarray

    @property
    def missed(self) -> np.ndarray:
        """What each candidate misses, of what the median one does."""
        mean = self.truth.test
        return (mean.max() - mean) / self._median

    @property
    def runs_missed(self) -> np.ndarray:
        """The same of each run: below zero where it is better than the best candidate's mean."""
        return (self.truth.test.max() - self.test) / self._median

    @property
    def _median(self) -> float:
        mean = self.truth.test
        return float(mean.max() - np.median(mean))


def known(task: Task, folder: Path | None, cache: Path) -> Known:
    """Return the table of a task."""
    model, parts = prepared(task, folder)
    candidates = grid(POINTS)
    wider = grid(POINTS, automatic_factors())
    _, test = runs_of(task, model, parts, candidates, SEEDS, cache, wider)
    return Known(truth_of(task, folder, OWN_RATE, cache), test)


@dataclass(frozen=True)
class Start:
    """Who starts in a search, best known first: places in a table, their kinds, and the seed."""

    places: np.ndarray
    kinds: list[object]
    seed: int


def starts_of(truth: Truth, drawn: Sequence[Sequence[Rated]]) -> list[Start]:
    """Return who starts in each search of a table."""
    grid = Grid(truth)
    starts = []
    for index, candidates in enumerate(drawn):
        seed = index % len(truth.validation)
        places = np.array([grid.nearest(candidate) for candidate in candidates])
        starts.append(Start(places, [candidate.kind for candidate in candidates], seed))
    return starts


def candidates_of(count: int) -> list[list[Rated]]:
    """Return the candidates of so many searches, as the product starts them."""
    found = []
    for index in range(count):
        drawn = SPACE.sample(_DRAWN, derive(index, Stream.CANDIDATES))
        different = dict.fromkeys(map(Rated, [*SPACE.grid(1), *drawn]))
        found.append(list(different)[: max(TRIALS)])
    return found


class Kept(NamedTuple):
    """The place and the seed of the run that is kept, and its validation score."""

    place: int
    seed: int
    score: float


def kept(truth: Truth, start: Start, epochs: int, rungs: Sequence[Rung]) -> Kept:
    """Return what a search of these rounds keeps: of equal runs that which started first."""
    going_on = list(range(rungs[0].enter + 1))
    places = start.places[: len(going_on)]
    curves = truth.validation[start.seed, :epochs][:, places]
    for rung, following in itertools.pairwise(rungs):
        early = curves[: rung.epochs].max(axis=0)
        going_on = sorted(
            survivors(early[:, None], following.keep, kinds=start.kinds[: len(places)])
        )
    final = np.nan_to_num(curves.max(axis=0), nan=-np.inf)
    best = going_on[int(np.argmax(final[going_on]))]
    return Kept(int(places[best]), start.seed, float(final[best]))


class Row:
    """The differences of one shape, over all tables."""

    def __init__(self) -> None:
        self.found: list[np.ndarray] = []
        self.runs: list[np.ndarray] = []
        self.same: list[float] = []
        self.same_cut: list[float] = []
        self.costs: list[float] = []

    def add(
        self, table: Known, starts: Sequence[Start], epochs: int, rungs: Sequence[Rung]
    ) -> None:
        """Search a table."""
        trials = rungs[0].enter + 1
        plain_rungs = (Rung(epochs, 1, 0, trials - 1),)
        plain = [kept(table.truth, start, epochs, plain_rungs) for start in starts]
        raced = [kept(table.truth, start, epochs, rungs) for start in starts]
        pairs = list(zip(raced, plain, strict=True))
        same = float(np.mean([ours.score == all_of.score for ours, all_of in pairs]))
        if epochs < table.truth.task.epochs:
            self.same_cut.append(same)
            return
        missed = table.missed
        runs = table.runs_missed
        self.same.append(same)
        self.found.append(np.array([missed[a.place] - missed[b.place] for a, b in pairs]))
        self.runs.append(
            np.array([runs[a.seed, a.place] - runs[b.seed, b.place] for a, b in pairs])
        )
        self.costs.append(cost(rungs) / (trials * epochs))

    def cells(self) -> list[str]:
        """Return what is printed."""
        return [
            f"{np.mean(self.costs):.2f}",
            _told(self.found),
            _told(self.runs),
            f"{100 * np.mean(self.same):.0f} %",
            f"{100 * np.mean(self.same_cut):.0f} %",
        ]


def _told(found: Sequence[np.ndarray]) -> str:
    """The mean of some tables' means, and its standard error."""
    mean = np.mean([each.mean() for each in found])
    variances = [each.var(ddof=1) / len(each) for each in found]
    return f"{mean:+.3f} ± {np.sqrt(np.sum(variances)) / len(found):.3f}"


def table_of(tables: Sequence[Known], count: int) -> Table:
    """Return what each shape misses."""
    drawn = candidates_of(count)
    rows: dict[tuple[str, str, int], Row] = {}
    for table in tables:
        starts = starts_of(table.truth, drawn)
        whole = table.truth.task.epochs
        for epochs in sorted({*CUT, whole}):
            if epochs > whole:
                continue
            for trials in TRIALS:
                for name, rungs in _shapes(trials, epochs).items():
                    row = rows.setdefault((*name, trials), Row())
                    row.add(table, starts, epochs, rungs)
    columns = (
        "first round",
        "go on",
        "trials",
        "epochs, x plain",
        "found",
        "kept",
        "same",
        "same, cut",
    )
    drawn_table = Table(*columns, box=MARKDOWN)
    for (end, going_on, trials), row in rows.items():
        drawn_table.add_row(end, going_on, str(trials), *row.cells())
    return drawn_table


def _shapes(trials: int, epochs: int) -> dict[tuple[str, str], tuple[Rung, ...]]:
    """The rounds of each shape, by its name."""
    found = {}
    for end in ENDS:
        for going_on in KEPT:
            found[f"{end}", f"{going_on}"] = Shape(end, going_on).rungs(trials, epochs)
    rule = short_race(trials, epochs)
    if rule:
        found["as planned", ""] = rule
    return found


def main() -> None:
    """Simulate and print."""
    named = [task.name for task in TASKS if task.name != "diabetes-mlp"]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="the folder of letters.csv and optdigits.csv")
    parser.add_argument("--tasks", nargs="+", choices=named, default=named)
    parser.add_argument("--searches", type=int, default=200, help="(default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=default_cache())
    arguments = parser.parse_args()
    console = Console(width=140, highlight=False)
    console.print(environment(), soft_wrap=True)
    tasks = [task for task in TASKS if task.name in arguments.tasks]
    tables = [known(task, arguments.data, arguments.cache) for task in tasks]
    console.print(table_of(tables, arguments.searches))


if __name__ == "__main__":
    main()
