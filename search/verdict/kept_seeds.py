"""The seeds of a verdict in files, each when it is trained, so that it goes on with the next."""

from __future__ import annotations

import contextlib
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..population.kept_epochs import KeptEpochs
from ..population.step_tensorflow import Decided
from ..population.trainers import Trained, Trainer
from ..report.numbers import counted
from ..runtime.kept_arrays import UNREADABLE, Arrays, ReadArrays, why_not_kept

_VERSION = 1
# how the name ends of a file of seeds in the middle of their training
TRAINING = ".training.npz"


@dataclass(frozen=True)
class Keeping:
    """Where seeds are kept, and who is told of it.

    Attributes:
        folder: of the files.
        say: called with what the user should know.
    """

    folder: Path
    say: Callable[[str], None]


class KeepingTrainer:
    """A trainer whose seeds are kept: those that an earlier process has trained are read.

    Seeds that trained together count together: fewer of them would be another population.

    Args:
        trainer: that trains the others.
        what: what it trains, in words that differ where anything does.
        keeping: where seeds are kept.
    """

    def __init__(self, trainer: Trainer, what: Sequence[str], keeping: Keeping):
        self._trainer = trainer
        self._what = list(what)
        self._folder: Path | None = keeping.folder
        self._say = keeping.say
        self.decided: Decided | None = None
        self.keeping: Callable[[Sequence[int]], KeptEpochs] | None = None  # it keeps them itself

    @property
    def reason(self) -> str:
        """Why candidates are trained one by one; see `Trainer`."""
        return self._trainer.reason

    def train(
        self, seeds: Sequence[int], fit: Mapping[str, Any], at_once: int = 1
    ) -> Iterator[Trained]:
        """Train the candidates of each seed, or read what an earlier process has trained."""
        what = [*self._what, f"{fit.get('epochs')} epochs"]
        known = self._known(seeds, what)
        if known:
            of = counted(len(seeds), "seed")
            self._say(f"Known from {self._folder}: {len(known)} of {of}")
            last = known[-1].decided
            if last is not None:
                self._trainer.decided = last
        yield from known
        self._forget_epochs(seeds[: len(known)], what)
        rest = list(seeds[len(known) :])
        if not rest:
            return
        self._trainer.keeping = partial(self._kept_epochs, what)
        for of_seeds in _trained_together(self._trainer.train(rest, fit, at_once)):
            # all of them before anybody looks at the first: who ends the training then has them
            for place, trained in enumerate(of_seeds):
                self._keep(rest[place], what, trained, place)
            self._forget_epochs(rest, what)
            rest = rest[len(of_seeds) :]
            yield from of_seeds

    def test(
        self, weights: Iterable[list[np.ndarray]], data: Any
    ) -> Iterator[dict[str, np.ndarray]]:
        """Return each metric, (K,), of each seed, with weights that `train` returned."""
        return self._trainer.test(weights, data)

    def model(self, weights: list[np.ndarray], candidate: int, inputs: Any) -> keras.Model | None:
        """Return a candidate of a seed as an ordinary model; see `Trainer`."""
        return self._trainer.model(weights, candidate, inputs)

    def _kept_epochs(self, what: Sequence[str], seeds: Sequence[int]) -> KeptEpochs:
        """What keeps seeds that train together before they end."""
        assert self._folder is not None  # else nobody asks
        names = [f"seed {seed}" for seed in seeds]
        file = self._path(self._folder, seeds[0], what).with_suffix(TRAINING)
        return KeptEpochs(file, [*what, *names], self._say)

    def _forget_epochs(self, seeds: Sequence[int], what: Sequence[str]) -> None:
        """Delete what was kept of seeds before they had ended."""
        if self._folder is None:
            return
        for seed in seeds:
            with contextlib.suppress(OSError):
                self._path(self._folder, seed, what).with_suffix(TRAINING).unlink(missing_ok=True)

    def _known(self, seeds: Sequence[int], what: Sequence[str]) -> list[Trained]:
        """The first of these seeds that are known, in whole populations."""
        known: list[Trained] = []
        while len(known) < len(seeds):
            together: list[Trained] = []
            size = 1
            while len(together) < size:
                index = len(known) + len(together)
                if index >= len(seeds):
                    return known
                trained = self._read(seeds[index], what, len(together))
                if trained is None:
                    return known
                together.append(trained)
                size = trained.together
            known += together
        return known

    def _path(self, folder: Path, seed: int, what: Sequence[str]) -> Path:
        checksum = zlib.crc32(" | ".join(what).encode())
        return folder / f"{checksum:08x}-{seed}.npz"

    def _read(self, seed: int, what: Sequence[str], place: int) -> Trained | None:
        if self._folder is None:
            return None
        path = self._path(self._folder, seed, what)
        if not path.is_file():
            return None
        try:
            file = ReadArrays(path)
            meta = file.meta
            expected = [_VERSION, list(what), type(self._trainer).__name__, place]
            if [meta["version"], meta["what"], meta["by"], meta["place"]] != expected:
                return None
            decided = None
            if meta["decided"] is not None:
                decided = Decided(*meta["decided"])
            history = dict(zip(meta["names"], file.of(meta["history"]), strict=True))
            (diverged,) = file.of(meta["diverged"])
            weights = file.of(meta["weights"])
            return Trained(
                history, diverged, weights, self._trainer, int(meta["together"]), decided
            )
        except UNREADABLE:
            self._say(f"{path} is damaged: this seed trains again")
            return None

    def _keep(self, seed: int, what: Sequence[str], trained: Trained, place: int) -> None:
        """Keep a seed; a full disk costs no more than that."""
        if self._folder is None:
            return
        arrays = Arrays()
        meta = {
            "version": _VERSION,
            "what": list(what),
            # where memory ran out it is another trainer, whose weights are others
            "by": type(trained.by).__name__,
            "place": place,
            "together": trained.together,
            "decided": trained.decided,
            "names": list(trained.history),
            "history": arrays.add(list(trained.history.values())),
            "diverged": arrays.add([trained.diverged]),
            "weights": arrays.add(trained.weights),
        }
        try:
            arrays.write(self._path(self._folder, seed, what), meta)
        except Exception as error:
            reason = why_not_kept(error)
            if not reason:
                raise
            self._say(f"Seeds cannot be kept: {reason}")
            self._folder = None
            self._trainer.keeping = None


def _trained_together(training: Iterator[Trained]) -> Iterator[list[Trained]]:
    """The seeds of one population after those of another."""
    for first in training:
        yield [first, *itertools.islice(training, first.together - 1)]
