"""Trials that train together, in a file, so that they go on in the middle of their epochs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_acts.errors import ModelError

from ..population.model import PopulationModel
from ..population.step_tensorflow import Decided
from ..population.transfer import restore, values_of
from ..report.numbers import counted
from ..runtime.kept_arrays import UNREADABLE, Arrays, ReadArrays, why_not_kept
from ..runtime.pace import Pace
from ..strategy.fingerprints import of_plain
from .member_epochs import BestEpochs, MemberEpochs, length

_VERSION = 2
_DIGITS = 8  # of a hash in the name of a file

_FILES = re.compile(r"population(-[0-9a-f]{8})?\.npz")

Settings = Mapping[str, str]
Values = Sequence[np.ndarray]
Logs = Mapping[str, list[float]]


def file_of(folder: Path, trials: Sequence[str]) -> Path:
    """Return where these trials are kept: those beside them have files of their own."""
    return folder / f"population-{of_plain(list(trials))[:_DIGITS]}.npz"


def forget(folder: Path) -> None:
    """Delete all that is kept of trials in the middle of their epochs."""
    for file in folder.iterdir():
        if _FILES.fullmatch(file.name):
            forget_file(file)


def forget_file(file: Path) -> None:
    """Delete what is kept of some trials."""
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)


@dataclass(frozen=True)
class TrialScores:
    """What is known of trials beside the population.

    Attributes:
        histories: of each, of the executions that are over.
        scores: of each execution, one a trial.
        best: of all executions, one a trial.
    """

    histories: Sequence[Sequence[Logs]]
    scores: Sequence[np.ndarray]
    best: np.ndarray


@dataclass(frozen=True)
class _Kept:
    """What the file holds: see `KeptTraining`."""

    execution: int
    known: TrialScores
    running: np.ndarray
    histories: Sequence[Logs]
    decided: Decided | None
    best: np.ndarray
    best_epoch: np.ndarray
    values: Values
    best_values: Values


class KeptTraining:
    """Keeps a population of trials now and then, and goes on from what an earlier process kept.

    Args:
        file: where; None keeps nothing.
        trials: their ids, in the order of the population.
        settings: returns what must be the same for them to go on, by name.
        say: called with what the user should know.
    """

    def __init__(
        self,
        file: Path | None,
        trials: Sequence[str],
        settings: Callable[[], Settings],
        say: Callable[[str], None],
    ):
        self._file = file
        self._trials = list(trials)
        self._settings = settings
        self._say = say
        self._pace = Pace()
        self._kept: _Kept | None = None
        self._execution = 0
        self._known: Callable[[], TrialScores] | None = None
        self._decided: Decided | None = None
        if file is not None and file.is_file():
            self._kept = self._read(file)

    def _read(self, file: Path) -> _Kept | None:
        settings = self._settings()
        try:
            read = ReadArrays(file)
            differing = _differing(read.meta, settings)
            kept = _of_file(read, self._trials)
        except UNREADABLE:
            kept = None
            differing = []
        if kept is None:
            self._say(f"{file} is of other trials, or damaged: they train from their beginning")
        elif differing:
            kept = None
            names = ", ".join(differing)
            self._say(
                f"{file} is of trials with other settings ({names}): they train from their "
                "beginning"
            )
        return kept

    @property
    def execution(self) -> int:
        """The execution that an earlier process was in the middle of; those before are over."""
        if self._kept is None:
            return 0
        return self._kept.execution

    @property
    def known(self) -> TrialScores | None:
        """What an earlier process knew of the trials; None if there is none."""
        if self._kept is None:
            return None
        return self._kept.known

    def begin(
        self, execution: int, population: PopulationModel, known: Callable[[], TrialScores]
    ) -> None:
        """Begin with an execution of a fresh population."""
        self._execution = execution
        self._known = known
        step = population.training_step
        self._decided = None
        if step is not None:
            self._decided = step.decided

    def go_on(
        self, population: PopulationModel, best: BestEpochs, epochs: MemberEpochs, first: int
    ) -> int:
        """Give a fresh population and what watches it the state that was kept.

        `first` is the epoch with which its training begins. Return how many epochs it has; 0 if
        there is none for this execution.
        """
        kept = self._kept
        if kept is None or kept.execution != self._execution:
            return 0
        self._kept = None
        try:
            restore(population, kept.values)
        except ModelError as error:
            self._say(f"{self._file} is of other models: {error}")
            return 0
        if kept.decided is not None and population.training_step is not None:
            population.training_step.decided = kept.decided
            self._decided = kept.decided
        best.go_on(population, kept.best, kept.best_epoch, kept.best_values)
        epochs.go_on(kept.histories, kept.running, first)
        self._say(f"Going on from {self._file}, after {counted(epochs.trained, 'epoch')}")
        return epochs.trained

    def keeps(self, population: PopulationModel, epochs: MemberEpochs) -> bool:
        """Whether the population is to be kept now.

        One that some have left is not: it may begin again from where it was whole.
        """
        if self._file is None or not epochs.all_began or epochs.leaving:
            return False
        whole = len(population.members) == len(self._trials)
        return whole and bool(epochs.running.any()) and self._pace.is_time()

    def keep(self, population: PopulationModel, best: BestEpochs, epochs: MemberEpochs) -> None:
        """Keep it; a full disk, or too little memory, costs no more than that."""
        if self._file is None or self._known is None:
            return
        self._pace.begin()
        try:
            self._write(self._file, self._known(), population, best, epochs)
        except Exception as error:
            reason = why_not_kept(error)
            if not reason:
                raise
            self._say(f"The trials cannot be kept before they end: {reason}")
            self._file = None
        self._pace.end()

    def _write(
        self,
        file: Path,
        known: TrialScores,
        population: PopulationModel,
        best: BestEpochs,
        epochs: MemberEpochs,
    ) -> None:
        arrays = Arrays()
        meta = {
            "version": _VERSION,
            "settings": self._settings(),
            "trials": self._trials,
            "execution": self._execution,
            "known": known.histories,
            "scores": arrays.add([*known.scores, known.best]),
            "running": [bool(runs) for runs in epochs.running],
            "histories": epochs.histories,
            "decided": self._decided,
            "best": arrays.add([best.best, best.best_epoch]),
            "values": arrays.add(values_of(population)),
            "best_values": arrays.add(best.kept_values()),
        }
        arrays.write(file, meta)


def _differing(meta: Mapping[str, Any], settings: Settings) -> list[str]:
    """The names of the settings that are not those of the file."""
    if meta["version"] != _VERSION:
        return []
    kept = meta["settings"]
    # in the order in which they are given
    names = dict.fromkeys([*settings, *kept])
    return [name for name in names if kept.get(name) != settings.get(name)]


def _of_file(file: ReadArrays, trials: Sequence[str]) -> _Kept | None:
    meta = file.meta
    if meta["version"] != _VERSION or meta["trials"] != list(trials):
        return None
    decided = None
    if meta["decided"] is not None:
        decided = Decided(*meta["decided"])
    *scores, best_of_all = file.of(meta["scores"])
    best, best_epoch = file.of(meta["best"])
    running = np.array(meta["running"], bool)
    histories = meta["histories"]
    if len(running) != len(trials) or len(histories) != len(trials):
        return None
    if not all(map(length, histories)):
        return None
    return _Kept(
        execution=int(meta["execution"]),
        known=TrialScores(meta["known"], scores, best_of_all),
        running=running,
        histories=histories,
        decided=decided,
        best=best,
        best_epoch=best_epoch,
        values=file.of(meta["values"]),
        best_values=file.of(meta["best_values"]),
    )
