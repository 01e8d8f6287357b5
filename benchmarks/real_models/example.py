"""What a real model is here: how it is built, its data, and what a search should make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import keras
import numpy as np

# what `fit` takes as x or y
Structure = Any
# builds a compiled model with an activation, for models that cannot be rewritten
Build = Callable[[Any, Any], keras.Model]


class Way(StrEnum):
    """How a search trains the candidates of a model."""

    TOGETHER = "together"
    ONE_BY_ONE = "one by one"
    REFUSED = "refused"


@dataclass(frozen=True)
class Example:
    """A model as somebody would write it.

    Attributes:
        name: of the kind.
        model: builds it, compiled.
        data: makes its samples, (x, y); a dataset or generator as (it, None).
        hidden: the activations that a person would list as searchable.
        way: how it should train.
        build: a function of a search for it, where the instance cannot be rewritten.
        objective: what ranks.
        fit: more arguments of `fit`.
        heavy: whether it takes long to trace.
        why: what a refusal, or training one by one, must name.
        apart: by what share two evaluations of one model may differ: more where it draws numbers.
    """

    name: str
    model: Callable[[], keras.Model]
    data: Callable[[], tuple[Structure, Structure]]
    hidden: int
    way: Way = Way.TOGETHER
    build: Build | None = None
    objective: str = "val_loss"
    fit: dict[str, Any] = field(default_factory=dict)
    heavy: bool = False
    why: str = ""
    apart: float = 1e-4


def built_by(factory: Callable[[Any], keras.Model]) -> Build:
    """Return the function of a search that builds a model with its activation."""

    def build(hp: Any, activation: Any) -> keras.Model:
        return factory(activation)

    return build


def rng() -> np.random.Generator:
    """Return the numbers of the data: the same ones each time."""
    return np.random.default_rng(0)


def images(
    size: int = 12, channels: int = 3, classes: int = 4, count: int = 48
) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Return what makes images whose class is in their colour."""

    def make() -> tuple[np.ndarray, np.ndarray]:
        random = rng()
        labels = random.integers(0, classes, count)
        x = random.normal(0.5, 0.2, (count, size, size, channels))
        x[..., 0] += 0.1 * labels[:, None, None]
        return x.astype("float32"), labels

    return make


def tokens(
    length: int = 10, vocabulary: int = 30, classes: int = 2, count: int = 48, padded: bool = False
) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Return what makes sequences of tokens, perhaps with zeros at their ends."""

    def make() -> tuple[np.ndarray, np.ndarray]:
        random = rng()
        x = random.integers(1, vocabulary, (count, length))
        if padded:
            lengths = random.integers(3, length + 1, count)
            x[np.arange(length) >= lengths[:, None]] = 0
        return x, x[:, 0] % classes

    return make


def rows(
    features: int = 6, classes: int = 3, count: int = 48
) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Return what makes rows of a table whose class is in the first feature."""

    def make() -> tuple[np.ndarray, np.ndarray]:
        random = rng()
        x = random.normal(size=(count, features)).astype("float32")
        return x, np.digitize(x[:, 0], np.linspace(-0.5, 0.5, classes - 1))

    return make


def targets(features: int = 6, count: int = 48) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Return what makes rows of a regression."""

    def make() -> tuple[np.ndarray, np.ndarray]:
        random = rng()
        x = random.normal(size=(count, features)).astype("float32")
        return x, (x[:, :1] ** 2 + x[:, 1:2]).astype("float32")

    return make


def series(
    length: int = 16, channels: int = 1, classes: int = 2, count: int = 48
) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Return what makes time series whose class is in their trend."""

    def make() -> tuple[np.ndarray, np.ndarray]:
        random = rng()
        labels = random.integers(0, classes, count)
        x = random.normal(size=(count, length, channels))
        x += labels[:, None, None] * np.linspace(0, 1, length)[:, None]
        return x.astype("float32"), labels

    return make


def classifier(model: keras.Model, optimizer: Any = "adam") -> keras.Model:
    """Return a model, compiled for classes with logits or probabilities as its last layer has them."""
    last = getattr(model.layers[-1], "activation", None)
    from_logits = last is None or last is keras.activations.linear
    model.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits),
        metrics=["accuracy"],
    )
    return model


def regressor(model: keras.Model, optimizer: Any = "adam") -> keras.Model:
    """Return a model, compiled for numbers."""
    model.compile(optimizer, "mse", metrics=["mae"])
    return model
