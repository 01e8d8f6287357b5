"""The settings of a kept search, so that it goes on only as what it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from keras_acts.errors import SearchError

from ..runtime.kept_files import damaged, read_kept, with_checksum, write_whole
from ..runtime.ownership import holds_search
from .fingerprints import Plain

_FILE = "keras_acts.json"
_MISSING = "nothing"


def check_resume(project: Path, settings: dict[str, Plain]) -> bool:
    """Compare with the settings of the search that `project` holds, or keep these in it.

    Return whether it holds one.

    Raises:
        SearchError: naming what differs, or the file if it is missing or damaged.
    """
    path = project / _FILE
    if not path.is_file():
        if holds_search(project):
            raise damaged(path, "it is missing, and only it tells what was searched")
        text = with_checksum(settings, indent=1)
        write_whole(path, text.encode())
        return False
    kept = read_kept(path, signed=True)
    expected = dict(_parts(kept))
    # by way of JSON, as what was kept: a tuple is a list there
    received = dict(_parts(json.loads(json.dumps(settings))))
    # in the order in which they are given
    names = dict.fromkeys([*received, *expected])
    differing = [name for name in names if expected.get(name) != received.get(name)]
    if differing:
        raise SearchError(
            "A search goes on with the settings it began with; use another directory or "
            "overwrite=True. "
            f"Expected: {_listed(differing, expected)}. Received: {_listed(differing, received)}"
        )
    return True


def _parts(settings: Mapping[str, Plain], prefix: str = "") -> Iterator[tuple[str, Plain]]:
    """The settings with dotted names: ``optimizer.learning_rate``."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _parts(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _listed(names: list[str], settings: Mapping[str, Plain]) -> str:
    """Some settings as they are written in a call."""
    texts: list[str] = []
    for name in names:
        value = repr(settings[name]) if name in settings else _MISSING
        texts.append(f"{name}={value}")
    return ", ".join(texts)
