"""One search in a project at a time: a lock that goes with its process, and whose it is."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from keras_acts.errors import SearchError

LOCK = "keras_acts.lock"
# a file beside the lock: opening a lock may empty it
OWNER = "keras_acts.pid"
# process and host
_OWNER = re.compile(r"(\d{1,9}) (\S{1,255})\n?")
_LONGEST = 400


@contextlib.contextmanager
def locked(project: Path) -> Iterator[None]:
    """Hold a project; it is free again when the block ends, or the process, however it does.

    Args:
        project: its folder, which is made.

    Raises:
        SearchError: if another search holds it, or its folder cannot be written.
    """
    with _writable(project):
        project.mkdir(parents=True, exist_ok=True)
        lock = FileLock(project / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise SearchError(
                "One search at a time works in a project: wait for the other, end it, or choose "
                f"another directory or project_name. Received: {str(project)!r}, "
                f"which {_holder(project)} holds"
            ) from None
        except NotImplementedError:
            warnings.warn(
                f"The file system of {str(project)!r} has no locks: see to it yourself that no two "
                "searches work there at the same time",
                stacklevel=3,
            )
    try:
        with _writable(project):
            (project / OWNER).write_text(f"{os.getpid()} {_host()}\n", encoding="utf-8")
        yield
    finally:
        # the lock's own file stays: another process may be opening it
        with contextlib.suppress(OSError):
            (project / OWNER).unlink()
        lock.release()


def _holder(project: Path) -> str:
    """Who holds a project, in words."""
    try:
        with (project / OWNER).open(encoding="utf-8") as file:
            owner = _OWNER.fullmatch(file.read(_LONGEST))
    except (OSError, ValueError):
        owner = None
    if owner is None:
        return "another process"
    pid, host = owner.groups()
    if host != _host():
        return f"process {pid} on {host}"
    if not psutil.pid_exists(int(pid)):  # the owner before: the new one has not signed yet
        return "another process"
    return f"process {pid}"


def _host() -> str:
    return re.sub(r"\s", "-", platform.node()) or "localhost"


@contextlib.contextmanager
def _writable(project: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SearchError(
            "A search that is kept needs a folder that it can write. Received: "
            f"{str(project)!r} ({reason})"
        ) from error
