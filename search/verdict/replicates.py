"""The same candidates trained on more and more fresh seeds, scored on the test data afterwards.

And the best training of each, so that none is trained again for its model.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import keras_tuner
import numpy as np

from keras_acts.errors import SearchError

from ..population.trainers import Shown, Trainer, pad_and_stack
from ..space.rated import Rated
from ..strategy.base import JudgedRun
from ..strategy.direction import more_is_better
from ..strategy.scoring import Data
from .guessing import validation_part, weighs
from .runs import Runs

if TYPE_CHECKING:
    from .verdict import Verdict


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

    Attributes:
        seconds: that training took.
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
        self.seconds = 0.0
        self._seeds: list[int] = []
        self._histories: list[dict[str, np.ndarray]] = []
        self._diverged: list[np.ndarray] = []
        # of each seed what trained it: where memory runs short it is another from then on
        self._trained_by: list[Trainer] = []
        self._tested: list[dict[str, np.ndarray]] = []
        self._validated: list[dict[str, np.ndarray]] = []
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
        begun = time.perf_counter()
        for seed, trained in zip(seeds, training, strict=True):
            self.seconds += time.perf_counter() - begun
            np.savez(self._path(len(self._seeds)), *trained.weights)
            self._histories.append(trained.history)
            self._diverged.append(trained.diverged)
            self._trained_by.append(trained.by)
            self._seeds.append(seed)
            yield seed
            begun = time.perf_counter()

    def test(self, data: Data) -> None:
        """Score the candidates of all seeds on the test data, as their trainings ended."""
        self._tested = self._scored(data)

    def validate(self, metric: str) -> None:
        """Score the candidates of all seeds on the validation data, as their trainings ended.

        What their last epochs logged was of other weights where some were put back after them.

        Args:
            metric: that is wanted.

        Raises:
            SearchError: if the validation data cannot be read again, as `fit` has read them, or do
                not tell the metric.
        """
        reason = self.why_not_validated
        if reason:
            raise SearchError(
                "The scores are those of each last epoch: to score weights that are put back after it takes "
                f"validation data that can be read again, without validation_steps. Received: {reason}"
            )
        scored = self._scored(self.validation)
        if metric not in scored[0]:
            raise SearchError(
                f"The scores are those of each last epoch: what is evaluated must have {metric!r}. "
                f"Received: {sorted(scored[0])}"
            )
        self._validated = scored

    def _scored(self, data: Data) -> list[dict[str, np.ndarray]]:
        """The scores of all seeds on data, with the weights that their trainings ended with."""
        scored: list[dict[str, np.ndarray]] = []
        for trainer, indices in self._by_trainer():
            # one after the other: the weights of all seeds may not fit into memory
            weights = map(self._weights, indices)
            scored += trainer.test(weights, data)
        return scored

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

    def model(self, index: int, column: int) -> keras.Model | None:
        """Return what a candidate became on a seed, by their places, as an ordinary model.

        It is compiled, and its optimizer has trained nothing. None where memory is short.
        """
        trainer = self._trained_by[index]
        return trainer.model(self._weights(index), column, self.inputs)

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
    def why_not_validated(self) -> str:
        """What `validate` cannot do with: an argument of `fit`; empty if it can."""
        steps = self._fit.get("validation_steps")
        if steps:
            return f"validation_steps={steps}"
        data = self.validation
        if data is None or hasattr(data, "__next__"):
            return f"validation_data of type {type(data).__name__}"
        return ""

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

    @property
    def callbacks(self) -> list[keras.callbacks.Callback]:
        """The user's."""
        given = keras.tree.flatten(self._fit.get("callbacks") or [])
        return [callback for callback in given if not isinstance(callback, Shown)]

    def scores(self, metric: str, part: str) -> dict[str, np.ndarray]:
        """Return a score a seed for each candidate; see `Runs.scores`. None if no seed was trained.

        Those of the validation data are those after the last epoch, until `validate` scores them.
        """
        runs = self.runs
        scores = np.empty((0, len(self.names)))
        if part == "validation" and self._validated:
            validated = _by_name(self._validated, np.stack)
            scores = np.where(runs.diverged, np.nan, validated[metric])
        elif runs.seeds:
            scores = runs.scores(metric, part)
        return dict(zip(self.names, scores.T, strict=True))

    def _path(self, index: int) -> Path:
        return Path(self._folder.name) / f"{index}.npz"


# gets a verdict and what it has judged, as long as the weights are there
HandOver: TypeAlias = "Callable[[Verdict, BestRuns], None]"


def hand_over_to_nobody(verdict: Verdict, runs: BestRuns) -> None:
    """Want none of the trainings."""


@dataclass(frozen=True)
class BestRuns:
    """The trainings that a verdict has judged, with their weights.

    Attributes:
        replicates: what has trained them.
        rated: what each column trained.
        columns: which of them counts for each candidate.
        names: of the candidates.
        objective: that ranks.
    """

    replicates: Replicates
    rated: Sequence[Rated]
    columns: Sequence[int]
    names: Sequence[str]
    objective: keras_tuner.Objective

    def best(self, name: str) -> JudgedRun | None:
        """Return the best training of a candidate, with its model.

        Its weights are those after the last epoch, as all that a verdict judges. A training of its
        own would keep those of the best epoch, by the same validation data. So it is None where
        that is more to expect: where the best of the trainings is not as good at its end as they
        are on average at their best epochs. None too where one diverged, or where another objective
        than one of the validation data ranks.
        """
        column = self.columns[list(self.names).index(name)]
        runs = self.replicates.runs
        logged = self.objective.name
        if not logged.startswith("val_") or logged not in runs.history:
            return None
        scores = runs.history[logged][:, :, column]
        epochs = max(values.shape[1] for values in runs.history.values())
        if scores.shape[1] < epochs:
            return None  # it was not validated after each epoch: nobody knows the last one's score
        signed = more_is_better(scores, self.objective.direction)
        if runs.diverged[:, column].any() or not np.isfinite(signed).all():
            return None
        index = int(np.argmax(signed[:, -1]))
        expected = float(signed.max(axis=1).mean())
        if signed[index, -1] < expected:
            return None
        model = self.replicates.model(index, column)
        if model is None:
            return None
        metrics = {}
        for each, values in runs.history.items():
            metrics[each] = tuple(float(value) for value in values[index, :, column])
        return JudgedRun(
            rated=self.rated[column],
            seed=runs.seeds[index],
            score=float(scores[index, -1]),
            mean=float(more_is_better(expected, self.objective.direction)),
            seeds=len(runs.seeds),
            seconds=self.replicates.seconds / len(self.rated),
            metrics=metrics,
            model=model,
        )


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
