"""The scores of a race's finished rungs in a file.

So an interrupted race need not find them again.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from keras_acts.errors import SearchError

from ..runtime.kept_files import damaged, write_whole
from ..strategy.curves import curve_of, is_plain_curve, plain_curve
from .record import MemberRecord
from .schedule import Rung

if TYPE_CHECKING:  # what a kept race has found is told without TensorFlow
    from ..population.members import Member

# the first line of the file: what it is
_TITLE = "keras_acts race 2"
# that of files in which no plan stands: all of them are of races
_TITLE_WITHOUT_PLAN = "keras_acts race 1"
# of a run's row: the candidate and the seed, then what is known of it
_NAME_PARTS = 2
_TYPES = ((int,), (str,), (bool,), (int, float), (str,), (int,))
# behind them the learning curve, which rows of earlier versions have not
_MOST_PARTS = _NAME_PARTS + len(_TYPES) + 1


class Score(NamedTuple):
    """What a run of a rung scored: its candidate, the objective at its best epoch, and how far it is."""

    candidate: str
    value: float
    epochs: int


class Journal:
    """Keeps the rungs of a race and the runs of each.

    The file has a line for the plan and one for each rung, with a checksum. Should one be damaged,
    the rungs before it are known all the same, and the others train again, to the same scores.

    Args:
        file: where they are or will be; None keeps nothing.
        expected: whether an earlier process has begun the race.

    Attributes:
        notice: what the user should know of the file, else empty.
        plan: the rungs as they were planned when the race began; empty if nobody knows.
        only_races: whether it is of an earlier version, which has written no plan and only raced.

    Raises:
        SearchError: if there is a file that is no journal.
    """

    def __init__(self, file: Path | None, expected: bool = False):
        self.notice = ""
        self.plan: tuple[Rung, ...] = ()
        self.only_races = False
        self._file = file
        self._rungs: list[dict[str, Any]] = []
        if file is None:
            return
        if file.is_file():
            self._read(file)
        elif expected:
            self.notice = f"{file} is missing: the race begins at its first round"

    def _read(self, file: Path) -> None:
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise damaged(file, f"it cannot be read, {error.strerror}") from error
        if not lines:
            raise damaged(file, "it is empty")
        title, *records = lines
        if title == _TITLE:
            if records:
                self.plan = _plan(records.pop(0))
            if not self.plan:
                self.notice = f"{file} is damaged from its plan on: the race begins anew"
                return
        elif title == _TITLE_WITHOUT_PLAN:
            self.only_races = True
        else:
            raise damaged(file, f"it does not begin with {_TITLE!r}")
        for number, line in enumerate(records, start=1):
            record = _record(line)
            if record is None:
                self.notice = (
                    f"{file} is damaged from round {number} on: what came from there trains again"
                )
                return
            self._rungs.append(record)

    def __len__(self) -> int:
        """How many rungs are known."""
        return len(self._rungs)

    @property
    def planned(self) -> int:
        """How many rungs the race has, as it was planned when the last of these ended, or began."""
        if not self._rungs:
            return len(self.plan)
        return int(self._rungs[-1]["of"])

    def scores(self, number: int) -> list[Score]:
        """Return what the runs of a rung scored; nan if they diverged or failed."""
        scores = []
        for name, _, *row in self._rungs[number]["runs"]:
            epochs, best, diverged, _, error, *_ = row
            value = float(best)
            if diverged or error:
                value = float("nan")
            scores.append(Score(name, value, epochs))
        return scores

    def rung(self, number: int) -> Rung:
        """Return how the rung was planned."""
        return Rung(**self._rungs[number]["rung"])

    def planned_at(self, number: int) -> int:
        """Return how many rungs the race had, as it was planned when this one ended."""
        return int(self._rungs[number]["of"])

    def ends(self) -> set[int]:
        """Return after how many epochs the known rungs ended."""
        return {self.rung(number).epochs for number in range(len(self))}

    def runs(self, number: int, members: Sequence[Member]) -> dict[Member, MemberRecord]:
        """Return the runs as they were when the rung ended.

        Raises:
            SearchError: if these are not the members that it had.
        """
        rows = self._rungs[number]["runs"]
        if [_name(member) for member in members] != [row[:_NAME_PARTS] for row in rows]:
            raise SearchError(
                "The race must be one of these settings and versions; overwrite=True begins again. "
                f"Received: {self._file}"
            )
        return {member: _run(*row[_NAME_PARTS:]) for member, row in zip(members, rows, strict=True)}

    def begin(self, plan: Sequence[Rung]) -> None:
        """Make the file, where there is none: should it be missing later, it was lost.

        Args:
            plan: the rungs of the race, for an empty journal.

        Raises:
            OSError: if it cannot be written.
        """
        if not self._rungs:
            self.plan = tuple(plan)
        if self._file is not None and not self._file.is_file():
            self._write(self._file)

    def keep(self, number: int, rungs: Sequence[Rung], runs: Mapping[Member, MemberRecord]) -> None:
        """Write a rung that is finished, and those before it, in one step.

        Args:
            number: of the rung.
            rungs: of the race, as it is planned now.
            runs: of the rung.
        """
        if self._file is None:
            return
        rows = [[*_name(member), *_row(run)] for member, run in runs.items()]
        record = {"rung": asdict(rungs[number]), "of": len(rungs), "runs": rows}
        self._rungs = [*self._rungs[:number], record]
        self._write(self._file)

    def _write(self, file: Path) -> None:
        lines = [_TITLE_WITHOUT_PLAN]
        records = list(self._rungs)
        if self.plan:
            lines = [_TITLE]
            records.insert(0, {"plan": list(map(asdict, self.plan))})
        for record in records:
            text = json.dumps(record)
            lines.append(f"{_checksum(text)} {text}")
        write_whole(file, "".join(f"{line}\n" for line in lines).encode())


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def _read_line(line: str) -> Any:
    """What a line holds; None if it is not as it was written."""
    checksum, _, text = line.partition(" ")
    if checksum != _checksum(text):
        return None
    return json.loads(text)


def _plan(line: str) -> tuple[Rung, ...]:
    """The rungs that a line holds; none if it is not as it was written."""
    record = _read_line(line)
    if not isinstance(record, dict) or set(record) != {"plan"}:
        return ()
    return tuple(Rung(**rung) for rung in record["plan"])


def _record(line: str) -> dict[str, Any] | None:
    """What a line holds; None if it is not as it was written."""
    record = _read_line(line)
    if not isinstance(record, dict) or set(record) != {"rung", "of", "runs"}:
        return None
    if not all(map(_is_row, record["runs"])):
        return None
    return record


def _is_row(row: Any) -> bool:
    """Whether it is a run as `_row` has it, behind a name."""
    if not isinstance(row, list) or len(row) not in (_MOST_PARTS - 1, _MOST_PARTS):
        return False
    if len(row) == _MOST_PARTS and not is_plain_curve(row[-1]):
        return False
    known = row[_NAME_PARTS : _MOST_PARTS - 1]
    return all(isinstance(value, kinds) for value, kinds in zip(known, _TYPES, strict=True))


def _name(member: Member) -> list[Any]:
    return [str(member.rated), member.seed]


def _row(run: MemberRecord) -> list[Any]:
    # JSON has no nan: a score is kept as text
    known = [run.epochs, repr(run.best), run.diverged, run.seconds, run.error, run.stopped]
    return [*known, plain_curve(run.curve)]


def _run(
    epochs: int,
    best: str,
    diverged: bool,
    seconds: float,
    error: str,
    stopped: int,
    curve: Mapping[str, Sequence[float | str]] | None = None,
) -> MemberRecord:
    values = curve_of(curve or {})
    return MemberRecord(epochs, float(best), diverged, seconds, error, stopped, values)
