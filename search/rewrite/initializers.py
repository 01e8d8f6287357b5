"""The initializer that suits an activation.

The gain that keeps the size of the values from layer to layer.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Mapping

import keras
import numpy as np

from ..space.candidate import Candidate
from ..space.known import as_written
from .slots import SlotSite, slot_sites

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
    # the integral as a sum, over where the normal density is above 1e-14 of its largest value
    z = np.linspace(-8, 8, 4001, dtype="float32")
    density = np.exp(-0.5 * z.astype("float64") ** 2)
    y = candidate.activation()(keras.ops.convert_to_tensor(z))
    values = keras.ops.convert_to_numpy(y).astype("float64")
    mean = float(np.sum(values**2 * density) / np.sum(density))
    if not 0 < mean < math.inf:
        return 1.0
    return 1 / math.sqrt(mean)


def rescaled_initializers(
    chosen: Mapping[SlotSite, Candidate],
) -> Iterator[tuple[keras.layers.Layer, keras.initializers.Initializer]]:
    """Yield the layers whose kernel feeds a changed activation, each with a new initializer of it.

    The distribution and the seed stay. Initializers that do not scale with the fan (orthogonal,
    constant …), recurrent and depthwise layers, and layers behind a normalization, which sets the
    size itself, are left alone.
    """
    for site, candidate in chosen.items():
        layer = site.source
        if layer is None or not _scales(layer):
            continue
        old = layer.kernel_initializer
        new = keras.initializers.VarianceScaling(
            scale=gain(candidate) ** 2,
            mode="fan_in",
            distribution=old.distribution,
            seed=old.get_config()["seed"],
        )
        yield layer, new


def why_not_rescaled(model: keras.Model, chosen: Iterable[str] | None = None) -> str:
    """Return why no initializer of a model depends on its activations; empty if one does.

    Args:
        model: a Sequential or Functional model.
        chosen: the names of the slots that change; by default all hidden ones.
    """
    names = None if chosen is None else set(chosen)
    for site in slot_sites(model):
        if names is None:
            changes = site.slot.role == "hidden"
        else:
            changes = site.slot.name in names
        layer = site.source
        # a frozen kernel keeps its values, whatever its initializer
        if changes and layer is not None and _scales(layer) and layer.trainable:
            return ""
    return (
        "no activation that changes is fed by a Dense layer or an ordinary convolution that is "
        "trained and whose initializer scales with the fan"
    )


def _scales(layer: keras.Operation) -> bool:
    """Whether the initializer of a layer's kernel is made for the fan, and can be for a gain."""
    if type(layer) not in _LAYERS:
        return False
    initializer = layer.kernel_initializer
    return isinstance(initializer, keras.initializers.VarianceScaling) and as_written(initializer)
