"""A search in TensorBoard: scalars of every training, and the table of HParams."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .callback import SearchCallback
from .named import Named, trainings_of
from .records import EpochRecord, SearchRecord, TrialRecord

if TYPE_CHECKING:
    from ..result import SearchResult
    from ..verdict.verdict import Verdict


class TensorBoardLogger(SearchCallback):
    """Writes what each epoch of each training logs as scalars, and its hyperparameters.

    ``tensorboard --logdir log_dir`` shows them, the hyperparameters under HParams. The trainings of
    the search lie in ``search/ACTIVATION/seed-N``, those of the verdict, with their scores on the
    test data, in ``verdict/ACTIVATION/seed-N``. Another search that the same logger follows lies in a
    folder ``2`` inside, the next one in ``3``.

    Args:
        log_dir: the folder to write into. What is there stays.

    Example:
        >>> search_activations(model, x, y, search_callbacks=[TensorBoardLogger("logs")])
    """

    def __init__(self, log_dir: str | os.PathLike[str]):
        self.log_dir = Path(log_dir)
        self._writers: dict[str, Any] = {}
        self._searches = 0

    def on_search_begin(self, search: SearchRecord) -> None:
        """Say which columns the table of hyperparameters has."""
        from tensorboard.plugins.hparams import api as hp

        self._close_all()
        self._searches += 1
        columns = ("activation", "alpha", "theta", "learning_rate_factor", "seed", "part")
        with self._writer("").as_default():
            hp.hparams_config(
                hparams=[hp.HParam(name) for name in columns],
                metrics=[hp.Metric(search.objective), hp.Metric("loss")],
            )

    def on_epoch_end(self, epoch: EpochRecord) -> None:
        """Write the scalars of an epoch."""
        self._write("search", Named.of(epoch.rated), epoch.seed, epoch.epoch, epoch.metrics)

    def on_trial_end(self, trial: TrialRecord) -> None:
        """Close the files of a candidate that trains no further."""
        for seed in trial.seeds:
            self._close(_folder("search", Named.of(trial.rated), seed))

    def on_verdict(self, verdict: Verdict) -> None:
        """Write the trainings of the verdict."""
        for training in trainings_of(verdict):
            for number, logged in enumerate(training.epochs, start=1):
                self._write("verdict", training.named, training.seed, number, logged)
            self._close(_folder("verdict", training.named, training.seed))

    def on_search_end(self, result: SearchResult | Verdict | None) -> None:
        """Close all files."""
        self._close_all()

    def _close_all(self) -> None:
        for folder in list(self._writers):
            self._close(folder)

    def _write(
        self, part: str, named: Named, seed: int, epoch: int, metrics: Mapping[str, float]
    ) -> None:
        import tensorflow as tf
        from tensorboard.plugins.hparams import api as hp

        folder = _folder(part, named, seed)
        is_new = folder not in self._writers
        with self._writer(folder).as_default():
            if is_new:
                values = {**named.parameters, "seed": str(seed), "part": part}
                hp.hparams(values, trial_id=folder)
            for name, value in metrics.items():
                tf.summary.scalar(name, value, step=epoch)

    def _writer(self, folder: str) -> Any:
        import tensorflow as tf

        if folder not in self._writers:
            path = self.log_dir / folder
            if self._searches > 1:
                # trainings of the same names and seeds would be one curve
                path = self.log_dir / str(self._searches) / folder
            self._writers[folder] = tf.summary.create_file_writer(os.fspath(path))
        return self._writers[folder]

    def _close(self, folder: str) -> None:
        writer = self._writers.pop(folder, None)
        if writer is not None:
            writer.close()


def _folder(part: str, named: Named, seed: int) -> str:
    return f"{part}/{named.file_name}/seed-{seed}"
