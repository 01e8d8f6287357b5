"""What was measured on fresh seeds: every epoch x seed x candidate. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas

_COLUMNS = {"activation", "seed", "epoch", "diverged"}


@dataclass(frozen=True)
class Runs:
    """The runs of S seeds x K candidates over E epochs.

    Attributes:
        activations: the candidates, K.
        seeds: of initialization and batch order, S.
        history: for each name that Keras logs (``loss``, ``val_accuracy``, …) an array (S, E, K).
            Where a callback ended a training early, its last epoch stands for those that follow.
        test: for each metric an array (S, K): the scores on the test data of the models as their
            trainings ended; empty without them.
        diverged: (S, K), whether the run's loss was no longer finite.
    """

    activations: tuple[str, ...]
    seeds: tuple[int, ...]
    history: Mapping[str, np.ndarray]
    test: Mapping[str, np.ndarray]
    diverged: np.ndarray

    def scores(self, metric: str, part: str) -> np.ndarray:
        """Return (S, K): a metric after the last epoch on the ``"test"`` or ``"validation"`` data.

        Nan if diverged.
        """
        if part == "test":
            return np.where(self.diverged, np.nan, self.test[metric])
        last = self.history[f"val_{metric}"][:, -1]
        return np.where(self.diverged, np.nan, last)

    def of_columns(self, columns: Sequence[int], names: Sequence[str]) -> Runs:
        """Return the runs of some of the candidates, under other names."""
        chosen = list(columns)
        history = {name: values[..., chosen] for name, values in self.history.items()}
        test = {name: values[..., chosen] for name, values in self.test.items()}
        return Runs(tuple(names), self.seeds, history, test, self.diverged[:, chosen])

    @property
    def identical(self) -> bool:
        """Whether seeds change nothing.

        Every run of a candidate is the same, from its first epoch to its last.
        """
        if len(self.seeds) < 2:
            return False
        return all(_rows_are_equal(np.asarray(values)) for values in self.history.values())

    def to_pandas(self) -> pandas.DataFrame:
        """Return a tidy table: a row each epoch x seed x activation, epochs from 1 on.

        Where a callback ended a training early, its last epoch stands for those that follow.

        The test scores, ``test_loss`` and so on, stand in the rows of the last epoch.
        """
        import pandas

        # (S, E, K), as each array of the history
        shape = (0, 0, len(self.activations))
        for values in self.history.values():
            shape = values.shape
        epochs = np.arange(1, shape[1] + 1)
        seed, epoch, name = np.meshgrid(self.seeds, epochs, self.activations, indexing="ij")
        table = pandas.DataFrame(
            {"activation": name.ravel(), "seed": seed.ravel(), "epoch": epoch.ravel()}
        )
        for logged, values in self.history.items():
            table[_column(logged)] = values.ravel()
        for metric, scores in self.test.items():
            last = np.full(shape, np.nan)
            last[:, -1] = scores
            table[f"test_{metric}"] = last.ravel()
        table["diverged"] = np.repeat(self.diverged[:, None], shape[1], axis=1).ravel()
        return table


def _rows_are_equal(values: np.ndarray) -> bool:
    first = np.broadcast_to(values[:1], values.shape)
    # where one run diverged, all did: nan is as equal as a number
    return np.array_equal(values, first, equal_nan=True)


def _column(logged: str) -> str:
    """The column of what is logged: a train_step of the user's may call it as one of ours is."""
    if logged in _COLUMNS:
        return f"logged_{logged}"
    return logged
