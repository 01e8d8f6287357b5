"""How many slots of a population fit into memory, and what to do when that was too many."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import keras
import psutil

from keras_acts.compat import gpu_memory_limit

from .blueprint import layers_of, variables_of
from .device import gpus
from .graph import Graph
from .rules_convolutions import patches_per_sample

Job = TypeVar("Job")

_SHARE = 0.5  # of the free memory: an estimate is one, and the data, the graph and the system want theirs
# of a container: the limit, what is used, and the statistics with the name of that part of the page cache that goes
# when memory is wanted
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat", "inactive_file"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
        "total_inactive_file",
    ),
)


def bytes_per_slot(model: keras.Model, batch_size: int, shared: frozenset[str] = frozenset()) -> int:
    """Estimate what one more slot of a population takes in training.

    A trained value counts for itself, its gradient, the value before the update and a copy of the best epoch; two
    states of the optimizer, as Adam's, for themselves and that copy; a layer's output with its gradient for each sample
    of a batch. Sizes that the model leaves open count as 1.

    Args:
        model: the ordinary model.
        batch_size: of training or validation, the larger.
        shared: the paths of layers that run once for all slots, with one copy of their weights.
    """
    width = 8 if keras.config.floatx() == "float64" else 4
    once = {id(v) for path, layer in layers_of(model) if path in shared for v in variables_of(layer).values()}
    trained = sum(math.prod(v.shape) for v in model.trainable_variables)
    others = sum(math.prod(v.shape) for v in model.non_trainable_variables if id(v) not in once)
    return width * (8 * trained + 3 * others + 2 * batch_size * outputs_per_sample(model, shared))


def outputs_per_sample(model: keras.Model, shared: frozenset[str] = frozenset()) -> int:
    """Return how many values the layers make for one sample, without the shared; unknown sizes count as 1."""
    # not the layers' own nodes: a Sequential model calls all of them again with each `add`
    calls = [call for call in Graph(model).calls if call.path not in shared]
    return sum(
        math.prod(size or 1 for size in call.shape[1:]) + patches_per_sample(call.layer, call.shape) for call in calls
    )


def free_memory() -> int:
    """Return the free bytes where populations train: of the first GPU, else of the RAM, within the cgroup's limit."""
    if gpus():
        return _free_on_gpu()
    free = int(psutil.virtual_memory().available)
    for limit, used, statistics, cached in _CGROUPS:
        try:
            allowed = int(Path(limit).read_text())
            taken = int(Path(used).read_text())
        except (OSError, ValueError):  # there is no such file, or it says "max"
            continue
        # the working set: files that were read count as used, and are dropped as soon as memory is wanted
        free = min(free, allowed - max(0, taken - _statistic(statistics, cached)))
    return max(free, 0)


def _statistic(path: str, name: str) -> int:
    """A number of a file with a name and a number a line; 0 where it is not told."""
    try:
        told = dict(line.split() for line in Path(path).read_text().splitlines())
        return int(told.get(name, 0))
    except (OSError, ValueError):
        return 0


def most(slot: int, memory: int | None = None) -> int:
    """Return how many slots fit into memory, at least 1.

    Args:
        slot: the bytes of one.
        memory: the bytes that may be used; by default half of what is free.
    """
    budget = _SHARE * free_memory() if memory is None else memory
    return max(1, int(budget // max(slot, 1)))


def too_little(slot: int, memory: int | None = None) -> str:
    """Return why no two slots train together, in words.

    Args:
        slot: the bytes of one.
        memory: the bytes that may be used; by default half of what is free.
    """
    budget = _SHARE * free_memory() if memory is None else memory
    return f"a model takes about {_mebibytes(slot)} in training, and {_mebibytes(budget)} may be used"


def _mebibytes(count: float) -> str:
    return f"{max(1, round(count / 2**20)):,} MiB"


def waves(jobs: Sequence[Job], slot: int, memory: int | None = None) -> list[list[Job]]:
    """Return the jobs in as few populations of about the same size as the memory allows.

    Args:
        jobs: what becomes a slot each.
        slot: the bytes of one.
        memory: the bytes that may be used; by default half of what is free.
    """
    count = math.ceil(len(jobs) / most(slot, memory))
    bounds = [round(i * len(jobs) / count) for i in range(count + 1)]
    return [list(jobs[start:stop]) for start, stop in itertools.pairwise(bounds)]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, in Python, TensorFlow or JAX."""
    if isinstance(error, MemoryError):
        return True
    name = type(error).__name__
    return name == "ResourceExhaustedError" or (
        name in ("XlaRuntimeError", "JaxRuntimeError", "InternalError") and "RESOURCE_EXHAUSTED" in str(error)
    )


def _free_on_gpu() -> int:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return int(gpu_memory_limit() - tf.config.experimental.get_memory_info("GPU:0")["current"])
    import jax

    stats: dict[str, Any] = jax.local_devices()[0].memory_stats()
    return int(stats["bytes_limit"] - stats["bytes_in_use"])
