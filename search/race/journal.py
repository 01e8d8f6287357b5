"""The scores of a race's finished rungs in a file.

So an interrupted race need not find them again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from keras_acts.errors import SearchError

from ..population.members import Member
from .cohorts import MemberRecord
from .schedule import Rung


class Journal:
    """Keeps the rungs of a race and the runs of each.

    Args:
        file: where they are or will be; None keeps nothing.

    Raises:
        SearchError: if there is a file that cannot be read.
    """

    def __init__(self, file: Path | None):
        self._file = file
        self._rounds: list[dict[str, Any]] = []
        if self._file is not None and self._file.is_file():
            try:
                self._rounds = list(json.loads(self._file.read_text(encoding="utf-8")))
            except ValueError:
                raise SearchError(
                    f"The race cannot be read; overwrite=True begins again. Received: {self._file}"
                ) from None

    def __len__(self) -> int:
        """How many rungs are known."""
        return len(self._rounds)

    def rung(self, number: int) -> Rung:
        """Return how the rung was planned."""
        return Rung(**self._rounds[number]["rung"])

    def runs(self, number: int, members: Sequence[Member]) -> dict[Member, MemberRecord]:
        """Return the runs as they were when the rung ended.

        Raises:
            SearchError: if these are not the members that it had.
        """
        rows = self._rounds[number]["runs"]
        if [_name(member) for member in members] != [row[:2] for row in rows]:
            raise SearchError(
                "The race must be one of these settings and versions; overwrite=True begins again. "
                f"Received: {self._file}"
            )
        return {member: _run(*row[2:]) for member, row in zip(members, rows, strict=True)}

    def keep(self, number: int, rung: Rung, runs: Mapping[Member, MemberRecord]) -> None:
        """Write a rung that is finished, and those before it, in one step."""
        if self._file is None:
            return
        rows = [[*_name(member), *_row(run)] for member, run in runs.items()]
        self._rounds = [*self._rounds[:number], {"rung": asdict(rung), "runs": rows}]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        # a process that ends while it writes leaves the file as it was
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps(self._rounds), encoding="utf-8")
        os.replace(partial, self._file)


def _name(member: Member) -> list[Any]:
    return [str(member.rated), member.seed]


def _row(run: MemberRecord) -> list[Any]:
    # JSON has no nan: a score is kept as text
    return [run.epochs, repr(run.best), run.diverged, run.seconds, run.error, run.stopped]


def _run(
    epochs: int,
    best: str,
    diverged: bool,
    seconds: float = 0.0,
    error: str = "",
    stopped: int = 0,
) -> MemberRecord:
    # older files have neither seconds nor errors, and nobody in them stopped early
    return MemberRecord(epochs, float(best), diverged, seconds, error, stopped)
