"""Which device trains."""

from __future__ import annotations

import os
import platform

import keras

from keras_acts.compat import onednn_is_on
from keras_acts.errors import SearchError

from .cores import usable_cores

# what the processors are called for which TensorFlow comes with oneDNN
KERNEL_THREADS = "TF_NUM_INTRAOP_THREADS"
_WITH_ONEDNN = ("x86_64", "amd64")


def check_backend() -> None:
    """Check that Keras runs on a backend that searches.

    Raises:
        SearchError: if it does not.
    """
    if keras.backend.backend() not in ("tensorflow", "jax"):
        raise SearchError(
            "A search needs Keras on TensorFlow or JAX; what it finds can be saved and loaded "
            f"elsewhere. Received: backend={keras.backend.backend()!r}"
        )


def gpus() -> list[str]:
    """Return the names of the GPUs that the Keras backend uses."""
    if keras.backend.backend() == "jax":
        import jax

        return [device.device_kind for device in jax.local_devices() if device.platform != "cpu"]
    if keras.backend.backend() != "tensorflow":
        return []
    import tensorflow as tf

    names = []
    for gpu in tf.config.get_visible_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        names.append(details.get("device_name", gpu.name))
    return names


def describe() -> str:
    """Return the device that trains, such as ``"CPU (2 cores)"`` or ``"GPU (NVIDIA H200)"``."""
    names = gpus()
    if names:
        return f"GPU ({', '.join(names)})"
    cores = f"{os.cpu_count()} cores"
    if lacks_onednn():
        return f"CPU ({cores}, faster with TF_ENABLE_ONEDNN_OPTS=1)"
    return f"CPU ({cores})"


def threads_a_kernel() -> int:
    """Return among how many threads TensorFlow divides the work of one of its kernels."""
    import tensorflow as tf

    told = tf.config.threading.get_intra_op_parallelism_threads()
    if told == 0:
        # what TensorFlow itself hears where a script has said nothing
        written = os.environ.get(KERNEL_THREADS, "")
        if written.isdecimal():
            told = int(written)
    return told or usable_cores()


def has_onednn() -> bool:
    """Whether TensorFlow comes with oneDNN for this kind of CPU, and trains here."""
    if keras.backend.backend() != "tensorflow":
        return False
    return platform.machine().lower() in _WITH_ONEDNN


def lacks_onednn() -> bool:
    """Whether TensorFlow could train with oneDNN on this CPU, and does not."""
    return has_onednn() and not onednn_is_on()
