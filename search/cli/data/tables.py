"""The data of tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_acts.search.frames.fit import is_plain
from keras_acts.search.frames.notes import of_rounding

from ..tables.endings import stem_of
from ..tables.labelled import read_labelled
from ..tables.notes import of_parts
from ..tables.options import Reading
from .dataset import Dataset, Rows
from .labels import labelled


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
