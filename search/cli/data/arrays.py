"""The data of .npz files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from keras_acts.errors import DataError

from ..files import read_npz
from .dataset import Dataset, Pair
from .labels import labelled


def of_arrays(path: Path, task: str, others: Mapping[str, Path | None]) -> Dataset:
    """Read arrays, and those of other parts.

    Args:
        path: of a .npz file.
        task: as `load` takes it.
        others: files of the other parts, by their options.

    Raises:
        DataError: if they are none, or do not fit each other.
    """
    given, own_test = read_npz(path)
    parts: dict[str, Pair | None] = {"--test": own_test}
    for option, file in others.items():
        if file is None:
            continue
        if parts.get(option) is not None:
            raise DataError(
                f"{option} is of data without x_test. Received: {str(path)!r}, which has it"
            )
        other, _ = read_npz(file)
        if other[0].shape[1:] != given[0].shape[1:]:
            raise DataError(
                f"Samples of --data and {option} must have one shape. Received: "
                f"{given[0].shape[1:]} and {other[0].shape[1:]}"
            )
        parts[option] = other
    return labelled(
        path.stem, given, task, test=parts["--test"], validation=parts.get("--validation")
    )
