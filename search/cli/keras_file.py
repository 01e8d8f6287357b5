"""Whether a file can be a model that Keras has saved: told before Keras is loaded."""

from __future__ import annotations

import contextlib
import json
import zipfile
from pathlib import Path

from keras_acts.errors import ModelError

from .npz import UnreadableFile, check_archive

_OLD_KINDS = (".h5", ".hdf5")
# what Keras writes into each .keras file
_PARTS = {"config.json", "metadata.json"}


def check_keras_file(path: str, what: str, others: str = "") -> None:
    """Check that a file is there, is a .keras file, and unpacks to what memory can hold.

    Args:
        path: as the user gave it.
        what: the option or argument that names it.
        others: what else may be given, such as ``"one of cnn, mlp, or "``.

    Raises:
        ModelError: if it is not.
    """
    place = Path(path)
    kind = place.suffix.lower()
    if kind in _OLD_KINDS:
        new = str(place.with_suffix(".keras"))
        raise ModelError(
            f"{what} must be {others}a .keras file: Keras makes one of it by "
            f"keras.models.load_model({path!r}).save({new!r}). Received: {path!r}"
        )
    if _is_dir(place):
        raise ModelError(f"{what} must be {others}a .keras file. Received: {_folder(place)}")
    if kind != ".keras":
        raise ModelError(f"{what} must be {others}a .keras file. Received: {path!r}")
    if not _is_file(place):
        raise ModelError(f"{what} must be a .keras file that exists. Received: {path!r}")
    _check_parts(place, what)


def input_shape(path: str) -> tuple[int | None, ...] | None:
    """Return what shape the samples have that a model takes, as its file tells.

    None where it does not, or there are several inputs: the model is checked once it is loaded.
    """
    with contextlib.suppress(OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
        layers = config["config"]["layers"]
        inputs = [layer for layer in layers if layer["class_name"] == "InputLayer"]
        if len(inputs) == 1:
            return tuple(inputs[0]["config"]["batch_shape"][1:])
    return None


def _folder(place: Path) -> str:
    """A folder in words: a SavedModel is what people try."""
    if not (place / "saved_model.pb").is_file():
        return f"{str(place)!r}, which is a folder"
    inside = place / "model.keras"
    if inside.is_file():
        return f"{str(place)!r}, which is a SavedModel; its model with layers is {str(inside)!r}"
    return f"{str(place)!r}, which is a SavedModel: a graph, whose layers nobody can exchange"


def _check_parts(place: Path, what: str) -> None:
    rule = f"{what} must be a .keras file that Keras can load."
    try:
        check_archive(place)
        with zipfile.ZipFile(place) as archive:
            missing = sorted(_PARTS - set(archive.namelist()))
    except (UnreadableFile, OSError) as error:
        raise ModelError(f"{rule} Received: {str(place)!r} ({error})") from error
    if missing:
        raise ModelError(f"{rule} Received: {str(place)!r}, without {', '.join(missing)}")


def _is_dir(place: Path) -> bool:
    try:
        return place.is_dir()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _is_file(place: Path) -> bool:
    try:
        return place.is_file()
    except (OSError, ValueError):
        return False
