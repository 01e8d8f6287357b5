"""The options of a search that goes on later, kept in its folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from keras_acts.search.runtime.kept_files import read_kept, write_kept
from keras_acts.search.status import check_any, projects_in
from keras_acts.search.status import status as status_of

_FILE = "keras_acts_command.json"
# they say how a result is shown, and what may be deleted: another thing each time
_NOT_KEPT = {"as_json", "quiet", "resume", "overwrite", "restart"}
_PATHS = ("out", "directory")
# a name that is known, or a file
_PERHAPS_FILES = ("data", "model")


def resumed(
    folder: Path, options: Mapping[str, Any], given: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the options with which a search begins or goes on, and what is said before.

    Args:
        folder: that keeps the search.
        options: of the command.
        given: which of them the user wrote; the others are those with which the search began.

    Raises:
        SearchError: naming a file that is damaged.
    """
    file = folder / _FILE
    known: dict[str, Any] = {}
    if file.is_file():
        known = _read(file, options)
    merged = {**options, **{name: known[name] for name in known if name not in given}}
    merged["directory"] = folder
    if not file.is_file():
        write_kept(file, _plain(merged))
    said = []
    for project in projects_in(folder):
        said += [f"Found {project}: {line}" for line in status_of(project)]
    if not said:
        said.append(f"Nothing is kept in {folder} yet: the search begins there")
    return merged, said


def _read(file: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    known = {}
    for name, value in read_kept(file, signed=True).items():
        # an option that an older version had
        if name in options and name not in _NOT_KEPT:
            known[name] = value
    for name in _PATHS:
        if known.get(name) is not None:
            known[name] = Path(known[name])
    return known


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as JSON has them; files are found from any folder."""
    plain = {name: value for name, value in options.items() if name not in _NOT_KEPT}
    for name in _PATHS:
        if plain.get(name) is not None:
            plain[name] = str(Path(plain[name]).absolute())
    for name in _PERHAPS_FILES:
        value = plain.get(name)
        if value is not None and Path(value).is_file():
            plain[name] = str(Path(value).absolute())
    return plain


def status(folder: Path) -> None:
    """Print what each search in a folder has found, and what is left.

    Raises:
        SearchError: if there is none, or a file of one is damaged.
    """
    for project in check_any(folder):
        print(project)
        for line in status_of(project):
            print(f"  {line}")
