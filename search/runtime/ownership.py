"""Whose a file is: only what this package, or KerasTuner for it, has written is ever deleted."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable
from os import PathLike
from pathlib import Path, PurePath
from typing import Any

from keras_acts.errors import ExportError, SearchError, shown

from .project_lock import LOCK, OWNER

MARKER = "keras_acts_files.json"
# a search has one of them from its beginning: its settings, or the state of KerasTuner's oracle
_BEGUN = ("keras_acts.json", "oracle.json")
_SHOWN = 5  # names of strangers in a message

# what a search keeps: KerasTuner's files, our settings and journals (see `race/per_group.py` for the
# names), and the options of the command (`kept_command.py`); or kept before: earlier versions
# reserved the room of a checkpoint in a file of its name with .partial
_KEPT = re.compile(
    r"(oracle|tuner\d+|keras_acts(_command)?|(race|changes|final)(-[0-9a-f]{8})?)"
    r"\.(json|partial|json\.partial)"
    r"|verdict/[0-9a-f]{8}-\d+(\.training)?\.npz(\.partial)?"
    r"|(population|race|changes|final)(-[0-9a-f]{8})?\.npz(\.partial)?"
    r"|keras_acts\.(lock|pid)"
    r"|trial_[^/]+/((trial|build_config|curves)\.json(\.partial)?|checkpoint(\.partial)?\.weights\.h5(\.partial)?)"
)
_KEPT_FOLDERS = re.compile(r"trial_[^/]+|verdict")
# one of these tells a search's folder from any other
_PROJECT = re.compile(r"(keras_acts|oracle|tuner\d+)\.json")


def mark(folder: Path) -> None:
    """Write down, in the folder itself, what is in it."""
    what = (
        "The files of an export of keras_acts. Another in its place replaces these; with others "
        "here it is refused."
    )
    files: dict[str, str | None] = {MARKER: None}  # it cannot hold its own
    for name in sorted(_names(folder)):
        files[name] = _digest(folder / name)
    content = {"what": what, "files": files}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (folder / MARKER).write_text(text + "\n", encoding="utf-8")


def is_marked(folder: Path) -> bool:
    """Whether the folder says what was written into it."""
    return _marked(folder) is not None


def check_replaceable(folder: Path, given: str | PathLike[str]) -> None:
    """Check that an export may replace the folder.

    Args:
        folder: what is there.
        given: the path as the user gave it.

    Raises:
        ExportError: naming what is not an export's.
    """
    if folder.is_symlink() or not folder.is_dir() or not (folder / "saved_model.pb").is_file():
        raise ExportError(
            f"The export must not replace anything but a SavedModel. Received: path={str(given)!r}"
        )
    ours = _marked(folder)
    if ours is None:
        raise ExportError(
            "The export must not replace what it did not write, and this SavedModel has no "
            f"{MARKER}, the list of the files that an export wrote: delete it yourself, or choose "
            f"another path. Received: path={str(given)!r}"
        )
    others = sorted(_names(folder) - set(ours))
    if others:
        raise ExportError(
            "The export must not replace files of yours: move them elsewhere. Received: "
            f"path={str(given)!r} with {_few(others)}"
        )
    changed = [name for name, digest in ours.items() if _is_changed(folder / name, digest)]
    if changed:
        raise ExportError(
            "The export must not replace what was changed since it was written: move it elsewhere. "
            f"Received: path={str(given)!r} with another {_few(changed)}"
        )


def _marked(folder: Path) -> dict[str, str | None] | None:
    """What an export wrote into a folder, each file with the hash of its contents; None if unknown."""
    try:
        data = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        if isinstance(data["files"], dict):
            return data["files"]
        # older exports kept the names only
        return dict.fromkeys(data["files"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def changed_files(folder: Path) -> list[str]:
    """Return which files of an export are gone, or other than it wrote them.

    None where the export has no list with hashes: an older one, or a copy without it.
    """
    ours = _marked(folder) or {}
    changed = []
    for name, digest in ours.items():
        if digest is not None and _digest(folder / name) != digest:
            changed.append(name)
    return changed


def _digest(path: Path) -> str | None:
    """The hash of a file's contents; None of what has none: a folder, a link."""
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_changed(path: Path, digest: str | None) -> bool:
    """Whether a file is there with other contents; one that is gone is nobody's loss."""
    if digest is None or not os.path.lexists(path):
        return False
    return _digest(path) != digest


def _names(folder: Path) -> set[str]:
    """The names of all that is in a folder; links are not followed."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def check_project_name(name: Any, *, nested: bool = False) -> None:
    """Check that the name of a project leads to a folder inside the search's directory.

    Args:
        name: what was given.
        nested: whether it may be a path, such as ``"mine/first"``, as in KerasTuner.

    Raises:
        SearchError: if it leads elsewhere.
    """
    if not _leads_inside(name) or (not nested and PurePath(name).parts != (name,)):
        raise SearchError(
            f"project_name must be a plain name. Received: project_name={shown(name)}"
        )


def _leads_inside(name: Any) -> bool:
    """Whether a name is that of something below a folder, in whatever depth."""
    if not isinstance(name, str) or "\0" in name:  # no path of any system holds it
        return False
    path = PurePath(name)
    if path.is_absolute() or path.drive:  # on Windows a drive alone leads elsewhere too
        return False
    # not path.name: that of ".." is ".."
    return len(path.parts) > 0 and ".." not in path.parts


def holds_settings(folder: Path) -> bool:
    """Whether a folder is one of a search that has begun."""
    # os.path's, to which a name that is too long is no file
    return any(os.path.isfile(folder / name) for name in _BEGUN)


def check_directory(directory: Path, project: Path) -> None:
    """Check that a search does not begin inside another's folder, which somebody took for its parent.

    Args:
        directory: the folder of projects.
        project: the search's own folder in it.

    Raises:
        SearchError: if the directory is itself the folder of a search.
    """
    if os.path.lexists(project):
        return
    if holds_settings(directory):
        raise SearchError(
            "directory must be the folder around those of searches: give its parent, and its own "
            f"name as project_name. Received: {str(directory)!r}, in which a search is kept"
        )


def check_clearable(project: Path, directory: Path | None = None) -> None:
    """Check that overwriting a project deletes the files of a search, and nothing else.

    Args:
        project: its folder; there may be none.
        directory: the folder of projects, if the project lies deeper.

    Raises:
        SearchError: if it is no search, holds something else too, is reached by a link, or its
            files cannot be deleted.
    """
    for folder in _folders_between(project, directory):
        if folder.is_symlink():
            raise SearchError(
                "overwrite=True deletes nothing behind a link: name the folder itself, or delete "
                f"the link. Received: {str(folder)!r}, a link to {os.readlink(folder)!r}"
            )
    if not project.exists():
        return
    names = {""}  # a file in place of the folder, which is no search's
    if project.is_dir():
        names = _names(project) - {LOCK, OWNER}
    if names and not any(map(_PROJECT.fullmatch, names)):
        raise SearchError(
            "overwrite=True deletes only the files of a search, and there is none in this folder: "
            f"choose another directory or project_name. Received: {str(project)!r}"
        )
    others = sorted(name for name in names if not _is_a_searchs(project, name))
    if others:
        raise SearchError(
            "overwrite=True deletes only the files of a search: move yours elsewhere. "
            f"Received: {str(project)!r} with {_few(others)}"
        )
    for folder in sorted({(project / name).parent for name in names}):
        _check_deletable(folder)


def _folders_between(project: Path, directory: Path | None) -> list[Path]:
    """The folders below the one of projects, down to the project's own."""
    if directory is None:
        return [project]
    below = project.relative_to(directory)
    return [directory / part for part in reversed([below, *below.parents]) if part.name]


def _check_deletable(folder: Path) -> None:
    try:
        # permissions do not say all: a disk may be read-only
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _not_deleted(folder, error) from error


def _not_deleted(path: Path, error: OSError) -> SearchError:
    return SearchError(
        "overwrite=True must be able to delete the files of the search before. Received: "
        f"{str(path)!r} ({error.strerror or type(error).__name__})"
    )


def clear_project(project: Path, directory: Path | None = None) -> None:
    """Delete a search's files, so that it can begin again; its lock stays.

    Nothing is deleted if anything else lies among them.

    Args:
        project: its folder; there may be none.
        directory: the folder of projects, if the project lies deeper.

    Raises:
        SearchError: as `check_clearable`.
    """
    check_clearable(project, directory)
    if project.exists():
        _delete(project, _names(project) - {LOCK, OWNER})


def holds_search(project: Path) -> bool:
    """Whether a search has written a file into a folder, whole."""
    if not project.is_dir():
        return False
    names = (path.relative_to(project).as_posix() for path in project.rglob("*"))
    # a process may have been killed over the first file, and it locks the folder before
    written = (name for name in names if ".partial" not in name and name not in (LOCK, OWNER))
    return any(map(_KEPT.fullmatch, written))


def _is_a_searchs(project: Path, name: str) -> bool:
    if _is_real_folder(project / name):
        return _KEPT_FOLDERS.fullmatch(name) is not None
    return _KEPT.fullmatch(name) is not None


def _is_real_folder(path: Path) -> bool:
    """Whether it is a folder, and not a link to one: what is in that is not ours."""
    return path.is_dir() and not path.is_symlink()


def _delete(folder: Path, names: Iterable[str]) -> None:
    paths = [folder / name for name in names]
    # the longest first: what is in a folder before the folder
    paths.sort(key=lambda path: len(path.parts), reverse=True)
    for path in paths:
        if _is_real_folder(path):
            with contextlib.suppress(OSError):  # something new is in it
                path.rmdir()
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _not_deleted(path, error) from error
    with contextlib.suppress(OSError):
        folder.rmdir()


def _few(names: list[str]) -> str:
    if len(names) <= _SHOWN:
        return str(names)
    return f"{names[:_SHOWN]} and {len(names) - _SHOWN} more"
