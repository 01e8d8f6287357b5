"""Which device trains, in words."""

from __future__ import annotations

import os

import keras


def describe() -> str:
    """Return the device that the Keras backend uses, such as ``"CPU (2 cores)"`` or ``"GPU (NVIDIA H200)"``."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        found = tf.config.get_visible_devices("GPU")
        details = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in found]
    else:
        details = [name for name in keras.distribution.list_devices() if not name.startswith("cpu")]
    return f"GPU ({', '.join(details)})" if details else f"CPU ({os.cpu_count()} cores)"
