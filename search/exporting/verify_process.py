"""The other process of an export.

It loads the SavedModel with plain TensorFlow, neither Keras nor keras_acts.

    python -P verify_process.py

reads requests as JSON from its standard input, one a line, and answers each as JSON on its standard
output. Started early, while the model is still being written, it hides how long TensorFlow takes to
load.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]


def relative(expected: np.ndarray, found: np.ndarray) -> float:
    """Return the largest ``|found - expected| / max(1, |expected|)``.

    What is not finite must be equal.
    """
    if found.shape != expected.shape:
        raise ValueError(f"outputs of shape {found.shape} instead of {expected.shape}")
    if expected.dtype.kind not in "fc":
        return 0.0 if np.array_equal(found, expected) else float("inf")
    with np.errstate(invalid="ignore"):
        difference = np.abs(found - expected) / np.maximum(1.0, np.abs(expected))
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    return float(np.nan_to_num(np.where(same, 0.0, difference), nan=np.inf).max(initial=0.0))


def compare(expected: Arrays, found: Mapping[str, Any]) -> float:
    """Return the largest difference over all outputs by name."""
    if sorted(found) != sorted(expected):
        raise ValueError(f"outputs {sorted(found)} instead of {sorted(expected)}")
    return max(relative(expected[name], np.asarray(found[name])) for name in expected)


def check_saved_model(folder: str, x: Arrays, y: Arrays) -> float:
    """Return the largest difference of the SavedModel's predictions.

    It must take a batch of any size too.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)
    serving = loaded.signatures["serving_default"]
    given = {name: tf.constant(value) for name, value in x.items()}
    found = {name: value.numpy() for name, value in serving(**given).items()}
    one = serving(**{name: value[:1] for name, value in given.items()})
    for name, value in one.items():
        if value.shape != (1, *found[name].shape[1:]):
            raise ValueError(f"the output {name!r} of one sample has shape {tuple(value.shape)}")
    differences = [compare(y, found)]
    if len(given) == len(y) == 1:
        (expected,) = y.values()
        differences += (
            [relative(expected, np.asarray(loaded.serve(*given.values())))]
            if _plain(loaded)
            else []
        )
    return max(differences)


def _plain(loaded: Any) -> bool:
    """Whether `serve` takes one tensor and returns one."""
    import tensorflow as tf

    function = loaded.serve.concrete_functions[0]
    (arguments, _), outputs = function.structured_input_signature, function.structured_outputs
    return isinstance(arguments[0], tf.TensorSpec) and isinstance(outputs, tf.TensorSpec)


def litert(folder: str, file: str, x: Arrays, y: Arrays) -> float:
    """Write the LiteRT file of the SavedModel, of built-in operations only.

    Return its largest difference.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
    with open(file, "wb") as opened:
        opened.write(converter.convert())
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        Interpreter = tf.lite.Interpreter
    return compare(y, Interpreter(file).get_signature_runner("serving_default")(**x))


def onnx(folder: str, file: str, x: Arrays, y: Arrays) -> float:
    """Write the ONNX file of the SavedModel; return its largest difference in ONNX Runtime."""
    import onnxruntime

    command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", folder, "--output", file]
    # the requests are on this process's standard input
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode or not os.path.isfile(file):
        raise RuntimeError((done.stderr.strip() or "no file was written").splitlines()[-1])
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return compare(y, dict(zip(names, session.run(names, x), strict=True)))


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the differences by kind of file, and TensorFlow's version."""
    with np.load(request["samples"], allow_pickle=False) as file:
        x, y = (
            {key[2:]: file[key] for key in file.files if key.startswith(side)}
            for side in ("x:", "y:")
        )
    folder = request["folder"]
    differences = {"SavedModel": check_saved_model(folder, x, y)}
    for kind, (convert, name) in {
        "litert": (litert, "model.tflite"),
        "onnx": (onnx, "model.onnx"),
    }.items():
        if kind in request["formats"]:
            try:
                differences[kind] = convert(folder, os.path.join(folder, name), x, y)
            except Exception as error:
                raise RuntimeError(f"as {kind}: {error}") from error
    import tensorflow as tf

    return {"differences": differences, "tensorflow": tf.__version__}


if __name__ == "__main__":
    for name in ("keras_acts", "keras"):
        sys.modules[name] = None  # type: ignore[assignment]  # importing it is an error from here on
    os.environ["CUDA_VISIBLE_DEVICES"] = (
        "-1"  # the training process may hold all of the GPU's memory
    )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow  # noqa: F401  # before the request is there

    for line in sys.stdin:  # none comes if the other process fails or is ended
        try:
            reply = answer(json.loads(line))
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print("\n" + json.dumps(reply), flush=True)
