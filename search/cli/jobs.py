"""What `export` and `predict` are to do: checked and read before TensorFlow is loaded."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_acts.errors import DataError, ExportError, shown
from keras_acts.search.exporting.atomic import check_target
from keras_acts.search.exporting.folder import export_at, read_card
from keras_acts.search.exporting.formats import check_formats
from keras_acts.search.exporting.values import check_shapes, misfit, unlike
from keras_acts.search.frames.fit import as_input, rows_with_gaps, unseen_words
from keras_acts.search.frames.kinds import values_of

from . import columns, files
from .data.image_folders import is_image, to_predict
from .data.image_format import ImageFormat, wanted
from .data.pixels import check_whole, format_for, look, read_all
from .keras_file import check_keras_file, input_shape
from .tables.labelled import read_frame
from .tables.options import Reading
from .words import printable

# Keras' layer divides by 1e-7 at least
_LEAST_SPREAD = 1e-6
# rows and sizes that are named
_FEW = 5
_COMPARED_ONLY = (
    "The images are compared with as pixels of 0 to 255, and the card does not say so: if the model was "
    "trained on such, --takes-pixels writes it, and predict reads image files"
)


@dataclass(frozen=True)
class Normalization:
    """The mean and the variance of each column of a table, and how the columns are called."""

    mean: np.ndarray
    variance: np.ndarray
    columns: tuple[str, ...]


@dataclass(frozen=True)
class ExportJob:
    """An export that is to be made.

    Attributes:
        samples: inputs to compare with; random ones if there are none.
        normalization: what comes first in the graph, if anything.
        images_as: how predictions are to read image files; None where the user did not say that the
            model takes such.
        notes: what a user should know of it.
    """

    model: str
    out: Path
    samples: np.ndarray | None
    normalization: Normalization | None
    images_as: ImageFormat | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PredictJob:
    """Predictions that are to be made.

    Attributes:
        x: the samples, as the model takes them; columns by name where it takes these.
        card: the model card.
        files: what each sample is of; empty where they are rows of one file.
    """

    path: Path
    x: np.ndarray | dict[str, np.ndarray]
    card: Mapping[str, Any]
    out: Path | None
    allow_nan: bool
    files: tuple[str, ...] = ()


def prepare_export(
    model: str,
    out: Path,
    *,
    overwrite: bool,
    versioned: bool,
    formats: Sequence[str],
    samples: Path | None,
    normalize: Path | None,
    takes_pixels: bool = False,
) -> ExportJob:
    """Check the places, and read the data.

    Raises:
        KerasActsError: naming what is wrong.
    """
    check_keras_file(model, "MODEL")
    check_target(out, overwrite=overwrite, versioned=versioned)
    check_formats(formats)
    inputs = None
    kind = None
    notes: tuple[str, ...] = ()
    of_images = samples is not None and _is_of_images(samples)
    if takes_pixels and not of_images:
        raise DataError(
            f"--takes-pixels needs --samples with images. Received: --samples {samples}"
        )
    if samples is not None and of_images:
        inputs, kind = _samples_of_images(samples, model)
    elif samples is not None:
        inputs, _ = files.read_inputs(samples)
    if of_images and not takes_pixels:
        # a model that takes 0 to 1 exports as well, and would predict from wrong numbers
        kind = None
        notes = (_COMPARED_ONLY,)
    normalization = None
    if normalize is not None:
        values, names = files.read_inputs(normalize)
        normalization = _normalization(values, names, normalize)
        if inputs is None:
            inputs = values
    return ExportJob(model, out, inputs, normalization, kind, notes)


def _is_of_images(path: Path) -> bool:
    """Whether a path is a folder, of images then, or an image."""
    return os.path.isdir(path) or is_image(path)


def _samples_of_images(samples: Path, model: str) -> tuple[np.ndarray, ImageFormat]:
    """The pixels of image files in the size that a model takes, else in their own.

    Raises:
        DataError: if the model takes any size, and theirs differ: nobody has said one.
    """
    paths = to_predict(samples)
    looked = look(paths)
    check_whole(looked.broken)
    taken = wanted(None, False, input_shape(model))
    if len(looked.sizes) > 1 and None in (taken.height, taken.width):
        sizes = sorted(f"{height}x{width}" for height, width in looked.sizes)
        raise DataError(
            "Images for a model that takes any size must be of one size. Received: "
            f"{str(samples)!r} with {', '.join(sizes[:_FEW])}"
        )
    # of one size, none is made smaller: that is for what trains on them
    kind = format_for(looked, taken, most=None)
    return read_all(paths, kind, str(samples)).astype("float32"), kind


def _normalization(values: np.ndarray, columns: tuple[str, ...], path: Path) -> Normalization:
    kind = unlike(values, "float64")
    if kind:
        raise DataError(
            f"The data to normalize by must be numbers. Received: {str(path)!r} with {kind}"
        )
    # in few bits the sums would be infinite
    wide = values.astype("float64")
    if not np.isfinite(wide).all():
        raise DataError(
            "The data to normalize by must be finite. Received: NaN or infinite values in "
            f"{str(path)!r}"
        )
    with np.errstate(over="ignore"):
        mean = wide.mean(axis=0)
        # as the model takes them
        rounded = wide.astype("float32")
        is_same = rounded.max(axis=0) == rounded.min(axis=0)
        variance = np.where(is_same, 1.0, wide.var(axis=0))
    if misfit(mean, "float32") or misfit(variance, "float32") or not np.isfinite(variance).all():
        raise DataError(
            "The mean and the variance of the data to normalize by must be numbers that float32 can "
            f"hold. Received: {str(path)!r} with values up to {np.abs(wide).max():g}"
        )
    spread = float(np.sqrt(variance.min()))
    if spread < _LEAST_SPREAD:
        raise DataError(
            "The data to normalize by must have standard deviations of 1e-6 or more, as Keras' layer "
            "divides by no less: use a unit that makes the numbers larger. Received: "
            f"{str(path)!r} with {spread:.2g}"
        )
    return Normalization(mean, variance, columns)


def prepare_predict(
    path: Path,
    data: Path,
    reading: Reading,
    *,
    out: Path | None,
    overwrite: bool,
    allow_nan: bool,
) -> PredictJob:
    """Find the export, and read the samples as its card says that it takes them.

    Raises:
        KerasActsError: naming what is wrong.
    """
    if out is not None:
        files.check_writable(out, "--out", (data,))
        files.check_new(out, "--out", overwrite=overwrite)
    card = read_card(export_at(path))
    if _is_of_images(data):
        x, names = _images(data, card)
        return PredictJob(path, x, card, out, allow_nan, names)
    known = replace(reading, gaps=(*reading.gaps, *card.get("gaps", ())))
    described = columns.of_card(card)
    if any("input" in entry for entry in described.values()):
        inputs = _columns(data, described, known, allow_nan=allow_nan)
        return PredictJob(path, inputs, card, out, True)
    name, spec = _one_input(card, data)
    how = columns.how_read(described)
    x, names = files.read_inputs(data, _features(card, path), known, how)
    kind = unlike(x, spec["dtype"])
    if kind:
        raise DataError(f"The model takes {spec['dtype']}. Received: {str(data)!r} with {kind}")
    if not allow_nan:
        files.check_no_gaps(x, names, data)
    files.check_place(misfit(x, spec["dtype"]), spec["dtype"], x, names, data)
    x = _in_shape(files.in_axes(x, spec["shape"]), spec["shape"], data)
    check_shapes({name: x}, {name: spec})
    return PredictJob(path, x, card, out, allow_nan)


def _one_input(card: Mapping[str, Any], data: Path) -> tuple[str, Mapping[str, Any]]:
    """The name of a model's input, and what it takes.

    Raises:
        DataError: if there are several.
    """
    specs = card["signatures"]["serving_default"]["inputs"]
    if len(specs) != 1:
        raise DataError(
            f"predict reads one table; this model takes {sorted(specs)}. Received: {str(data)!r}"
        )
    ((name, spec),) = specs.items()
    return name, spec


def _images(data: Path, card: Mapping[str, Any]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The pixels of image files as a model was trained with them, and the names of the files."""
    paths = to_predict(data)
    kind = ImageFormat.of_card(card)
    if kind is None:
        raise DataError(
            "predict reads image files for a model that was trained with such, as its card says; for "
            f"this one, give their values as an array x in a .npz. Received: {str(data)!r}"
        )
    name, spec = _one_input(card, data)
    values = read_all(paths, kind, str(data))
    check_shapes({name: values}, {name: spec})
    if unlike(values, spec["dtype"]) or misfit(values, spec["dtype"]) is not None:
        raise DataError(
            f"Image files are for a model that takes numbers from 0 to 255. Received: {str(data)!r} for "
            f"one that takes {spec['dtype']}"
        )
    values = values.astype(spec["dtype"])
    if not os.path.isdir(data):
        return values, (printable(str(data)),)
    return values, tuple(printable(path.relative_to(data).as_posix()) for path in paths)


def _columns(
    data: Path,
    described: Mapping[str, Mapping[str, Any]],
    reading: Reading,
    *,
    allow_nan: bool,
) -> dict[str, np.ndarray]:
    """The inputs of a model that takes a table's columns each by itself.

    Says which rows have what the training had not.
    """
    read = read_frame(data, list(described), reading, columns.how_read(described))
    inputs = {}
    notes = list(read.notes)
    for name, entry in described.items():
        values = values_of(name, read.frame[name], entry["kind"])
        gaps = rows_with_gaps(values)
        if len(gaps) and not entry["gaps"] and not allow_nan:
            raise DataError(
                "Every value must be there in a column that had no gaps in the training; "
                f"--allow-nan predicts rows with gaps too. Received: {str(data)!r} with a gap in row "
                f"{gaps[0] + 1}, column {name!r}{_more(len(gaps) - 1)}"
            )
        if len(gaps):
            rows = ", ".join(str(row + 1) for row in gaps[:_FEW])
            notes.append(f"{name!r} has a gap in row {rows}{_more(len(gaps) - _FEW)}")
        if "categories" in entry:
            notes += unseen_words(name, entry["categories"], values)
        inputs[entry["input"]] = as_input(values, entry["kind"])
    for note in notes:
        print(f"Note: {note}.", file=sys.stderr)
    return inputs


def _more(count: int) -> str:
    if count > 0:
        return f", and {count} more such rows"
    return ""


def card_of(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return where an export is, of a folder of versions the newest, and its model card.

    Raises:
        ExportError: if there is none; a kept search would do too.
    """
    try:
        path = export_at(folder)
    except ExportError:
        raise ExportError(
            f"FOLDER must keep a search, or hold an export. Received: {str(folder)!r}"
        ) from None
    return path, read_card(path)


def _features(card: Mapping[str, Any], path: Path) -> list[str] | None:
    """The columns that the model takes, as the card tells them; None if it does not."""
    features = card.get("features")
    if features is None or features == []:
        return None
    is_list = isinstance(features, list) and all(isinstance(name, str) for name in features)
    if not is_list or len(set(features)) < len(features):
        raise ExportError(
            "The model card's features must be a list of different names of columns. Received: "
            f"{str(path)!r} with {shown(features)}"
        )
    return features


def _in_shape(x: np.ndarray, shape: Sequence[int | None] | None, data: Path) -> np.ndarray:
    """The samples in the shape that the model takes: a row of a table is a flat one."""
    if shape is None:  # any
        return x
    sizes = [size for size in shape[1:] if size is not None]
    if x.ndim != 2 or len(sizes) < len(shape) - 1:
        return x
    count = math.prod(sizes)
    if x.shape[1] != count:
        raise DataError(f"A row must have {count} values. Received: {x.shape[1]} in {str(data)!r}")
    return x.reshape(-1, *sizes)
