"""How fast are exports? Latency against Keras' own layers of the same shape, exported by Keras itself.

    python -m benchmarks.export [--repeats 11] [--only mish] [--json FILE]

Ours goes through `keras_acts.search.export`, the other through `keras.Model.export`; both are
served by plain TensorFlow, LiteRT and ONNX Runtime (``pip install ".[clients]"``; what is missing
is left out). Each number is the median over interleaved repeats of the ratio of two times measured
one after the other: below 1, ours is faster. An activation alone is the hardest case; in a network
its share is small. On a shared machine, run it twice.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

import keras_acts as ka
from benchmarks.machine import environment, parsed
from keras_acts.search import export

Run = Callable[[], Any]
SHAPES = {"activation alone": ((256,), 4096), "in a CNN": ((32, 32, 8), 32)}
REPEAT_S = 0.05  # of each timing, so that the clock and the dispatch do not count


def layers() -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """Return ours and Keras' by name, each as a function that makes the layer."""
    k = keras.layers

    def threshold() -> Any:  # another function below theta, the nearest that Keras has
        return k.ReLU(negative_slope=0.1, threshold=0.5)

    return {
        "mish": (lambda: k.Activation(ka.Mish()), lambda: k.Activation("mish")),
        "trelu": (lambda: k.Activation(ka.TReLU(alpha=0.1, theta=0.5)), threshold),
        "trelu trained": (lambda: ka.layers.TReLU(alpha=0.1, theta=0.5), threshold),
        "prelu": (
            ka.layers.PReLU,
            lambda: k.PReLU(alpha_initializer=keras.initializers.Constant(0.25)),
        ),
    }


def build(kind: str, name: str, layer: Callable[[], Any]) -> keras.Model:
    """Return the model; Keras' PReLU has one alpha a channel, as ours."""

    def activation() -> Any:
        made = layer()
        if isinstance(made, keras.layers.PReLU) and kind == "in a CNN":
            made = keras.layers.PReLU(
                alpha_initializer=keras.initializers.Constant(0.25), shared_axes=[1, 2]
            )
        return made

    keras.utils.set_random_seed(1)
    shape, _ = SHAPES[kind]
    parts = [keras.Input(shape, name="x")]
    if kind == "in a CNN":
        parts += [
            keras.layers.Conv2D(16, 3),
            activation(),
            keras.layers.Conv2D(16, 3),
            activation(),
        ]
        parts += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)]
    else:
        parts += [activation()]
    return keras.Sequential(parts)


def tensorflow_run(folder: Path, x: np.ndarray) -> Run:
    """Serve with plain TensorFlow."""
    loaded = tf.saved_model.load(str(folder))
    tensor = tf.constant(x)
    return lambda loaded=loaded: loaded.serve(tensor).numpy()  # type: ignore[misc]  # it must stay referenced


def litert_run(folder: Path, x: np.ndarray) -> Run:
    """Serve with LiteRT, one thread for each core."""
    from ai_edge_litert.interpreter import Interpreter

    content = tf.lite.TFLiteConverter.from_saved_model(
        str(folder), signature_keys=["serving_default"]
    ).convert()
    interpreter = Interpreter(model_content=content, num_threads=os.cpu_count())
    runner = interpreter.get_signature_runner("serving_default")
    (name,) = interpreter.get_signature_list()["serving_default"]["inputs"]
    return lambda: runner(**{name: x})


def onnx_run(folder: Path, x: np.ndarray) -> Run:
    """Serve with ONNX Runtime what tf2onnx makes."""
    import onnxruntime

    file = folder.with_suffix(".onnx")
    command = [
        sys.executable,
        "-m",
        "tf2onnx.convert",
        "--saved-model",
        str(folder),
        "--output",
        str(file),
    ]
    subprocess.run(command, capture_output=True, check=True)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: x})


RUNTIMES = {"TensorFlow": tensorflow_run, "LiteRT": litert_run, "ONNX Runtime": onnx_run}


def measure(ours: Run, theirs: Run, repeats: int) -> tuple[float, float]:
    """Return the median time of ours in ms and the median ratio to theirs."""
    calls = 1
    for run in (ours, theirs):
        run()
        start = time.perf_counter()
        run()
        calls = max(calls, round(REPEAT_S / (time.perf_counter() - start)))
    rows = []
    for repeat in range(repeats):
        times = {}
        for run in (ours, theirs) if repeat % 2 else (theirs, ours):
            start = time.perf_counter()
            for _ in range(calls):
                run()
            times[run] = (time.perf_counter() - start) / calls
        rows.append((times[ours], times[theirs]))
    return 1e3 * statistics.median(row[0] for row in rows), statistics.median(
        row[0] / row[1] for row in rows
    )


def rows(only: list[str], repeats: int, scratch: Path) -> Iterator[dict[str, Any]]:
    """Yield one measurement after the other."""
    for kind, (shape, batch) in SHAPES.items():
        x = np.random.default_rng(0).normal(size=(batch, *shape)).astype("float32")
        for name, (ours, theirs) in layers().items():
            if only and not name.startswith(tuple(only)):
                continue
            folders = [
                scratch / f"{kind} {name} {whose}".replace(" ", "-") for whose in ("ours", "theirs")
            ]
            export(build(kind, name, ours), folders[0])
            build(kind, name, theirs).export(folders[1], format="tf_saved_model", verbose=False)
            for runtime, make in RUNTIMES.items():
                try:
                    ms, ratio = measure(*(make(folder, x) for folder in folders), repeats)
                except ModuleNotFoundError as error:
                    print(f"{runtime} is left out: there is no {error.name}", file=sys.stderr)
                    continue
                yield {
                    "model": kind,
                    "activation": name,
                    "runtime": runtime,
                    "ms": ms,
                    "ratio": ratio,
                }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=11,
        help="interleaved repeats, at least 7 (default: %(default)s)",
    )
    parser.add_argument(
        "--only", nargs="*", default=[], help="only the activations whose name starts so"
    )
    parser.add_argument("--json", help="write the measurements to this file too")
    arguments = parsed(parser, only=["relu"], repeats=7)
    if arguments.repeats < 7:
        parser.error("needs --repeats >= 7")
    console = Console(width=120)
    console.print(f"{environment()}; {arguments.repeats} repeats", soft_wrap=True)
    with tempfile.TemporaryDirectory() as scratch:
        found = list(rows(arguments.only, arguments.repeats, Path(scratch)))
    table = Table("model", "activation", "runtime", "ms", "ours / Keras'", box=MARKDOWN)
    for row in found:
        table.add_row(
            row["model"],
            row["activation"],
            row["runtime"],
            f"{row['ms']:.3f}",
            f"{row['ratio']:.2f}",
        )
    console.print(table)
    if arguments.json:
        Path(arguments.json).write_text(
            json.dumps({"environment": environment(), "rows": found}, indent=2)
        )


if __name__ == "__main__":
    main()
