"""What Keras has, in a population.

Each layer, loss, metric and optimizer trained beside the ordinary model.

    python -m benchmarks.exactness [--write docs/exactness.md] [--only layers losses metrics optimizers]

A population of two candidates takes some steps, and so does the ordinary model of the second one:
weights, losses and metrics must be equal, or the population refuses with its reason. The namespaces
are listed anew each time: what a later Keras adds and this file has no arguments for ends the
command with an error.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers, losses, metrics, optimizers

from benchmarks.machine import parsed
from keras_acts.errors import ModelError
from keras_acts.search import PopulationModel, with_activations
from keras_acts.search.runtime.seeding import isolated_seed
from keras_acts.search.vectorize import noise, registry

EXACT, LOOPED, RANDOM, REFUSED, NEEDS, WRONG = (
    "exact",
    "exact, member after member",
    "its own random numbers",
    "refused",
    "not tried",
    "WRONG",
)
CANDIDATES = ("relu", "tanh")
_SAMPLES, _BATCH = 12, 4
EAGER = False


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        kind: layers, losses, metrics or optimizers.
        name: in Keras' namespace, with its options.
        outcome: one of the constants above.
        reason: why it is refused or was not tried.
    """

    kind: str
    name: str
    outcome: str
    reason: str = ""


@dataclass(frozen=True)
class Case:
    """A layer to try.

    Attributes:
        name: in `keras.layers`.
        make: returns the layer, or a function of a tensor that calls it.
        inputs: one of `INPUTS`.
        joined: what the layer is called with, made of one tensor.
    """

    name: str
    make: Callable[[], Any]
    inputs: str
    joined: Callable[[Any], Any] = lambda x: x


# by kind: the shape of a sample and its dtype
INPUTS: dict[str, tuple[tuple[int, ...], str]] = {
    "vector": ((6,), "float32"),
    "series": ((8, 4), "float32"),
    "image": ((8, 8, 3), "float32"),
    "volume": ((4, 4, 4, 2), "float32"),
    "images": ((3, 6, 6, 2), "float32"),
    "lines": ((3, 6, 2), "float32"),
    "volumes": ((2, 3, 3, 3, 2), "float32"),
    "wave": ((64,), "float32"),
    "indices": ((4,), "int32"),
    "words": ((1,), "string"),
}


def _pair(x: Any) -> list[Any]:
    return [x, layers.Dense(x.shape[-1])(x)]


def _cases() -> list[Case]:
    """Arguments for every layer: those that it needs, and otherwise its defaults."""
    vocabulary = ["a", "b", "c"]
    by_kind: dict[str, dict[str, Callable[[], Any]]] = {
        "vector": {
            "Activation": lambda: layers.Activation("relu"),
            "ActivityRegularization": lambda: layers.ActivityRegularization(l2=0.1),
            "AlphaDropout": lambda: layers.AlphaDropout(0.3),
            "BatchNormalization": layers.BatchNormalization,
            "Dense": lambda: layers.Dense(3),
            "Discretization": lambda: layers.Discretization(bin_boundaries=[0.0, 0.5, 1.0]),
            "Dropout": lambda: layers.Dropout(0.3),
            "ELU": layers.ELU,
            "GaussianDropout": lambda: layers.GaussianDropout(0.3),
            "GaussianNoise": lambda: layers.GaussianNoise(0.3),
            "Identity": layers.Identity,
            "Lambda": lambda: layers.Lambda(keras.ops.square),
            "LeakyReLU": layers.LeakyReLU,
            "Normalization": lambda: layers.Normalization(mean=0.3, variance=2.0),
            "PReLU": layers.PReLU,
            "ReLU": lambda: layers.ReLU(max_value=1.0, negative_slope=0.1),
            "RepeatVector": lambda: layers.RepeatVector(2),
            "Rescaling": lambda: layers.Rescaling(0.5, 1.0),
            "Reshape": lambda: layers.Reshape((2, 3)),
            "Softmax": layers.Softmax,
            "SpectralNormalization": lambda: layers.SpectralNormalization(layers.Dense(3)),
            "UnitNormalization": layers.UnitNormalization,
        },
        "series": {
            "AdaptiveAveragePooling1D": lambda: layers.AdaptiveAveragePooling1D(2),
            "AdaptiveMaxPooling1D": lambda: layers.AdaptiveMaxPooling1D(2),
            "AveragePooling1D": lambda: layers.AveragePooling1D(2),
            "Bidirectional": lambda: layers.Bidirectional(layers.LSTM(3)),
            "Conv1D": lambda: layers.Conv1D(3, 2),
            "Conv1DTranspose": lambda: layers.Conv1DTranspose(3, 2),
            "Cropping1D": layers.Cropping1D,
            "DepthwiseConv1D": lambda: layers.DepthwiseConv1D(2),
            "EinsumDense": lambda: layers.EinsumDense("abc,cd->abd", (8, 3), bias_axes="d"),
            "Flatten": layers.Flatten,
            "GRU": lambda: layers.GRU(3),
            "GRUCell": lambda: layers.RNN(layers.GRUCell(3)),
            "GlobalAveragePooling1D": layers.GlobalAveragePooling1D,
            "GlobalMaxPooling1D": layers.GlobalMaxPooling1D,
            "GroupNormalization": lambda: layers.GroupNormalization(2),
            "LSTM": lambda: layers.LSTM(3),
            "LSTMCell": lambda: layers.RNN(layers.LSTMCell(3)),
            "LayerNormalization": layers.LayerNormalization,
            "Masking": lambda: _ReadBy(layers.Masking(), layers.GRU(3)),
            "MaxPooling1D": lambda: layers.MaxPooling1D(2),
            "Permute": lambda: layers.Permute((2, 1)),
            "RMSNormalization": layers.RMSNormalization,
            "RNN": lambda: layers.RNN(layers.SimpleRNNCell(3), return_sequences=True),
            "SeparableConv1D": lambda: layers.SeparableConv1D(3, 2),
            "SimpleRNN": lambda: layers.SimpleRNN(3),
            "SimpleRNNCell": lambda: layers.RNN(layers.SimpleRNNCell(3)),
            "SpatialDropout1D": lambda: layers.SpatialDropout1D(0.3),
            "StackedRNNCells": lambda: layers.RNN(
                layers.StackedRNNCells([layers.GRUCell(3), layers.LSTMCell(2)])
            ),
            "TimeDistributed": lambda: layers.TimeDistributed(layers.Dense(3)),
            "UpSampling1D": layers.UpSampling1D,
            "ZeroPadding1D": layers.ZeroPadding1D,
        },
        "image": {
            "AdaptiveAveragePooling2D": lambda: layers.AdaptiveAveragePooling2D(2),
            "AdaptiveMaxPooling2D": lambda: layers.AdaptiveMaxPooling2D(2),
            "AugMix": lambda: layers.AugMix((0, 1), seed=1),
            "AutoContrast": lambda: layers.AutoContrast((0, 1)),
            "AveragePooling2D": lambda: layers.AveragePooling2D(2),
            "CenterCrop": lambda: layers.CenterCrop(4, 4),
            "ContrastLimitedAdaptiveHistogramEqualization": lambda: (
                layers.ContrastLimitedAdaptiveHistogramEqualization((0, 1), tile_grid_size=(2, 2))
            ),
            "Conv2D": lambda: layers.Conv2D(3, 2),
            "Conv2DTranspose": lambda: layers.Conv2DTranspose(3, 2),
            "Cropping2D": lambda: layers.Cropping2D(1),
            "CutMix": lambda: layers.CutMix(seed=1),
            "DepthwiseConv2D": lambda: layers.DepthwiseConv2D(2),
            "Equalization": lambda: layers.Equalization((0, 1)),
            "GlobalAveragePooling2D": layers.GlobalAveragePooling2D,
            "GlobalMaxPooling2D": layers.GlobalMaxPooling2D,
            "MaxPooling2D": lambda: layers.MaxPooling2D(2),
            "MixUp": lambda: layers.MixUp(seed=1),
            "Pipeline": lambda: layers.Pipeline([layers.Rescaling(0.5), layers.CenterCrop(4, 4)]),
            "RandAugment": lambda: layers.RandAugment((0, 1), seed=1),
            "RandomBrightness": lambda: layers.RandomBrightness(0.2, (0, 1), seed=1),
            "RandomColorDegeneration": lambda: layers.RandomColorDegeneration(0.5, (0, 1), seed=1),
            "RandomColorJitter": lambda: layers.RandomColorJitter(
                (0, 1), 0.2, 0.2, 0.2, 0.2, seed=1
            ),
            "RandomContrast": lambda: layers.RandomContrast(0.2, (0, 1), seed=1),
            "RandomCrop": lambda: layers.RandomCrop(4, 4, seed=1),
            "RandomElasticTransform": lambda: layers.RandomElasticTransform(0.5, 0.5, seed=1),
            "RandomErasing": lambda: layers.RandomErasing(
                1.0, (0.1, 0.3), value_range=(0, 1), seed=1
            ),
            "RandomFlip": lambda: layers.RandomFlip(seed=1),
            "RandomGaussianBlur": lambda: layers.RandomGaussianBlur(
                1.0, 3, 0.5, value_range=(0, 1), seed=1
            ),
            "RandomGrayscale": lambda: layers.RandomGrayscale(seed=1),
            "RandomHue": lambda: layers.RandomHue(0.2, (0, 1), seed=1),
            "RandomInvert": lambda: layers.RandomInvert(value_range=(0, 1), seed=1),
            "RandomPerspective": lambda: layers.RandomPerspective(1.0, 0.3, seed=1),
            "RandomPosterization": lambda: layers.RandomPosterization(4, (0, 1), seed=1),
            "RandomRotation": lambda: layers.RandomRotation(0.2, seed=1),
            "RandomSaturation": lambda: layers.RandomSaturation(0.3, (0, 1), seed=1),
            "RandomSharpness": lambda: layers.RandomSharpness(0.3, (0, 1), seed=1),
            "RandomShear": lambda: layers.RandomShear(0.2, 0.2, seed=1),
            "RandomTranslation": lambda: layers.RandomTranslation(0.2, 0.2, seed=1),
            "RandomZoom": lambda: layers.RandomZoom(0.2, seed=1),
            "Resizing": lambda: layers.Resizing(4, 4),
            "SeparableConv2D": lambda: layers.SeparableConv2D(3, 2),
            "Solarization": lambda: layers.Solarization(0.1, 0.5, (0, 1), seed=1),
            "SpatialDropout2D": lambda: layers.SpatialDropout2D(0.3),
            "UpSampling2D": layers.UpSampling2D,
            "ZeroPadding2D": layers.ZeroPadding2D,
        },
        "volume": {
            "AdaptiveAveragePooling3D": lambda: layers.AdaptiveAveragePooling3D(2),
            "AdaptiveMaxPooling3D": lambda: layers.AdaptiveMaxPooling3D(2),
            "AveragePooling3D": lambda: layers.AveragePooling3D(2),
            "Conv3D": lambda: layers.Conv3D(3, 2),
            "Conv3DTranspose": lambda: layers.Conv3DTranspose(3, 2),
            "Cropping3D": lambda: layers.Cropping3D(1),
            "GlobalAveragePooling3D": layers.GlobalAveragePooling3D,
            "GlobalMaxPooling3D": layers.GlobalMaxPooling3D,
            "MaxPooling3D": lambda: layers.MaxPooling3D(2),
            "SpatialDropout3D": lambda: layers.SpatialDropout3D(0.3),
            "UpSampling3D": layers.UpSampling3D,
            "ZeroPadding3D": layers.ZeroPadding3D,
        },
        "lines": {"ConvLSTM1D": lambda: layers.ConvLSTM1D(2, 2)},
        "images": {"ConvLSTM2D": lambda: layers.ConvLSTM2D(2, 2)},
        "volumes": {"ConvLSTM3D": lambda: layers.ConvLSTM3D(2, 2)},
        "wave": {
            "MelSpectrogram": lambda: layers.MelSpectrogram(
                fft_length=16, sequence_stride=16, sampling_rate=100, num_mel_bins=4, min_freq=1
            ),
            "STFTSpectrogram": lambda: layers.Pipeline(
                [layers.Reshape((64, 1)), layers.STFTSpectrogram("magnitude", 16, 8, 16)]
            ),
        },
        "indices": {
            "CategoryEncoding": lambda: layers.CategoryEncoding(5),
            "Embedding": lambda: layers.Embedding(5, 3),
            "Hashing": lambda: layers.Hashing(4),
            "IntegerLookup": lambda: layers.IntegerLookup(vocabulary=[1, 2, 3]),
            "ReversibleEmbedding": lambda: layers.ReversibleEmbedding(5, 3),
        },
        "words": {
            "StringLookup": lambda: layers.StringLookup(vocabulary=vocabulary),
            "TextVectorization": lambda: layers.TextVectorization(
                vocabulary=vocabulary, output_sequence_length=2
            ),
        },
    }
    found = [
        Case(name, make, kind) for kind, makers in by_kind.items() for name, make in makers.items()
    ]
    for name in ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"):
        found.append(Case(name, getattr(layers, name), "vector", _pair))
    found.append(Case("Dot", lambda: layers.Dot(-1), "vector", _pair))
    found.append(Case("Attention", layers.Attention, "series", _pair))
    found.append(Case("AdditiveAttention", layers.AdditiveAttention, "series", _pair))
    found.append(
        Case(
            "MultiHeadAttention", lambda: _Applied(layers.MultiHeadAttention(2, 3)), "series", _pair
        )
    )
    found.append(
        Case(
            "GroupQueryAttention",
            lambda: _Applied(layers.GroupQueryAttention(3, 2, 1)),
            "series",
            _pair,
        )
    )
    found.append(Case("HashedCrossing", lambda: layers.HashedCrossing(4), "indices", _columns))
    return [case for case in found if hasattr(layers, case.name)]  # an older Keras lacks some


class _Applied:
    """A layer that takes its inputs one by one."""

    def __init__(self, layer: Any):
        self.layer = layer

    def __call__(self, inputs: list[Any]) -> Any:
        return self.layer(*inputs)


class _ReadBy:
    """A layer that another one reads, since nothing is left of its mask behind `Flatten`."""

    def __init__(self, layer: Any, reader: Any):
        self.layer = layer
        self._reader = reader

    def __call__(self, inputs: Any) -> Any:
        return self._reader(self.layer(inputs))


def _columns(x: Any) -> tuple[Any, Any]:
    return x[:, :1], x[:, 1:2]


NOT_TRIED = {
    "FlaxLayer": "of a Flax module, on JAX",
    "InputLayer": "every model has one",
    "InputSpec": "no layer",
    "JaxLayer": "of a JAX function, on JAX",
    "Layer": "its subclasses run",
    "MaxNumBoundingBoxes": "of bounding boxes, in data pipelines",
    "TFSMLayer": "of a SavedModel, which is not trained",
    "TorchModuleWrapper": "of a PyTorch module, on PyTorch",
    "Wrapper": "its subclasses run",
}


def _data(kind: str) -> Any:
    shape, dtype = INPUTS[kind]
    rng = np.random.default_rng(0)
    if dtype == "string":
        return keras.ops.convert_to_tensor(
            rng.choice(["a", "b", "z"], size=(_SAMPLES, *shape)), "string"
        )
    if dtype == "int32":
        return rng.integers(0, 5, size=(_SAMPLES, *shape)).astype(dtype)
    return rng.uniform(-0.5, 1.0, size=(_SAMPLES, *shape)).astype(dtype)


def _model(cases: list[Case]) -> tuple[keras.Model, dict[str, Case]]:
    """All cases side by side, each between layers of its own; and whose layer is whose, by name."""
    kinds = list(dict.fromkeys(case.inputs for case in cases))
    inputs = {
        kind: keras.Input(INPUTS[kind][0], dtype=INPUTS[kind][1], name=kind) for kind in kinds
    }
    outputs, owners = {}, {}
    for case in cases:
        given = inputs[case.inputs]
        number = "float" in INPUTS[case.inputs][1]
        if number:
            given = layers.Dense(given.shape[-1], "relu", name=f"before_{case.name}")(given)
        layer = case.make()
        y = layer(case.joined(given))
        owners[getattr(layer, "layer", layer).name] = case
        owners[layer.name if hasattr(layer, "name") else layer.layer.name] = case
        parts = [
            layers.Flatten()(keras.ops.cast(part, "float32")) for part in keras.tree.flatten(y)
        ]
        y = layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
        if not number:
            y = layers.Dense(4, "relu", name=f"after_{case.name}")(y)
        outputs[case.name] = layers.Dense(1, name=f"out_{case.name}")(y)
    return keras.Model(inputs, outputs), owners


def layer_rows() -> list[Row]:
    """Try every layer of `keras.layers`."""
    cases = _cases()
    rows = [
        row for kind in INPUTS for row in _groups([case for case in cases if case.inputs == kind])
    ]
    known = {id(getattr(layers, case.name)) for case in cases}
    for name in sorted(dir(layers)):
        thing = getattr(layers, name)
        if inspect.isclass(thing) and id(thing) not in known:
            rows.append(Row("layers", name, NEEDS, NOT_TRIED[name]))
    return sorted(rows, key=lambda row: row.name)


def _groups(cases: list[Case]) -> list[Row]:
    """Try cases side by side, without those that a population refuses, and halves of what fails in another way."""
    if not cases:
        return []
    owners: dict[str, Case] = {}
    try:
        model, owners = _model(cases)
        return _layers(cases, model)
    except ModelError as error:
        named = [case for name, case in owners.items() if f"'{name}'" in str(error)]
        case = named[0] if named or len(cases) > 1 else cases[0]
        rest = [other for other in cases if other is not case]
        return [Row("layers", case.name, REFUSED, _short(str(error))), *_groups(rest)]
    except Exception as error:
        if len(cases) == 1:
            outcome = WRONG if owners else NEEDS
            reason = "" if owners else "Keras makes no Functional model with it: "
            return [
                Row(
                    "layers",
                    cases[0].name,
                    outcome,
                    _short(f"{reason}{type(error).__name__}: {error}"),
                )
            ]
        middle = len(cases) // 2
        return _groups(cases[:middle]) + _groups(cases[middle:])


def _layers(cases: list[Case], model: keras.Model) -> list[Row]:
    x = {kind: _data(kind) for kind in dict.fromkeys(case.inputs for case in cases)}
    rng = np.random.default_rng(1)
    y = {case.name: rng.normal(size=(_SAMPLES, 1)).astype("float32") for case in cases}

    def compiled() -> dict[str, Any]:
        return {"optimizer": optimizers.SGD(0.01), "loss": dict.fromkeys(y, "mse")}

    population, alone, logs, log = _both(model, compiled, x, y)
    same = population.model(1)
    rows = []
    for case in cases:
        loss = f"{case.name}_loss" if len(cases) > 1 else "loss"
        differs = not _close(logs[f"members/{loss}"][-1][1], log[loss][-1])
        for name in (f"before_{case.name}", f"after_{case.name}", f"out_{case.name}"):
            if any(layer.name == name for layer in alone.layers):
                mine, theirs = (m.get_layer(name).get_weights() for m in (same, alone))
                differs = differs or not all(map(_close, mine, theirs))
        rows.append(_row_of(case, population, differs))
    return rows


def _row_of(case: Case, population: PopulationModel, differs: bool) -> Row:
    kind = getattr(layers, case.name)
    if not differs:
        plans = [layer.plan for layer in population.stacked if type(layer.plan.layer) is kind]
        has_rule = any(plan.rule is not None for plan in plans)
        return Row("layers", case.name, EXACT if has_rule else LOOPED)
    rule = registry.rule_of(kind)
    if rule is not None and rule.__module__ == noise.__name__:
        return Row(
            "layers", case.name, RANDOM, "each member draws its own numbers: equal in distribution"
        )
    if _differs_from_itself(case):
        return Row(
            "layers",
            case.name,
            RANDOM,
            "the ordinary model with one seed differs from one time to the next",
        )
    return Row("layers", case.name, WRONG, "weights or loss differ")


def _differs_from_itself(case: Case) -> bool:
    model, _ = _model([case])
    found = []
    for _ in range(2):
        with isolated_seed(0):
            alone = with_activations(model, CANDIDATES[1])
        alone.compile(optimizers.SGD(0.01), "mse")
        y = np.ones((_SAMPLES, 1))
        x = {case.inputs: _data(case.inputs)}
        found.append(alone.fit(x, y, batch_size=_BATCH, shuffle=False, verbose=0).history["loss"])
    return not _close(*found)


def _both(
    model: keras.Model, compiled: Callable[[], dict[str, Any]], x: Any, y: Any
) -> tuple[PopulationModel, keras.Model, dict[str, Any], dict[str, Any]]:
    """Train a population of two candidates and the second one's ordinary model, with their logs."""
    fitted = _fit_arguments(x, y)
    population = PopulationModel(model, CANDIDATES)
    population.compile(**compiled(), run_eagerly=EAGER)
    logs = population.fit(**fitted).history
    with isolated_seed(0):
        alone = with_activations(model, CANDIDATES[1])
    alone.compile(**compiled(), run_eagerly=EAGER)
    return population, alone, logs, alone.fit(**fitted).history


def _one_by_one(
    model: keras.Model, compiled: Callable[[], dict[str, Any]], x: Any, y: Any
) -> tuple[keras.Model, dict[str, Any]]:
    """Train the second candidate as a search does one by one.

    What the model is compiled with is made again for it.
    """
    model.compile(**compiled(), run_eagerly=EAGER)
    with isolated_seed(0):
        copy = with_activations(model, CANDIDATES[1])
    return copy, copy.fit(**_fit_arguments(x, y)).history


def _fit_arguments(x: Any, y: Any) -> dict[str, Any]:
    return {"x": x, "y": y, "batch_size": _BATCH, "shuffle": False, "verbose": 0}


def _close(found: Any, expected: Any) -> bool:
    return bool(np.allclose(found, expected, rtol=2e-4, atol=2e-5, equal_nan=True))


def _short(text: str) -> str:
    return " ".join(text.split())[:160]


def _targets() -> dict[str, tuple[Any, Any]]:
    """By kind of target: the head of a model, a function of a tensor, and the targets."""
    rng = np.random.default_rng(2)
    classes = rng.integers(0, 3, _SAMPLES)
    onehot = np.eye(3, dtype="float32")[classes]
    series = np.stack([classes, (classes + 1) % 3], axis=1)
    return {
        "onehot": (lambda: layers.Dense(3, "softmax"), onehot),
        "sparse": (lambda: layers.Dense(3, "softmax"), classes),
        "binary": (
            lambda: layers.Dense(1, "sigmoid"),
            (classes > 0).astype("float32").reshape(-1, 1),
        ),
        "signs": (lambda: layers.Dense(1, "tanh"), np.where(classes > 0, 1.0, -1.0).reshape(-1, 1)),
        "numbers": (lambda: layers.Dense(2), rng.normal(size=(_SAMPLES, 2)).astype("float32")),
        "positive": (
            lambda: layers.Dense(2, "softplus"),
            rng.uniform(0.2, 2, size=(_SAMPLES, 2)).astype("float32"),
        ),
        "ranks": (lambda: layers.Dense(1), classes.reshape(-1, 1)),
        "points": (lambda: layers.UnitNormalization(), classes),
        "sequence": (
            lambda: keras.Sequential([layers.Dense(4 * 4), layers.Reshape((4, 4))]),
            series + 1,
        ),
        "integers": (
            lambda: _Rounded(layers.Dense(1, "sigmoid")),
            (classes > 0).astype("float32").reshape(-1, 1),
        ),
    }


class _Rounded:
    """A layer whose outputs are rounded: metrics of labels compare them."""

    def __init__(self, layer: Any):
        self.layer = layer

    def __call__(self, x: Any) -> Any:
        return keras.ops.round(self.layer(x))


# the kind of target of a loss or metric, where it is not a distribution over classes, and the
# arguments that it needs
_TARGET_OF = {
    **dict.fromkeys(("SparseCategoricalCrossentropy", "SparseCategoricalAccuracy"), "sparse"),
    **dict.fromkeys(
        ("SparseTopKCategoricalAccuracy", "CategoricalGeneralizedCrossEntropy"), "sparse"
    ),
    **dict.fromkeys(
        ("BinaryCrossentropy", "BinaryFocalCrossentropy", "BinaryAccuracy", "BinaryIoU", "AUC"),
        "binary",
    ),
    **dict.fromkeys(
        ("FalseNegatives", "FalsePositives", "TrueNegatives", "TruePositives"), "binary"
    ),
    **dict.fromkeys(("Precision", "Recall", "PrecisionAtRecall", "RecallAtPrecision"), "binary"),
    **dict.fromkeys(("SensitivityAtSpecificity", "SpecificityAtSensitivity"), "binary"),
    **dict.fromkeys(("Hinge", "SquaredHinge"), "signs"),
    **dict.fromkeys(
        ("MeanSquaredError", "MeanAbsoluteError", "Huber", "LogCosh", "LogCoshError"), "numbers"
    ),
    **dict.fromkeys(
        ("RootMeanSquaredError", "R2Score", "CosineSimilarity", "PearsonCorrelation"), "numbers"
    ),
    **dict.fromkeys(("ConcordanceCorrelation",), "numbers"),
    **dict.fromkeys(
        ("MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "Poisson"), "positive"
    ),
    **dict.fromkeys(("Accuracy", "MeanIoU", "IoU"), "integers"),
    "Circle": "points",
    "CTC": "sequence",
}
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "IoU": {"num_classes": 2, "target_class_ids": [1]},
    "MeanIoU": {"num_classes": 2},
    "MeanMetricWrapper": {"fn": losses.mean_squared_error},
    "OneHotIoU": {"num_classes": 3, "target_class_ids": [1]},
    "OneHotMeanIoU": {"num_classes": 3},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "SparseTopKCategoricalAccuracy": {"k": 2},
    "TopKCategoricalAccuracy": {"k": 2},
}
_NO_METRICS = {
    "Metric": "its subclasses run",
    "Mean": "of values, not of labels",
    "Sum": "of values, not of labels",
}
_NO_LOSSES = {"Loss": "its subclasses run"}
_NO_NAMES = ("get", "serialize", "deserialize")


def _named(module: Any) -> Iterable[tuple[str, str]]:
    """The names under which `compile` finds a loss or metric, and the class whose target they take."""
    kinds = {_key(name): name for name in dir(module) if inspect.isclass(getattr(module, name))}
    for name in sorted(dir(module)):
        thing = getattr(module, name)
        if (
            not name.startswith("_")
            and callable(thing)
            and not inspect.isclass(thing)
            and name not in _NO_NAMES
        ):
            yield name, kinds.get(_key(name), name)
    for name in sorted(kinds.values()):
        yield name, name


def _unknown(module: Any, name: str) -> str:
    """Why Keras makes no loss or metric of a name; empty if it does."""
    try:
        module.get(name)
    except ValueError:
        return "Keras finds no such name: give the object"
    except TypeError:
        return "its class needs arguments: give the object"
    return ""


def _key(name: str) -> str:
    return name.replace("_", "").lower()


def loss_rows() -> list[Row]:
    """Try every loss of `keras.losses`, as an object and by each name."""
    tried: dict[str, tuple[str, Any]] = {}
    rows = []
    for name in sorted(dir(losses)):
        if inspect.isclass(getattr(losses, name)) and name not in _NO_LOSSES:
            tried[name] = (
                _TARGET_OF.get(name, "onehot"),
                getattr(losses, name)(**_ARGUMENTS.get(name, {})),
            )
    for name, kind in _named(losses):
        if kind not in _NO_LOSSES:
            unknown = _unknown(losses, name)
            if unknown:
                rows.append(Row("losses", f"{name!r}", NEEDS, unknown))
            else:
                tried[f"{name!r}"] = _TARGET_OF.get(kind, "onehot"), name
    rows += _judged("losses", tried)
    return rows + [Row("losses", name, NEEDS, reason) for name, reason in _NO_LOSSES.items()]


def metric_rows() -> list[Row]:
    """Try every metric of `keras.metrics`, as an object and by each name that needs no arguments."""
    tried: dict[str, tuple[str, Any]] = {}
    rows = [Row("metrics", name, NEEDS, reason) for name, reason in _NO_METRICS.items()]
    for name in sorted(dir(metrics)):
        if inspect.isclass(getattr(metrics, name)) and name not in _NO_METRICS:
            target = _TARGET_OF.get(name, "onehot" if name != "MeanMetricWrapper" else "numbers")
            tried[name] = (
                target,
                getattr(metrics, name)(**_ARGUMENTS.get(name, {}), name=f"{_key(name)}_object"),
            )
    for name, kind in _named(metrics):
        if kind in _NO_METRICS:
            continue
        unknown = _unknown(metrics, name)
        if unknown:
            rows.append(Row("metrics", f"{name!r}", NEEDS, unknown))
        else:
            tried[f"{name!r}"] = _TARGET_OF.get(kind, "onehot"), name
    return rows + _judged("metrics", tried)


def _judged(kind: str, tried: Mapping[str, tuple[str, Any]]) -> list[Row]:
    """Try them side by side, and halves of them where that fails."""
    try:
        return _compared(kind, tried)
    except Exception as error:
        if len(tried) == 1:
            outcome = REFUSED if isinstance(error, ModelError) else WRONG
            return [
                Row(kind, name, outcome, _short(f"{type(error).__name__}: {error}"))
                for name in tried
            ]
        found = list(tried.items())
        middle = len(found) // 2
        return _judged(kind, dict(found[:middle])) + _judged(kind, dict(found[middle:]))


def _compared(kind: str, tried: Mapping[str, tuple[str, Any]]) -> list[Row]:
    """Train with all of them, losses on an output each, metrics on as few as their names allow, and compare."""
    targets = _targets()
    inputs = keras.Input((6,))
    hidden = layers.Dense(4, "relu", name="hidden")(inputs)
    outputs: dict[str, Any] = {}
    y: dict[str, Any] = {}
    given: dict[str, list[Any]] = {}
    places: dict[
        str, tuple[str, str]
    ] = {}  # by what is tried: its output, and its name in the logs
    for label, (target, thing) in tried.items():
        said = _log_name(thing)
        turn = sum(
            1
            for output, name in places.values()
            if output.startswith(f"{target}_") and name == said
        )
        if kind == "losses":
            turn, said = len(places), "loss"
        output = f"{target}_{turn}"
        places[label] = output, said
        given.setdefault(output, []).append(thing)
        if output not in outputs:
            head, y[output] = targets[target]
            outputs[output] = layers.Identity(name=output)(head()(hidden))
    outputs["beside"], y["beside"] = layers.Dense(1, name="beside")(hidden), np.zeros((_SAMPLES, 1))
    model = keras.Model(inputs, outputs)

    def compiled() -> dict[str, Any]:
        if kind == "losses":
            return {
                "optimizer": optimizers.SGD(0.01),
                "loss": {**{k: v[0] for k, v in given.items()}, "beside": "mse"},
            }
        fresh = {
            output: [thing if isinstance(thing, str) else _again(thing) for thing in things]
            for output, things in given.items()
        }
        return {"optimizer": optimizers.SGD(0.01), "loss": {"beside": "mse"}, "metrics": fresh}

    population, alone, logs, log = _both(model, compiled, _data("vector"), y)
    copy, copied = _one_by_one(model, compiled, _data("vector"), y)
    rows = []
    for label, (output, said) in places.items():
        key = f"{output}_{said}"
        same = (
            key in log
            and _close(logs[f"members/{key}"][-1][1], log[key][-1])
            and _close(copied[key], log[key])
        )
        if kind == "metrics":
            directions = [_direction(one, output, said) for one in (population, copy, alone)]
            same = same and directions[0] == directions[1] == directions[2]
        rows.append(Row(kind, label, EXACT if same else WRONG, "" if same else f"{key} differs"))
    return rows


def _again(metric: Any) -> Any:
    return type(metric).from_config(metric.get_config())


def _log_name(thing: Any) -> str:
    return thing if isinstance(thing, str) else str(thing.name)


def _direction(model: keras.Model, output: str, name: str) -> Any:
    """What the metric of an output says is better."""
    of_outputs = zip(
        model._compile_metrics.output_names, model._compile_metrics._flat_metrics, strict=True
    )
    found = [metrics_ for owner, metrics_ in of_outputs if owner == output]
    return [
        getattr(metric, "_direction", None)
        for some in found
        for metric in some.metrics
        if metric.name == name
    ]


# options that every optimizer has, and that some have
_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"weight_decay": 0.1},
    {"clipnorm": 0.02},
    {"clipvalue": 0.01},
    {"global_clipnorm": 0.05},
    {"use_ema": True},
    {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
    {"gradient_accumulation_steps": 2},
    {"loss_scale_factor": 8.0},
)
_OWN: dict[str, tuple[dict[str, Any], ...]] = {
    "Adam": ({"amsgrad": True}, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}),
    "AdamW": ({"amsgrad": True},),
    "RMSprop": ({"centered": True, "momentum": 0.5, "rho": 0.5},),
    "SGD": ({"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}),
    "Adagrad": ({"initial_accumulator_value": 0.5},),
}
_HOLD_OTHERS = ("LossScaleOptimizer", "MultiOptimizer")


def optimizer_rows() -> list[Row]:
    """Try every optimizer of `keras.optimizers` with each option, and each schedule."""
    rows = [Row("optimizers", "Optimizer", NEEDS, "its subclasses run")]
    if hasattr(optimizers, "OptimizerMap"):
        rows.append(
            Row("optimizers", "OptimizerMap", NEEDS, "no optimizer: an argument of MultiOptimizer")
        )
    for name in sorted(dir(optimizers)):
        kind = getattr(optimizers, name)
        if not inspect.isclass(kind) or name in ("Optimizer", "OptimizerMap"):
            continue
        if name in _HOLD_OTHERS:
            rows.append(optimizer_row(name, functools.partial(_holding, kind)))
            continue
        for options in (*_OPTIONS, *_OWN.get(name, ())):
            said = ", ".join(f"{key}={value}" for key, value in options.items())
            row = optimizer_row(f"{name}({said})", functools.partial(_with_options, kind, options))
            if row.outcome == REFUSED and not options:  # for its class, whatever its options
                rows.append(Row("optimizers", name, REFUSED, row.reason))
                break
            rows.append(row)
    schedules = optimizers.schedules
    for name, make in {
        "CosineDecay": lambda: schedules.CosineDecay(0.05, 4),
        "CosineDecayRestarts": lambda: schedules.CosineDecayRestarts(0.05, 2),
        "ExponentialDecay": lambda: schedules.ExponentialDecay(0.05, 2, 0.5),
        "InverseTimeDecay": lambda: schedules.InverseTimeDecay(0.05, 2, 0.5),
        "PiecewiseConstantDecay": lambda: schedules.PiecewiseConstantDecay(
            [1, 3], [0.1, 0.05, 0.01]
        ),
        "PolynomialDecay": lambda: schedules.PolynomialDecay(0.05, 4),
    }.items():
        rows.append(
            optimizer_row(f"SGD({name})", functools.partial(_scheduled, optimizers.SGD, make))
        )
        rows.append(
            optimizer_row(f"Adam({name})", functools.partial(_scheduled, optimizers.Adam, make))
        )
    return rows


def _with_options(kind: Any, options: dict[str, Any]) -> Any:
    return kind(0.01, **options)


def _holding(kind: Any) -> Any:
    """An optimizer that holds another."""
    first = next(iter(inspect.signature(kind).parameters))
    return kind(**{first: optimizers.SGD(0.01)})


def _scheduled(kind: Any, schedule: Callable[[], Any]) -> Any:
    return kind(schedule())


@functools.cache
def _pair_of_mlps() -> tuple[PopulationModel, keras.Model, list[np.ndarray], list[np.ndarray]]:
    """A population and the ordinary model of its second candidate, with their first weights: made once."""
    hidden = layers.Dense(3, "relu", kernel_constraint="max_norm")
    model = keras.Sequential([keras.Input((6,)), hidden, layers.Dense(1)])
    population = PopulationModel(model, CANDIDATES)
    with isolated_seed(0):
        alone = with_activations(model, CANDIDATES[1])
    return population, alone, population.get_weights(), alone.get_weights()


def optimizer_row(name: str, make: Callable[[], Any]) -> Row:
    """Try one optimizer: weights and its own state after some steps."""
    population, alone, many, one = _pair_of_mlps()
    population.set_weights(many)
    alone.set_weights(one)
    x = _data("vector")
    y = x.sum(axis=1, keepdims=True)
    try:
        optimizer = make()
    except Exception as error:
        return Row(
            "optimizers", name, NEEDS, _short(f"Keras refuses it: {type(error).__name__}: {error}")
        )
    try:
        population.compile(optimizer, "mse", run_eagerly=True)
    except ModelError as error:
        return Row("optimizers", name, REFUSED, _short(str(error)))
    alone.compile(make(), "mse", run_eagerly=True)
    for model in (population, alone):
        model.fit(x, y, batch_size=3, shuffle=False, verbose=0)
    same = population.model(1)
    pairs = [*zip(same.weights, alone.weights, strict=True)]
    pairs += zip(same.optimizer.variables, alone.optimizer.variables, strict=True)
    exact = all(_close(mine, theirs) for mine, theirs in pairs)
    return Row(
        "optimizers", name, EXACT if exact else WRONG, "" if exact else "weights or state differ"
    )


TRIALS: dict[str, Callable[[], list[Row]]] = {
    "layers": layer_rows,
    "losses": loss_rows,
    "metrics": metric_rows,
    "optimizers": optimizer_rows,
}


HEAD = f"""# What trains exactly in a population

`python -m benchmarks.exactness --write docs/exactness.md` makes this page, with Keras {keras.__version__}: it lists the
namespaces of Keras, trains each thing in a population of two candidates and the ordinary model of one of them beside
it for some steps, and compares weights, losses, metrics and their direction. Losses and metrics are also
trained as a search does one by one, where they are made again for each candidate.
`tests/test_exactness.py` runs the same.

- **{EXACT}**: equal, all members at once; **{LOOPED}**: equal, in a loop over members ([population.md](population.md)).
- **{RANDOM}**: equal in distribution.
- **{REFUSED}**: before training, with this reason; searches then train one by one.
- **{NEEDS}**: the reason is Keras' or the thing itself.
"""


def page(rows: list[Row]) -> str:
    """Return the rows as a page."""
    parts = [HEAD]
    for kind in TRIALS:
        of_kind = [row for row in rows if row.kind == kind]
        if not of_kind:
            continue
        parts.append(f"\n## {kind.capitalize()}\n")
        for outcome in (EXACT, LOOPED, RANDOM):
            names = [f"`{row.name}`" for row in of_kind if row.outcome == outcome]
            if names:
                parts.append(f"**{outcome.capitalize()}** ({len(names)}): {', '.join(names)}\n")
        others = [row for row in of_kind if row.outcome in (REFUSED, NEEDS, WRONG)]
        if others:
            parts.append(f"| {kind} | | reason |\n|---|---|---|")
            parts += [
                f"| `{row.name}` | {row.outcome} | {row.reason.replace('|', '/')} |"
                for row in others
            ]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=Path, help="the file to write the page to")
    parser.add_argument("--only", nargs="+", choices=list(TRIALS), default=list(TRIALS))
    chosen = parsed(parser, only=["metrics"])
    warnings.filterwarnings(
        "ignore", "Gradients do not exist"
    )  # behind layers that make whole numbers
    rows = [row for kind in chosen.only for row in TRIALS[kind]()]
    text = page(rows)
    if chosen.write:
        chosen.write.write_text(text)
    else:
        print(text)
    if any(row.outcome == WRONG for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
