"""The initializer that suits an activation.

The gain that keeps the size of the values from layer to layer.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from ..space.candidate import Candidate
from ..space.known import as_written
from .slots import SlotSite

# in these, and with this, the fan-in that Keras computes is the number of terms in each sum
_LAYERS = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


@functools.lru_cache(maxsize=1024)
def gain(candidate: Candidate) -> float:
    """Return ``1 / sqrt(E[f(z)**2])``, z standard normal.

    Kernels of variance ``gain**2 / fan_in`` keep E[f(x)**2] = 1.

    It is sqrt(2) for relu and ``sqrt(2 / (1 + alpha**2))`` for leaky_relu, as in He et al.
    (arXiv:1502.01852), and 1 for selu: LeCun's initialization, for which selu was made. A trained
    parameter counts with its start value. An activation that has no such gain, because it is zero
    or infinite there, gets 1.
    """
    z = np.linspace(-8, 8, 4001, dtype="float32")
    weight = np.exp(-0.5 * z.astype("float64") ** 2)
    values = keras.ops.convert_to_numpy(
        candidate.activation()(keras.ops.convert_to_tensor(z))
    ).astype("float64")
    mean = float(np.sum(values**2 * weight) / np.sum(weight))
    return 1 / math.sqrt(mean) if 0 < mean < math.inf else 1.0


def rescaled_initializers(chosen: Mapping[SlotSite, Candidate]) -> Iterator[tuple[Any, Any]]:
    """Yield the layers whose kernel feeds a changed activation, each with its kernel's new initializer.

    The distribution and the seed stay. Initializers that do not scale with the fan (orthogonal,
    constant …), recurrent and depthwise layers, and layers behind a normalization, which sets the
    size itself, are left alone.
    """
    for place, candidate in chosen.items():
        old = getattr(place.source, "kernel_initializer", None)
        if type(place.source) not in _LAYERS:
            continue
        if isinstance(old, keras.initializers.VarianceScaling) and as_written(old):
            config = {"distribution": old.distribution, "seed": old.get_config()["seed"]}
            scale = gain(candidate) ** 2
            yield (
                place.source,
                keras.initializers.VarianceScaling(scale=scale, mode="fan_in", **config),
            )
