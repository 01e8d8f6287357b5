"""Whose a file is: only what this package, or KerasTuner for it, has written is ever deleted."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

from keras_acts.errors import ExportError, SearchError

MARKER = "keras_acts_files.json"
_SHOWN = 5  # names of strangers in a message

# what a search keeps: KerasTuner's files, and our settings and journals (see `race/per_group.py`
# for the names)
_KEPT = re.compile(
    r"(oracle|tuner\d+|keras_acts|(race|changes|final)(-[0-9a-f]{8})?)\.(json|partial|json\.partial)"
    r"|trial_[^/]+/((trial|build_config)\.json|checkpoint\.weights\.h5)"
)
_KEPT_FOLDERS = re.compile(r"trial_[^/]+")
# one of these tells a search's folder from any other
_PROJECT = re.compile(r"(keras_acts|oracle|tuner\d+)\.json")


def mark(folder: Path) -> None:
    """Write down, in the folder itself, what is in it."""
    what = "The files of an export of keras_acts. Another in its place replaces these; with others here it is refused."
    text = {"what": what, "files": sorted(_names(folder) | {MARKER})}
    (folder / MARKER).write_text(
        json.dumps(text, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def is_marked(folder: Path) -> bool:
    """Whether the folder says what was written into it."""
    return _marked(folder) is not None


def check_replaceable(folder: Path, given: Any) -> None:
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
            f"The export must not replace what it did not write, and this SavedModel has no {MARKER}, the list of the "
            f"files that an export wrote: delete it yourself, or choose another path. Received: path={str(given)!r}"
        )
    if others := sorted(_names(folder) - ours):
        raise ExportError(
            f"The export must not replace files of yours: move them elsewhere. Received: path={str(given)!r} with "
            f"{_few(others)}"
        )


def _marked(folder: Path) -> set[str] | None:
    try:
        data = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return set(data["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


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
    plain = isinstance(name, str) and "\0" not in name
    # not Path(name).name: that of ".." is ".."
    parts = PurePath(name).parts if plain else ()
    leads_inside = (
        bool(parts)
        and ".." not in parts
        and not PurePath(name).is_absolute()
        and not PurePath(name).drive
    )
    if not leads_inside or (not nested and parts != (name,)):
        raise SearchError(f"project_name must be a plain name. Received: project_name={name!r}")


def clear_project(project: Path) -> None:
    """Delete a search's files, so that it can begin again.

    Nothing is deleted if anything else lies among them.

    Raises:
        SearchError: naming what is not a search's.
    """
    if not project.exists():
        return
    names = _names(project) if project.is_dir() else {""}
    if names and not any(map(_PROJECT.fullmatch, names)):
        raise SearchError(
            "overwrite=True deletes only the files of a search, and there is none in this folder: choose another "
            f"directory or project_name. Received: {str(project)!r}"
        )
    if others := sorted(name for name in names if not _is_a_searchs(project, name)):
        raise SearchError(
            "overwrite=True deletes only the files of a search: move yours elsewhere. "
            f"Received: {str(project)!r} with {_few(others)}"
        )
    _delete(project, names)


def _is_a_searchs(project: Path, name: str) -> bool:
    path = project / name
    kept = _KEPT_FOLDERS if path.is_dir() and not path.is_symlink() else _KEPT
    return kept.fullmatch(name) is not None


def _delete(folder: Path, names: Iterable[str]) -> None:
    # the longest first: what is in a folder before the folder
    for path in sorted(
        (folder / name for name in names), key=lambda path: len(path.parts), reverse=True
    ):
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):  # something new is in it
                path.rmdir()
        else:
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _few(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return f"{names[:_SHOWN]} and {more} more" if more > 0 else str(names)
