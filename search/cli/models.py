"""The models of `keras-acts search`: a small CNN, a small MLP, or the user's .keras file."""

from __future__ import annotations

import warnings
from pathlib import Path

import keras
import numpy as np

from keras_acts.errors import DataError, ModelError
from keras_acts.search.seeding import isolated_seed

from .data import Dataset, Parts

BUILT = ("cnn", "mlp")


def title(model: str | None, dataset: Dataset) -> str:
    """Return the model's name for the export's folder."""
    return Path(model or _default(dataset)).stem


def build(model: str | None, dataset: Dataset, parts: Parts, seed: int) -> keras.Model:
    """Return a compiled model for the data.

    Raises:
        ModelError: if there is no such model, or it cannot be read.
        DataError: if the data do not suit it.
    """
    model = model or _default(dataset)
    with isolated_seed(seed):
        if model not in BUILT:
            made = _load(model)
        elif model == "cnn" and not dataset.images:
            raise DataError(
                f"The cnn needs images (height, width, channels). Received: samples of shape {dataset.x.shape[1:]}"
            )
        else:
            made = _small(model, dataset, parts)
        if not made.compiled:
            loss, metrics = ("sparse_categorical_crossentropy", ["accuracy"]) if dataset.classes else ("mse", ["mae"])
            made.compile(optimizer="adam", loss=loss, metrics=metrics)
    return made


def _default(dataset: Dataset) -> str:
    return "cnn" if dataset.images else "mlp"


def _load(path: str) -> keras.Model:
    if not path.endswith(".keras"):
        raise ModelError(f"--model must be one of {', '.join(BUILT)}, or a .keras file. Received: {path!r}")
    if not Path(path).is_file():
        raise ModelError(f"--model must be a file that exists. Received: {path!r}")
    try:
        with warnings.catch_warnings():
            # the search trains from scratch: what an optimizer knew is of no use
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            return keras.models.load_model(path)
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"--model must be a .keras file that Keras can load. Received: {path!r} ({reason})") from error


def _small(model: str, dataset: Dataset, parts: Parts) -> keras.Sequential:
    """Inputs are scaled inside the model, so that its export takes them raw."""
    layers = keras.layers
    x = parts.train[0]
    made = keras.Sequential([keras.Input(x.shape[1:], name="input")], name=model)
    if dataset.images:
        made.add(layers.Rescaling(1.0 / max(float(np.abs(x).max()), 1e-6), name="scale"))
    else:
        mean, variance = x.mean(axis=0), np.maximum(x.var(axis=0), 1e-6)
        made.add(layers.Normalization(mean=mean, variance=variance, name="scale"))
    if model == "cnn":
        made.add(layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1"))
        made.add(layers.MaxPooling2D(padding="same", name="pool"))
        made.add(layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2"))
    else:
        made.add(layers.Flatten(name="flatten"))
        made.add(layers.Dense(64, activation="relu", name="dense1"))
    if model == "cnn":
        made.add(layers.Flatten(name="flatten"))
    made.add(layers.Dense(64, activation="relu", name="dense2"))
    units, output = (len(dataset.classes), "softmax") if dataset.classes else (1, None)
    made.add(layers.Dense(units, activation=output, name="output"))
    return made
