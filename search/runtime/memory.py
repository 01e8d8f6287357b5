"""How much memory is free where populations train, and which errors say that it ran out."""

from __future__ import annotations

from pathlib import Path

import keras
import psutil

from keras_acts.compat import gpu_memory_limit

from .device import gpus
from .kept_files import is_disk_full

# of a container: the limit, what is used, and the statistics with the name of that part of the page
# cache that goes when memory is wanted
_CGROUPS = (
    (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory.current",
        "/sys/fs/cgroup/memory.stat",
        "inactive_file",
    ),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
        "total_inactive_file",
    ),
)
# by their names: whichever backend is not used need not be installed
_ERRORS_OF_XLA = ("XlaRuntimeError", "JaxRuntimeError", "InternalError")

# what else of the system may run out
_NO_MEMORY = ("too many open files", "too many links", "too many users")


def free_memory() -> int:
    """Return the free bytes where populations train.

    Of the first GPU, else of the RAM, within the cgroup's limit.
    """
    if gpus():
        return _free_on_gpu()
    return free_ram()


def free_ram() -> int:
    """Return the free bytes of the RAM, within the cgroup's limit."""
    free = int(psutil.virtual_memory().available)
    for limit, used, statistics, cached in _CGROUPS:
        try:
            allowed = int(Path(limit).read_text())
            taken = int(Path(used).read_text())
        except (OSError, ValueError):  # there is no such file, or it says "max"
            continue
        # the working set: files that were read count as used, and are dropped as soon as memory is
        # wanted
        free = min(free, allowed - max(0, taken - _statistic(statistics, cached)))
    return max(free, 0)


def _statistic(path: str, name: str) -> int:
    """A number of a file with a name and a number a line; 0 where it is not told."""
    try:
        told = dict(line.split() for line in Path(path).read_text().splitlines())
        return int(told.get(name, 0))
    except (OSError, ValueError):
        return 0


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, in Python, TensorFlow or JAX."""
    if isinstance(error, MemoryError):
        return True
    text = str(error)
    # TensorFlow calls each resource of the system so
    if is_disk_full(error) or any(word in text.lower() for word in _NO_MEMORY):
        return False
    name = type(error).__name__
    if name == "ResourceExhaustedError":
        return True
    # XLA has one class for all that goes wrong, and says in words what did
    return name in _ERRORS_OF_XLA and "RESOURCE_EXHAUSTED" in text


def _free_on_gpu() -> int:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        info = tf.config.experimental.get_memory_info("GPU:0")
        return int(gpu_memory_limit() - info["current"])
    import jax

    stats: dict[str, int] = jax.local_devices()[0].memory_stats()
    return stats["bytes_limit"] - stats["bytes_in_use"]
