"""The settings of a kept search, so that it goes on only as what it was."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_acts.errors import SearchError

_FILE = "keras_acts.json"


def check_resume(project: Path, settings: dict[str, Any]) -> None:
    """Compare with the settings of the search that `project` holds, or keep these for the next time.

    Raises:
        SearchError: naming the first setting that differs.
    """
    path = project / _FILE
    if path.is_file():
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise SearchError(f"The project cannot be read; overwrite=True begins again. Received: {path}") from None
        for name, value in json.loads(json.dumps(settings)).items():
            if kept.get(name) != value:
                raise SearchError(
                    "A search goes on with the settings it began with; use another directory or overwrite=True. "
                    f"Expected: {name}={kept.get(name)!r}. Received: {name}={value!r}"
                )
        return
    project.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    os.replace(partial, path)


def describe_model(model: Any) -> Any:
    """Return what makes two models the same for a search; names of layers change from process to process."""
    if not isinstance(model, keras.Model):
        return getattr(model, "__qualname__", type(model).__name__)
    return [[type(layer).__name__, [list(w.shape) for w in layer.weights]] for layer in model.layers]


def describe_data(*parts: Any) -> list[str]:
    """Return a fingerprint of each array; the type of anything else."""
    return [
        f"{part.dtype}{list(part.shape)} {hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest()[:16]}"
        if isinstance(part, np.ndarray) and part.dtype != object
        else type(part).__name__
        for part in keras.tree.flatten(parts)
    ]
