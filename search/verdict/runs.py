"""What was measured on fresh seeds: every epoch x seed x candidate. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
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
        test: for each metric an array (S, K): the scores on the test data after the last epoch;
            empty without them.
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
        values = self.test[metric] if part == "test" else self.history[f"val_{metric}"][:, -1]
        return np.where(self.diverged, np.nan, values)

    @property
    def identical(self) -> bool:
        """Whether seeds change nothing.

        Every run of a candidate is the same, from its first epoch to its last.
        """
        if len(self.seeds) < 2:
            return False
        parts = [np.asarray(values) for values in self.history.values()]
        return all(
            np.array_equal(part, np.broadcast_to(part[:1], part.shape), equal_nan=True)
            for part in parts
        )

    def to_pandas(self) -> pandas.DataFrame:
        """Return a tidy table: a row each epoch x seed x activation, epochs from 1 on.

        The test scores, ``test_loss`` and so on, stand in the rows of the last epoch.
        """
        import pandas

        shape = next(iter(self.history.values()), np.empty((0, 0, len(self.activations)))).shape
        seeds, epochs, names = np.meshgrid(
            self.seeds, np.arange(1, shape[1] + 1), self.activations, indexing="ij"
        )
        table = pandas.DataFrame(
            {"activation": names.ravel(), "seed": seeds.ravel(), "epoch": epochs.ravel()}
        )
        for name, values in self.history.items():
            # what a train_step of the user's logs may be called as a column of ours is
            table[f"logged_{name}" if name in _COLUMNS else name] = values.ravel()
        for name, scores in self.test.items():
            last = np.full(shape, np.nan)
            last[:, -1] = scores
            table[f"test_{name}"] = last.ravel()
        table["diverged"] = np.repeat(self.diverged[:, None], shape[1], axis=1).ravel()
        return table
