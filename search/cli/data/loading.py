"""Which data an option names, and whether what is said of them suits their kind."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path

from keras_acts.errors import DataError

from ..places import BUNDLED
from ..tables.endings import ENDINGS, ending_of
from ..tables.labelled import AS_FOUND
from ..tables.options import Reading
from .arrays import of_arrays
from .bundled import bundled
from .dataset import Dataset
from .image_folders import is_image
from .image_format import Wanted
from .images import of_images
from .tables import of_tables

# of image files
NOTHING_SAID = Wanted()
TASKS = ("auto", "classes", "regression")
_SHEETS = (".xlsx", ".xls", ".ods")


def load(
    source: str,
    target: str | None = None,
    task: str = "auto",
    *,
    reading: Reading = AS_FOUND,
    images: Wanted = NOTHING_SAID,
    validation: Path | None = None,
    test: Path | None = None,
) -> Dataset:
    """Load a bundled set by name, or a .npz file, a table or a folder of images by path.

    Args:
        source: the name or path.
        target: the column of a table that is predicted; the last by default.
        task: ``"classes"``, ``"regression"``, or ``"auto"``: a target of fractions, or of more than
            20 different numbers that are also more than 10 % of the rows, is a regression.
        reading: what the user says of a table.
        images: what the user says of image files.
        validation: a file whose rows rank the candidates.
        test: a file whose rows are looked at once.

    Raises:
        DataError: if there is no such data, or they are empty, not finite, or without matching
            labels.
    """
    if task not in TASKS:
        raise DataError(f"task must be one of {', '.join(TASKS)}. Received: task={task!r}")
    path = Path(source)
    others = {"--validation": validation, "--test": test}
    _check_kind(source, path, target, reading, images, others)
    if source in BUNDLED:
        return bundled(source, task)
    if is_of_images(source):
        return of_images(path, task, images, others)
    for option, file in (("--data", path), *others.items()):
        if file is not None:
            _check_readable(file, option)
    if path.suffix.lower() == ".npz":
        return of_arrays(path, task, others)
    return of_tables(path, target, task, reading, others)


def is_of_images(source: str) -> bool:
    """Whether what --data says is a folder, which can be one of images only."""
    is_other = source in BUNDLED or ending_of(Path(source)) or source.lower().endswith(".npz")
    return not is_other and os.path.isdir(source)


def _check_kind(
    source: str,
    path: Path,
    target: str | None,
    reading: Reading,
    images: Wanted,
    others: Mapping[str, Path | None],
) -> None:
    """Check that what is said of the data suits their kind."""
    is_folder = is_of_images(source)
    is_table = bool(ending_of(path)) and source not in BUNDLED
    is_npz = path.suffix.lower() == ".npz"
    if source not in BUNDLED and not is_table and not is_npz and not is_folder:
        raise DataError(
            f"--data must be one of {', '.join(BUNDLED)}, or a .npz or {', '.join(ENDINGS)} "
            f"file, or a folder of images. Received: {source!r}{_hint(path)}"
        )
    if target is not None and not is_table:
        raise DataError(
            f"--target names a column of a table. Received: --target {target!r}, --data {source!r}"
        )
    if reading != AS_FOUND and not is_table:
        raise DataError(
            "--drop, --column, --gaps, --separator, --decimal and --encoding are of a table. "
            f"Received: --data {source!r}"
        )
    if images != NOTHING_SAID and not is_folder:
        raise DataError(
            f"--image-size and --skip-broken are of a folder of images. Received: --data {source!r}"
        )
    for option, file in others.items():
        if file is None:
            continue
        if source in BUNDLED:
            raise DataError(f"{option} is of files. Received: --data {source!r}")
        if bool(ending_of(file)) != is_table or (is_folder and not os.path.isdir(file)):
            raise DataError(
                f"{option} must be of the kind that --data is. Received: {str(file)!r} beside "
                f"{source!r}"
            )


def _hint(path: Path) -> str:
    """What to do with data of another kind that people have."""
    if path.suffix.lower() in _SHEETS:
        return ": save the sheet as .csv"
    if is_image(path):
        return ", one image: the data are a folder with a folder of images for each class"
    near = difflib.get_close_matches(path.name.lower(), BUNDLED, n=1)
    if near:
        return f". Did you mean {near[0]}?"
    if not path.suffix:
        return ", and there is no such folder"
    return ""


def _check_readable(path: Path, option: str) -> None:
    source = str(path)
    try:
        if not path.is_file():
            raise DataError(f"{option} must be a file that exists. Received: {source!r}")
        size = path.stat().st_size
    except OSError as error:
        raise DataError(
            f"{option} must be a file that can be read. Received: {source!r} ({error})"
        ) from None
    if size == 0:
        raise DataError(f"{option} must not be empty. Received: {source!r}, 0 bytes")
