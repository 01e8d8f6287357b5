"""The models of `keras-acts search`: a small CNN, a small MLP, or the user's .keras file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_acts.errors import DataError, ModelError
from keras_acts.search import slots
from keras_acts.search.rewrite.threshold import learns_two_classes
from keras_acts.search.runtime.seeding import isolated_seed

from .data import Dataset, Parts

BUILT = ("cnn", "mlp")


def title(model: str | None, dataset: Dataset) -> str:
    """Return the model's name for the export's folder."""
    return Path(model or _default(dataset)).stem


def build(model: str | None, dataset: Dataset, parts: Parts, seed: int) -> keras.Model:
    """Return a compiled model for the data.

    Raises:
        ModelError: if there is no such model, it cannot be read, or its output or loss does not
            suit the data.
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
            loss, metric = _loss(made, dataset)
            made.compile(optimizer="adam", loss=loss, metrics=[metric])
        elif dataset.classes:
            _check_loss(made, dataset)
    return made


def _default(dataset: Dataset) -> str:
    return "cnn" if dataset.images else "mlp"


def _load(path: str) -> keras.Model:
    if not path.endswith(".keras"):
        raise ModelError(
            f"--model must be one of {', '.join(BUILT)}, or a .keras file. Received: {path!r}"
        )
    if not Path(path).is_file():
        raise ModelError(f"--model must be a file that exists. Received: {path!r}")
    try:
        with warnings.catch_warnings():
            # the search trains from scratch: what an optimizer knew is of no use
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            return keras.models.load_model(path)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"--model must be a .keras file that Keras can load. Received: {path!r} ({reason})"
        ) from error


def _loss(model: keras.Model, dataset: Dataset) -> tuple[Any, Any]:
    """Return the loss and the metric that suit the model's output and the data."""
    ends = [slot.current for slot in slots(model) if slot.role == "output"]
    shapes = [tuple(output.shape) for output in model.outputs]
    classes = len(dataset.classes)
    if len(shapes) == 1 and len(shapes[0]) == 2 and len(ends) <= 1:
        units, end = shapes[0][1], ends[0].partition("(")[0] if ends else "linear"
        if not classes and units == 1 and end != "softmax":
            return "mse", "mae"
        if classes and units > 1 and end == "softmax":
            return "sparse_categorical_crossentropy", "accuracy"
        if classes and units > 1 and end == "linear":
            return keras.losses.SparseCategoricalCrossentropy(from_logits=True), "accuracy"
        if classes == 2 and units == 1 and end == "sigmoid":
            return keras.losses.BinaryCrossentropy(), "accuracy"
        if classes == 2 and units == 1 and end == "linear":
            # Keras wants a threshold above 0
            metric = keras.metrics.BinaryAccuracy(threshold=1e-7, name="accuracy")
            return keras.losses.BinaryCrossentropy(from_logits=True), metric
    raise ModelError(
        f"The output of a model that is not compiled must suit {f'{classes} classes' if classes else 'a regression'}: "
        f"{'softmax or no activation, one unit a class' if classes else 'one unit'}"
        f"{', or one unit with sigmoid or no activation' if classes == 2 else ''}. "
        f"Received: {', '.join(ends) or 'no activation'}, output shape {', '.join(map(str, shapes))}"
    )


def _check_loss(model: keras.Model, dataset: Dataset) -> None:
    for loss in keras.tree.flatten(model.loss):
        name = getattr(loss, "name", None) or getattr(loss, "__name__", loss)
        if str(name).startswith("categorical_"):
            raise ModelError(
                "The model must be compiled with sparse_categorical_crossentropy: labels are whole numbers here. "
                f"Received: loss={str(name)!r}"
            )
    units = model.outputs[0].shape[-1] if len(model.outputs) == 1 else None
    classes = len(dataset.classes)
    # else it would learn, and predict, which class in their order it is, and not the number
    if units == 1 and dataset.renumbered and not (classes == 2 and learns_two_classes(model)):
        raise ModelError(
            "A model of one unit predicts numbers, unless its loss is a binary crossentropy or a hinge: --task "
            "regression takes the target as it is. "
            f"Received: loss={model.loss!r} for {classes} classes, {', '.join(dataset.classes[:5])}"
        )


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
        made.add(layers.Flatten(name="flatten"))
    else:
        made.add(layers.Flatten(name="flatten"))
        made.add(layers.Dense(64, activation="relu", name="dense1"))
    made.add(layers.Dense(64, activation="relu", name="dense2"))
    # the last layer's name is what the export calls its output
    if dataset.classes:
        made.add(layers.Dense(len(dataset.classes), activation="softmax", name="output"))
        return made
    # so that the layers need not learn how large the targets are
    y = parts.train[1].astype("float64")
    made.add(layers.Dense(1, name="scaled"))
    made.add(layers.Rescaling(float(y.std()) or 1.0, offset=float(y.mean()), name="output"))
    return made
