"""The way from JAX and PyTorch: a ``.keras`` file, and a process in which Keras runs on TensorFlow.

    python -m keras_acts.search.exporting.other_backends

reads a request as JSON from its standard input, writes the SavedModel, and answers as JSON on its
standard output.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import keras
import numpy as np

from keras_acts.compat import all_layers
from keras_acts.errors import ExportError

from . import savedmodel
from .verify import answer_of, environment, last_json, last_line, save_arrays, time_limit

# packages that the other process imports itself, or (a notebook's own) cannot
_NOT_THEIRS = {"", "__main__", "builtins", "keras", "keras_acts"}


def write(
    model: keras.Model,
    folder: Path,
    scratch: Path,
    x: dict[str, np.ndarray],
    **options: Unpack[savedmodel.Options],
) -> dict[str, np.ndarray]:
    """Write the model as `savedmodel.write` does, in a TensorFlow process.

    Returns:
        The Keras model's predictions for `x` on TensorFlow.

    Raises:
        ExportError: if the model cannot be saved or loaded there.
    """
    file = scratch / "model.keras"
    samples = scratch / "inputs.npz"
    predicted = scratch / "predicted.npz"
    try:
        model.save(file)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ExportError(
            f"The model must be one that Keras can save. Received: {model.name!r} ({error})"
        ) from error
    save_arrays(samples, x)
    request = {
        "model": str(file),
        "folder": str(folder),
        "samples": str(samples),
        "predicted": str(predicted),
        "modules": _modules(model),
        "options": options,
    }
    reply = _ask(request)
    if "error" in reply:
        raise ExportError(
            "The model must load where Keras runs on TensorFlow; layers and functions of your own "
            "must be in modules "
            f"that can be imported. Received: {model.name!r} ({reply['error']})"
        )
    with np.load(predicted) as arrays:
        return dict(arrays)


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    """What the TensorFlow process answers; where it ends without an answer, that is the error."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1"),
        start_new_session=True,
    )
    out, err = answer_of(process, json.dumps(request).encode(), time_limit())
    reply = last_json(out)
    if reply is None:
        return {"error": last_line(err)}
    return reply


def _modules(model: keras.Model) -> Sequence[str]:
    """The modules that the user's own objects come from."""
    modules: set[str] = set()
    for thing in (*map(type, all_layers(model)), *keras.saving.get_custom_objects().values()):
        module = getattr(thing, "__module__", None) or ""
        if module.partition(".")[0] not in _NOT_THEIRS:
            modules.add(module)
    return sorted(modules)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    for module in request["modules"]:
        importlib.import_module(module)
    # not safe_mode: the file was written by the process that asks
    model = keras.models.load_model(request["model"], compile=False, safe_mode=False)
    with np.load(request["samples"]) as file:
        x = dict(file)
    outputs = savedmodel.write(model, Path(request["folder"]), **request["options"])
    save_arrays(Path(request["predicted"]), savedmodel.predict(model, x, outputs))
    return {"outputs": outputs}


if __name__ == "__main__":
    try:
        reply = _answer(json.load(sys.stdin))
    except Exception as error:
        reply = {"error": f"{type(error).__name__}: {str(error).strip()}"}
    print("\n" + json.dumps(reply), flush=True)
