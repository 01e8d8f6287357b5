"""ONNX Runtime, on what tf2onnx makes of the SavedModel."""

import subprocess
import sys
import tempfile
from pathlib import Path

import compare


def predict(folder, x):
    import onnxruntime
    import tf2onnx  # noqa: F401  # the command below needs it

    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "model.onnx"
        command = [
            sys.executable,
            "-m",
            "tf2onnx.convert",
            "--saved-model",
            folder,
            "--output",
            file,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, x), strict=True))


if __name__ == "__main__":
    compare.main("ONNX Runtime", predict, 1e-5)
