"""The same candidates trained on more and more fresh seeds, and scored on the test data afterwards."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..population.trainers import Shown, Trainer, pad_and_stack
from ..strategy.scoring import Data
from .guessing import validation_part, weighs
from .runs import Runs


class Replicates:
    """Trains the same candidates on more and more seeds, and scores all of them on the test data afterwards.

    A context manager: leaving it removes the weights.

    A seed means initialization and batch order, both the same for all candidates of the seed and
    different between seeds. The weights after the last epoch wait in a temporary folder until
    `test`.

    Args:
        trainer: a `PopulationTrainer` or a `OneByOneTrainer`.
        names: of its candidates.
        fit: the arguments of `keras.Model.fit`, data included.
        show: gets a text about each epoch.
    """

    def __init__(
        self,
        trainer: Trainer,
        names: Sequence[str],
        fit: Mapping[str, Any],
        show: Callable[[str], None] | None = None,
    ):
        self.names = tuple(names)
        self._trainer = trainer
        self._fit = dict(fit)
        if show is not None:
            callbacks = keras.tree.flatten(self._fit.get("callbacks") or [])
            self._fit["callbacks"] = [*callbacks, Shown(show)]
        self._seeds: list[int] = []
        self._histories: list[dict[str, np.ndarray]] = []
        self._diverged: list[np.ndarray] = []
        # of each seed what trained it: where memory runs short it is another from then on
        self._trained_by: list[Trainer] = []
        self._tested: list[dict[str, np.ndarray]] = []
        # a folder that cannot be removed costs no verdict
        self._folder = tempfile.TemporaryDirectory(prefix="keras-acts-", ignore_cleanup_errors=True)

    def __enter__(self) -> Replicates:
        return self

    def __exit__(self, *error: object) -> None:
        self._folder.cleanup()

    def train(self, seeds: Sequence[int], at_once: int = 1) -> Iterator[int]:
        """Train every candidate on more seeds, and yield each when it is done.

        What is done is kept.

        Args:
            seeds: the seeds.
            at_once: of how many nobody looks before all of them are trained; see `Trainer`.
        """
        training = self._trainer.train(seeds, self._fit, at_once)
        for seed, trained in zip(seeds, training, strict=True):
            np.savez(self._path(len(self._seeds)), *trained.weights)
            self._histories.append(trained.history)
            self._diverged.append(trained.diverged)
            self._trained_by.append(trained.by)
            self._seeds.append(seed)
            yield seed

    def test(self, data: Data) -> None:
        """Score the candidates of all seeds on the test data, as they were after the last epoch."""
        tested: list[dict[str, np.ndarray]] = []
        for trainer, indices in self._by_trainer():
            # one after the other: the weights of all seeds may not fit into memory
            weights = map(self._weights, indices)
            tested += trainer.test(weights, data)
        self._tested = tested

    def _by_trainer(self) -> Iterator[tuple[Trainer, list[int]]]:
        """What trained seeds, and which ones, in their order."""
        indices = range(len(self._seeds))
        for _, group in itertools.groupby(indices, lambda index: id(self._trained_by[index])):
            of_one = list(group)
            yield self._trained_by[of_one[0]], of_one

    def _weights(self, index: int) -> list[np.ndarray]:
        """The weights of a seed after its last epoch."""
        with np.load(self._path(index)) as file:
            return [file[name] for name in file.files]

    @property
    def reason(self) -> str:
        """Why the candidates are trained one by one, though the model could be a population.

        Empty if they are not.
        """
        return str(self._trainer.reason)

    @property
    def inputs(self) -> Data:
        """The training inputs."""
        return self._fit["x"]

    @property
    def validation(self) -> Data:
        """The data that validate; None where they are not known."""
        return validation_part(self._fit)

    @property
    def weighted(self) -> bool:
        """Whether the training weighs classes or samples."""
        return weighs(self._fit)

    @property
    def runs(self) -> Runs:
        """What was measured so far."""
        return Runs(
            self.names,
            tuple(self._seeds),
            history=_by_name(self._histories, pad_and_stack),
            test=_by_name(self._tested, np.stack),
            diverged=np.array(self._diverged, bool).reshape(-1, len(self.names)),
        )

    def scores(self, metric: str, part: str) -> dict[str, np.ndarray]:
        """Return a score a seed for each candidate; see `Runs.scores`. None if no seed was trained."""
        runs = self.runs
        scores = np.empty((0, len(self.names)))
        if runs.seeds:
            scores = runs.scores(metric, part)
        return dict(zip(self.names, scores.T, strict=True))

    def _path(self, index: int) -> Path:
        return Path(self._folder.name) / f"{index}.npz"


def _by_name(
    seeds: Sequence[Mapping[str, np.ndarray]],
    stack: Callable[[list[np.ndarray]], np.ndarray],
) -> dict[str, np.ndarray]:
    """The values of all seeds as one array a name."""
    stacked: dict[str, np.ndarray] = {}
    if seeds:
        for name in seeds[0]:
            stacked[name] = stack([values[name] for values in seeds])
    return stacked
