"""How much memory is free where populations train, and which errors say that it ran out."""

from __future__ import annotations

import os
from typing import NamedTuple

import keras

from keras_acts.compat import gpu_memory_limit

from .choices import memory_grows
from .device import gpus
from .driver import told_by_driver
from .kept_files import is_disk_full
from .ram import free_ram

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
        visible, *_ = tf.config.get_visible_devices("GPU")
        place = tf.config.list_physical_devices("GPU").index(visible)
        return Pool(gpu_memory_limit(), int(info["current"]), int(info["peak"]), place).free()
    import jax

    stats: dict[str, int] | None = jax.local_devices()[0].memory_stats()
    if stats is not None:
        in_use = stats["bytes_in_use"]
        return Pool(stats["bytes_limit"], in_use, stats.get("peak_bytes_in_use", in_use)).free()
    # XLA_PYTHON_CLIENT_ALLOCATOR=platform: JAX has no pool, and counts nothing
    beside_others = free_beside_others()
    if beside_others is None:
        # that of a device whose driver does not tell either, such as one that shares the RAM
        return free_ram()
    return beside_others


class Pool(NamedTuple):
    """What the backend has of a GPU's memory, in bytes.

    Attributes:
        limit: that it may take.
        in_use: by tensors now.
        most_in_use: by tensors, at any time.
        place: of the GPU among those that the process may use.
    """

    limit: int
    in_use: int
    most_in_use: int
    place: int = 0

    def free(self) -> int:
        """Return the bytes that are free for tensors."""
        ours = self.limit - self.in_use
        # all of it is taken already: for the driver, what is idle in it is in use
        if not memory_grows():
            return ours
        beside_others = free_beside_others(self.place)
        if beside_others is None:
            return ours
        # the backend keeps what it has once had: at least the most that was in use
        return min(ours, beside_others + self.most_in_use - self.in_use)


def free_beside_others(place: int = 0) -> int | None:
    """Return the bytes of a GPU that no process has; None where nobody tells.

    TensorFlow and JAX count their own alone.

    Args:
        place: of the GPU among those that the process may use: a script may take the second.
    """
    gpu = str(place)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        named = visible.split(",")
        # set anew, after the backend has read it
        if place >= len(named):
            return None
        gpu = named[place].strip()
    told = told_by_driver("memory.free", gpu)
    # of a part of a GPU it does not tell the memory
    if not told or not told[0].isdecimal():
        return None
    return int(told[0]) * 2**20
