"""All that a GPU can tell of TensorFlow in ten minutes, what matters most first.

    python -m benchmarks.gpu [--data FOLDER] [--minutes 10] [--only devices search ...] [--quick]

Each part is a process of its own with a share of the minutes, so that none costs another its place:
``devices``, what TensorFlow sees, and one product, one convolution and one compiled function there;
``search``, a search as users call it: its score is what the model evaluates to, and its export
predicts what the model does; ``again``, the same search twice: is it the same; ``speed``, whole
searches against KerasTuner on the same device; ``population``, how the time grows with the members,
with and without XLA; ``population-jax``, the same on JAX, if it is there; ``choices``, what is chosen
by the device, each both ways, and what to set; ``disk``, the first search of two processes with
compiled programs on disk; ``convolutions``, the ways to convolve for all members; ``activations``,
ours against Keras' own. FOLDER holds ``letters.csv`` (column ``letter``) and ``optdigits.csv``
(column ``digit``); without it the tasks that need them are left out. Everything runs on a CPU too,
where its numbers are those of the CPU.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_acts.search import SearchResult
    from keras_acts_cli.data import Parts

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# seconds that a part gets at least, whatever the others have left: to import TensorFlow and say so
_LEAST_SECONDS = 30


@dataclass(frozen=True)
class Part:
    """One thing to learn.

    Attributes:
        name: of the part.
        command: arguments of Python.
        share: of the minutes, at most.
        environment: what is set for it besides.
    """

    name: str
    command: tuple[str, ...]
    share: float
    environment: Mapping[str, str] = field(default_factory=dict)


def parts(data: Path | None, quick: bool) -> list[Part]:
    """Return the parts in the order of their worth."""
    flags: tuple[str, ...] = ()
    if quick:
        flags = ("--quick",)
    tables: tuple[str, ...] = ()
    tasks = ["default", "frozen"]
    if data is not None:
        letters, digits = str(data / "letters.csv"), str(data / "optdigits.csv")
        tables = ("--mlp", letters, "letter", "--cnn", digits, "digit")
        tasks = ["default", "mlp", "cnn", "frozen"]
    searches = ("benchmarks.search", *tables, "--tasks", *tasks, "--peers", "1", *flags)
    found = [
        _own("devices", 0.1),
        _own("search", 0.2),
        _own("again", 0.15),
        Part("speed", ("-m", *searches), 0.5),
    ]
    if data is not None:
        members = ("--members", "8", "32", "128", "512", "--peers", "1", "--repeats", "1")
        if quick:
            members = ("--quick",)
        growth = ("-m", "benchmarks.population", *tables, *members)
        found.append(Part("population", growth, 0.3))
        found.append(Part("population without XLA", (*growth, "--jit", "no"), 0.2))
        if importlib.util.find_spec("jax") is not None:
            found.append(Part("population-jax", growth, 0.2, {"KERAS_BACKEND": "jax"}))
    found.append(Part("choices", ("-m", "benchmarks.choices", *flags), 0.2))
    found.append(_own("disk", 0.2))
    found.append(Part("convolutions", ("-m", "benchmarks.convolutions", *flags), 0.2))
    found.append(Part("activations", ("-m", "benchmarks.activations", *flags), 0.2))
    return found


def _own(name: str, share: float) -> Part:
    return Part(name, ("-m", "benchmarks.gpu", "--part", name), share)


# ---- the parts that are ours


def devices() -> None:
    """Say what TensorFlow sees, and whether its kernels run there."""
    import tensorflow as tf

    from benchmarks.machine import environment

    print(environment())
    build = tf.sysconfig.get_build_info()
    print(f"built for CUDA {build.get('cuda_version')}, cuDNN {build.get('cudnn_version')}")
    print(f"devices: {tf.config.list_physical_devices()}")
    x = tf.random.normal((8, 256, 256))
    images = tf.random.normal((32, 16, 16, 64))
    kernels = tf.random.normal((3, 3, 8, 128))
    squashed = tf.function(lambda value: tf.nn.tanh(value @ value), jit_compile=True)
    tried: dict[str, Callable[[], tf.Tensor]] = {
        "a batched product": lambda: x @ x,
        "a function under XLA": lambda: squashed(x),
        "a convolution in groups, and its gradient": lambda: _gradient(images, kernels),
    }
    for name, run in tried.items():
        start = time.perf_counter()
        value = run()
        first = time.perf_counter() - start
        print(f"{name}: {value.device}, sum {float(tf.reduce_sum(value)):.6g}, {first:.2f} s")


def _gradient(images: tf.Tensor, kernels: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(kernels)
        total = tf.reduce_sum(tf.nn.conv2d(images, kernels, 1, "SAME") ** 2)
    return tape.gradient(total, kernels)


def _searched(trials: int) -> tuple[SearchResult, Parts]:
    """Search the default model on the bundled digits."""
    from keras_acts.search import search_activations
    from keras_acts_cli import data, models

    dataset = data.load("digits")
    split = dataset.split(0)
    result = search_activations(
        models.build(None, dataset, split, 0),
        *split.train,
        validation_data=split.validation,
        test_data=split.test,
        trials=trials,
        epochs=3,
        verdict=4,
        learning_rates=None,
        seed=1,
        verbose=1,
    )
    return result, split


def search() -> None:
    """Search, and compare what is said with what the model and its export do."""
    import numpy as np
    import tensorflow as tf

    start = time.perf_counter()
    result, split = _searched(trials=8)
    print(f"{time.perf_counter() - start:.1f} s from the call to the result")
    print(result)
    model = result.model
    assert model is not None
    evaluated = model.evaluate(*split.validation, verbose=0, return_dict=True)
    print(f"score {result.score:.6f}, the model evaluates to {evaluated['accuracy']:.6f}")
    with tempfile.TemporaryDirectory() as folder:
        best = Path(folder) / "best"
        result.export(best)
        loaded = tf.saved_model.load(str(best))  # its variables live as long as it does
        served = loaded.serve(split.test[0])
    predicted = model.predict(split.test[0], verbose=0)
    difference = np.abs(np.asarray(served) - predicted).max()
    print(f"export and model differ by {difference:.1e}")
    if not math.isclose(result.score, evaluated["accuracy"], abs_tol=1e-6) or difference > 1e-4:
        raise SystemExit("what is said is not what the model does")


def again() -> None:
    """Say whether the same search finds the same a second time."""
    first, _ = _searched(trials=6)
    second, _ = _searched(trials=6)
    scores = [[trial.score for trial in result.trials] for result in (first, second)]
    print(f"scores of the candidates: {scores[0]}, then {scores[1]}")
    for result in (first, second):
        print(result.verdict)
    print("the same" if scores[0] == scores[1] else "not the same: kernels add in another order")


def disk() -> None:
    """Say what a process takes that finds its compiled programs on disk, and one that does not."""
    code = "from benchmarks.choices import measured; print(measured('mlp', 32).begin)"
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first", "second"):
            process = subprocess.run(
                [sys.executable, "-c", code],
                env={
                    **os.environ,
                    "KERAS_ACTS_PROGRAMS": folder,
                    "KERAS_ACTS_CHOICES": "xla_steps=yes",
                },
                capture_output=True,
                text=True,
                check=False,
            )
            if process.returncode:
                raise SystemExit(process.stderr)
            seconds = float(process.stdout.split()[-1])
            print(f"{name} process: {seconds:.2f} s until the first epoch is over")
        programs = [path for path in Path(folder).rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in programs)
        print(f"{len(programs)} files, {size / 2**20:.1f} MiB")


OWN: dict[str, Callable[[], None]] = {
    "devices": devices,
    "search": search,
    "again": again,
    "disk": disk,
}


# ---- one after the other


def run(part: Part, seconds: float) -> str:
    """Run a part for so many seconds at most, print what it says as it comes, return how it ended."""
    print(f"\n== {part.name} (at most {seconds:.0f} s)", flush=True)
    start = time.perf_counter()
    environment = {**os.environ, **part.environment, "PYTHONUNBUFFERED": "1"}
    ended = "done"
    try:
        process = subprocess.run(
            [sys.executable, *part.command], env=environment, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        ended = "out of time"
    else:
        if process.returncode:
            ended = f"failed, exit code {process.returncode}"
    return f"{ended} after {time.perf_counter() - start:.0f} s"


def main() -> None:
    """Run the parts, or the one that a process of its own is for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of letters.csv and optdigits.csv")
    parser.add_argument("--minutes", type=float, default=10, help="for all (default: %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="PART", help="these parts, by their names")
    parser.add_argument("--quick", action="store_true", help="only whether it runs")
    parser.add_argument("--part", choices=OWN, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        OWN[arguments.part]()
        return
    wanted = parts(arguments.data, arguments.quick)
    if arguments.only:
        names = [part.name for part in wanted]
        unknown = sorted(set(arguments.only) - set(names))
        if unknown:
            parser.error(f"--only must be of {names}. Received: {unknown}")
        wanted = [part for part in wanted if part.name in arguments.only]
    deadline = time.monotonic() + 60 * arguments.minutes
    ends = {}
    for part in wanted:
        left = deadline - time.monotonic()
        if left < _LEAST_SECONDS:
            ends[part.name] = "no time left"
            continue
        ends[part.name] = run(part, min(left, 60 * arguments.minutes * part.share))
    print()
    for name, ended in ends.items():
        print(f"{name:>24}  {ended}")
    if any(ended.startswith("failed") for ended in ends.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
