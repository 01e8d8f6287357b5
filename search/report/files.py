"""A report written to a file: whole, or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from keras_acts.errors import DataError


def write(text: str, path: str | os.PathLike[str]) -> Path:
    """Write a text in one step: what is there stays until the new one is whole.

    Args:
        text: of the file.
        path: of the file; a file there is replaced, anything else is not.

    Returns:
        The path.

    Raises:
        DataError: if it cannot be written.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        if target.exists() and not target.is_file():
            raise IsADirectoryError("a folder is there")
        # "x": never a file of somebody else's
        with open(partial, "x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        os.replace(partial, target)
    except FileExistsError:
        raise DataError(
            f"A report is being written there already. Received: {str(path)!r}, beside {partial.name!r}"
        ) from None
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError, ValueError):
            partial.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"A report needs a file that can be written. Received: {str(path)!r} ({reason})"
        ) from error
    except BaseException:  # Ctrl-C
        partial.unlink(missing_ok=True)
        raise
    return target
