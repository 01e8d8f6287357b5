"""keras_acts without its `__init__`, which loads Keras and TensorFlow and so takes seconds.

A slip on the command line is answered at once: what tells it (files, names, kept options) needs
neither of them. `defer` puts the two packages in place with their `__init__` still to run; modules
of theirs that need no Keras can be imported then, and `run` does the rest. Both are the ordinary
packages of this process afterwards: whatever was imported before stays what it is.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

_waiting: list[ModuleType] = []


def defer() -> None:
    """Put keras_acts and keras_acts.search in place; nothing happens where they are loaded."""
    if "keras_acts" in sys.modules:
        return
    core = _in_place("keras_acts")
    folder = Path(str(core.__file__)).parent
    if not (folder / "search").is_dir():
        # a checkout, as in keras_acts/__init__.py
        core.__path__.append(str(folder.parent))
    core.search = _in_place("keras_acts.search")  # type: ignore[attr-defined]


def _in_place(name: str) -> ModuleType:
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    # of an earlier command in this process
    for loaded, module in list(sys.modules.items()):
        parent, _, child = loaded.rpartition(".")
        if parent == name:
            setattr(package, child, module)
    _waiting.append(package)
    return package


def run() -> None:
    """Run what was deferred: Keras and TensorFlow are loaded."""
    while _waiting:
        package = _waiting.pop(0)
        spec = package.__spec__
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module(package)


def forget() -> None:
    """Leave no package behind whose `__init__` has not run: the next import is an ordinary one."""
    while _waiting:
        sys.modules.pop(_waiting.pop().__name__, None)
