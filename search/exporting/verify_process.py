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
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tensorflow.types.experimental import ConcreteFunction

Arrays = Mapping[str, np.ndarray]


def relative(expected: np.ndarray, received: np.ndarray) -> float:
    """Return the largest ``|received - expected| / max(1, |expected|)``.

    What is not finite must be equal.
    """
    if received.shape != expected.shape:
        raise ValueError(f"outputs of shape {received.shape} instead of {expected.shape}")
    if expected.dtype.kind not in "fc":
        if np.array_equal(received, expected):
            return 0.0
        return float("inf")
    with np.errstate(invalid="ignore"):
        difference = np.abs(received - expected) / np.maximum(1.0, np.abs(expected))
    # infinities of one sign, and NaN in both, are equal; their difference would be NaN
    same = (received == expected) | (np.isnan(received) & np.isnan(expected))
    difference = np.where(same, 0.0, difference)
    return float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))


def compare(expected: Arrays, received: Mapping[str, Any]) -> float:
    """Return the largest difference over all outputs by name."""
    if sorted(received) != sorted(expected):
        raise ValueError(f"outputs {sorted(received)} instead of {sorted(expected)}")
    return max(relative(expected[name], np.asarray(received[name])) for name in expected)


def check_saved_model(folder: str, x: Arrays, y: Arrays) -> float:
    """Return the largest difference of the SavedModel's predictions.

    It must take a batch of any size too.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)
    serving = loaded.signatures["serving_default"]
    inputs = {name: tf.constant(value) for name, value in x.items()}
    outputs = {name: value.numpy() for name, value in serving(**inputs).items()}
    first_rows = {name: value[:1] for name, value in inputs.items()}
    for name, value in serving(**first_rows).items():
        if value.shape != (1, *outputs[name].shape[1:]):
            raise ValueError(f"the output {name!r} of one sample has shape {tuple(value.shape)}")
    differences = [compare(y, outputs)]
    # `serve` takes and returns what the model does; only one tensor needs no structure
    if len(inputs) == len(y) == 1 and _takes_one_tensor(loaded.serve.concrete_functions[0]):
        (expected,) = y.values()
        (only_input,) = inputs.values()
        differences.append(relative(expected, np.asarray(loaded.serve(only_input))))
    return max(differences)


def _takes_one_tensor(function: ConcreteFunction) -> bool:
    """Whether a function takes one tensor, not a structure of them, and returns one."""
    import tensorflow as tf

    arguments, _ = function.structured_input_signature
    if not isinstance(arguments[0], tf.TensorSpec):
        return False
    return isinstance(function.structured_outputs, tf.TensorSpec)


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
    converted = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if converted.returncode or not os.path.isfile(file):
        reason = converted.stderr.strip() or "no file was written"
        raise RuntimeError(reason.splitlines()[-1])
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return compare(y, dict(zip(names, session.run(names, x), strict=True)))


# how each other kind of file is made and compared, and what it is called
CONVERSIONS = {"litert": (litert, "model.tflite"), "onnx": (onnx, "model.onnx")}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the differences by kind of file, and TensorFlow's version."""
    with np.load(request["samples"], allow_pickle=False) as file:
        x = _of_side(file, "x:")
        y = _of_side(file, "y:")
    folder = request["folder"]
    differences = {"SavedModel": check_saved_model(folder, x, y)}
    for kind, (convert, name) in CONVERSIONS.items():
        if kind not in request["formats"]:
            continue
        try:
            differences[kind] = convert(folder, os.path.join(folder, name), x, y)
        except Exception as error:
            raise RuntimeError(f"as {kind}: {error}") from error
    import tensorflow as tf

    return {"differences": differences, "tensorflow": tf.__version__}


def _of_side(file: np.lib.npyio.NpzFile, side: str) -> Arrays:
    """The arrays of a file whose names begin with the side, by the names behind it."""
    return {key.removeprefix(side): file[key] for key in file.files if key.startswith(side)}


if __name__ == "__main__":
    for name in ("keras_acts", "keras"):
        sys.modules[name] = None  # type: ignore[assignment]  # importing it is an error from here on
    # the training process may hold all of the GPU's memory
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow  # noqa: F401  # before the request is there

    for line in sys.stdin:  # none comes if the other process fails or is ended
        try:
            reply = answer(json.loads(line))
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print("\n" + json.dumps(reply), flush=True)
