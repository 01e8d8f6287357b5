"""TensorFlow's C API: c_api.c, compiled against the headers and libraries of the TensorFlow wheel.

Python only compiles it, and reads and writes files; it does not import TensorFlow.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import compare
import numpy as np


def predict(folder, x):
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        compare.missing("a C compiler")
    wheel = Path(importlib.util.find_spec("tensorflow").submodule_search_locations[0])
    if not (wheel / "libtensorflow_cc.so.2").is_file():
        compare.missing("libtensorflow_cc.so.2 in the TensorFlow wheel")
    card = json.loads((Path(folder) / "assets" / "model_card.json").read_text(encoding="utf-8"))
    signature = card["signatures"]["serving_default"]
    ((name, value),) = x.items()
    with tempfile.TemporaryDirectory() as scratch:
        program, given = Path(scratch) / "c_api", Path(scratch) / "input"
        files = {key: Path(scratch) / f"output-{key}" for key in signature["outputs"]}
        libraries = ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
        source = Path(__file__).with_suffix(".c")
        options = [
            "-Wall",
            "-Werror",
            "-isystem",
            wheel / "include",
            "-L",
            wheel,
            f"-Wl,-rpath,{wheel}",
        ]
        _run(compiler, source, "-o", program, *options, *libraries)
        value.astype("float32").tofile(given)
        outputs = [
            part
            for key, file in files.items()
            for part in (signature["outputs"][key]["tensor"], file)
        ]
        _run(
            program,
            folder,
            signature["inputs"][name]["tensor"],
            given,
            value.ndim,
            *value.shape,
            *outputs,
        )
        shapes = {key: (len(value), *signature["outputs"][key]["shape"][1:]) for key in files}
        return {
            key: np.fromfile(file, "float32").reshape(shapes[key]) for key, file in files.items()
        }


def _run(*command):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)


if __name__ == "__main__":
    compare.main("C API", predict, 1e-6)
