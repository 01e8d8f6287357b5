"""What a kept search has found so far, and what is left of it, by its files alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_acts.errors import SearchError

from .race.journal import Journal, Score
from .report.names import quoted
from .report.numbers import counted, number
from .runtime.kept_files import damaged, read_kept
from .runtime.ownership import holds_settings

_SETTINGS = "keras_acts.json"
_ORACLE = "oracle.json"
_NOTHING_LEFT = "nothing is left of it"
_RACES = ("race", "changes", "final")


def projects_in(folder: Path) -> list[Path]:
    """Return the searches that are kept in a folder: itself, or folders in it."""
    found = []
    for project in (folder, *_folders(folder)):
        if holds_settings(project):
            found.append(project)
    return found


def _folders(folder: Path) -> list[Path]:
    if not os.path.isdir(folder):
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir())


def status(project: Path) -> list[str]:
    """Return what a search has found so far, and what is left, in lines.

    Raises:
        SearchError: naming a file that is missing or damaged.
    """
    settings: dict[str, Any] = {}
    if (project / _SETTINGS).is_file():
        settings = read_kept(project / _SETTINGS, signed=True)
    journals = list(_journals(project))
    if journals:
        lines = []
        for journal in journals:
            lines += _of_race(journal, _maximize(settings))
        return lines
    if (project / _ORACLE).is_file():
        return _of_trials(project, settings)
    if "comparison" in settings:
        return _of_comparison(project, settings)
    return ["nothing is trained yet"]


def is_comparison(project: Path) -> bool:
    """Whether a kept project is a comparison of a few activations, and no search.

    Raises:
        SearchError: naming a file that is damaged.
    """
    if not (project / _SETTINGS).is_file():
        return False
    return "comparison" in read_kept(project / _SETTINGS, signed=True)


def is_over(project: Path) -> bool:
    """Whether nothing is left to be tried; seeds of its verdict may be.

    Raises:
        SearchError: naming a file that is missing or damaged.
    """
    journals = [Journal(file) for file in _journals(project)]
    if journals:
        return all(map(_is_whole, journals))
    if not (project / _ORACLE).is_file():
        return False
    return _of_trials(project, {})[-1] == _NOTHING_LEFT


def _is_whole(journal: Journal) -> bool:
    """Whether all rounds are known; of a damaged plan there are none, and none are planned."""
    return 0 < len(journal) == journal.planned and not journal.notice


def _of_comparison(project: Path, settings: dict[str, Any]) -> list[str]:
    """What a comparison has trained: all of its activations on each of these seeds."""
    seeds = [file for file in project.glob("verdict/*.npz") if file.suffixes == [".npz"]]
    compared = settings["comparison"]
    if not isinstance(compared, list):
        raise damaged(project / _SETTINGS, "it does not say what is compared")
    names = ", ".join(map(str, compared))
    return [f"a comparison of {names}: {len(seeds)} seeds are trained, those of learning rates too"]


def _journals(project: Path) -> Iterator[Path]:
    for name in _RACES:
        yield from sorted([*project.glob(f"{name}.json"), *project.glob(f"{name}-*.json")])


def _maximize(settings: dict[str, Any]) -> bool:
    objective = settings.get("objective")
    return isinstance(objective, list) and str(objective[:1]).endswith("(max)']")


def _of_race(file: Path, maximize: bool) -> list[str]:
    journal = Journal(file)
    lines = []
    if journal.notice:
        lines.append(journal.notice)
    if not len(journal):
        return [*lines, f"{file.stem}: no round is over"]
    over = len(journal)
    ended = f"{file.stem}: {over} of {counted(journal.planned, 'round')} are over"
    scores = journal.scores(over - 1)
    in_last = counted(len({score.candidate for score in scores}), "candidate")
    text = f"{ended}, {in_last} in the last"
    best = _best(scores, maximize)
    if best is not None:
        after = counted(best.epochs, "epoch")
        text += f", best {quoted(best.candidate)} {number(best.value, zeros=True)} after {after}"
    left = journal.planned - over
    rest = _NOTHING_LEFT
    if left:
        rest = f"left: {counted(left, 'round')}"
    return [*lines, text, f"{file.stem}: {rest}"]


def _best(scores: list[Score], maximize: bool) -> Score | None:
    finite = [score for score in scores if score.value == score.value]
    if not finite:
        return None
    if maximize:
        return max(finite, key=lambda score: score.value)
    return min(finite, key=lambda score: score.value)


def _of_trials(project: Path, settings: dict[str, Any]) -> list[str]:
    state = read_kept(project / _ORACLE)
    started = state.get("start_order")
    if not isinstance(started, list):
        raise damaged(project / _ORACLE, "it does not say which trials began")
    kinds: Counter[str] = Counter()
    best: tuple[float, str] | None = None
    maximize = _maximize(settings)
    for trial_id in started:
        file = project / f"trial_{trial_id}" / "trial.json"
        trial = read_kept(file)
        kinds[str(trial.get("status")).lower()] += 1
        score = trial.get("score")
        if trial.get("status") == "COMPLETED" and isinstance(score, int | float):
            key = float(score) if maximize else -float(score)
            if best is None or key > best[0]:
                best = key, f"trial {trial_id}, {_values(trial)}: {number(score, zeros=True)}"
    of_each = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    lines = [f"{counted(len(started), 'trial')} began: {of_each or 'none'}"]
    if best is not None:
        lines.append(f"best: {best[1]}")
    return [*lines, _left(state, kinds, len(started))]


def _values(trial: dict[str, Any]) -> str:
    """The hyperparameters of a trial, in words."""
    hyperparameters = trial.get("hyperparameters")
    if not isinstance(hyperparameters, dict):
        return ""
    values = hyperparameters.get("values")
    if not isinstance(values, dict):
        return ""
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _left(state: dict[str, Any], kinds: Counter[str], started: int) -> str:
    """How many trials are still to come."""
    most = state.get("keras_acts", {}).get("max_trials")
    begun = kinds["running"] + kinds["invalid"]
    if not isinstance(most, int):
        return f"left: {begun} that began, and what is proposed after them"
    left = max(0, most - started) + begun
    if not left:
        return _NOTHING_LEFT
    return f"left: {counted(left, 'trial')}"


def check_any(folder: Path) -> list[Path]:
    """Return the searches in a folder.

    Raises:
        SearchError: if there is none.
    """
    found = projects_in(folder)
    if not found:
        raise SearchError(f"The folder must hold a kept search. Received: {str(folder)!r}")
    return found
