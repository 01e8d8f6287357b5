"""Is it the function, or the learning rate? Activations at one rate for all, and each at a rate that suits it.

    python -m benchmarks.fair --data FOLDER [--only letters digits …] [--seeds 32] [--out FOLDER] [--quick]

FOLDER holds letters.csv (UCI Letter Recognition, target `letter`) and optdigits.csv (UCI Optical
Recognition, target `digit`); the regression is Friedman's first function, which scikit-learn makes.
What is measured:

``letters``, ``digits``, ``regression``: all default activations in an MLP, a CNN and an MLP, with
`compare_activations`, once at the rate that the model is compiled with (``learning_rates=None``) and
once at the rates that it chooses (``"auto"``): a table, both sentences, and in --out a picture of
the scores at all rates that were tried, with the numbers in a .csv. The CNN has half the seeds.

``time-letters``, ``time-digits``: whole searches with and without learning rates, in turn, the medians.

``null``: candidates that are equal but for their names, drawn from a bank of real runs: how often
one "beats" another whose rates were chosen before (`benchmarks.fair_null`). Also equal ones of
which one wants another rate than the others.

``pair``: relu against prelu on letters, which differ at the model's own rate and hardly at better ones: whether
the verdict says that.

All of it takes about half an hour of CPU time. It needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks import fair_null
from benchmarks.fair_picture import draw
from benchmarks.machine import environment, parsed
from benchmarks.regret_ground_truth import Task, prepared
from keras_acts.search import Verdict, compare_activations, search_activations
from keras_acts.search.space.space import default_activations
from keras_acts.search.verdict.paired import Comparison
from keras_acts.search.verdict.rates import RateStudy
from keras_acts.search.verdict.words import p_text
from keras_acts_cli.data import Parts

TASKS = {
    "letters": Task("letters", "letters.csv", "letter", "mlp", 20, 128, "accuracy", True),
    "digits": Task("digits", "optdigits.csv", "digit", "cnn", 6, 64, "accuracy", True),
    "regression": Task("regression", "friedman1", None, "mlp", 10, 32, "loss", False),
}
TIMED = {"time-letters": "letters", "time-digits": "digits"}
ALL = (*TASKS, *TIMED, "null", "pair")
# what is searched for the time, and how much longer a search may take with learning rates
_BARS = {"letters": 1.7, "digits": 2.5}
_SEARCH_EPOCHS = {"letters": 10, "digits": 6}


@dataclass(frozen=True)
class Options:
    """What the command was told.

    Attributes:
        data: the folder of the data.
        seeds: of a comparison; a CNN has half of them.
        epochs: of all trainings; None for those of each task.
        repeats: how often each search is timed.
        orders: batch orders in the bank of the null.
        repetitions: of the null.
        out: where the pictures go; None for none.
    """

    data: Path | None
    seeds: int
    epochs: int | None
    repeats: int
    orders: int
    repetitions: int
    out: Path | None


def both(task: Task, options: Options, console: Console) -> None:
    """Compare all default activations at one rate and at their own, and print what is found."""
    model, parts = prepared(task, options.data)
    seeds = options.seeds
    if task.model == "cnn":
        seeds = max(2, seeds // 2)
    epochs = options.epochs or task.epochs
    sizes = "/".join(str(len(part[0])) for part in (parts.train, parts.validation, parts.test))
    console.print(
        f"\n{task.name}: {task.model}, {epochs} epochs, batch {task.batch_size}, {sizes} samples to train / "
        f"validate / test, {seeds} seeds",
        soft_wrap=True,
    )
    begun = time.perf_counter()
    at_one = compared(model, parts, task, default_activations(), None, seeds, epochs)
    keras.backend.clear_session()
    at_own = compared(model, parts, task, default_activations(), "auto", seeds, epochs)
    keras.backend.clear_session()
    assert at_own.rates is not None
    _tell(at_one, at_own, at_own.rates, console)
    console.print(f"\nin {time.perf_counter() - begun:.0f} s")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        title = f"{task.name}, {task.model.upper()}: {task.metric} after {epochs} epochs"
        draw(at_own.rates, at_own.baseline, title, options.out / f"{task.name}.svg")
        scores_at_rates(at_own.rates).to_csv(options.out / f"{task.name}.csv", index=False)


def _tell(at_one: Verdict, at_own: Verdict, rates: RateStudy, console: Console) -> None:
    console.print(_table(at_one, at_own, rates))
    console.print(f"\nlearning_rates=None: {at_one.sentence}.", soft_wrap=True)
    console.print('\nlearning_rates="auto":', soft_wrap=True)
    for line in at_own.summary():
        console.print(f"- {line}", soft_wrap=True)


def compared(
    model: keras.Model,
    parts: Parts,
    task: Task,
    activations: tuple[object, ...],
    learning_rates: str | None,
    seeds: int,
    epochs: int,
    baseline: object = "relu",
) -> Verdict:
    """Return the product's verdict on activations, all seeds trained."""
    return compare_activations(
        model,
        *parts.train,
        activations,
        baseline=baseline,
        validation_data=parts.validation,
        test_data=parts.test,
        objective=f"val_{task.metric}",
        seeds=seeds,
        looks=1,
        epochs=epochs,
        batch_size=task.batch_size,
        learning_rates=learning_rates,
        verbose=0,
    )


def scores_at_rates(study: RateStudy) -> pandas.DataFrame:
    """Return every score that a rate was chosen by, a row each."""
    rows = []
    for k, name in enumerate(study.names):
        for r, factor in enumerate(study.factors):
            for seed, score in enumerate(study.scores[k, r]):
                rows.append(
                    {
                        "activation": name,
                        "learning_rate": (study.own or 1.0) * factor,
                        "chosen": r == study.chosen[k],
                        "seed": seed,
                        f"val_{study.metric}": score,
                    }
                )
    return pandas.DataFrame(rows)


def _table(at_one: Verdict, at_own: Verdict, rates: RateStudy) -> Table:
    """The activations, the best at its own rate first."""
    what = at_own.metric
    if at_own.in_points:
        what += " %"
    table = Table(
        "activation",
        f"{what} at {rates.own:g}",
        f"− {at_own.baseline}",
        "p",
        "own rate",
        f"{what} there",
        f"− {at_own.baseline}",
        "p",
        box=MARKDOWN,
    )
    for scored in at_own.candidates:
        name = scored.activation
        table.add_row(name, *_cells(at_one, name), rates.rate(name), *_cells(at_own, name))
    return table


def _cells(verdict: Verdict, name: str) -> tuple[str, str, str]:
    """The score of an activation, its difference to the baseline and the p-value."""
    scale = 1.0
    if verdict.in_points:
        scale = 100.0
    (scored,) = [one for one in verdict.candidates if one.activation == name]
    score = f"{scale * scored.mean:.2f} ({scale * scored.sd:.2f})"
    if scored.diverged:
        score += f", {scored.diverged} diverged"
    if scored.failed:
        score += f", {scored.failed} failed"
    comparison = _against_baseline(verdict, name)
    if comparison is None:
        return score, "", ""
    difference = f"{scale * comparison.difference:+.2f}"
    if comparison.stretched:
        difference += f" ({scale * comparison.low:+.2f} to {scale * comparison.high:+.2f})"
    elif np.isfinite(comparison.margin):
        difference += f" ± {scale * comparison.margin:.2f}"
    if comparison.significant:
        difference = f"**{difference}**"
    return score, difference, p_text(comparison.p).removeprefix("p ").removeprefix("= ")


def _against_baseline(verdict: Verdict, name: str) -> Comparison | None:
    for comparison in verdict.against_baseline:
        if comparison.first == name:
            return comparison
    return None


@dataclass(frozen=True)
class Timed:
    """A search's seconds.

    Attributes:
        wall: by the clock.
        cpu: of all cores that the process used.
    """

    wall: float
    cpu: float


def times(task: Task, options: Options, console: Console) -> None:
    """Time searches with and without learning rates in turn, and print the medians."""
    model, parts = prepared(task, options.data)
    taken: dict[str | None, list[Timed]] = {None: [], "auto": []}
    console.print()
    for learning_rates in _in_turn(options.repeats):
        timed, sentence = _searched(model, parts, task, learning_rates, options)
        taken[learning_rates].append(timed)
        console.print(
            f"search, {task.name}, learning_rates={learning_rates!r}: {timed.wall:.0f} s, of the CPU {timed.cpu:.0f}: "
            f"{sentence}",
            soft_wrap=True,
        )
    without = _medians(taken[None])
    with_rates = _medians(taken["auto"])
    table = Table(
        "search",
        "None: seconds",
        "of the CPU",
        '"auto": seconds',
        "of the CPU",
        "ratio",
        "of the CPU",
        "bar",
        box=MARKDOWN,
    )
    table.add_row(
        f"{task.name}, {task.model}",
        f"{without.wall:.0f}",
        f"{without.cpu:.0f}",
        f"{with_rates.wall:.0f}",
        f"{with_rates.cpu:.0f}",
        f"{with_rates.wall / without.wall:.2f}",
        f"{with_rates.cpu / without.cpu:.2f}",
        f"{_BARS[task.name]}",
    )
    console.print(table)


def _in_turn(repeats: int) -> Iterator[str | None]:
    """None and "auto" in turn, the other one first each time: what warms up or wears out does so for both."""
    for repeat in range(repeats):
        order: list[str | None] = [None, "auto"]
        if repeat % 2:
            order.reverse()
        yield from order


def _medians(timed: list[Timed]) -> Timed:
    return Timed(
        float(np.median([one.wall for one in timed])), float(np.median([one.cpu for one in timed]))
    )


def _searched(
    model: keras.Model, parts: Parts, task: Task, learning_rates: str | None, options: Options
) -> tuple[Timed, str]:
    """The seconds of a search with what it has by default, and its verdict."""
    keras.backend.clear_session()
    wall = time.perf_counter()
    cpu = time.process_time()
    result = search_activations(
        model,
        *parts.train,
        validation_data=parts.validation,
        test_data=parts.test,
        objective=f"val_{task.metric}",
        epochs=options.epochs or _SEARCH_EPOCHS[task.name],
        batch_size=task.batch_size,
        learning_rates=learning_rates,
        verbose=0,
    )
    timed = Timed(time.perf_counter() - wall, time.process_time() - cpu)
    assert result.verdict is not None
    return timed, result.verdict.sentence


def null(options: Options, console: Console) -> None:
    """Print how often verdicts on equal candidates err."""
    bank = fair_null.load_or_train(options.orders)
    console.print(f"\nnull: {bank.about}", soft_wrap=True)
    means = ", ".join(f"{100 * mean:.2f}" for mean in bank.means)
    console.print(f"mean test accuracy at each rate: {means} %", soft_wrap=True)
    table = fair_null.null_table()
    table.box = MARKDOWN
    fair_null.null(bank, options.repetitions, table)
    console.print(table)
    table = fair_null.shifted_table()
    table.box = MARKDOWN
    fair_null.shifted(bank, options.repetitions, table)
    console.print(table)


def pair(options: Options, console: Console) -> None:
    """Print what is said of two activations that differ at one rate, and hardly at better ones."""
    task = TASKS["letters"]
    model, parts = prepared(task, options.data)
    epochs = options.epochs or task.epochs
    seeds = max(2, options.seeds // 2)
    activations = ("relu", "prelu")
    at_one = compared(model, parts, task, activations, None, seeds, epochs, "prelu")
    keras.backend.clear_session()
    at_own = compared(model, parts, task, activations, "auto", seeds, epochs, "prelu")
    keras.backend.clear_session()
    assert at_own.rates is not None
    console.print(f"\npair: letters, mlp, {epochs} epochs, {seeds} seeds", soft_wrap=True)
    _tell(at_one, at_own, at_own.rates, console)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of letters.csv and optdigits.csv")
    parser.add_argument("--only", nargs="+", choices=ALL, default=ALL, help="what is measured")
    parser.add_argument("--seeds", type=int, default=32, help="(default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="of all trainings, instead of each task's own")
    parser.add_argument(
        "--repeats", type=int, default=3, help="of each timed search (default: %(default)s)"
    )
    parser.add_argument(
        "--orders",
        type=int,
        default=40,
        help=f"batch orders in the null's bank, {fair_null.STREAMS} seeds each (default: %(default)s)",
    )
    parser.add_argument(
        "--repetitions", type=int, default=2000, help="of the null (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, help="folder for the pictures and their numbers")
    given = parsed(parser, seeds=2, epochs=1, repeats=1, orders=20, repetitions=50)
    if given.orders < fair_null.LEAST_ORDERS:
        parser.error(
            f"--orders must be at least {fair_null.LEAST_ORDERS}. Received: {given.orders}"
        )
    options = Options(
        given.data,
        given.seeds,
        given.epochs,
        given.repeats,
        given.orders,
        given.repetitions,
        given.out,
    )
    console = Console(width=260, highlight=False)
    console.print(environment(), soft_wrap=True)
    begun = time.perf_counter()
    try:
        for name, task in TASKS.items():
            if name in given.only:
                both(task, options, console)
        for name, of_task in TIMED.items():
            if name in given.only:
                times(TASKS[of_task], options, console)
        if "pair" in given.only:
            pair(options, console)
    except FileNotFoundError as error:
        parser.error(str(error))
    if "null" in given.only:
        null(options, console)
    console.print(f"\nall in {time.perf_counter() - begun:.0f} s; {environment()}", soft_wrap=True)


if __name__ == "__main__":
    main()
