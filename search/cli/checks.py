"""What can be refused before TensorFlow is loaded: names, files, places, and the data themselves."""

from __future__ import annotations

import difflib
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_acts.errors import DataError, ModelError, SearchError, shown
from keras_acts.notation import parse, unknown, written_names
from keras_acts.search.exporting.atomic import check_target
from keras_acts.search.space.learning_rates import LearningRates

from . import data as datasets
from . import files
from .data.image_format import Wanted, wanted
from .data.loading import is_of_images
from .keras_file import check_keras_file, input_shape
from .options import split_list
from .places import BUILT, BUNDLED, BUNDLED_IMAGES, BUNDLED_NUMBERS, model_for, place_of
from .tables import command_options
from .tables.errors import TableError
from .tables.options import Reading

# what `show` draws by itself, and what matplotlib draws
SVG = ".svg"
_OF_MATPLOTLIB = (".png", ".pdf")
OR_BUILT = f"one of {', '.join(BUILT)}, or "


@dataclass(frozen=True)
class Task:
    """What a search or a comparison works on.

    Attributes:
        dataset: the data, whole.
        parts: to train, to choose by, to test.
        reading: what the user said of the file.
    """

    dataset: datasets.Dataset
    parts: datasets.Parts
    reading: Reading


def task(options: Mapping[str, Any]) -> Task:
    """Check the options that searches and comparisons share, and read the data.

    Raises:
        KerasActsError: naming what is wrong.
    """
    check_bundled(options)
    check_activations(options["activations"])
    rates(options["learning_rates"])
    check_model(options["model"])
    reading = reading_of(options)
    dataset = datasets.load(
        options["data"],
        options["target"],
        options["task"],
        reading=reading,
        images=images_wanted(options),
        validation=options["validation"],
        test=options["test"],
    )
    if model_for(options["model"], dataset) == "cnn":
        check_cnn(dataset)
    return Task(dataset, dataset.split(options["seed"]), reading)


def check_bundled(options: Mapping[str, Any]) -> None:
    """Check what suits no set that comes with scikit-learn: reading one takes a second.

    Raises:
        DataError: naming what does not.
    """
    data = options["data"]
    if data not in BUNDLED:
        return
    if options["model"] == "cnn" and data not in BUNDLED_IMAGES:
        raise DataError(
            "The cnn needs images (height, width, channels). Received: --data "
            f"{data!r}, which is a table"
        )
    unit = options.get("unit")
    is_of_numbers = data in BUNDLED_NUMBERS or options["task"] == "regression"
    if unit is not None and not is_of_numbers:
        raise DataError(
            f"--unit is of a target of numbers. Received: --unit {unit!r} for the classes of {data!r}"
        )


def images_wanted(options: Mapping[str, Any]) -> Wanted:
    """Return what the options say of image files, with the size that the model takes.

    Raises:
        DataError: if they contradict it.
    """
    shape = None
    model = options["model"]
    if model is not None and model not in BUILT and is_of_images(options["data"]):
        shape = input_shape(model)
    return wanted(options["image_size"], options["skip_broken"], shape)


def reading_of(options: Mapping[str, Any]) -> Reading:
    """Return what the options say of a table's file.

    Raises:
        DataError: if one of them says nothing.
    """
    try:
        return command_options.reading(options)
    except TableError as error:
        raise DataError(str(error)) from None


def search_task(options: Mapping[str, Any]) -> tuple[Task, Path]:
    """Check what a search is given; return its data, and where its export goes.

    Raises:
        KerasActsError: naming what is wrong.
    """
    check_places(options)
    if options["out"] is not None:
        # said before the data are read, which takes a while
        check_target(options["out"], overwrite=options["overwrite"])
    checked = task(options)
    check_unit(options["unit"], checked.dataset)
    place = place_of(options["out"], options["model"], checked.dataset)
    check_target(place, overwrite=options["overwrite"])
    return checked, place


def compare_task(options: Mapping[str, Any], *, overwrite: bool) -> Task:
    """Check what a comparison is given; return its data.

    Raises:
        KerasActsError: naming what is wrong.
    """
    for name in ("csv", "report"):
        if options[name] is not None:
            read = [options[given] for given in ("data", "model", "validation", "test")]
            files.check_writable(options[name], f"--{name}", read)
            files.check_new(options[name], f"--{name}", overwrite=overwrite)
    csv = options["csv"]
    report = options["report"]
    if None not in (csv, report) and os.path.realpath(csv) == os.path.realpath(report):
        raise DataError(f"--csv and --report must be two files. Received: {str(csv)!r} for both")
    if options["baseline"] is not None:
        check_activation(options["baseline"])
    check_places(options)
    return task(options)


def check_places(options: Mapping[str, Any]) -> None:
    """Check where the trainings are kept, and who is told of them.

    Raises:
        SearchError: naming what cannot be written, or is not installed.
    """
    for name in ("directory", "tensorboard"):
        if options[name] is not None:
            check_folder(options[name], f"--{name}")
    for name, called in (("mlflow", "MLflow"), ("wandb", "W&B")):
        if options[name] is not None and importlib.util.find_spec(name) is None:
            raise SearchError(
                f'--{name} needs {called}: pip install "keras-acts[{name}]". '
                f"Received: --{name} {options[name]!r}"
            )


def check_activations(text: str | None) -> None:
    """Check the names of the candidates; what their parameters may be, keras_acts says later."""
    if text is None:
        return
    for written in split_list(text):
        check_activation(written)


def check_activation(written: str) -> None:
    """Check the name of an activation.

    Raises:
        ActivationError: if it cannot be read, or nobody knows it; with the nearest names.
    """
    name, _ = parse(written)
    known = written_names()
    if known and name not in known:
        raise unknown(name, known)


def rates(text: str) -> str | list[str] | None:
    """Return what --learning-rates says, as `search_activations` takes it.

    Raises:
        SearchError: if it says nothing that can be a rate.
    """
    given: str | list[str] | None = split_list(text)
    if text == "auto":
        given = text
    elif text == "none":
        given = None
    try:
        LearningRates.of(given)
    except SearchError:
        raise SearchError(
            "--learning-rates must be auto, none, or a list of rates above 0 and multiples of the "
            f"model's own, such as 0.001,x2. Received: {shown(text)}"
        ) from None
    return given


def check_model(model: str | None) -> None:
    """Check that --model names a model that is built here, or a file that can be one."""
    if model is None or model in BUILT:
        return
    near = difflib.get_close_matches(model.lower(), BUILT, n=1)
    if near and not Path(model).suffix:
        raise ModelError(
            f"--model must be {OR_BUILT}a .keras file. Did you mean {near[0]}? Received: {model!r}"
        )
    check_keras_file(model, "--model", OR_BUILT)


def check_cnn(dataset: datasets.Dataset) -> None:
    """Check that the data are images.

    Raises:
        DataError: if they are not.
    """
    if not dataset.images:
        raise DataError(
            "The cnn needs images (height, width, channels). Received: samples of shape "
            f"{dataset.x.shape[1:]}"
        )


def check_unit(unit: str | None, dataset: datasets.Dataset) -> None:
    """Check that a unit is given of numbers only.

    Raises:
        DataError: if the target is classes.
    """
    if unit is not None and dataset.classes:
        raise DataError(
            f"--unit is of a target of numbers. Received: --unit {unit!r} for "
            f"{len(dataset.classes)} classes"
        )


def check_folder(folder: Path, option: str) -> None:
    """Check that a folder is there and can be written, or can be made.

    Raises:
        SearchError: if it cannot.
    """
    rule = f"{option} must be a folder that can be written"
    try:
        place = folder.absolute()
        nearest = next(path for path in (place, *place.parents) if os.path.lexists(path))
        if not nearest.is_dir():
            raise SearchError(f"{rule}. Received: {str(folder)!r}, but {nearest} is no folder")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise SearchError(f"{rule}. Received: {str(folder)!r}, but {nearest} is read-only")
    except SearchError:  # a ValueError too
        raise
    except (OSError, ValueError) as error:  # a name that no folder can have
        raise SearchError(f"{rule}. Received: {shown(str(folder))} ({error})") from None


def check_picture(out: Path) -> None:
    """Check that a picture can be written.

    Raises:
        KerasActsError: naming what is wrong.
    """
    kind = out.suffix.lower()
    if kind not in (SVG, *_OF_MATPLOTLIB):
        kinds = ", ".join((SVG, *_OF_MATPLOTLIB))
        raise SearchError(f"--out must be a file of one of {kinds}. Received: {str(out)!r}")
    if kind != SVG and importlib.util.find_spec("matplotlib") is None:
        raise SearchError(
            f'A {kind} needs matplotlib, a {SVG} does not: pip install "keras-acts[plots]". '
            f"Received: --out {str(out)!r}"
        )
    files.check_writable(out, "--out", ())
