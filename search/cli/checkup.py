"""What `keras-acts doctor` tells: what trains here, what a step costs, and what would make it faster."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from keras_acts.search import PopulationModel
from keras_acts.search.runtime import choices, costs, device, programs
from keras_acts.search.runtime.cores import usable_cores
from keras_acts.search.runtime.memory import free_memory
from keras_acts.search.runtime.ram import free_ram

_US = "keras-acts"
# whose versions a result depends on
_PACKAGES = ("tensorflow", "keras", "keras-tuner", "numpy")
_GPU_OF_NVIDIA = Path("/dev/nvidia0")
_MEMBERS = 32
_CANDIDATES = ("relu", "mish", "tanh", "elu")
_FEATURES = 16
_CLASSES = 10
_BATCH = 32
_STEPS = 100
# of measuring one of the two, after the first steps; seconds
_MEASURED = 0.5
# what is left is too little for large populations; bytes
_LITTLE_MEMORY = 2 * 2**30
# more processes a core than this make what is measured slower; this one wants some cores itself
_BUSY = 1.5


@dataclass(frozen=True)
class Version:
    """An installed package.

    Attributes:
        supported: the versions that keras_acts is tested with.
    """

    name: str
    version: str
    supported: str = ""

    @property
    def fits(self) -> bool:
        """Whether it is one of those that are supported."""
        return SpecifierSet(self.supported).contains(self.version, prereleases=True)


@dataclass(frozen=True)
class Machine:
    """What trains here.

    Attributes:
        device: the CPU or the GPU, in words.
        gpus: those that the backend uses.
        onednn: whether TensorFlow computes with it; None where it has none.
        cores: that this process may use.
        load: how many processes wanted a core in the last minute; None where nobody says.
        free_ram: bytes.
        free: bytes where populations train.
        dtype_policy: of layers that name none.
        programs: the folder where compiled programs are kept; None where they are not.
        tf32: whether TensorFlow multiplies in TF32 on a GPU; None without one.
        chosen: what is set by hand (`KERAS_ACTS_CHOICES`), by name.
        may_have_lanes: whether small models would train on both cores with one thread a kernel.
    """

    device: str
    gpus: tuple[str, ...]
    backend: str
    onednn: bool | None
    cores: int
    load: float | None
    free_ram: int
    free: int
    dtype_policy: str = "float32"
    programs: str | None = None
    tf32: bool | None = None
    chosen: Mapping[str, object] = field(default_factory=dict)
    may_have_lanes: bool = False


@dataclass(frozen=True)
class Steps:
    """What a training step of a small MLP takes, in seconds.

    Attributes:
        one: of one model, in Keras' `fit`.
        together: of all members of a population.
        members: how many those are.
        begin_one: seconds to trace, and perhaps compile, the program of the one model.
        begin_together: the same of the population.
    """

    one: float
    together: float
    members: int = _MEMBERS
    begin_one: float = 0.0
    begin_together: float = 0.0

    @property
    def times(self) -> float:
        """How many times as fast the members train together."""
        return self.one * self.members / self.together


def run(*, as_json: bool) -> None:
    """Measure, and print it."""
    machine = look()
    found = versions()
    steps = None
    if can_search(machine):
        steps = measure()
    if as_json:
        print(json.dumps(_plain(machine, found, steps), indent=2))
    else:
        print("\n".join(lines(machine, found, steps)))


def can_search(machine: Machine) -> bool:
    """Whether searches run on this backend."""
    return machine.backend in ("tensorflow", "jax")


def look() -> Machine:
    """Return what trains here."""
    onednn = None
    if device.has_onednn():
        onednn = not device.lacks_onednn()
    gpus = tuple(device.gpus())
    kept_in = programs.kept_in()
    set_by_hand = {
        name: value for name, value in asdict(choices.now()).items() if value is not None
    }
    return Machine(
        device=device.describe(),
        gpus=gpus,
        backend=keras.backend.backend(),
        onednn=onednn,
        cores=usable_cores(),
        load=_load(),
        free_ram=free_ram(),
        free=free_memory(),
        dtype_policy=keras.config.dtype_policy().name,
        programs=str(kept_in) if kept_in else None,
        tf32=_multiplies_in_tf32(gpus),
        chosen=set_by_hand,
        may_have_lanes=_may_have_lanes(gpus),
    )


def _may_have_lanes(gpus: tuple[str, ...]) -> bool:
    if gpus or keras.backend.backend() != "tensorflow" or usable_cores() != costs.LANES:
        return False
    return device.threads_a_kernel() > 1


def _multiplies_in_tf32(gpus: tuple[str, ...]) -> bool | None:
    if not gpus or keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    return bool(tf.config.experimental.tensor_float_32_execution_enabled())


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):  # Windows has none
        return None


def versions() -> tuple[Version, ...]:
    """Return Python, keras_acts, and the packages that results depend on."""
    metadata = importlib.metadata.metadata(_US)
    found = [
        Version("Python", platform.python_version(), metadata["Requires-Python"]),
        Version("keras_acts", metadata["Version"]),
    ]
    supported = {}
    for written in importlib.metadata.requires(_US) or ():
        requirement = Requirement(written)
        if requirement.marker is None:  # else of an extra
            supported[requirement.name] = str(requirement.specifier)
    for name in _PACKAGES:
        found.append(Version(name, _version_of(name), supported.get(name, "")))
    return tuple(found)


def _version_of(package: str) -> str:
    """The version that is imported here: tensorflow is installed by other names too."""
    module = importlib.import_module(package.replace("-", "_"))
    return str(module.__version__)


def measure() -> Steps:
    """Return what a step of a small MLP costs here, alone and in a population."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(_BATCH * _STEPS, _FEATURES)).astype("float32")
    y = rng.integers(0, _CLASSES, len(x))
    alone = _mlp(steps_per_execution=1)
    # a search takes the steps of an epoch in one call
    template = _mlp(steps_per_execution=_STEPS)
    seeds = _MEMBERS // len(_CANDIDATES)
    population = PopulationModel(template, list(_CANDIDATES), seeds=seeds)
    one = _timed(alone, x, y)
    together = _timed(population, x, y)
    return Steps(
        one=one.step,
        together=together.step,
        begin_one=one.begin,
        begin_together=together.begin,
    )


def _mlp(steps_per_execution: int) -> keras.Model:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((_FEATURES,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(_CLASSES, activation="softmax"),
        ]
    )
    model.compile(
        "adam", "sparse_categorical_crossentropy", steps_per_execution=steps_per_execution
    )
    return model


class _Timed(NamedTuple):
    """Seconds of a training step, and of what comes before the first."""

    step: float
    begin: float


def _timed(model: keras.Model, x: np.ndarray, y: np.ndarray) -> _Timed:
    """Train, and take the fastest epoch: whatever else runs makes others slower."""

    def train() -> float:
        begun = time.perf_counter()
        model.fit(x, y, batch_size=_BATCH, epochs=1, verbose=0)
        return time.perf_counter() - begun

    first = train()  # traces the program
    taken = [train()]
    while sum(taken) < _MEASURED:
        taken.append(train())
    return _Timed(min(taken) / _STEPS, max(0.0, first - min(taken)))


def lines(machine: Machine, found: tuple[Version, ...], steps: Steps | None) -> Iterator[str]:
    """Yield the report, a line each."""
    yield from _section("Versions", {one.name: _version_text(one) for one in found})
    yield ""
    yield from _section("Here", _facts(machine))
    yield ""
    if steps is not None:
        yield f"A training step of a small MLP ({_FEATURES}-64-64-{_CLASSES}, batches of {_BATCH})"
        each = steps.together / steps.members
        rows = {
            "one model": f"{_ms(steps.one)} (Keras' fit)",
            f"{steps.members} models": f"{_ms(steps.together)} together, {_ms(each)} each: "
            f"{steps.times:.1f} times as fast as one after the other",
        }
        if steps.begin_together > 0:
            rows["to begin"] = (
                f"{steps.begin_one:.1f} s the one, {steps.begin_together:.1f} s the "
                f"{steps.members}: each is made a program"
            )
        yield from _section("", rows)
        yield ""
    yield "What would make it faster here"
    for tip in advice(machine, found):
        yield f"  - {tip}"


def _section(title: str, rows: Mapping[str, str]) -> Iterator[str]:
    if title:
        yield title
    width = max(map(len, rows))
    for name, text in rows.items():
        yield f"  {name.ljust(width)}  {text}"


def _version_text(one: Version) -> str:
    if one.fits:
        return one.version
    return f"{one.version}, outside of what is supported ({one.supported}): results may differ"


def _facts(machine: Machine) -> dict[str, str]:
    facts = {"device": machine.device, "backend": machine.backend}
    if machine.onednn is not None:
        facts["oneDNN"] = "off"
        if machine.onednn:
            facts["oneDNN"] = "on"
    facts["cores"] = str(machine.cores)
    if machine.load is not None:
        facts["cores"] += f", of which others and this want {machine.load:.1f}"
    facts["free memory"] = f"{machine.free_ram / 2**30:.1f} GiB"
    if machine.gpus:
        facts["on the GPU"] = f"{machine.free / 2**30:.1f} GiB"
    if machine.tf32:
        facts["products"] = "in TF32: float32 with 10 bits behind the point"
    if machine.dtype_policy != "float32":
        facts["dtype policy"] = machine.dtype_policy
    for name, value in machine.chosen.items():
        facts[f"chosen: {name}"] = str(value)
    facts["kept on disk"] = (
        "exports, and searches with --resume or --directory, in their folders; no compiled programs"
    )
    if machine.programs:
        facts["kept on disk"] = f"also what is compiled, in {machine.programs}"
    return facts


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2g} ms"


def advice(machine: Machine, found: tuple[Version, ...]) -> list[str]:
    """Return what would make searches faster or possible, one sentence each, where it is so here."""
    tips = []
    if not can_search(machine):
        tips.append(f"KERAS_BACKEND=tensorflow or jax: searches do not run on {machine.backend}")
    if not machine.gpus and _GPU_OF_NVIDIA.exists():
        tips.append(
            'a GPU is here that the backend does not see: pip install "keras-acts[cuda]", and look '
            "at CUDA_VISIBLE_DEVICES"
        )
    if machine.onednn is False:
        tips.append(
            "TF_ENABLE_ONEDNN_OPTS=1: without oneDNN, TensorFlow has no grouped convolutions on CPUs"
        )
    if machine.may_have_lanes:
        tips.append(
            "TF_NUM_INTRAOP_THREADS=1 for small models: half of the members train on each core; large "
            "models are slower so"
        )
    if machine.load is not None and machine.load > _BUSY * machine.cores:
        tips.append(
            "fewer other processes: they want more cores than there are, and what was measured here "
            "is slower than it need be"
        )
    if machine.free < _LITTLE_MEMORY:
        tips.append("more free memory: where it is short, fewer models train together")
    compiles = bool(machine.gpus) or machine.backend == "jax"
    if compiles and can_search(machine) and not machine.programs:
        tips.append(
            f"{programs.VARIABLE}=FOLDER: most of the first seconds here XLA compiles, and a second "
            "search of a model takes what is in the folder"
        )
    if machine.gpus and machine.dtype_policy == "float32":
        tips.append(
            'keras.config.set_dtype_policy("mixed_bfloat16") before the model is built: half of the '
            "memory for what layers put out, where the model trains as well so"
        )
    for one in found:
        if not one.fits:
            tips.append(f"{one.name} {one.supported}: only these versions are tested")
    return tips or ["nothing that we know of"]


def _plain(machine: Machine, found: tuple[Version, ...], steps: Steps | None) -> dict[str, object]:
    packages = [{**asdict(one), "fits": one.fits} for one in found]
    plain: dict[str, object] = {"machine": asdict(machine), "versions": packages, "steps": None}
    if steps is not None:
        plain["steps"] = {**asdict(steps), "times": steps.times}
    plain["faster"] = advice(machine, found)
    return plain
