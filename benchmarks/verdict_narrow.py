"""Banks of runs that are not kind, for `benchmarks.verdict`: narrow nets, whose scores are skewed, and some fail.

Trained once, as populations, and kept outside the repository.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import make_friedman1

from keras_acts.search import Candidate
from keras_acts.search.population.trainers import PopulationTrainer
from keras_acts.search.runtime.seeding import Stream, derive, isolated_seed
from keras_acts.search.verdict.replicates import Replicates
from keras_acts_cli import data as datasets

NAMES = ("relu", "mish", "gelu", "tanh")
# how many seeds are one population
_AT_ONCE = 8


@dataclass(frozen=True)
class Net:
    """A narrow net, and how it is trained.

    Attributes:
        name: of the bank.
        digits: whether it tells digits apart; else it is a regression without noise, Friedman's.
        widths: of its hidden layers.
        rate: the learning rate of Adam.
        epochs: how long it is trained.
        batch_size: in its training.
    """

    name: str
    digits: bool
    widths: tuple[int, ...]
    rate: float
    epochs: int
    batch_size: int


NETS = (
    Net("narrow, digits", True, (4, 4), 0.001, 20, 32),
    Net("deep and narrow, digits", True, (6,) * 5, 0.005, 12, 32),
    Net("narrow, regression", False, (3, 3), 0.01, 60, 128),
)


@dataclass(frozen=True)
class NarrowBank:
    """Scores after the last epoch.

    Attributes:
        name: of the net.
        validation: (S, K), the columns are `NAMES`.
        test: (S, K), of the same runs.
        guess: what a constant answer has on the test data.
        maximize: whether higher is better.
        about: what was trained, in words.
    """

    name: str
    validation: np.ndarray
    test: np.ndarray
    guess: float
    maximize: bool
    about: str


Part = tuple[np.ndarray, np.ndarray]


def load_or_train(net: Net, *, seeds: int, cache: Path) -> NarrowBank:
    """Return the bank of a net from the cache, or train it."""
    settings = {
        "net": repr(net),
        "names": NAMES,
        "seeds": seeds,
        "versions": [keras.__version__, tf.__version__],
    }
    digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    path = cache / f"verdict-narrow-{digest}.npz"
    if not path.is_file():
        bank = _train(net, seeds)
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.npz")
        np.savez(
            partial,
            validation=bank.validation,
            test=bank.test,
            guess=bank.guess,
            about=bank.about,
        )
        os.replace(partial, path)
    with np.load(path) as file:
        return NarrowBank(
            net.name,
            file["validation"],
            file["test"],
            float(file["guess"]),
            net.digits,
            str(file["about"]),
        )


def _data(net: Net) -> tuple[Part, Part, Part]:
    """Training, validation and test data."""
    if net.digits:
        parts = datasets.load("digits").split(0)
        flat = [(x.reshape(len(x), -1) / 16, y) for x, y in _in_order(parts)]
        return flat[0], flat[1], flat[2]
    x, y = make_friedman1(2000, noise=0.0, random_state=0)
    # uniform between 0 and 1: to a mean of 0 and a deviation of 1
    x = ((x - 0.5) * np.sqrt(12)).astype("float32")
    y = ((y - y.mean()) / y.std()).astype("float32")
    return (x[:1200], y[:1200]), (x[1200:1600], y[1200:1600]), (x[1600:], y[1600:])


def _in_order(parts: datasets.Parts) -> tuple[Part, Part, Part]:
    return parts.train, parts.validation, parts.test


def _model(net: Net, inputs: int) -> keras.Model:
    hidden = [keras.layers.Dense(width, activation="relu") for width in net.widths]
    if net.digits:
        last = keras.layers.Dense(10, activation="softmax")
    else:
        last = keras.layers.Dense(1)
    model = keras.Sequential([keras.Input((inputs,)), *hidden, last])
    optimizer = keras.optimizers.Adam(net.rate)
    if net.digits:
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    else:
        model.compile(optimizer, "mean_squared_error")
    return model


def _train(net: Net, seeds: int) -> NarrowBank:
    train, validation, test = _data(net)
    with isolated_seed(0):
        model = _model(net, train[0].shape[1])
    metric = "loss"
    guess = float(np.var(test[1]))
    if net.digits:
        metric = "accuracy"
        guess = float(np.bincount(test[1]).max() / len(test[1]))
    fit = {"x": train[0], "y": train[1], "validation_data": validation}
    fit |= {"epochs": net.epochs, "batch_size": net.batch_size}
    fresh = [derive(0, Stream.BENCHMARKS, 9, index) for index in range(seeds)]
    trainer = PopulationTrainer(model, [Candidate.of(name) for name in NAMES])
    start = time.perf_counter()
    with Replicates(trainer, NAMES, fit) as replicates:
        for index, _ in enumerate(replicates.train(fresh, at_once=_AT_ONCE), 1):
            if index % 32 == 0:
                print(f"{net.name}: {index} of {seeds} seeds", flush=True)
        replicates.test(test)
        runs = replicates.runs
    widths = "-".join(map(str, net.widths))
    about = (
        f"{net.name}: MLP {widths}, Adam {net.rate}, {net.epochs} epochs, batch {net.batch_size}, {seeds} seeds x "
        f"{len(NAMES)} runs in {time.perf_counter() - start:.0f} s"
    )
    return NarrowBank(
        net.name,
        runs.scores(metric, "validation"),
        runs.scores(metric, "test"),
        guess,
        net.digits,
        about,
    )
