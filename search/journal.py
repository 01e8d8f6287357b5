"""What a race has found so far, in a file that is whole at any time."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_acts.errors import SearchError


class Journal:
    """Keeps the runs of finished rungs: ``[candidate, seed, epochs, best, diverged]`` each.

    Args:
        path: of the file; None keeps nothing.

    Raises:
        SearchError: if there is a file that cannot be read.
    """

    def __init__(self, path: Path | None):
        self._path = path
        self.rungs: list[list[list[Any]]] = []
        if path is not None and path.is_file():
            try:
                self.rungs = list(json.loads(path.read_text(encoding="utf-8")))
            except ValueError:
                rule = "The race cannot be read; overwrite=True begins again"
                raise SearchError(f"{rule}. Received: {path}") from None

    def keep(self, index: int, runs: Sequence[Sequence[Any]]) -> None:
        """Write the runs of one more rung, in one step; rungs after it are forgotten."""
        self.rungs = [*self.rungs[:index], [list(run) for run in runs]]
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(self.rungs), encoding="utf-8")
        os.replace(partial, self._path)

    def kept(self, index: int, wanted: Sequence[Sequence[Any]]) -> list[list[Any]] | None:
        """Return the runs of a rung, if they are there.

        Args:
            index: of the rung.
            wanted: candidate and seed of each of its runs.

        Raises:
            SearchError: if it has the runs of other candidates or seeds.
        """
        if index >= len(self.rungs):
            return None
        if [list(run) for run in wanted] != [run[:2] for run in self.rungs[index]]:
            rule = "The race must be one of these settings and versions; overwrite=True begins again"
            raise SearchError(f"{rule}. Received: {self._path}")
        return self.rungs[index]
