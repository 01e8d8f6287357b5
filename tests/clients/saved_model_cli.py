"""TensorFlow's command `saved_model_cli run`."""

import subprocess
import sys
import tempfile
from pathlib import Path

import compare
import numpy as np


def predict(folder, x):
    command = Path(sys.executable).with_name("saved_model_cli")
    if not command.is_file():
        compare.missing("saved_model_cli")
    with tempfile.TemporaryDirectory() as scratch:
        files = {name: Path(scratch) / f"{name}.npy" for name in x}
        for name, file in files.items():
            np.save(file, x[name])
        inputs = ";".join(f"{name}={file}" for name, file in files.items())
        arguments = ["--tag_set", "serve", "--signature_def", "serving_default", "--inputs", inputs]
        done = subprocess.run(
            [command, "run", "--dir", folder, *arguments, "--outdir", scratch],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(done.stderr)
        return {
            file.stem: np.load(file)
            for file in Path(scratch).glob("*.npy")
            if file not in files.values()
        }


if __name__ == "__main__":
    compare.main("saved_model_cli", predict, 1e-6)
