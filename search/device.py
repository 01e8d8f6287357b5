"""Which device trains."""

from __future__ import annotations

import os

import keras


def gpus() -> list[str]:
    """Return the names of the GPUs that the Keras backend uses."""
    if keras.backend.backend() != "tensorflow":
        return [name for name in keras.distribution.list_devices() if not name.startswith("cpu")]
    import tensorflow as tf

    found = tf.config.get_visible_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in found]


def describe() -> str:
    """Return the device that trains, such as ``"CPU (2 cores)"`` or ``"GPU (NVIDIA H200)"``."""
    found = gpus()
    return f"GPU ({', '.join(found)})" if found else f"CPU ({os.cpu_count()} cores)"
