"""The versions that a result depends on. It imports nothing: who has no TensorFlow need not wait for it."""

from __future__ import annotations

import sys

_NAMES = {
    "keras_acts": "keras_acts",
    "keras": "Keras",
    "tensorflow": "TensorFlow",
    "jax": "JAX",
    "torch": "PyTorch",
    "keras_tuner": "KerasTuner",
    "numpy": "NumPy",
}


def versions() -> dict[str, str]:
    """Return the version of each of these packages that this process has imported."""
    found = {"Python": ".".join(map(str, sys.version_info[:3]))}
    for module, name in _NAMES.items():
        loaded = sys.modules.get(module)
        version = getattr(loaded, "__version__", None)
        if version:
            found[name] = str(version)
    return found
