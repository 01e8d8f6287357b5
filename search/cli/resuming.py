"""A search or a comparison that goes on later: in which folder, and with which options."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from keras_acts.errors import SearchError
from keras_acts.search.runtime.kept_command import kept_command, searching_with
from keras_acts.search.status import check_any, is_comparison, is_over, projects_in
from keras_acts.search.status import status as status_of

from .places import BUNDLED, COMPARISON, SEARCH

_NAMES = {SEARCH: "the search", COMPARISON: "the comparison"}
_OTHER = {SEARCH: COMPARISON, COMPARISON: SEARCH}
# they say how a result is shown and who is told of it, what may be deleted, and where it is kept: the
# folder may be another by then
_NOT_KEPT = {
    *("as_json", "quiet", "csv", "report", "tensorboard", "mlflow", "wandb"),
    *("resume", "overwrite", "restart", "directory", "project_name"),
}
_PATHS = ("out", "validation", "test")
# a name that is known, or a file
_PERHAPS_FILES = ("data", "model")


def resumed(
    folder: Path, options: Mapping[str, Any], given: Collection[str], kind: str
) -> tuple[dict[str, Any], list[str]]:
    """Return the options with which a search or comparison begins or goes on, and what is said before.

    Args:
        folder: that keeps it: its own, or the one around it.
        options: of the command.
        given: which of them the user wrote; the others are those that it had last.
        kind: `SEARCH` or `COMPARISON`: what the command makes.

    Raises:
        SearchError: naming a file that is damaged; or if several may be meant, or one of the other
            kind is kept there.
    """
    project = _project(folder, kind)
    merged = {**options, "directory": project.parent, "project_name": project.name}
    if project not in projects_in(project):
        return merged, [f"Nothing is kept in {folder} yet: {_NAMES[kind]} begins there"]
    _check_kind(project, kind)
    said = [f"Found {project}: {line}" for line in status_of(project)]
    kept = kept_command(project)
    if kept is None:
        said.append(
            f"No options are kept in {project}: those that are not given here are the defaults"
        )
        return merged, said
    known = _known(kept, options)
    merged |= {name: known[name] for name in known if name not in given}
    return merged, said


def holds_search(path: str) -> bool:
    """Whether a folder, or one in it, keeps a search."""
    return os.path.isdir(path) and bool(projects_in(Path(path)))


def over(folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with which a search that is over is gone through again.

    Args:
        folder: that keeps the search: its own, or the one around it.
        options: the defaults of those that may not be kept.

    Raises:
        SearchError: if there is none, something is left of it, or it is no command's.
    """
    kept = check_any(folder)
    if all(map(is_comparison, kept)):
        raise SearchError(
            "The folder must hold a kept search; keras-acts compare --resume "
            f"{shlex.quote(str(kept[0]))} --report FILE writes the report of a comparison. "
            f"Received: {str(folder)!r}, with a comparison"
        )
    project = _project(folder, SEARCH)
    if project not in projects_in(project):
        raise SearchError(f"The folder must hold a kept search. Received: {str(folder)!r}")
    if kept_command(project) is None:
        raise SearchError(
            "Only a search of this command can be gone through again; in Python, call "
            "search_activations once more with its directory. "
            f"Received: {str(project)!r}, which keeps no options"
        )
    if not is_over(project):
        left = "; ".join(status_of(project))
        raise SearchError(
            f"The search must be over: keras-acts search --resume {shlex.quote(str(project))} goes "
            f"on with it. Received: {str(project)!r}: {left}"
        )
    merged, _ = resumed(project, options, (), SEARCH)
    return merged


def _check_kind(project: Path, kind: str) -> None:
    """Check that a comparison goes on as one, and a search as one."""
    if is_comparison(project) == (kind == COMPARISON):
        return
    other = {SEARCH: "compare", COMPARISON: "search"}[kind]
    raise SearchError(
        f"--resume goes on with {_NAMES[kind]} here: keras-acts {other} --resume goes on with this. "
        f"Received: {str(project)!r}, with {_NAMES[_OTHER[kind]]}"
    )


def _project(folder: Path, kind: str) -> Path:
    """The folder of the search or comparison itself that is meant, which may not be there yet.

    Raises:
        SearchError: if several are kept in the folder, none of which is the command's own.
    """
    projects = projects_in(folder)
    if folder in projects:
        # as `status` prints it; a path such as `.` does not tell its name
        return folder.resolve()
    own = folder / kind
    # one of the other kind, called as it is where it has no name of its own, is no matter
    projects = [project for project in projects if project != folder / _OTHER[kind]]
    if not projects or own in projects:
        return own
    if len(projects) > 1:
        names = ", ".join(str(project) for project in projects)
        raise SearchError(
            "--resume goes on with one search: name its own folder. "
            f"Received: --resume {folder} with {names}"
        )
    return projects[0]


def _known(kept: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    known = {}
    for name, value in kept.items():
        # an option that an older version had
        if name in options and name not in _NOT_KEPT:
            known[name] = value
    for name in _PATHS:
        if known.get(name) is not None:
            known[name] = Path(known[name])
    return known


def keeping(options: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Have the search that begins inside keep the options of the command, if it is kept itself."""
    return searching_with(_plain(options))


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as JSON has them; files are found from any folder."""
    plain = {name: value for name, value in options.items() if name not in _NOT_KEPT}
    for name in _PATHS:
        if plain.get(name) is not None:
            plain[name] = str(Path(plain[name]).absolute())
    for name in _PERHAPS_FILES:
        value = plain.get(name)
        if value is not None and _is_meant(name, value):
            plain[name] = str(Path(value).absolute())
    return plain


def _is_meant(name: str, value: str) -> bool:
    """Whether a path is what an option names: what is called as what is known, such as `iris`, is not."""
    # os.path's, to which a name that is too long is no file
    if name == "data" and value not in BUNDLED and os.path.isdir(value):
        return True
    return bool(Path(value).suffix) and os.path.isfile(value)


def status(folder: Path) -> None:
    """Print what each search in a folder has found, and what is left.

    Raises:
        SearchError: if there is none, or a file of one is damaged.
    """
    for project in check_any(folder):
        print(project)
        for line in status_of(project):
            print(f"  {line}")
