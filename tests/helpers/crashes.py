"""What a process that is killed leaves behind: copies of a folder, one at each point of a write."""

import json
import os
import random
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
        into.mkdir()
        monkeypatch.setattr(os, "replace", self._replace)

    def one_of_each_write(self, seed: int) -> list[Path]:
        """Return for each write one of its three copies: just before it, half written, just after it.

        What a write leaves behind repeats from trial to trial, so that together they see all three of each kind.
        """
        dice = random.Random(seed)
        return [
            dice.choice(self.taken[first : first + 3]) for first in range(0, len(self.taken), 3)
        ]

    def _replace(self, source, target):
        if self._folder in Path(target).parents:
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
