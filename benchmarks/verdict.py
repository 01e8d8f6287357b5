"""How often the verdict errs.

Null, power and coverage, by resampling a bank of real runs, and ten searches end to end.

    python -m benchmarks.verdict [--data letters.csv --target letter] [--cache FOLDER]
    python -m benchmarks.verdict --only-nulls   # scores that are not kind: skewed, failing, tied
    python -m benchmarks.verdict --quick        # a few minutes: small banks, few searches, wide intervals

The bank is trained once, as populations, and kept in the user's cache: seeds x (relu, mish, gelu
and tanh on one initialization and batch order a seed; five relus with initialization streams of
their own). A resampled search draws 16 seeds from it, with replacement, and then does what the
product does, with the product's own code: planned looks at the validation scores, then the verdict
on the test scores of the seeds so far. The truth is the mean of the bank. Errors are given with
exact (Clopper-Pearson) 95 % intervals. Banks of narrow nets, and scores that are made, then show
what holds where scores are skewed, where trainings fail, where noise is unequal, and where scores
are tied.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import optimize, stats

from benchmarks import verdict_narrow
from benchmarks.machine import environment, parsed
from benchmarks.verdict_bank import PAIRED, Bank, default_cache, load_or_train
from benchmarks.verdict_nulls import nulls
from keras_acts.search import Candidate, PopulationModel, search_activations
from keras_acts.search.population.trainers import PopulationTrainer, steps_per_execution
from keras_acts.search.rewrite.compiling import compile_arguments
from keras_acts.search.verdict.judge import judge
from keras_acts.search.verdict.paired import ALPHA, POWER, power
from keras_acts.search.verdict.sequential import look, planned
from keras_acts.search.verdict.verdict import Verdict
from keras_acts_cli import data as datasets
from keras_acts_cli import models

SEEDS = 16
EQUAL = ("relu", "a", "b", "c")
Scores = dict[str, np.ndarray]
Drawn = tuple[Scores, Scores]  # validation and test


def resampled(validation: Scores, test: Scores, plan: tuple[int, ...]) -> Verdict:
    """Do with drawn scores what the product does with new ones."""
    looked = []
    for seeds in plan:
        if len(plan) > 1:
            looked.append(look({name: v[:seeds] for name, v in validation.items()}, "relu", plan))
            if looked[-1].stop:
                break
    return judge({name: values[:seeds] for name, values in test.items()}, looks=looked)


def draw_equal(bank: Bank, rng: np.random.Generator, planted: float = 0.0, count: int = 1) -> Drawn:
    """Equal candidates: in each drawn seed the relus take the names at random.

    `count` of them get `planted` on top.
    """
    validation, test = bank.equal
    rows = rng.integers(len(test), size=SEEDS)
    columns = np.argsort(rng.random((SEEDS, test.shape[1])), axis=1)[:, : len(EQUAL)]
    extra = planted * np.array([0 < k <= count for k in range(len(EQUAL))])

    def named(scores: np.ndarray) -> Scores:
        return dict(
            zip(EQUAL, (np.take_along_axis(scores[rows], columns, axis=1) + extra).T, strict=True)
        )

    return named(validation), named(test)


def draw_unpaired(bank: Bank, rng: np.random.Generator) -> Drawn:
    """Equal candidates that share nothing: each has runs of its own."""
    validation, test = (scores.ravel() for scores in bank.equal)
    rows = {name: rng.integers(len(test), size=SEEDS) for name in EQUAL}
    return {n: validation[r] for n, r in rows.items()}, {n: test[r] for n, r in rows.items()}


def draw_paired(bank: Bank, rng: np.random.Generator, names: tuple[str, ...]) -> Drawn:
    """Real activations, with their real differences."""
    rows = rng.integers(len(bank.test), size=SEEDS)
    return {n: bank.paired[n][0][rows] for n in names}, {n: bank.paired[n][1][rows] for n in names}


def share(count: int, of: int) -> str:
    """Return a share with its exact 95 % interval."""
    interval = stats.binomtest(count, of).proportion_ci()
    return f"{100 * count / of:5.1f} %  [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def simulate(
    searches: int, plan: tuple[int, ...], draw: Callable[[np.random.Generator], Drawn]
) -> list[Verdict]:
    """Return the verdicts of many resampled searches."""
    rng = np.random.default_rng(0)
    return [resampled(*draw(rng), plan) for _ in range(searches)]


def seeds_used(verdicts: list[Verdict]) -> str:
    """Return the mean number of seeds."""
    return f"{np.mean([v.seeds for v in verdicts]):.1f}"


def null(bank: Bank, searches: int, plan: tuple[int, ...], table: Table) -> None:
    """How often equal candidates get a significant winner: one that beats relu in at most 2.5 %."""
    for label, draw in (
        ("equal, paired", lambda rng: draw_equal(bank, rng)),
        ("equal, unpaired", lambda rng: draw_unpaired(bank, rng)),
    ):
        found = simulate(searches, plan, draw)
        beaten = sum(v.significant for v in found)
        table.add_row("null", f"{label}: one beats relu", "<= 2.5 %", share(beaten, searches))
        either = sum(any(c.significant for c in v.against_baseline) for v in found)
        among = sum(any(c.significant for c in v.among) for v in found)
        table.add_row(
            "",
            f"{label}: any difference to relu called significant",
            "<= 5 %",
            share(either, searches),
        )
        table.add_row(
            "", f"{label}: any difference among the three", "<= 1.5 %", share(among, searches)
        )
        table.add_row(
            "", f"{label}: any 'beats' at all", "<= 5 %", share(sum(map(says, found)), searches)
        )
        table.add_row("", f"{label}: seeds used, of {SEEDS}", "", seeds_used(found))


def says(verdict: Verdict, truly: tuple[str, ...] = ()) -> bool:
    """Whether it says "beats" where nothing does: over relu, but for those that truly do.

    Or among equal ones.
    """
    among = any(c.significant and (c.first in truly) == (c.second in truly) for c in verdict.among)
    return among or not set(verdict.beat) <= set(truly)


def mixed(bank: Bank, searches: int, plan: tuple[int, ...], table: Table) -> None:
    """Two candidates that are better by the same, and one that is not: neither family is spared."""
    found = simulate(searches, plan, lambda rng: draw_equal(bank, rng, 0.03, count=2))
    wrong = sum(says(v, EQUAL[1:3]) for v in found)
    table.add_row(
        "", "3 points planted in two: any false 'beats'", "<= 5 %", share(wrong, searches)
    )


def powers(bank: Bank, searches: int, plan: tuple[int, ...], table: Table) -> None:
    """How often a planted effect is found, beside what the verdict's formula claims for it."""
    test = bank.equal[1]
    pairs = [test[:, i] - test[:, j] for i in range(test.shape[1]) for j in range(i)]
    sd, level = float(np.sqrt(np.mean(np.square(pairs)))), ALPHA / (len(EQUAL) - 1)
    least = optimize.brentq(
        lambda planted: power(planted, sd, SEEDS, level) - POWER, sd / 100, 10 * sd
    )
    for factor in (0.5, 0.75, 1.0, 1.5):
        claimed = f"{100 * power(factor * least, sd, SEEDS, level):.0f} %"
        for label, looks in (("all seeds", (SEEDS,)), ("looks", plan)):
            found = simulate(
                searches, looks, lambda rng, f=factor: draw_equal(bank, rng, f * least)
            )
            hits = sum("a" in v.beat for v in found)
            what = f"{100 * factor * least:.2f} points planted, {label} ({seeds_used(found)} seeds)"
            table.add_row(
                "power" if factor == 0.5 and looks != plan else "",
                what,
                claimed,
                share(hits, searches),
            )
    for label, looks in (("all seeds", (SEEDS,)), ("looks", plan)):
        rng, hits, said = np.random.default_rng(1), 0, []
        for _ in range(searches):
            said.append(resampled(*draw_equal(bank, rng), looks).against_baseline[0].detectable)
            hits += "a" in resampled(*draw_equal(bank, rng, said[-1]), looks).beat
        what = f"what a verdict says it detects ({100 * np.median(said):.2f} points), planted in another, {label}"
        table.add_row("", what, "80 %", share(hits, searches))


def coverage(bank: Bank, searches: int, plan: tuple[int, ...], table: Table) -> None:
    """How often 95 % intervals hold the truth: 93 to 97 %."""

    def row(title: str, label: str, found: list[Verdict], truth: Callable[[str], float]) -> None:
        inside = [[c.low <= truth(c.first) <= c.high for c in v.against_baseline] for v in found]
        together, each = sum(all(i) for i in inside), [x for i in inside for x in i]
        text = f"{label}: all intervals of a verdict ({seeds_used(found)} seeds)"
        table.add_row(title, text, "93–97 %", share(together, len(found)))
        if len(each) > len(found):
            table.add_row(
                "", f"{label}: each of {len(each)} intervals", "> 95 %", share(sum(each), len(each))
            )

    means = {name: scores[1].mean() for name, scores in bank.paired.items()}

    def real(name: str) -> float:
        return float(means[name] - means["relu"])

    for name in PAIRED[1:]:
        found = simulate(searches, plan, lambda rng, n=name: draw_paired(bank, rng, ("relu", n)))
        row("coverage" if name == PAIRED[1] else "", f"{name} against relu", found, real)

    def equal(rng: np.random.Generator) -> Drawn:
        return draw_equal(bank, rng)

    def peeking(rng: np.random.Generator) -> Drawn:
        return (draw_paired(bank, rng, PAIRED)[1],) * 2

    row(
        "",
        "mish, gelu, tanh",
        simulate(searches, plan, lambda rng: draw_paired(bank, rng, PAIRED)),
        real,
    )
    row("", "the same, if looks saw the test scores", simulate(searches, plan, peeking), real)
    row("", "equal", simulate(searches, plan, equal), lambda name: 0.0)


def cost(data: str, target: str | None, batch_size: int, console: Console) -> None:
    """What it costs that each seed has a batch order of its own.

    8 populations of 4, or one of 32.
    """
    dataset = datasets.load(data, target)
    parts = dataset.split(0)
    model = models.build("mlp", dataset, parts, 0)
    candidates = [Candidate.of(name) for name in PAIRED]
    fit = {"x": parts.train[0], "y": parts.train[1], "epochs": 5, "batch_size": batch_size}
    seconds = {}
    for label, at_once in (
        ("each seed by itself", 1),
        ("with their own batches in one population", 8),
    ):
        trainer = PopulationTrainer(model, candidates)
        list(trainer.train(range(8), fit, at_once))  # traces
        start = time.perf_counter()
        list(trainer.train(range(8), fit, at_once))
        seconds[label] = time.perf_counter() - start
    shared = PopulationModel(model, candidates, seeds=8)
    shared.compile(**{**compile_arguments(model), **steps_per_execution(model, fit)})
    shared.fit(**fit, verbose=0)
    start = time.perf_counter()
    shared.fit(**fit, verbose=0)
    seconds["with the same batches in one population"] = time.perf_counter() - start
    words = ", ".join(f"{label} {value:.1f} s" for label, value in seconds.items())
    console.print(
        f"cost: 4 candidates x 8 seeds x 5 epochs, traced before: {words}", soft_wrap=True
    )


def correlations(bank: Bank, table: Table) -> None:
    """How much the scores of a seed have in common."""

    def correlation(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.corrcoef(x, y)[0, 1])

    relu, own = bank.paired["relu"], bank.equal[1]
    others = [bank.paired[name] for name in PAIRED[1:]]
    for label, found in (
        (
            "test scores of relu and another, within pairs",
            [correlation(o[1], relu[1]) for o in others],
        ),
        (
            "the same batches, but other initializations",
            [correlation(own[:, k], relu[1]) for k in range(own.shape[1])],
        ),
        (
            "differences to relu, validation and test",
            [correlation(o[0] - relu[0], o[1] - relu[1]) for o in others],
        ),
    ):
        table.add_row("", f"correlation: {label}", "", ", ".join(f"{r:.2f}" for r in found))


def luck(bank: Bank, searches: int, table: Table) -> None:
    """What a search without a verdict says: the best of 30 equal candidates, one seed each."""
    rng = np.random.default_rng(0)
    scores = bank.equal[0].ravel()
    best = rng.choice(scores, (searches, 30)).max(axis=1)
    table.add_row(
        "luck",
        "best of 30 equal candidates, one seed each: looks better by",
        "",
        f"{100 * (best - scores.mean()).mean():.2f} points",
    )


def end_to_end(data: str, target: str | None, console: Console) -> None:
    """Ten whole searches.

    Five among candidates that are relu but for 0.0005, five with a baseline that is bad.
    """
    dataset = datasets.load(data, target)
    equal = [f"leaky_relu(alpha={alpha})" for alpha in (0.0001, 0.0002, 0.0003, 0.0004, 0.0005)]
    right = {"null": 0, "planted": 0}
    for seed in range(5):
        parts = dataset.split(seed)
        model = models.build("mlp", dataset, parts, seed)
        for kind, baseline, activations in (
            ("null", "relu", equal),
            ("planted", "sigmoid", ["relu", "mish"]),
        ):
            found = search_activations(
                *(model, *parts.train),
                validation_data=parts.validation,
                test_data=parts.test,
                activations=activations,
                baseline=baseline,
                trials=len(activations) + 1,
                epochs=5,
                seed=seed,
                verbose=0,
                learning_rates=None,
            )
            assert found.verdict is not None
            right[kind] += found.verdict.significant == (kind == "planted")
            console.print(
                f"end to end, {kind}, split {seed}: {found.verdict.sentence}", soft_wrap=True
            )
            keras.backend.clear_session()
    console.print(
        f"end to end: right in {right['null']} of 5 nulls, {right['planted']} of 5 planted",
        soft_wrap=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", default="digits", help="bundled data or a .csv (default: %(default)s)"
    )
    parser.add_argument("--target", help="the column of a .csv that is predicted")
    parser.add_argument(
        "--bank-seeds", type=int, default=128, help="seeds in the bank (default: %(default)s)"
    )
    parser.add_argument(
        "--epochs", type=int, default=10, help="of the bank's runs (default: %(default)s)"
    )
    parser.add_argument(
        "--batch-size", type=int, default=32, help="of the bank's runs (default: %(default)s)"
    )
    parser.add_argument(
        "--searches", type=int, default=4000, help="resampled ones (default: %(default)s)"
    )
    parser.add_argument(
        "--cache", type=Path, default=default_cache(), help="keeps the bank (default: %(default)s)"
    )
    parser.add_argument("--skip-end-to-end", action="store_true", help="leave out the ten searches")
    parser.add_argument(
        "--narrow-seeds", type=int, default=256, help="seeds in each narrow bank (default: 256)"
    )
    parser.add_argument(
        "--only-nulls", action="store_true", help="only scores that are not kind; data play no role"
    )
    arguments = parsed(
        parser, bank_seeds=16, epochs=1, searches=200, narrow_seeds=32, skip_end_to_end=True
    )
    console = Console(width=170, highlight=False)
    console.print(environment(), soft_wrap=True)
    if not arguments.only_nulls:
        kind(arguments, console)
    unkind(arguments, console)
    if not (arguments.only_nulls or arguments.skip_end_to_end):
        end_to_end(arguments.data, arguments.target, console)


def kind(arguments: argparse.Namespace, console: Console) -> None:
    """Measure what a verdict says of an ordinary net's runs."""
    bank = load_or_train(
        *(arguments.data, arguments.target),
        seeds=arguments.bank_seeds,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        cache=arguments.cache,
    )
    console.print(f"Bank: {bank.about}", soft_wrap=True)
    plan = planned(SEEDS, 3)
    table = Table(
        "", "what", "claimed", f"found in {arguments.searches} searches [exact 95 %]", box=None
    )
    for measure in (null, mixed, powers, coverage):
        measure(bank, arguments.searches, plan, table)
    correlations(bank, table)
    luck(bank, arguments.searches, table)
    console.print(table)
    if not arguments.quick:
        cost(arguments.data, arguments.target, arguments.batch_size, console)


def unkind(arguments: argparse.Namespace, console: Console) -> None:
    """Measure what it says of equal candidates whose scores are not kind."""
    banks = []
    for net in verdict_narrow.NETS:
        bank = verdict_narrow.load_or_train(
            net, seeds=arguments.narrow_seeds, cache=arguments.cache
        )
        console.print(f"Bank: {bank.about}", soft_wrap=True)
        banks.append(bank)
    table = Table(
        *("equal candidates", "seeds", "promised", 'any "beats"', "by Student's t alone"),
        *("all intervals cover", "all of Student's"),
        box=None,
        title=f"{arguments.searches} verdicts a row [exact 95 %]",
    )
    nulls(banks, arguments.searches, table)
    console.print(table)


if __name__ == "__main__":
    main()
