"""The data of tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_acts.errors import DataError
from keras_acts.search.frames.fit import is_plain
from keras_acts.search.frames.kinds import NUMBER, kind_of, values_of
from keras_acts.search.frames.notes import of_rounding

from ..tables.endings import stem_of
from ..tables.labelled import read_labelled
from ..tables.notes import of_parts
from ..tables.options import Reading
from .dataset import Dataset, Rows
from .labels import labelled

if TYPE_CHECKING:
    import pandas


def of_tables(
    path: Path,
    target: str | None,
    task: str,
    reading: Reading,
    others: Mapping[str, Path | None],
) -> Dataset:
    """Read a table, and those of other parts.

    Args:
        path: of the table.
        target: the column that is predicted; the last by default.
        task: as `load` takes it.
        reading: what the user says of the file.
        others: files of the other parts, by their options.

    Raises:
        DataError: if one cannot be read, or has not the columns of the first.
    """
    table = read_labelled(path, target, reading)
    frames = {"--data": table.frame}
    labels: dict[str, np.ndarray] = {}
    notes = [*table.notes]
    for option, file in others.items():
        if file is not None:
            other = read_labelled(file, table.target, reading, table, option)
            frames[option] = other.frame
            labels[option] = other.labels
            notes += [note for note in other.notes if note not in notes]
    for option, frame in frames.items():
        _check_numbers(option, frame)
    rows: dict[str, Rows] = dict(frames)
    if all(map(is_plain, frames.values())):
        rows = {option: frame.to_numpy("float64") for option, frame in frames.items()}
        # later they are float32, and nothing tells what that has changed
        for name, values in table.frame.items():
            notes += of_rounding(str(name), values.to_numpy("float64"))
    given = {option: (rows[option], labels[option]) for option in labels}
    dataset = labelled(
        stem_of(path),
        (rows["--data"], table.labels),
        task,
        test=given.get("--test"),
        validation=given.get("--validation"),
    )
    if not dataset.classes:
        notes += of_rounding(table.target, table.labels)
    return dataclasses.replace(
        dataset,
        features=tuple(table.frame.columns),
        target=table.target,
        guessed=task == "auto",
        how=table.how,
        notes=(*notes, *of_parts(frames)),
    )


def _check_numbers(option: str, frame: pandas.DataFrame) -> None:
    """Check that all numbers are finite, while the rows stand as in the file, so that one is named."""
    for name in frame:
        if kind_of(name, frame[name]) != NUMBER:
            continue
        try:
            values_of(name, frame[name], NUMBER)
        except DataError as error:
            raise DataError(f"{error} of {option}") from None
