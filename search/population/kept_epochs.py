"""One `fit` of a population in a file now and then, so that it goes on in the middle of its epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_acts.errors import ModelError

from ..runtime.kept_arrays import UNREADABLE, Arrays, ReadArrays, why_not_kept
from ..runtime.pace import Pace
from ..strategy.skipped_epochs import SkippedEpochs, WhenTraining
from .data import may_be_in_other_orders
from .model import PopulationModel
from .step_tensorflow import Decided
from .transfer import restore, values_of

_VERSION = 1

# of each epoch, by the names that Keras logs
Logs = Mapping[str, list[Any]]


@dataclass(frozen=True)
class _Kept:
    """What the file holds.

    Attributes:
        logs: of the epochs that are trained.
        decided: what the population compiled when the `fit` began; None if that was nothing.
        values: its state.
    """

    logs: dict[str, list[Any]]
    decided: Decided | None
    values: Sequence[np.ndarray]


class KeptEpochs:
    """Keeps a population in the middle of one `fit`, and goes on from what an earlier process kept.

    On TensorFlow; and nobody knows what callbacks of each member have in mind.

    Args:
        file: where.
        what: the training, in words that differ where anything does.
        say: called with what the user should know.
    """

    def __init__(self, file: Path, what: Sequence[str], say: Callable[[str], None]):
        self._file = file
        self._keeps = True
        self._what = list(what)
        self._say = say
        self._pace = Pace()
        self._decided: Decided | None = None
        self._logs: dict[str, list[Any]] = {}

    def callbacks(
        self, population: PopulationModel, fit: Mapping[str, Any], callbacks: Sequence[Any]
    ) -> list[keras.callbacks.Callback]:
        """Return the callbacks of a `fit` that is kept, and goes on where an earlier one was.

        Args:
            population: that is about to train, from its beginning.
            fit: the arguments of `fit`.
            callbacks: of the population.
        """
        step = population.training_step
        if step is None:
            return list(callbacks)
        keeps = _Keep(self)
        kept = self._read(self._file)
        epochs = 0
        if kept is not None and self._restores(population, kept):
            epochs = max(map(len, kept.logs.values()))
            self._logs = kept.logs
            if kept.decided is not None:
                step.decided = kept.decided
            self._say(f"Going on from {self._file}, where {epochs} epochs are trained")
        self._decided = step.decided
        if not epochs:
            return [*callbacks, keeps]
        reads_validation = may_be_in_other_orders(fit.get("validation_data"))
        # the batches come as they do from the beginning
        skipped = SkippedEpochs(epochs, reads_validation=reads_validation)
        return [skipped, *callbacks, WhenTraining(skipped, keeps)]

    def _restores(self, population: PopulationModel, kept: _Kept) -> bool:
        try:
            restore(population, kept.values)
        except ModelError as error:
            self._say(f"{self._file} is of other models: {error}")
            return False
        return True

    def _read(self, file: Path) -> _Kept | None:
        if not file.is_file():
            return None
        try:
            kept = _of_file(ReadArrays(file), self._what)
        except UNREADABLE:
            kept = None
        if kept is None:
            self._say(f"{file} is of another training, or damaged: this one begins anew")
        return kept

    def whole(self, logs: Logs) -> dict[str, list[Any]]:
        """Return the logs of all epochs, from those of the epochs that this process has trained."""
        return self._logs or dict(logs)

    def hear(self, population: PopulationModel, logs: Mapping[str, Any]) -> None:
        """Hear of an epoch that is trained, and keep it if it is time."""
        for name, value in logs.items():
            self._logs.setdefault(name, []).append(np.array(value))
        if not self._keeps or not self._pace.is_time():
            return
        self._pace.begin()
        try:
            self._write(self._file, population)
        except Exception as error:
            reason = why_not_kept(error)
            if not reason:
                raise
            # a full disk, or too little memory, costs no more than that
            self._say(f"A seed cannot be kept before its end: {reason}")
            self._keeps = False
        self._pace.end()

    def _write(self, file: Path, population: PopulationModel) -> None:
        arrays = Arrays()
        meta = {
            "version": _VERSION,
            "what": self._what,
            "decided": self._decided,
            "names": list(self._logs),
            "logs": arrays.add([np.stack(values) for values in self._logs.values()]),
            "values": arrays.add(values_of(population)),
        }
        arrays.write(file, meta)


class _Keep(keras.callbacks.Callback):
    """Tells of the epochs of a population; the last of the callbacks."""

    def __init__(self, kept: KeptEpochs):
        super().__init__()
        self._kept = kept

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Tell of one."""
        self._kept.hear(self.model, logs or {})


def _of_file(file: ReadArrays, what: Sequence[str]) -> _Kept | None:
    meta = file.meta
    if [meta["version"], meta["what"]] != [_VERSION, list(what)]:
        return None
    logs: dict[str, list[Any]] = {}
    for name, values in zip(meta["names"], file.of(meta["logs"]), strict=True):
        logs[name] = list(values)
    # each epoch logs all
    if len({len(values) for values in logs.values()}) != 1:
        return None
    decided = None
    if meta["decided"] is not None:
        decided = Decided(*meta["decided"])
    return _Kept(logs, decided, file.of(meta["values"]))
