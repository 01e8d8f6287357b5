"""The same candidates trained on more and more fresh seeds, and scored on the test data afterwards."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..population.trainers import Shown, pad_and_stack
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
        trainer: Any,
        names: Sequence[str],
        fit: Mapping[str, Any],
        show: Callable[[str], None] | None = None,
    ):
        self.names = tuple(names)
        self._trainer, self._fit = trainer, dict(fit)
        if show is not None:
            callbacks = keras.tree.flatten(self._fit.get("callbacks") or [])
            self._fit["callbacks"] = [*callbacks, Shown(show)]
        self._seeds: list[int] = []
        self._histories: list[dict[str, np.ndarray]] = []
        self._diverged: list[np.ndarray] = []
        self._by: list[Any] = []  # what trained each seed
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
            at_once: how many may be trained together, a divisor of their number.
        """
        for seed, trained in zip(
            seeds, self._trainer.train(seeds, self._fit, at_once), strict=True
        ):
            np.savez(self._path(len(self._seeds)), *trained.weights)
            self._histories.append(trained.history)
            self._diverged.append(trained.diverged)
            self._by.append(trained.by)
            self._seeds.append(seed)
            yield seed

    def test(self, data: Any) -> None:
        """Score the candidates of all seeds on the test data, as they were after the last epoch."""

        def weights(index: int) -> list[np.ndarray]:
            with np.load(self._path(index)) as file:
                return [file[name] for name in file.files]

        tested: list[dict[str, np.ndarray]] = []
        for _, own in itertools.groupby(range(len(self._seeds)), lambda index: id(self._by[index])):
            seeds = list(own)
            tested += self._by[seeds[0]].test(map(weights, seeds), data)
        self._tested = tested

    @property
    def reason(self) -> str:
        """Why the candidates are trained one by one, though the model could be a population.

        Empty if they are not.
        """
        return str(self._trainer.reason)

    @property
    def inputs(self) -> Any:
        """The training inputs."""
        return self._fit["x"]

    @property
    def validation(self) -> Any:
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
            {
                name: pad_and_stack([h[name] for h in self._histories])
                for name in (self._histories or [{}])[0]
            },
            {name: np.stack([t[name] for t in self._tested]) for name in (self._tested or [{}])[0]},
            np.array(self._diverged, bool).reshape(-1, len(self.names)),
        )

    def _path(self, index: int) -> Path:
        return Path(self._folder.name) / f"{index}.npz"
