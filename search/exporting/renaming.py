"""Renames that the system does in one step: to a place where nothing is, and two folders swapped."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
from pathlib import Path

# of Linux' renameat2(2): paths are relative to the working folder; its two flags
_AT_FDCWD = -100
_NO_REPLACE = 1
_EXCHANGE = 2
# what an old kernel or a file system says that does not know a flag
_UNKNOWN = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


def rename_to_new(source: Path, place: Path) -> None:
    """Rename a folder to a name that nothing has, not even an empty folder.

    Raises:
        FileExistsError: if something has the name, in whatever moment it came; it stays as it is.
        OSError: if it cannot be renamed.
    """
    code = _renameat2(source, place, _NO_REPLACE)
    if code == 0:
        return
    if code in _UNKNOWN:
        _rename_to_claimed(source, place)
        return
    raise OSError(code, os.strerror(code), str(place))  # of EEXIST Python makes a FileExistsError


def _rename_to_claimed(source: Path, place: Path) -> None:
    """`rename_to_new` where the system has no such rename."""
    if os.name == "nt":  # there no rename replaces anything
        os.rename(source, place)
        return
    # mkdir fails where something is, and a folder may be renamed to an empty one. So nothing is
    # replaced but the folder that was made here
    os.mkdir(place)
    try:
        os.rename(source, place)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # someone has put a file into it
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place)) from error
        os.rmdir(place)
        raise
    except BaseException:  # Ctrl-C: an empty folder would be in the way of what comes next
        with contextlib.suppress(OSError):  # it may be renamed already
            os.rmdir(place)
        raise


def exchange(one: Path, other: Path) -> bool:
    """Swap two folders; False where the system cannot."""
    return _renameat2(one, other, _EXCHANGE) == 0


def _renameat2(one: Path, other: Path, flag: int) -> int:
    """What Linux' renameat2 says: 0 or the number of an error, ENOSYS where there is none."""
    if not sys.platform.startswith("linux"):
        return errno.ENOSYS
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # an old C library
        return errno.ENOSYS
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), flag) == 0:
        return 0
    return ctypes.get_errno()
