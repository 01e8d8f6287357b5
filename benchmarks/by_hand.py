"""Populations without keras_acts, as an expert writes them by hand for one model: what ours must beat.

`by_hand_jax` is `jax.vmap` over stacked weights, a whole epoch one jitted `lax.scan`; `by_hand_torch` is
PyTorch's batched products and grouped convolutions with the foreach Adam. Both know the MLP 64-64 and
the CNN of `benchmarks.population` only, and the eight activations there. Members lie in the order of
their activations, so that each function runs on one slice.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# what Keras' Adam has by default
RATE = 0.001
DECAYS = (0.9, 0.999)
EPSILON = 1e-7

HIDDEN = 64
FILTERS = (16, 32)
WINDOW = 3

# of accuracy, 0 to 1: so far the mean over the members may be from ours. All members share their batches,
# whose order alone moves it by some hundredths early on; one activation for all, or a step that is wrong,
# moves it further
TOLERANCE = 0.05


@dataclass(frozen=True)
class Work:
    """What is trained.

    Attributes:
        x: the features, or images.
        y: the classes, from 0.
        kind: ``"mlp"`` or ``"cnn"``.
        activations: of the members, by name.
        seeds: of each.
        batch_size: the last batch of an epoch may be smaller.
        epochs: of each member.
    """

    x: np.ndarray
    y: np.ndarray
    kind: str
    activations: tuple[str, ...]
    seeds: int
    batch_size: int
    epochs: int

    @property
    def members(self) -> int:
        """How many models there are."""
        return len(self.activations) * self.seeds

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.y.max()) + 1

    def kernels(self) -> list[np.ndarray]:
        """Return the first kernels of all members, a stack each layer, by Glorot's uniform rule.

        Of a dense layer (members, inputs, outputs), of a convolution (members, window's rows, window's
        columns, inputs, outputs).
        """
        random = np.random.default_rng(0)
        stacks = []
        for shape in self._shapes():
            *window, inputs, outputs = shape
            area = int(np.prod(window))
            limit = np.sqrt(6 / (area * (inputs + outputs)))
            values = random.uniform(-limit, limit, size=(self.members, *shape))
            stacks.append(values.astype("float32"))
        return stacks

    def _shapes(self) -> list[tuple[int, ...]]:
        if self.kind == "mlp":
            features = self.x.shape[1]
            return [(features, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, self.classes)]
        first, second = FILTERS
        side = -(-self.x.shape[1] // 2)  # pooled once
        return [
            (WINDOW, WINDOW, 1, first),
            (WINDOW, WINDOW, first, second),
            (side * side * second, HIDDEN),
            (HIDDEN, self.classes),
        ]


# by the package that each needs
MODULES = {"jax": "jax.vmap", "torch": "PyTorch"}


def peers() -> dict[str, Callable[[Work], float]]:
    """Return how each peer that is installed trains, by its name.

    Each returns the mean accuracy of the last epoch as Keras counts it: of each batch before its step.
    """
    found: dict[str, Callable[[Work], float]] = {}
    for package, name in MODULES.items():
        if importlib.util.find_spec(package) is not None:
            module: Any = importlib.import_module(f"benchmarks.by_hand_{package}")
            found[name] = module.train
    return found


def missing() -> list[str]:
    """Return a line for each package that is not installed."""
    return [
        f"{package}: not installed, {name} is left out (it is in the extra bench)"
        for package, name in MODULES.items()
        if importlib.util.find_spec(package) is None
    ]


def check(name: str, accuracy: float, ours: float) -> None:
    """Check that a peer has learned what ours has.

    Raises:
        RuntimeError: if its accuracy is another one: then its seconds say nothing.
    """
    if not abs(accuracy - ours) <= TOLERANCE:
        raise RuntimeError(
            f"The mean accuracy of {name} must be within {TOLERANCE} of ours, {ours:.3f}. "
            f"Received: {accuracy:.3f}"
        )
