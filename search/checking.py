"""Comparing an export with its model, in another process that has neither Keras nor keras_acts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_acts.errors import ExportError

Arrays = Mapping[str, np.ndarray]


class Checker:
    """The other process. Used as a context, it is started at once and ended at the end."""

    def __enter__(self) -> Checker:
        # -P: this folder's files must not be taken for modules that TensorFlow imports
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("plain.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def check(self, folder: Path, samples: Path, x: Arrays, y: Arrays, formats: Sequence[str] = ()) -> dict[str, Any]:
        """Return ``differences`` by kind of file, and the version of ``tensorflow`` that found them.

        Args:
            folder: the SavedModel; the files of other `formats` are made in it.
            samples: where the inputs and predictions may be written.
            x: inputs by name.
            y: the model's predictions by name.
            formats: ``"litert"``, ``"onnx"``.

        Raises:
            ExportError: if it does not load, run or convert.
        """
        save_arrays(samples, {**{f"x:{n}": v for n, v in x.items()}, **{f"y:{n}": v for n, v in y.items()}})
        request = {"folder": str(folder), "samples": str(samples), "formats": list(formats)}
        out, err = self._process.communicate(json.dumps(request).encode() + b"\n")
        reply = last_json(out)
        if reply is None:
            raise ExportError(f"The export must load in a process of its own. Received: {last_line(err)}")
        if "error" in reply:
            raise ExportError(f"The export must load and run with TensorFlow alone. Received: {reply['error']}")
        return reply


def save_arrays(file: Path, arrays: Arrays) -> None:
    """Write arrays by name, as `numpy.load` reads them."""
    np.savez(file, **arrays)  # type: ignore[arg-type]  # any name is welcome


def last_json(out: bytes) -> dict[str, Any] | None:
    """Return the JSON object on the last line of what a process printed."""
    lines = out.strip().splitlines()
    try:
        return json.loads(lines[-1]) if lines else None
    except ValueError:
        return None


def last_line(err: bytes) -> str:
    """Return what a process that failed said last."""
    lines = err.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no answer; it was ended"


def environment(**changes: str) -> dict[str, str]:
    """Return the environment for a process that imports what this one can."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **changes}
