"""What else can be written into an export, and what that needs."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence

from keras_acts.errors import ExportError, shown

FORMATS = {"keras": "model.keras", "litert": "model.tflite", "onnx": "model.onnx"}
# the packages that are needed to write and run a format, beside what we depend on
_NEEDED = {"onnx": ("tf2onnx", "onnxruntime")}


def check_formats(formats: Sequence[str]) -> None:
    """Check that each format is known, and that what it needs is installed.

    Raises:
        ExportError: naming what is not.
    """
    is_list = not isinstance(formats, str) and isinstance(formats, Iterable)
    if not is_list or not all(isinstance(name, str) and name in FORMATS for name in formats):
        raise ExportError(
            f"formats must be a list of some of {list(FORMATS)}. Received: formats={shown(formats)}"
        )
    for name in formats:
        missing = _not_installed(_NEEDED.get(name, ()))
        if missing:
            raise ExportError(
                f'The format {name!r} needs {" and ".join(missing)}: pip install "keras-acts[{name}]". '
                f"Received: formats={list(formats)!r}"
            )


def _not_installed(packages: Sequence[str]) -> list[str]:
    return [package for package in packages if importlib.util.find_spec(package) is None]
