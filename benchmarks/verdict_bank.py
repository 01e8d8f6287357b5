"""A bank of real runs for `benchmarks.verdict`: trained once, kept outside the repository."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from keras_acts.search import Candidate
from keras_acts.search.population.members import Member
from keras_acts.search.population.trainers import PopulationTrainer
from keras_acts.search.runtime.seeding import Stream, derive
from keras_acts.search.verdict.replicates import Replicates
from keras_acts_cli import data as datasets
from keras_acts_cli import models

# paired as in the product: one initialization and one batch order a seed
PAIRED = ("relu", "mish", "gelu", "tanh")
# relu again, with initialization streams of its own: candidates that are truly equal
EQUAL = 5


@dataclass(frozen=True)
class Bank:
    """Accuracies after the last epoch.

    Attributes:
        validation: (S, K), the columns are `PAIRED`, then `EQUAL` relus.
        test: (S, K), of the same runs.
        about: what was trained, in words.
    """

    validation: np.ndarray
    test: np.ndarray
    about: str

    @property
    def paired(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Validation and test scores, (S,) each, of the candidates that share their seeds."""
        return {name: (self.validation[:, k], self.test[:, k]) for k, name in enumerate(PAIRED)}

    @property
    def equal(self) -> tuple[np.ndarray, np.ndarray]:
        """Validation and test scores, (S, EQUAL)."""
        return self.validation[:, len(PAIRED) :], self.test[:, len(PAIRED) :]


def default_cache() -> Path:
    """Return the user's cache directory."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keras_acts"


def load_or_train(
    data: str, target: str | None, *, seeds: int, epochs: int, batch_size: int, cache: Path
) -> Bank:
    """Return the bank from the cache, or train it: `seeds` populations, one batch order each.

    Raises:
        SystemExit: if the data have no classes, before anything is trained: its scores are
            accuracies.
    """
    dataset = datasets.load(data, target)
    if not dataset.classes:
        raise SystemExit(
            f"The data must have classes: the bank holds accuracies. Received: {data!r}, a regression"
        )
    parts = dataset.split(0)
    settings = {
        "data": hashlib.sha256(dataset.x.tobytes() + dataset.y.tobytes()).hexdigest(),
        "columns": [*PAIRED, EQUAL],
        "budget": [seeds, epochs, batch_size],
        "versions": [keras.__version__, tf.__version__],
    }
    path = cache / f"verdict-{hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]}.npz"
    if not path.is_file():
        bank = _train(
            models.build("mlp", dataset, parts, 0), dataset.name, parts, seeds, epochs, batch_size
        )
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.npz")
        np.savez(partial, validation=bank.validation, test=bank.test, about=bank.about)
        os.replace(partial, path)
    with np.load(path) as file:
        return Bank(file["validation"], file["test"], str(file["about"]))


def _train(
    model: keras.Model, name: str, parts: Any, seeds: int, epochs: int, batch_size: int
) -> Bank:
    def members(seed: int) -> list[Member]:
        shared = [Member(Candidate.of(activation), seed) for activation in PAIRED]
        return shared + [
            Member(Candidate.of("relu"), derive(seed, Stream.BENCHMARKS, stream))
            for stream in range(EQUAL)
        ]

    columns = [*PAIRED, *(f"relu {stream}" for stream in range(EQUAL))]
    fit = {"x": parts.train[0], "y": parts.train[1], "validation_data": parts.validation}
    start = time.perf_counter()
    fit |= {"epochs": epochs, "batch_size": batch_size}
    with Replicates(PopulationTrainer(model, columns, members), columns, fit) as replicates:
        for index, _ in enumerate(
            replicates.train([derive(0, Stream.BENCHMARKS, 7, index) for index in range(seeds)]), 1
        ):
            if index % 16 == 0:
                print(f"bank: {index * len(columns)} of {seeds * len(columns)} runs", flush=True)
        replicates.test(parts.test)
        runs = replicates.runs
    sizes = " / ".join(str(len(part[0])) for part in (parts.train, parts.validation, parts.test))
    about = (
        f"{name}, MLP, {epochs} epochs, batch {batch_size}, {sizes} to train / validate / test: "
        f"{seeds} seeds x {len(columns)} runs in {time.perf_counter() - start:.0f} s"
    )
    return Bank(runs.scores("accuracy", "validation"), runs.scores("accuracy", "test"), about)
