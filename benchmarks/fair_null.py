"""How often a verdict errs whose learning rates were chosen first: for `benchmarks.fair`.

A bank of real runs of one activation at five learning rates, trained once and kept in the user's
cache. Each repetition draws candidates from it that are equal but for their names: no run is drawn
twice, those that choose a rate never judge.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from rich.table import Table
from scipy import stats

from benchmarks.verdict_bank import default_cache
from keras_acts.search import Candidate
from keras_acts.search.population.members import Member
from keras_acts.search.population.trainers import PopulationTrainer
from keras_acts.search.runtime.seeding import Stream, derive
from keras_acts.search.verdict.decide import Entries
from keras_acts.search.verdict.judge import judge
from keras_acts.search.verdict.rate_trials import RATE_SEEDS
from keras_acts.search.verdict.rates import RateStudy, study
from keras_acts.search.verdict.replicates import Replicates
from keras_acts.search.verdict.verdict import Verdict
from keras_acts_cli import data as datasets
from keras_acts_cli import models

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
NAMES = ("relu", "a", "b", "c")
# initializations a batch order: what several candidates of one seed share is the batch order
STREAMS = 4
# so many batch orders are drawn at most: to choose by, and to judge by
LEAST_ORDERS = RATE_SEEDS + 16
_RATE = 0.004
_EPOCHS = 8
_BATCH_SIZE = 32
_ACTIVATION = "relu"

# scores (K, R, S) in, what is known of the rates out, with one for each of K candidates
Rule: TypeAlias = Callable[[np.ndarray], RateStudy]
# the number of seeds in, a row of the bank for each of K candidates and so many seeds out
Draw: TypeAlias = Callable[[np.random.Generator, int], np.ndarray]


@dataclass(frozen=True)
class RateBank:
    """Accuracies of one activation after the last epoch.

    Attributes:
        validation: (S, STREAMS, R): batch orders, initializations of each, learning rates.
        test: of the same runs.
        about: what was trained, in words.
    """

    validation: np.ndarray
    test: np.ndarray
    about: str

    @property
    def runs(self) -> tuple[np.ndarray, np.ndarray]:
        """Validation and test scores, (S * STREAMS, R), each row a run at each rate."""
        rates = self.validation.shape[-1]
        return self.validation.reshape(-1, rates), self.test.reshape(-1, rates)

    @property
    def means(self) -> np.ndarray:
        """The truth: the mean test score at each rate, (R,)."""
        return self.runs[1].mean(axis=0)


def load_or_train(seeds: int, cache: Path | None = None) -> RateBank:
    """Return the bank of so many batch orders from the cache, or train it."""
    settings = [_ACTIVATION, STREAMS, FACTORS, _RATE, _EPOCHS, _BATCH_SIZE, seeds]
    versions = [keras.__version__, tf.__version__]
    key = hashlib.sha256(json.dumps([settings, versions]).encode()).hexdigest()[:16]
    folder = cache or default_cache()
    path = folder / f"fair-{key}.npz"
    if not path.is_file():
        bank = _train(seeds)
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.npz")
        np.savez(partial, validation=bank.validation, test=bank.test, about=bank.about)
        os.replace(partial, path)
    with np.load(path) as file:
        return RateBank(file["validation"], file["test"], str(file["about"]))


def _members(seed: int) -> list[Member]:
    made = []
    for stream in range(STREAMS):
        start = derive(seed, Stream.BENCHMARKS, stream)
        made += [Member(Candidate.of(_ACTIVATION), start, factor) for factor in FACTORS]
    return made


def _train(seeds: int) -> RateBank:
    dataset = datasets.load("digits")
    parts = dataset.split(0)
    model = models.build("mlp", dataset, parts, 0)
    model.compile(
        keras.optimizers.Adam(_RATE), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    columns = [f"run {index}" for index in range(STREAMS * len(FACTORS))]
    fit = {
        "x": parts.train[0],
        "y": parts.train[1],
        "validation_data": parts.validation,
        "epochs": _EPOCHS,
        "batch_size": _BATCH_SIZE,
    }
    orders = [derive(0, Stream.BENCHMARKS, 17, index) for index in range(seeds)]
    trainer = PopulationTrainer(model, columns, _members)
    with Replicates(trainer, columns, fit) as replicates:
        for _ in replicates.train(orders):
            pass
        replicates.test(parts.test)
        runs = replicates.runs
    shape = (seeds, STREAMS, len(FACTORS))
    rates = ", ".join(f"{_RATE * factor:g}" for factor in FACTORS)
    about = (
        f"{_ACTIVATION} in an MLP 64-64 on scikit-learn's digits, {_EPOCHS} epochs, batch "
        f"{_BATCH_SIZE}, {seeds * STREAMS} seeds at each of the learning rates {rates}"
    )
    validation = runs.scores("accuracy", "validation").reshape(shape)
    return RateBank(validation, runs.scores("accuracy", "test").reshape(shape), about)


def ours(scores: np.ndarray) -> RateStudy:
    """The product's rule."""
    factors = FACTORS[: scores.shape[1]]
    return study(NAMES, factors, scores, metric="accuracy", maximize=True, own=_RATE)


def each_best(scores: np.ndarray) -> RateStudy:
    """The naive rule: each candidate at the rate of its best mean."""
    best = scores.mean(axis=2).argmax(axis=1)
    return replace(ours(scores), chosen=tuple(int(index) for index in best))


def nothing_shared(bank: RateBank) -> Draw:
    """Candidates that share nothing: each has runs of its own."""
    runs = len(bank.runs[0])

    def draw(rng: np.random.Generator, seeds: int) -> np.ndarray:
        drawn = rng.permutation(runs)[: len(NAMES) * seeds]
        return drawn.reshape(len(NAMES), seeds)

    return draw


def batches_shared(bank: RateBank) -> Draw:
    """Candidates that share the batch orders: in each, the initializations take the names at random."""
    orders = len(bank.validation)

    def draw(rng: np.random.Generator, seeds: int) -> np.ndarray:
        drawn = rng.permutation(orders)[:seeds]
        streams = np.argsort(rng.random((seeds, STREAMS)), axis=1)[:, : len(NAMES)]
        return (drawn[:, None] * STREAMS + streams).T

    return draw


@dataclass(frozen=True)
class Repetition:
    """A verdict on equal candidates at chosen rates.

    Attributes:
        verdict: what was said.
        truth: of each candidate, the mean of the bank at its rate.
        columns: of each, where its scores stand in the bank.
    """

    verdict: Verdict
    truth: dict[str, float]
    columns: tuple[int, ...]

    @property
    def unequal(self) -> bool:
        """Whether not all candidates have what is one and the same rate to them."""
        return len(set(self.columns)) > 1

    @property
    def beats_baseline(self) -> bool:
        """Whether it says that anything beats the baseline: the functions are equal."""
        return bool(self.verdict.beat)

    @property
    def false_of_functions(self) -> bool:
        """Whether it says "beats" of anything: the functions are equal."""
        among = any(comparison.significant for comparison in self.verdict.among)
        return among or bool(self.verdict.beat)

    @property
    def false_as_said(self) -> bool:
        """Whether it says "beats" where the first of two, at its rate, is not better than the second at its own."""
        for comparison in (*self.verdict.against_baseline, *self.verdict.among):
            if not comparison.significant:
                continue
            is_baseline_better = (
                comparison.second == self.verdict.baseline and comparison.difference < 0
            )
            if is_baseline_better:
                continue  # nothing is said to beat anything
            true = self.truth[comparison.first] - self.truth[comparison.second]
            if true * comparison.difference <= 0:
                return True
        return False

    def covers(self, as_said: bool) -> bool:
        """Whether all intervals against the baseline hold the true difference, as said or 0."""
        inside = []
        for comparison in self.verdict.against_baseline:
            true = 0.0
            if as_said:
                true = self.truth[comparison.first] - self.truth[comparison.second]
            inside.append(comparison.low <= true <= comparison.high)
        return all(inside)


def repeat(
    bank: RateBank,
    draw: Draw,
    rule: Rule,
    seeds: int,
    repetitions: int,
    steps: Sequence[int] = (0, 0, 0, 0),
) -> list[Repetition]:
    """Choose rates on some seeds' validation scores and judge on other seeds' test scores, many times.

    Args:
        bank: of runs.
        draw: which of them.
        rule: that chooses.
        seeds: that judge.
        repetitions: how many.
        steps: of each candidate, by how many rates its curve is moved: with 1 it has at each rate
            what the bank has at twice the rate.
    """
    validation, _ = bank.runs
    tried = len(FACTORS) - max(steps)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(repetitions):
        rows = draw(rng, RATE_SEEDS + seeds)
        curves = []
        for of_candidate, step in zip(rows, steps, strict=True):
            curves.append(validation[of_candidate[:RATE_SEEDS], step : step + tried].T)
        rates = rule(np.stack(curves))
        columns = [index + step for index, step in zip(rates.chosen, steps, strict=True)]
        if rule is ours:
            # the baseline is trained at another rate too, and counts with the better one
            other = rates.alternative(NAMES[0])
            assert other is not None
            columns.append(rates.factors.index(other) + steps[0])
        found.append(_judged(bank, rows[:, RATE_SEEDS:], columns))
    return found


def _judged(bank: RateBank, rows: np.ndarray, columns: Sequence[int]) -> Repetition:
    """The verdict on runs of the bank, each candidate in its column; the one beyond is the baseline's other."""
    names = [*NAMES, "relu at another rate"][: len(columns)]
    test = bank.runs[1]
    scores = {}
    for k, name in enumerate(names):
        # a candidate's runs at another rate are of the same seeds; the baseline is the first
        scores[name] = test[rows[k % len(NAMES)], columns[k]]
    entries = Entries((), tuple(names), NAMES, NAMES[0])
    counted = entries.chosen(scores, maximize=True)
    truth = {}
    for name, column in zip(NAMES, counted, strict=True):
        truth[name] = float(bank.means[columns[column]])
    verdict = judge(entries.of_candidates(scores, counted), baseline=NAMES[0])
    return Repetition(verdict, truth, tuple(columns[column] for column in counted))


def share(count: int, of: int) -> str:
    """Return a share with its exact 95 % interval."""
    interval = stats.binomtest(count, of).proportion_ci()
    return f"{100 * count / of:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def null(bank: RateBank, repetitions: int, table: Table) -> None:
    """Add what is found to a table: a row each way to draw, rule and number of seeds."""
    draws = {"nothing shared": nothing_shared(bank), "batches shared": batches_shared(bank)}
    for label, draw in draws.items():
        for seeds in (8, 16):
            found = repeat(bank, draw, ours, seeds, repetitions)
            table.add_row(f"{label}, {seeds} seeds", *_cells(found))
    found = repeat(bank, draws["nothing shared"], each_best, 16, repetitions)
    table.add_row("not ours: each at its best mean, 16 seeds", *_cells(found))


def _cells(found: list[Repetition]) -> list[str]:
    return [
        share(sum(one.unequal for one in found), len(found)),
        share(sum(one.beats_baseline for one in found), len(found)),
        share(sum(one.false_of_functions for one in found), len(found)),
        share(sum(one.false_as_said for one in found), len(found)),
        share(sum(one.covers(as_said=False) for one in found), len(found)),
        share(sum(one.covers(as_said=True) for one in found), len(found)),
    ]


_ERRORS = (
    'false "beats relu", of the functions',
    'any false "beats", of the functions',
    "any, as said",
    "intervals hold 0",
    "intervals hold the difference as said",
)


def null_table() -> Table:
    """Return the table that `null` fills."""
    return Table("equal candidates", "unequal rates", *_ERRORS)


def shifted(bank: RateBank, repetitions: int, table: Table) -> None:
    """Add what is found where candidates are equal at their best rates, and these are not the same."""
    draw = nothing_shared(bank)
    for label, steps in (
        ("one wants half the rate", (0, 0, 0, 1)),
        ("two want half the rate", (0, 0, 1, 1)),
        ("one wants a quarter of the rate", (0, 0, 0, 2)),
    ):
        for seeds in (8, 16):
            found = repeat(bank, draw, ours, seeds, repetitions, steps)
            best = float(bank.means.max())
            losses = [best - np.mean(list(one.truth.values())) for one in found]
            lost = f"{100 * float(np.mean(losses)):.2f}"
            table.add_row(f"{label}, {seeds} seeds", lost, *_cells(found)[1:])


def shifted_table() -> Table:
    """Return the table that `shifted` fills."""
    return Table("equal at their best rates", "points lost by the rate", *_ERRORS)
