"""Folders that appear whole or not at all: made beside their place, and moved there in one step."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from keras_acts.errors import ExportError, shown

from ..runtime.kept_files import flush_folder
from ..runtime.ownership import check_replaceable, is_marked, mark
from .renaming import exchange, rename_to_new

# in the folder beside the target: held while its process lives, written once the lock is held, what
# will move to the target, and what was there before
_LOCK = "lock"
_SIGNED = "signed"
_EXPORT = "export"
_PREVIOUS = "previous"
# a backslash separates folders on Windows
_OF_PATTERNS = "*?[" if os.name == "nt" else "*?[\\"
# a folder that others keep on removing
_TIMES = 20
_SIGN = "An export of keras_acts is made here; the next one to the same place deletes it if it was killed.\n"


def check_target(path: str | os.PathLike[str], *, overwrite: bool, versioned: bool = False) -> Path:
    """Return the path if an export can go there, else raise `ExportError`.

    Cheap, so it can come before training.
    """
    for name, value in (("overwrite", overwrite), ("versioned", versioned)):
        if not isinstance(value, bool):  # "False" would be true
            raise ExportError(f"{name} must be True or False. Received: {name}={shown(value)}")
    target = Path(path).absolute()
    # neither has the root of a disk, and where `..` leads depends on what is there
    if target.name in ("", ".."):
        raise ExportError(
            f"The export's path must end in the name of a folder. Received: path={str(path)!r}"
        )
    check_plain_path(target)
    # the root of a disk has no parent
    parent = next((folder for folder in target.parents if folder.exists()), target)
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ExportError(
            f"The export needs a writable folder, which {parent} is not. Received: "
            f"path={str(path)!r}"
        )
    if os.path.lexists(target):
        _check_taken(target, path, overwrite=overwrite, versioned=versioned)
    # permissions do not say all: a name may be too long, a disk read-only, a folder one of the
    # system's
    with staged(target, versioned=versioned):
        return target


def check_plain_path(path: Path) -> None:
    """Check that TensorFlow reads a path as it is written.

    It looks for the variables of a SavedModel by a pattern that begins with the path: it would find
    none, or those of another. And it takes each path for UTF-8.

    Raises:
        ExportError: if the path holds a character that means something in patterns, or bytes that
            are no text.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        raise ExportError(
            f"TensorFlow reads only paths in UTF-8: choose another. Received: path={str(path)!a}"
        ) from None
    found = [character for character in _OF_PATTERNS if character in str(path)]
    if found:
        raise ExportError(
            "TensorFlow finds no SavedModel where its path holds one of "
            f"{' '.join(_OF_PATTERNS)}: choose another. Received: path={str(path)!r}"
        )


def _check_taken(
    target: Path, path: str | os.PathLike[str], *, overwrite: bool, versioned: bool
) -> None:
    if versioned:
        others = sorted(name for name in _visible_names(target) if not name.isdecimal())
        if others:
            raise ExportError(
                f"A versioned export needs a folder with nothing but versions (1, 2, …). "
                f"Received: path={str(path)!r} with {others[:5]}"
            )
        return
    check_replaceable(target, path)
    if not overwrite:
        raise ExportError(
            f"The export's place is taken; overwrite=True replaces it. Received: path={str(path)!r}"
        )


def _visible_names(target: Path) -> list[str]:
    if not target.is_dir():
        raise ExportError(f"The export's place must be a folder. Received: path={str(target)!r}")
    return [entry.name for entry in target.iterdir() if not entry.name.startswith(".")]


@contextlib.contextmanager
def staged(target: Path, *, versioned: bool = False, overwrite: bool = True) -> Iterator[Staging]:
    """Give a place to make a folder in; `Staging.publish` moves it to `target`.

    Whatever happens, no other trace stays.

    What has come to lie at the target meanwhile stays, unless it is an export and `overwrite` is
    asked for: `publish` then keeps the new one beside it, and raises. What a killed process left
    behind is removed by the next export to the same place.
    """
    missing = [folder for folder in target.parents if not folder.exists()]
    if versioned and not target.exists():
        missing.insert(0, target)
    with contextlib.ExitStack() as held:
        held.callback(_remove_empty, missing)
        try:
            folder = _folder_beside(target, versioned)
            # not only removed: an interrupt may have left in it what was at the target
            held.callback(_clear_up, folder, target)
            # inside of `try`: its file may be the one that a full disk has no room for
            held.enter_context(_locked(folder))
            stage = Staging(folder, target, versioned, overwrite)
        except OSError as error:
            raise ExportError(
                f"The export must be writable: {error.strerror}. Received: path={str(target)!r}"
            ) from error
        yield stage


def _folder_beside(target: Path, versioned: bool) -> Path:
    """Make a new folder beside the target, and its parents; remove what killed exports left there."""
    for _ in range(_TIMES):
        with contextlib.suppress(FileNotFoundError):
            target.parent.mkdir(parents=True, exist_ok=True)
            # versions may lie on a volume of their own, and a folder moves in one step only inside
            # a volume
            beside = target.parent
            if versioned and target.is_dir():
                beside = target
            for place in {beside, target.parent}:
                _sweep(place, target)
            return Path(tempfile.mkdtemp(prefix=_prefix(target), dir=beside))
        # another process made the parents too, and has removed them as empty meanwhile
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target.parent))


class Staging:
    """Where one export is made.

    Attributes:
        folder: what will move to the target.
        scratch: a folder for files that will not.
    """

    def __init__(self, folder: Path, target: Path, versioned: bool, overwrite: bool):
        self.folder = folder / _EXPORT
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self._around = folder
        self._target = target
        self._versioned = versioned
        self._overwrite = overwrite

    def publish(self) -> Path:
        """Move what was made to its place, and return the place.

        Raises:
            ExportError: if something else has come to lie there meanwhile.
        """
        mark(self.folder)
        _flush(self.folder)
        if self._versioned:
            return self._publish_version()
        try:
            _replace(self.folder, self._target, self._around / _PREVIOUS, overwrite=self._overwrite)
        except ExportError as error:
            # it is whole, and was the work
            kept = _keep_beside(self.folder, self._target)
            raise ExportError(f"{error}. The finished export is kept in {str(kept)!r}") from error
        except KeyboardInterrupt as interrupt:
            # it may have come just after the last step: then the export is in its place
            if self.folder.is_dir():
                kept = _keep_beside(self.folder, self._target)
                interrupt.add_note(f"The finished export is kept in {str(kept)!r}.")
            raise
        flush_folder(self._target.parent)
        return self._target

    def _publish_version(self) -> Path:
        self._target.mkdir(exist_ok=True)
        while True:
            taken = [int(entry.name) for entry in self._target.iterdir() if entry.name.isdecimal()]
            place = self._target / str(max(taken, default=0) + 1)
            try:
                rename_to_new(self.folder, place)
            except FileExistsError:  # another process was faster
                continue
            flush_folder(self._target)
            return place


def _prefix(target: Path) -> str:
    return f".{target.name}.exporting-"


def _replace(new: Path, target: Path, aside: Path, *, overwrite: bool) -> None:
    """Put `new` at `target`, in one step where the system can.

    Should that fail, what was there is there again.

    Raises:
        ExportError: if something is there that is not to be replaced.
    """
    try:
        rename_to_new(new, target)
        return
    except FileExistsError:
        if not overwrite:
            raise _taken(target) from None
    check_replaceable(target, target)
    if exchange(new, target):
        try:
            check_replaceable(new, target)  # nobody can put a file into it any more
        except BaseException:  # Ctrl-C too: it reads every file, which takes a while
            exchange(new, target)
            raise
        return
    _replace_in_two_steps(new, target, aside)


def _replace_in_two_steps(new: Path, target: Path, aside: Path) -> None:
    """Put `new` at `target`, and what was there aside, where the system cannot swap folders."""
    try:
        os.rename(target, aside)
        check_replaceable(aside, target)
        rename_to_new(new, target)
    except FileExistsError:
        # what was there was an export, and to be replaced: it is not in the way of the newcomer
        _put_back(aside, target)
        raise _taken(target) from None
    except BaseException:  # Ctrl-C too: the check reads every file, which takes a while
        # it may have come before the first step, or after the last
        if aside.is_dir() and new.is_dir():
            _put_back(aside, target)
        raise


def _put_back(aside: Path, target: Path) -> None:
    """Put back what was at `target`, or beside it where something else has come."""
    try:
        rename_to_new(aside, target)
    except FileExistsError:
        _keep_beside(aside, target)


def _keep_beside(folder: Path, target: Path) -> Path:
    """Move a folder to the first free name beside a taken one; return the place."""
    for number in itertools.count(2):
        place = target.with_name(f"{target.name}-{number}")
        with contextlib.suppress(FileExistsError):
            rename_to_new(folder, place)
            break
    flush_folder(place.parent)
    return place


def _taken(target: Path) -> ExportError:
    return ExportError(
        "The export's place was taken while it was made; overwrite=True replaces an export that is "
        f"there. Received: path={str(target)!r}"
    )


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock while this process lives, so that others know that the folder is in use."""
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except NotImplementedError:  # a file system without locks: what is not signed is never swept
        yield
        return
    try:
        # only now: what is signed and not locked is taken for abandoned
        (folder / _SIGNED).write_text(_SIGN)
        yield
    finally:
        lock.release()


def _sweep(beside: Path, target: Path) -> None:
    """Remove what exports that were killed left behind.

    Should one have been between two steps, undo the first.
    """
    for folder in beside.iterdir():
        if not folder.name.startswith(_prefix(target)):
            continue
        # without a sign it is a moment old, or from a process that was killed in that moment, or
        # none of ours; where the lock is not to be had the export is being made
        with contextlib.suppress(OSError, Timeout, NotImplementedError):
            if (folder / _SIGNED).read_text() == _SIGN:
                with FileLock(folder / _LOCK, timeout=0):
                    _clear_up(folder, target)


def _clear_up(folder: Path, target: Path) -> None:
    """Remove what an export left behind, and put back what it had taken away.

    It may have ended well, or been killed or interrupted in any moment.
    """
    if (folder / _PREVIOUS).is_dir():
        try:
            rename_to_new(folder / _PREVIOUS, target)
        except FileExistsError:  # the new one is in its place
            pass
        except OSError:  # it is the only one: the next export tries again
            return
    if _holds_others(folder / _PREVIOUS) or _holds_others(folder / _EXPORT):
        return
    shutil.rmtree(folder, ignore_errors=True)


def _holds_others(export: Path) -> bool:
    """Whether a file of the user's came into a whole export just before the process was killed."""
    if not is_marked(export):
        return False
    try:
        check_replaceable(export, export)
    except ExportError:
        return True
    return False


def _remove_empty(folders: list[Path]) -> None:
    """Remove the parents that were made for nothing, the innermost first."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _flush(folder: Path) -> None:
    """Have everything on the disk before it is moved.

    A power failure must not leave names without contents.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
        else:
            flush_folder(path)
    flush_folder(folder)
