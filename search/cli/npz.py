"""Reading .npz files: plain arrays, each checked for its kind and its size before it is read."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np

from keras_acts.errors import shown
from keras_acts.search.runtime.ram import free_ram

# an array, or how many bytes a member has that is none
Member: TypeAlias = "np.ndarray | int"

# of an array file: what it begins with, and how long its header's length is by version
_MAGIC = b"\x93NUMPY"
_LENGTHS = {(1, 0): "<H", (2, 0): "<I", (3, 0): "<I"}
# a header holds a dtype and a shape
_LONGEST_HEADER = 10_000
_MOST_AXES = 8
_MOST_MEMBERS = 1000
# what is larger must not be so many times as large as in the file: zlib comes to 1000 times
_LARGE = 256 * 2**20
_MOST_TIMES = 200
# what zipfile and NumPy raise where a file is none, is cut off, or is made to mislead
_OF_FILES = (
    *(ValueError, OSError, EOFError, RuntimeError, KeyError, TypeError, SyntaxError),
    *(RecursionError, MemoryError, OverflowError, struct.error, zipfile.BadZipFile, zlib.error),
)


class UnreadableFile(ValueError):
    """Why a file is no .npz that can be read."""


def read_arrays(path: Path, names: Collection[str]) -> tuple[dict[str, Member], list[str]]:
    """Return the members of some names, and the names of all, without ``.npy``.

    Raises:
        UnreadableFile: with the rule that the file breaks, and the value.
    """
    with _reasons():
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) == _MAGIC:
                raise UnreadableFile("a single array")
        with zipfile.ZipFile(path) as archive:
            members = _members(archive)
            wanted = {name: members[name] for name in names if name in members}
            _check_sizes(wanted)
            arrays = {name: _read(archive, name, info) for name, info in wanted.items()}
    return arrays, sorted(members)


def check_archive(path: Path) -> None:
    """Check what another kind of zip file, a .keras file, unpacks to.

    Raises:
        UnreadableFile: if it is too much, or no zip file.
    """
    with _reasons(), zipfile.ZipFile(path) as archive:
        _check_sizes(_members(archive))


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    try:
        yield
    except UnreadableFile:
        raise
    except _OF_FILES as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UnreadableFile(reason[:200]) from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > _MOST_MEMBERS:
        raise UnreadableFile(f"at most {_MOST_MEMBERS:,} members, not {len(infos):,}")
    names = [info.filename.removesuffix(".npy") for info in infos]
    for name, times in Counter(names).items():
        if times > 1:
            raise UnreadableFile(f"each member once, not {shown(name)} {times} times")
    return dict(zip(names, infos, strict=True))


def _check_sizes(members: dict[str, zipfile.ZipInfo]) -> None:
    total = 0
    for name, info in members.items():
        size = info.file_size
        total += size
        if size > _LARGE and size > _MOST_TIMES * info.compress_size:
            raise UnreadableFile(
                f"a member at most {_MOST_TIMES} times as large as in the file, not {name} of "
                f"{size:,} bytes in {info.compress_size:,}"
            )
    free = free_ram()
    if total > free // 2:
        raise UnreadableFile(
            f"at most half of the {free:,} bytes of memory that are free, not {total:,} bytes"
        )


def _read(archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo) -> Member:
    with archive.open(info) as file:
        is_array = _check_header(name, file, info.file_size)
    if not is_array:
        return info.file_size
    with archive.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _check_header(name: str, file: IO[bytes], size: int) -> bool:
    """Check what a member says of itself; False if it is no array."""
    begin = file.read(len(_MAGIC) + 2)
    if not begin.startswith(_MAGIC):
        return False
    version = tuple(begin[len(_MAGIC) :])
    if version not in _LENGTHS:
        raise UnreadableFile(f"an array of version 1, 2 or 3, not {name} of {version}")
    kind = _LENGTHS[version]
    written = file.read(struct.calcsize(kind))
    (length,) = struct.unpack(kind, written)
    # before it is read: it may say that it has 4 GB
    if length > _LONGEST_HEADER:
        raise UnreadableFile(
            f"a header of at most {_LONGEST_HEADER:,} bytes, not {name} with {length:,}"
        )
    header = begin + written + file.read(length)
    try:
        shape, dtype = _described(header)
    except _OF_FILES as error:
        raise UnreadableFile(
            f"a header of a dtype and a shape, not {name} with {shown(header[-length:])}"
        ) from error
    _check_array(name, shape, dtype, size - len(header))
    return True


def _described(header: bytes) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and the dtype in a header."""
    file = io.BytesIO(header)
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:  # 3.0 differs in the names of fields only
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    return shape, dtype


def _check_array(name: str, shape: tuple[int, ...], dtype: np.dtype, size: int) -> None:
    if dtype.hasobject:
        raise UnreadableFile(f"no Python objects, which only pickle reads, as in {name}")
    if dtype.names is not None or dtype.subdtype is not None:
        raise UnreadableFile(f"arrays of numbers or words, not {name} of {shown(dtype)}")
    if len(shape) > _MOST_AXES:
        raise UnreadableFile(f"at most {_MOST_AXES} axes, not {name} with {len(shape)}")
    if any(length < 0 for length in shape):
        raise UnreadableFile(f"sizes from 0, not {name} of shape {shape}")
    # Python's integers: NumPy's would overflow
    count = 1
    for length in shape:
        count *= length
    if count * dtype.itemsize != size:
        raise UnreadableFile(
            f"as many bytes as its shape says, not {name} of shape {shown(shape)} and dtype "
            f"{dtype} with {size:,} bytes"
        )
