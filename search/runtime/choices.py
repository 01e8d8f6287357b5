"""What is chosen by the device, all of it in one place that a script can set.

Each choice is one of speed or memory: what is trained is the same to rounding. Where nothing is set,
the functions below choose by what was measured (`costs.py`). To try another::

    with choices.using(convolutions="patches"):
        population.fit(x, y)

or, for a whole process, ``KERAS_ACTS_CHOICES="convolutions=patches,xla_steps=no"``.
`python -m benchmarks.gpu --only choices` measures each both ways, and prints what to set.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras

from keras_acts.compat import devices_are_in_use
from keras_acts.errors import SearchError

from . import costs
from .cores import usable_cores
from .device import gpus, lacks_onednn, threads_a_kernel

_VARIABLE = "KERAS_ACTS_CHOICES"
# TensorFlow reads it when it first uses a GPU
_GROWTH = "TF_FORCE_GPU_ALLOW_GROWTH"
# what it understands, letter for letter
_GROWTH_SAYS = {"true": True, "false": False}
# of JAX, which takes three quarters of a GPU at first unless it says one of these
_PREALLOCATES = "XLA_PYTHON_CLIENT_PREALLOCATE"
_NOT_AT_FIRST = ("0", "false", "False")
_YES = {"yes": True, "no": False}
CONVOLUTIONS = ("grouped", "patches", "loop")
PRODUCTS = ("batched", "separate")
_NUMBERS = ("lanes", "most_members")


@dataclass(frozen=True)
class Choices:
    """What is set; None for what is chosen by the device.

    Attributes:
        xla_steps: whether XLA compiles whole training steps on TensorFlow.
        xla_updates: whether it compiles the update of the weights, where not the whole step.
        fill_batches: whether a smaller last batch is filled up, so that it needs no program of its
            own.
        convolutions: "grouped", the members as groups of one convolution; "patches", products of
            what the windows see; "loop", member after member.
        lanes: in how many lanes, side by side in a program, the members go through the layers.
        products: "batched", of the matrices of all members at once, or "separate", one a member.
        graph_optimizer: whether TensorFlow's graph optimizer runs before programs of populations.
        memory_growth: whether TensorFlow takes a GPU's memory as it needs it, and not all at first;
            heard only before it first uses the GPU.
        most_members: of one population in a race.
    """

    xla_steps: bool | None = None
    xla_updates: bool | None = None
    fill_batches: bool | None = None
    convolutions: str | None = None
    lanes: int | None = None
    products: str | None = None
    graph_optimizer: bool | None = None
    memory_growth: bool | None = None
    most_members: int | None = None

    def __post_init__(self) -> None:
        _check("convolutions", self.convolutions, CONVOLUTIONS)
        _check("products", self.products, PRODUCTS)
        for name in _NUMBERS:
            number = getattr(self, name)
            if number is not None and number < 1:
                raise SearchError(f"{name} must be at least 1. Received: {name}={number}")


def _check(name: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise SearchError(f"{name} must be one of {', '.join(known)}. Received: {name}={value!r}")


def parsed(text: str) -> Choices:
    """Return what a text sets: ``name=value``, with commas between.

    Raises:
        SearchError: if there is no such choice, or it has no such value.
    """
    names = [field.name for field in dataclasses.fields(Choices)]
    values: dict[str, bool | str | int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, written = (piece.strip() for piece in part.partition("="))
        if name not in names:
            raise SearchError(
                f"{_VARIABLE} must be NAME=VALUE, with commas between, of {', '.join(names)}. "
                f"Received: {part!r}"
            )
        values[name] = _value(name, written)
    return Choices(**values)  # type: ignore[arg-type]


def _value(name: str, written: str) -> bool | str | int:
    if name in ("convolutions", "products"):
        return written
    if name in _NUMBERS:
        if not written.isdecimal():
            raise SearchError(f"{name} must be a whole number. Received: {name}={written!r}")
        return int(written)
    if written not in _YES:
        raise SearchError(f"{name} must be yes or no. Received: {name}={written!r}")
    return _YES[written]


# of the process: training threads see it too
_set = parsed(os.environ.get(_VARIABLE, ""))


def now() -> Choices:
    """Return what is set."""
    return _set


@contextmanager
def using(**changed: bool | str | int | None) -> Iterator[Choices]:
    """Have some choices set inside the scope, for the whole process; None for by the device.

    A population that is traced in the scope stays as it was traced.
    """
    global _set
    before = _set
    _set = dataclasses.replace(before, **changed)  # type: ignore[arg-type]
    try:
        yield _set
    finally:
        _set = before


# ---- the choices, by the device where nothing is set


def xla_makes_steps_faster(rules_say_so: bool) -> bool:
    """Whether XLA makes whole training steps faster; on a CPU, the layers' rules tell."""
    if _set.xla_steps is not None:
        return _set.xla_steps
    return rules_say_so or bool(gpus())


def compiles_step(steps: float, members: int, faster: bool) -> bool:
    """Whether XLA compiles whole training steps of a population, of which so many are to come."""
    if _set.xla_steps is not None:
        return _set.xla_steps
    if not faster or members < costs.XLA_LEAST_MEMBERS:
        return False
    # XLA divides its own kernels, and has one thread for them where lanes are chosen
    if keras.backend.backend() == "tensorflow" and lanes(members) > 1:
        return False
    if lacks_onednn():
        return costs.XLA_STEP_WITHOUT_ONEDNN.pays(steps, members)
    return costs.XLA_STEP_WITH_ONEDNN.pays(steps, members)


def compiles_update(steps: float, members: int) -> bool:
    """Whether XLA compiles the update of the weights, if not the whole step."""
    if _set.xla_updates is not None:
        return _set.xla_updates
    return members >= costs.XLA_LEAST_MEMBERS and steps >= costs.XLA_UPDATE_LEAST_STEPS


def fills_batches() -> bool:
    """Whether a smaller last batch is filled up where that is exact: wherever XLA compiles, it pays."""
    return _set.fill_batches is not False


def convolves_by(window: int, channels: int, groups: int) -> str:
    """Return how the members convolve with kernels of so many pixels, channels and groups.

    Args:
        window: pixels of a kernel.
        channels: that each kernel sees.
        groups: of the layer itself, which has no products of patches.
    """
    chosen = _set.convolutions
    if chosen == "patches" and groups > 1:
        chosen = None
    if chosen is not None:
        return chosen
    if keras.backend.backend() == "tensorflow":
        return "grouped"
    on_gpu = bool(gpus())
    too_many = costs.PATCHES_TOO_MANY_VALUES_ON_CPU
    if on_gpu:
        too_many = costs.PATCHES_TOO_MANY_VALUES_ON_GPU
    if groups == 1 and (window == 1 or window * channels < too_many):
        return "patches"
    if on_gpu:
        return "grouped"
    return "loop"


def multiplies_separately(members: int, values: int, compiled: bool) -> bool:
    """Whether dense layers are one product a member, with so many values in each kernel."""
    if _set.products is not None:
        return _set.products == "separate"
    few = members <= costs.PRODUCT_A_MEMBER_MOST_MEMBERS
    large = values >= costs.PRODUCT_A_MEMBER_LEAST_VALUES
    return few and large and lacks_onednn() and not gpus() and not compiled


def lanes(members: int) -> int:
    """Return in how many lanes so many members go through the layers: one where they are not parted."""
    if _set.lanes is not None:
        return min(_set.lanes, members)
    if gpus() or usable_cores() < costs.LANES or threads_a_kernel() > 1:
        return 1
    return min(costs.LANES, members)


def optimizes_graphs() -> bool:
    """Whether TensorFlow's graph optimizer runs before programs that are as fast without it on a CPU."""
    if _set.graph_optimizer is not None:
        return _set.graph_optimizer
    return bool(gpus())


def most_members() -> int:
    """Return how many members a population of a race has at most."""
    return _set.most_members or costs.RACE_MOST_MEMBERS


# whether TensorFlow used its devices when it was asked, so that it has not heard it
_asked_too_late = False


def let_memory_grow() -> None:
    """Ask TensorFlow to take a GPU's memory as it needs it, if the user has not said how.

    Other processes on the GPU keep theirs then. It is too late where TensorFlow uses the GPU
    already: `memory_grows` tells.
    """
    global _asked_too_late
    if _set.memory_growth is False or _GROWTH in os.environ:
        return
    if keras.backend.backend() == "tensorflow":
        _asked_too_late = devices_are_in_use()
    # for the processes that this one starts, too
    os.environ[_GROWTH] = "true"


def memory_grows() -> bool:
    """Whether the backend takes a GPU's memory as it needs it, and not most of it at first."""
    if keras.backend.backend() == "jax":
        return os.environ.get(_PREALLOCATES) in _NOT_AT_FIRST
    told = os.environ.get(_GROWTH)
    if told in _GROWTH_SAYS and not _asked_too_late:
        return _GROWTH_SAYS[told]
    import tensorflow as tf

    # what the user's script has set, the same for all that are used
    return any(map(tf.config.experimental.get_memory_growth, tf.config.get_visible_devices("GPU")))
