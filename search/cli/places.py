"""Where a search writes its export, known before anything is loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .tables.endings import ending_of, stem_of

if TYPE_CHECKING:
    from .data import Dataset

# the models that are built here
BUILT = ("cnn", "mlp")
FOLDER = Path("saved_models")
# the folder in --directory of a search that has no name of its own, and of a comparison
SEARCH = "activations"
COMPARISON = "comparison"
# the data that come with scikit-learn, those of images, and those whose target are numbers
BUNDLED = ("digits", "breast_cancer", "iris", "wine", "diabetes")
BUNDLED_IMAGES = ("digits",)
BUNDLED_NUMBERS = ("diabetes",)


def default_place(data: str, model: str) -> Path:
    """Return where the export goes if nothing else is said.

    Args:
        data: the name of the data, as a dataset has it.
        model: the title of the model.
    """
    return FOLDER / f"{data}-{model}"


def early_place(data: str, model: str | None) -> Path | None:
    """Return the default place without reading the data; None if only they can say it.

    Args:
        data: what --data says.
        model: what --model says, if anything.
    """
    source = Path(data)
    kind = source.suffix.lower()
    is_folder = data not in BUNDLED and not ending_of(source) and os.path.isdir(source)
    name = stem_of(source)
    if is_folder:
        name = name_of_folder(source)
    if model is not None:
        return default_place(name, Path(model).stem)
    if kind == ".npz":  # of images or not
        return None
    if data in BUNDLED_IMAGES:
        return default_place(data, "cnn")
    if is_folder:
        return default_place(name, "cnn")
    return default_place(stem_of(source), "mlp")


def name_of_folder(folder: Path) -> str:
    """Return what the data in a folder are called; a path such as `.` does not tell it."""
    return folder.resolve().name or "images"


def model_for(model: str | None, dataset: Dataset) -> str:
    """Return what --model says, or the model that is built for data of this kind."""
    if model is not None:
        return model
    if dataset.images:
        return "cnn"
    return "mlp"


def place_of(out: Path | None, model: str | None, dataset: Dataset) -> Path:
    """Return where the export goes."""
    if out is not None:
        return out
    return default_place(dataset.name, Path(model_for(model, dataset)).stem)
