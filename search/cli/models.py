"""The models of `keras-acts search`: a small CNN, a small MLP, or the user's .keras file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TypeAlias

import keras
import numpy as np

from keras_acts.errors import ModelError
from keras_acts.search import slots
from keras_acts.search.frames.scaling import scaling, variance_of
from keras_acts.search.rewrite.threshold import learns_two_classes
from keras_acts.search.runtime.seeding import isolated_seed

from .checks import OR_BUILT, check_cnn
from .data import Dataset, Parts
from .data.image_format import LARGEST
from .keras_file import check_keras_file
from .places import BUILT, model_for

# float32 has no reciprocal of less
_LEAST_SCALE = float(np.finfo("float32").tiny)

_SCALING = (
    keras.layers.Rescaling,
    keras.layers.Normalization,
    keras.layers.BatchNormalization,
)

Loss: TypeAlias = str | keras.losses.Loss
Metric: TypeAlias = str | keras.metrics.Metric


def build(model: str | None, dataset: Dataset, parts: Parts, seed: int) -> keras.Model:
    """Return a compiled model for the data.

    Raises:
        ModelError: if there is no such model, it cannot be read, or its output or loss does not
            suit the data.
        DataError: if the data do not suit it.
    """
    model = model_for(model, dataset)
    with isolated_seed(seed):
        if model in BUILT:
            built = _small(model, dataset, parts)
        else:
            built = _load(model)
        if not built.compiled:
            loss, metric = _loss(built, dataset)
            built.compile(optimizer="adam", loss=loss, metrics=[metric])
        elif dataset.classes:
            _check_loss(built, dataset)
    return built


def notes(model: keras.Model, dataset: Dataset) -> Iterator[str]:
    """Yield what a user should look at in a model before it trains on the data."""
    if dataset.images_as is None or any(isinstance(layer, _SCALING) for layer in _layers(model)):
        return
    yield (
        "The model has no Rescaling or Normalization layer, and takes pixels of 0 to 255 as they are: "
        "most models train badly on such"
    )


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """All layers of a model, and those of the models in it."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def _load(path: str) -> keras.Model:
    check_keras_file(path, "--model", OR_BUILT)
    try:
        with warnings.catch_warnings():
            # the search trains from scratch: what an optimizer knew is of no use
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            return keras.models.load_model(path, safe_mode=True)  # no code in it is run
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"--model must be a .keras file that Keras can load. Received: {path!r} ({reason})"
        ) from error


def _loss(model: keras.Model, dataset: Dataset) -> tuple[Loss, Metric]:
    """Return the loss and the metric that suit the model's output and the data."""
    ends = [slot.current for slot in slots(model) if slot.role == "output"]
    shapes = [tuple(output.shape) for output in model.outputs]
    suiting = None
    if len(shapes) == 1 and len(shapes[0]) == 2 and len(ends) <= 1:
        end = "linear"
        if ends:
            end = ends[0].partition("(")[0]
        suiting = _suiting(len(dataset.classes), shapes[0][1], end)
    if suiting is None:
        shapes_text = ", ".join(map(str, shapes))
        raise ModelError(
            "The output of a model that is not compiled must suit "
            f"{_what_suits(len(dataset.classes))}. "
            f"Received: {', '.join(ends) or 'no activation'}, output shape {shapes_text}"
        )
    return suiting


def _suiting(classes: int, units: int, end: str) -> tuple[Loss, Metric] | None:
    """The loss and the metric for an output of units with an activation at its end.

    None if the output suits no data of so many classes, where 0 is a regression.
    """
    if not classes:
        if units == 1 and end != "softmax":
            return "mse", "mae"
        return None
    if units > 1 and end == "softmax":
        return "sparse_categorical_crossentropy", "accuracy"
    if units > 1 and end == "linear":
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True), "accuracy"
    if classes == 2 and units == 1 and end == "sigmoid":
        return keras.losses.BinaryCrossentropy(), "accuracy"
    if classes == 2 and units == 1 and end == "linear":
        # logits are of the second class above 0, and Keras wants a threshold above 0
        metric = keras.metrics.BinaryAccuracy(threshold=1e-7, name="accuracy")
        return keras.losses.BinaryCrossentropy(from_logits=True), metric
    return None


def _what_suits(classes: int) -> str:
    if not classes:
        return "a regression: one unit"
    text = f"{classes} classes: softmax or no activation, one unit a class"
    if classes == 2:
        text += ", or one unit with sigmoid or no activation"
    return text


def _check_loss(model: keras.Model, dataset: Dataset) -> None:
    for loss in keras.tree.flatten(model.loss):
        name = getattr(loss, "name", None) or getattr(loss, "__name__", loss)
        if str(name).startswith("categorical_"):
            raise ModelError(
                "The model must be compiled with sparse_categorical_crossentropy: labels are whole "
                "numbers here. "
                f"Received: loss={str(name)!r}"
            )
    classes = len(dataset.classes)
    units = None
    if len(model.outputs) == 1:
        units = model.outputs[0].shape[-1]
    # else it would learn, and predict, which class in their order it is, and not the number
    if units == 1 and dataset.renumbered and not (classes == 2 and learns_two_classes(model)):
        raise ModelError(
            "A model of one unit predicts numbers, unless its loss is a binary crossentropy or a "
            "hinge: --task "
            "regression takes the target as it is. "
            f"Received: loss={model.loss!r} for {classes} classes, {', '.join(dataset.classes[:5])}"
        )


def _small(model: str, dataset: Dataset, parts: Parts) -> keras.Sequential:
    """Inputs are scaled inside the model, so that its export takes them raw."""
    if model == "cnn":
        check_cnn(dataset)
    layers = keras.layers
    x = parts.train[0]
    built = keras.Sequential([keras.Input(x.shape[1:], name="input")], name=model)
    if dataset.images:
        largest = float(np.abs(x).max())
        if dataset.images_as is not None:
            # also where no image of the training part has white in it
            largest = LARGEST
        if largest < _LEAST_SCALE:
            largest = 1.0  # nothing but zeros
        built.add(layers.Rescaling(1.0 / largest, name="scale"))
    elif parts.columns is None:
        mean = x.mean(axis=0, dtype="float64")
        for layer in scaling(mean, variance_of(x), name="scale"):
            built.add(layer)
    if model == "cnn":
        built.add(layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1"))
        built.add(layers.MaxPooling2D(padding="same", name="pool"))
        built.add(layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2"))
        built.add(layers.Flatten(name="flatten"))
    else:
        built.add(layers.Flatten(name="flatten"))
        built.add(layers.Dense(64, activation="relu", name="dense1"))
    built.add(layers.Dense(64, activation="relu", name="dense2"))
    # the last layer's name is what the export calls its output
    if dataset.classes:
        built.add(layers.Dense(len(dataset.classes), activation="softmax", name="output"))
        return built
    # so that the layers need not learn how large the targets are
    y = parts.train[1].astype("float64")
    built.add(layers.Dense(1, name="scaled"))
    built.add(layers.Rescaling(float(y.std()) or 1.0, offset=float(y.mean()), name="output"))
    return built
