"""An export as it lies in a folder, and its model card: what is known of it without TensorFlow."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from keras_acts.errors import ExportError

from ..runtime.reasons import reason_of
from .atomic import check_plain_path
from .card_rules import MOST_BYTES, BrokenRule, check_card

FILE = Path("assets", "model_card.json")
TEXT = Path("assets", "MODEL_CARD.md")
FORMAT = 1


def export_at(path: str | os.PathLike[str]) -> Path:
    """Return the folder of the export at `path`: of a folder of versions, the newest.

    Raises:
        ExportError: if there is none.
    """
    check_plain_path(Path(path))
    try:
        folder = _newest(Path(path))
    except OSError as error:
        raise ExportError(
            f"The path must be a folder that can be read. Received: path={str(path)!r} "
            f"({error.strerror})"
        ) from error
    if not (folder / "saved_model.pb").is_file():
        raise ExportError(f"The path must be a folder with an export. Received: path={str(path)!r}")
    return folder


def _newest(folder: Path) -> Path:
    """The newest of a folder of versions; any other folder itself."""
    if not folder.is_dir() or (folder / "saved_model.pb").exists():
        return folder
    versions = [entry for entry in folder.iterdir() if entry.name.isdecimal() and entry.is_dir()]
    return max(versions, key=lambda entry: int(entry.name), default=folder)


def read_card(folder: Path) -> dict[str, Any]:
    """Return the card of an export.

    Raises:
        ExportError: if the folder has none, or it cannot be read.
    """
    path = folder / FILE
    try:
        data = json.loads(_text_of(path), parse_constant=_no_number)
        check_card(data, FORMAT)
    except FileNotFoundError:
        raise ExportError(
            f"An export of keras_acts has a model card. Received: {str(folder)!r} without {FILE}"
        ) from None
    except BrokenRule as rule:
        raise ExportError(
            f"The model card must be as an export of format {FORMAT} or older wrote it: {rule} in "
            f"{str(path)!r}"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ExportError(
            f"The model card must be readable. Received: {str(path)!r} ({reason_of(error)})"
        ) from error
    return data


def _text_of(path: Path) -> str:
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{size:,} bytes, more than {MOST_BYTES:,}")
    return path.read_text(encoding="utf-8")


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
