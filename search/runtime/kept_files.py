"""Files that a search keeps: each is whole or as it was before, and one that was changed is told.

A process may be killed, or a disk be full, between any two steps. So a file is written under
another name, flushed to the disk, and renamed. What it holds comes with a checksum of itself.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from keras_acts.errors import SearchError

CHECKSUM = "checksum"

_RULE = (
    "The files of a kept search must be as it wrote them: put a copy of this one back, or begin "
    "again with overwrite=True."
)
# the system's numbers for a disk, or a share of it, with no room
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG}
# h5py and TensorFlow say the number in words
_FULL_IN_WORDS = ("no space left on device", "disk quota exceeded", "file too large")
_PIECE = 2**20  # bytes of a file that are read at once


class DiskFullError(SearchError):
    """There is no room for what a search must keep."""

    def __init__(self, place: str | os.PathLike[str], error: BaseException):
        super().__init__(
            "There must be room on the disk for what a search keeps: make some and start the same "
            f"search again, it goes on where it was. Received: no space left for {os.fspath(place)}"
        )
        self.__cause__ = error


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error says that a disk has no room, in Python, HDF5 or TensorFlow."""
    if isinstance(error, DiskFullError):
        return True
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    text = str(error).lower()
    # TensorFlow has errors of its own, the same for a full disk as for a lack of memory
    of_tensorflow = type(error).__module__.partition(".")[0] == "tensorflow"
    says_it_in_words = of_tensorflow or isinstance(error, OSError | RuntimeError)
    return says_it_in_words and any(word in text for word in _FULL_IN_WORDS)


@contextlib.contextmanager
def telling_full_disk(place: str | os.PathLike[str]) -> Iterator[None]:
    """Raise `DiskFullError` for what says inside that the disk of a place is full."""
    try:
        yield
    except DiskFullError:
        raise
    except Exception as error:
        if is_disk_full(error):
            raise DiskFullError(place, error) from error
        raise


def write_whole(path: Path, content: bytes | memoryview, *, durable: bool = True) -> None:
    """Write a file in one step: whatever happens, it is as it was or as it should be.

    Args:
        path: of the file.
        content: that it shall have.
        durable: whether a power failure must not undo it. Some 10 ms that what can be found again
            need not cost; a process that is killed undoes nothing in any case.

    Raises:
        DiskFullError: if there is no room; the file is as it was.
    """
    write_whole_by(path, lambda file: file.write(content), durable=durable)


def write_whole_by(
    path: Path, write: Callable[[BinaryIO], object], *, durable: bool = True
) -> None:
    """Write a file in one step, as `write_whole`, of which `write` writes the content."""
    partial = path.with_name(f"{path.name}.partial")
    with telling_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, "wb") as file:
                write(file)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
        except BaseException:
            # what is left of it would take the room that is missing
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        os.replace(partial, path)
        if durable:
            flush_folder(path.parent)


def check_room(path: Path, size: int) -> None:
    """Check that a file of so many bytes can be written.

    For what HDF5 writes: where it cannot, it ends the whole process at times (a segmentation fault
    in 1.14), with which no program can do anything.

    Raises:
        DiskFullError: if there is no room.
    """
    if not hasattr(os, "posix_fallocate"):  # Windows
        return
    with telling_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # without a name: a process that is killed meanwhile leaves no file, and gives the room back
        with tempfile.TemporaryFile(dir=path.parent) as file:
            os.posix_fallocate(file.fileno(), 0, size)


def put_in_place(partial: Path, path: Path) -> None:
    """Flush a file that something else has written, and give it its name, in one step.

    The name is surely on the disk once a `write_whole` beside it is.
    """
    with telling_full_disk(path):
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)


def flush_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems know no flush of folders
            raise
    finally:
        os.close(handle)


def write_kept(path: Path, data: Mapping[str, Any], *, durable: bool = True) -> str:
    """Write an object as JSON with its checksum, in one step; return the text."""
    text = with_checksum(data)
    write_whole(path, text.encode(), durable=durable)
    return text


def with_checksum(data: Mapping[str, Any], indent: int | None = None) -> str:
    """Return an object as JSON with a checksum of the rest of it."""
    # by way of JSON, as it will be read: a number that is a key is a text there
    plain: dict[str, Any] = json.loads(json.dumps(data))
    plain[CHECKSUM] = _checksum(plain)
    return json.dumps(plain, indent=indent)


def read_kept(path: Path, *, signed: bool = False) -> dict[str, Any]:
    """Return what `write_kept` wrote, without its checksum.

    Args:
        path: of the file.
        signed: whether it must have a checksum; what KerasTuner wrote by itself has none.

    Raises:
        SearchError: naming the file, if it is missing or not as it was written.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise damaged(path, "it is missing") from None
    except OSError as error:
        raise damaged(path, f"it cannot be read, {error.strerror}") from error
    return _parsed(path, content, signed)


def _parsed(path: Path, content: bytes, signed: bool) -> dict[str, Any]:
    if not content.strip():
        raise damaged(path, "it is empty")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        raise damaged(path, "it is no JSON") from None
    if not isinstance(data, dict):
        raise damaged(path, f"it holds a {type(data).__name__} instead of an object")
    checksum = data.pop(CHECKSUM, None)
    if checksum is None and signed:
        raise damaged(path, "it has no checksum")
    if checksum is not None and checksum != _checksum(data):
        raise damaged(path, "it does not agree with its checksum")
    return data


def damaged(path: Path, what: str) -> SearchError:
    """Return the error that says what is wrong with a file, and what to do."""
    return SearchError(f"{_RULE} Received: {path}: {what}")


def checksum_of_file(path: Path) -> str:
    """Return a checksum of a file of any size."""
    value = 0
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            value = zlib.crc32(piece, value)
    return f"{value:08x}"


def _checksum(data: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in data.items() if name != CHECKSUM}
    return f"{zlib.crc32(json.dumps(rest, sort_keys=True).encode()):08x}"
