"""What a process that is killed leaves behind: copies of a folder, one at each point of a write."""

import json
import os
import re
import shutil
from pathlib import Path


class Snapshots:
    """Copies a folder whenever a file in it is about to be renamed, half written, and renamed.

    A process that is killed at that moment leaves exactly these files.

    Args:
        monkeypatch: of the test.
        folder: that is watched.
        into: where the copies go.
    """

    def __init__(self, monkeypatch, folder: Path, into: Path):
        self._folder = folder
        self._into = into
        self._rename = os.replace
        self.taken: list[Path] = []
        # by kind of file, and whether one was there already: where its writes begin in `taken`
        self._writes: dict[tuple[str, bool], list[int]] = {}
        into.mkdir()
        monkeypatch.setattr(os, "replace", self._replace)

    def of_each_kind(self, copies: int = 1) -> list[Path]:
        """Return copies of the first and of the last write of each kind of file.

        What is written repeats from trial to trial.

        Args:
            copies: how many of the three of a write: just before it, half written, just after it.
                Which of them comes first is another one from write to write.
        """
        chosen = set()
        for number, writes in enumerate(self._writes.values()):
            for end, write in enumerate((writes[0], writes[-1])):
                chosen |= {write + (number + end + copy) % 3 for copy in range(copies)}
        return [self.taken[place] for place in sorted(chosen)]

    def _replace(self, source, target):
        if self._folder in Path(target).parents:
            kind = re.sub(r"\d+", "", str(target)), Path(target).exists()
            self._writes.setdefault(kind, []).append(len(self.taken))
            self._take()
            whole = self.taken[-1] / Path(source).relative_to(self._folder)
            self._take()
            half = self.taken[-1] / Path(source).relative_to(self._folder)
            half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        self._rename(source, target)
        if self._folder in Path(target).parents:
            self._take()

    def _take(self):
        copy = self._into / str(len(self.taken))
        shutil.copytree(self._folder, copy)
        self.taken.append(copy)


def ended_trials(project: Path) -> set[str]:
    """Return the ids of the trials that a search had ended, by its files."""
    ended = set()
    for file in project.glob("trial_*/trial.json"):
        state = json.loads(file.read_text())
        if state["status"] in ("COMPLETED", "FAILED"):
            ended.add(state["trial_id"])
    return ended
