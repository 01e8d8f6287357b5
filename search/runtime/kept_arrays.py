"""Arrays and what they are in one file, written in one step, each with a checksum: those of a .npz."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .kept_files import is_disk_full, write_whole_by
from .memory import is_out_of_memory
from .reasons import reason_of

_META = "meta"
# what NumPy raises where a file is no .npz, is cut off or damaged, or holds other things than arrays;
# and what is raised by who reads something else in it than it wrote
UNREADABLE = (
    *(ValueError, TypeError, KeyError, IndexError, OSError, EOFError),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, AttributeError),
    # one bit says that the file is encrypted, others that an array is larger than any memory
    *(RuntimeError, MemoryError),
)


def why_not_kept(error: Exception) -> str:
    """Return why arrays could not be kept, where a training goes on all the same; else empty.

    A copy of them takes room on the disk, and memory too.
    """
    if is_out_of_memory(error):
        return "the memory is too small for a copy"
    if isinstance(error, OSError) or is_disk_full(error):
        return reason_of(error)
    return ""


class Arrays:
    """Gathers arrays for a file, and hands out their numbers in it."""

    def __init__(self) -> None:
        self._arrays: list[np.ndarray] = []

    def add(self, values: Sequence[np.ndarray]) -> list[int]:
        """Take arrays, and return their numbers."""
        first = len(self._arrays)
        self._arrays.extend(values)
        return list(range(first, len(self._arrays)))

    def write(self, path: Path, meta: Mapping[str, Any]) -> None:
        """Write all arrays, and what they are as plain data.

        Raises:
            OSError: if it cannot be written; `DiskFullError` if there is no room.
        """
        named = {str(number): array for number, array in enumerate(self._arrays)}
        named[_META] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
        # straight to the file: memory may be what is missing
        write_whole_by(path, lambda file: np.savez(file, allow_pickle=False, **named))


class ReadArrays:
    """What a file of `Arrays` holds, all of it read.

    Attributes:
        meta: what the arrays are.

    Raises:
        Exception: one of `UNREADABLE`, if the file is damaged.
    """

    def __init__(self, path: Path):
        # NumPy leaves a file open that it cannot read
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            self._arrays = {name: file[name] for name in file.files}
        self.meta: dict[str, Any] = json.loads(self._arrays[_META].tobytes())

    def of(self, numbers: Sequence[int]) -> list[np.ndarray]:
        """Return the arrays with these numbers."""
        return [self._arrays[str(number)] for number in numbers]
