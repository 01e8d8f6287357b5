"""What guessing has.

The scores of a model that looks at no input and always gives one answer, the best there is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_acts.compat import all_layers, wrapped_function

from ..rewrite.compiling import compile_arguments
from ..rewrite.own_training import own_methods
from ..strategy.labels import are_shares
from ..strategy.objective import metrics_of
from ..strategy.scoring import Data, have_shapes
from .verdict import Guess

Tensor: TypeAlias = Any
Shape: TypeAlias = tuple[int | None, ...]

_SMALLEST = 1e-7  # a share, before its logarithm: as Keras' losses have it (`keras.config.epsilon`)
# 50 of Keras' batches: each takes some milliseconds by itself, a program a quarter of a second
_FEW_SAMPLES = 50 * 32
_CLASS = "always the most frequent class"
_MEAN = "always the mean of the targets"
_MEDIAN = "always the median of the targets"


def best_guess(model: keras.Model, data: Data, metric: str, maximize: bool) -> Guess | None:
    """Return `constant_guess`, or None where it fails, for whatever reason.

    That must not lose a verdict.
    """
    try:
        return constant_guess(model, data, metric, maximize)
    except Exception:
        return None


def constant_guess(model: keras.Model, data: Data, metric: str, maximize: bool) -> Guess | None:
    """Return what the best constant answer has on the data, in a metric of the model.

    None if that cannot be said.

    Where targets are classes, the answer is how frequent each is, so that the most frequent one is
    chosen; else their mean or their median, whichever scores better. It is computed from the scored
    data themselves, with the model's own loss and metrics, as `evaluate` does. With sample weights,
    they count in the shares and centers or not, whichever scores better. It is None for a loss that
    holds more than the targets' (penalties), or is a sum over a batch.

    Args:
        model: compiled, with known outputs.
        data: ``(x, y)`` or ``(x, y, weights)`` as arrays, or a finite `tf.data.Dataset` of such
            batches.
        metric: its name, as `evaluate` returns it.
        maximize: whether higher is better.
    """
    scored = _labelled(model, data)
    if scored is None or _sums(metric, model):
        return None  # a sum is of a batch, whose size is not known here
    if metric == "loss" and _penalized(model, data):
        # the guess has no penalties, so that even a model that has learned may look worse
        return None
    guesses = []
    for center, constants in _answers(model, scored):
        score = _evaluated(model, constants, scored, metric)
        if score is not None and math.isfinite(score):
            guesses.append(Guess(score, _in_words(model, metric, scored, center)))

    def goodness(guess: Guess) -> float:
        if maximize:
            return guess.score
        return -guess.score

    return max(guesses, key=goodness, default=None)


@dataclass(frozen=True)
class _Labelled:
    """Targets and weights of data.

    Attributes:
        targets: as they were given.
        weights: as they were given; None without.
        parts: the targets of each output.
        shapes: of the outputs.
        weights_of_parts: of each sample, for each output.
    """

    targets: Data
    weights: Data
    parts: list[np.ndarray]
    shapes: list[Shape]
    weights_of_parts: list[np.ndarray]


def _labelled(model: keras.Model, data: Data) -> _Labelled | None:
    """The targets of data as numbers for each output; None if they are not that."""
    targets, weights = _targets(data)
    outputs = getattr(model, "outputs", None)  # a subclassed model has none
    if targets is None or not outputs:
        return None
    names = _output_names(model)
    parts = [np.asarray(part) for part in _in_order(targets, names)]
    if len(parts) != len(outputs) or not all(_are_numbers(part) for part in parts):
        return None
    shapes = [output.shape for output in outputs]
    return _Labelled(targets, weights, parts, shapes, _weights_of_outputs(weights, names, parts))


def _are_numbers(part: np.ndarray) -> bool:
    return part.dtype.kind in "fiub" and part.size > 0


def _answers(model: keras.Model, labelled: _Labelled) -> Iterator[tuple[str, list[np.ndarray]]]:
    """The constant answers that may be the best: each in words, and for each output."""
    are_classes = list(map(_are_classes, labelled.parts, labelled.shapes))
    kinds = [_MEAN, _MEDIAN]
    if all(are_classes):
        kinds = [_CLASS]
    equal = [np.ones(len(part)) for part in labelled.parts]
    # metrics may be weighted or not, and their names do not tell
    countings = [equal]
    if not all(np.ptp(weights) == 0 for weights in labelled.weights_of_parts):
        countings = [labelled.weights_of_parts, equal]
    for what, counting in itertools.product(kinds, countings):
        constants = []
        for part, shape, of_classes, weights in zip(
            labelled.parts, labelled.shapes, are_classes, counting, strict=True
        ):
            if of_classes:
                constants.append(_shares(part, shape, weights, _takes_logits(model.loss)))
            else:
                constants.append(_center(part, shape, weights, what))
        yield what, constants


def _in_words(model: keras.Model, metric: str, labelled: _Labelled, center: str) -> str:
    """What is answered to all samples, as far as it decides a metric.

    Args:
        model: that has it.
        metric: its name.
        labelled: the data that are scored.
        center: what is answered where targets are numbers.
    """
    are_classes = list(map(_are_classes, labelled.parts, labelled.shapes))
    of_output = _output_of(model, metric)
    if of_output:
        are_classes = [are_classes[_output_names(model).index(of_output)]]
    if all(are_classes):
        return _CLASS
    if any(are_classes):
        return f"{center}, and {_CLASS.removeprefix('always ')}"
    return center


def validation_part(fit: Mapping[str, Any]) -> Data:
    """Return the data that `fit` validates with: those given, or the last part of arrays.

    None if that is unknown.
    """
    if fit.get("validation_data") is not None:
        return fit["validation_data"]
    split = fit.get("validation_split")
    x = fit.get("x")
    y = fit.get("y")
    if not split or y is None or not have_shapes((x, y)):
        return None
    parts: tuple[Data, ...] = (x, y)
    if fit.get("sample_weight") is not None:
        parts = (x, y, fit["sample_weight"])
    # as Keras cuts it, weights too
    first = math.floor(len(keras.tree.flatten(y)[0]) * (1 - split))
    return keras.tree.map_structure(lambda part: part[first:], parts)


def weighs(fit: Mapping[str, Any]) -> bool:
    """Whether `fit` trains with weights of classes or samples.

    Such a model may aim at worse scores than guessing has.

    On purpose: where rare classes weigh more, its accuracy may be below the most frequent class's.
    """
    if fit.get("class_weight") is not None or fit.get("sample_weight") is not None:
        return True
    if fit.get("y") is not None:
        return False
    batch = _batch_of(fit.get("x"))
    return isinstance(batch, tuple | list) and len(batch) > 2 and batch[2] is not None


def _batch_of(x: Data) -> Any:
    """A batch of what gives batches, or what TensorFlow knows of one; None of all else."""
    if isinstance(x, Iterator):
        return None  # it can be read only once
    if hasattr(x, "element_spec"):
        return x.element_spec
    if isinstance(x, keras.utils.PyDataset):
        return x[0]
    if hasattr(x, "shape") or not isinstance(x, Iterable):
        return None  # an array without targets
    return next(iter(x), None)  # such as a DataLoader


def loss_of(model: keras.Model, metric: str) -> str:
    """Return the name of the loss that aims at a metric.

    That of the metric's output, if there are several.
    """
    of_output = _output_of(model, metric)
    if not of_output:
        return "loss"
    return f"{of_output}_loss"


def _output_of(model: keras.Model, metric: str) -> str:
    """Return the name of the output that a metric is of; empty if it is of all, or of the only one."""
    names = _output_names(model)
    if len(names) < 2:
        return ""  # Keras names no output where there is one only
    # a name may begin as another does
    return max([name for name in names if metric.startswith(f"{name}_")], key=len, default="")


def is_mean_square(model: keras.Model, metric: str) -> bool:
    """Return whether a metric is the mean squared error of the targets, whose root has their unit.

    A loss that holds penalties besides is none; see `constant_guess`, which knows of them.

    Args:
        model: compiled, with one output.
        metric: its name, as `evaluate` returns it.
    """
    if len(_output_names(model)) > 1:
        return False
    if metric != "loss":
        return isinstance(metrics_of(model).get(metric), keras.metrics.MeanSquaredError) or (
            metric in ("mse", "mean_squared_error")
        )
    if (model.get_compile_config() or {}).get("loss_weights") is not None:
        return False
    loss = model.loss
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    if isinstance(loss, keras.losses.MeanSquaredError):
        return True
    return loss is keras.losses.mean_squared_error


def _output_names(model: keras.Model) -> list[str]:
    """The names of the outputs; none where they are not known."""
    return list(getattr(model, "output_names", None) or [])


def _is_loss(metric: str, model: keras.Model) -> bool:
    return metric == "loss" or metric in [f"{name}_loss" for name in _output_names(model)]


def _sums(metric: str, model: keras.Model) -> bool:
    """Whether a loss, or a loss that is compiled as a metric, is summed over each batch."""
    if _is_loss(metric, model):
        losses = keras.tree.flatten(model.loss)
    else:
        losses = [wrapped_function(metrics_of(model).get(metric))]
    return any(getattr(loss, "reduction", None) == "sum" for loss in losses)


def _penalized(model: keras.Model, data: Data) -> bool:
    """Whether the model adds anything to its loss.

    Penalties of weights or activations, `add_loss`, a loss of its own.

    Some are known only once the model was called, which is done with one sample.
    """
    if {"compute_loss", "test_step"} & set(own_methods(model)) or model.losses:
        return True
    if any(getattr(layer, "activity_regularizer", None) is not None for layer in all_layers(model)):
        return True
    first = keras.tree.map_structure(lambda part: part[:1], _some_inputs(data))
    model(first, training=False)
    return bool(model.losses)


def _some_inputs(data: Data) -> Data:
    if isinstance(data, tuple | list):
        return data[0]
    return next(iter(data))[0]


def _targets(data: Data) -> tuple[Data, Data]:
    """Targets and sample weights; None where they are not known."""
    if not isinstance(data, tuple | list):
        return _targets_of_batches(data)
    _, targets, weights = (*data, None, None)[:3]
    if targets is None or not have_shapes(targets):
        return None, None
    return targets, weights


def _targets_of_batches(data: Data) -> tuple[Data, Data]:
    """Targets and sample weights of a dataset."""
    # a dataset that says how long it is can be read again; a generator cannot
    if not hasattr(data, "cardinality") or int(data.cardinality()) < 0:
        return None, None
    batches = []
    for batch in data:
        if not isinstance(batch, tuple) or len(batch) < 2:
            return None, None
        batches.append(keras.tree.map_structure(np.asarray, batch[1:3]))
    if not batches:
        return None, None
    try:
        whole = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *batches)
    except ValueError:
        return None, None  # batches of other shapes, such as padded ones
    if len(whole) == 1:
        return whole[0], None
    return whole[0], whole[1]


def _are_classes(targets: np.ndarray, output: Shape) -> bool:
    """Whether targets name classes.

    As whole numbers, one-hot, or 0 and 1 for an output of one unit.
    """
    units = output[-1]
    whole = bool((targets == np.floor(targets)).all())
    if units == 1 or len(output) == 1:
        return whole and targets.min() >= 0 and targets.max() <= 1
    if targets.ndim < len(output) or targets.shape[-1] == 1:
        return whole
    return targets.shape[-1] == units and are_shares(targets)


def _in_order(parts: Data, names: list[str]) -> list[Any]:
    """What outputs have, in the order of the outputs: a dictionary may give it by their names."""
    if isinstance(parts, Mapping) and set(parts) == set(names):
        return [parts[name] for name in names]
    return keras.tree.flatten(parts)


def _weights_of_outputs(
    weights: Data, names: list[str], parts: list[np.ndarray]
) -> list[np.ndarray]:
    """The weight of each sample in each output: one array may be for all of them."""
    given = _in_order(weights, names)
    if len(given) == 1:
        given = given * len(parts)
    if len(given) != len(parts):
        given = [None] * len(parts)
    return [_of_samples(each, len(part)) for each, part in zip(given, parts, strict=True)]


def _of_samples(weights: ArrayLike | None, count: int) -> np.ndarray:
    """The weight of each sample; 1 where there are none, or they are of another kind."""
    equal = np.ones(count)
    if weights is None:
        return equal
    given = np.squeeze(np.asarray(weights))
    if given.dtype.kind not in "fiub" or given.shape != (count,) or not given.sum() > 0:
        return equal
    return given.astype(float)


def _center(targets: np.ndarray, output: Shape, weights: np.ndarray, what: str) -> np.ndarray:
    """The mean or the median of the targets, at each place of a sample its own."""
    if what == _MEAN:
        constant = np.average(targets, axis=0, weights=weights)
    else:
        constant = np.median(targets[weights > 0], axis=0)
    constant = np.asarray(constant, "float32")
    if len(output) == 2 and constant.ndim == 0:
        # Keras adds the axis of a single unit where targets have none
        return constant.reshape(1)
    return constant


def _shares(targets: np.ndarray, output: Shape, weights: np.ndarray, logits: bool) -> np.ndarray:
    """How frequent each class is, at every place of a sample; as logits, if the loss takes them."""
    units = output[-1] or targets.shape[-1]
    of_each_place = weights.reshape(-1, *[1] * (targets.ndim - 1))
    counted = np.broadcast_to(of_each_place, targets.shape)
    if units == 1 or len(output) == 1:
        return _share_of_two(targets, output, counted, logits)
    if targets.ndim == len(output) and targets.shape[-1] == units:
        # one-hot, or shares
        rows = targets.reshape(-1, units)
        answer = np.average(rows, axis=0, weights=counted[..., 0].ravel())
        places = targets.shape[1:-1]
    else:
        labels = targets.astype(int).ravel()
        named = (labels >= 0) & (labels < units)  # others are labels that a loss ignores
        counts = np.bincount(labels[named], weights=counted.ravel()[named], minlength=units)
        answer = counts / max(counts.sum(), _SMALLEST)
        places = targets.shape[1 : len(output) - 1]
    if logits:
        answer = np.log(np.maximum(answer, _SMALLEST))
    return np.broadcast_to(answer, (*places, units)).astype("float32")


def _share_of_two(
    targets: np.ndarray, output: Shape, counted: np.ndarray, logits: bool
) -> np.ndarray:
    """How frequent 1 is where one unit tells 0 and 1 apart."""
    share = float(np.clip(np.average(targets, weights=counted), _SMALLEST, 1 - _SMALLEST))
    answer = share
    if logits:
        answer = math.log(share / (1 - share))
    places = targets.shape[1:]
    if targets.ndim != len(output):
        places = (*places, 1)
    return np.full(places, answer, "float32")


def _takes_logits(loss: Any) -> bool:
    """Whether a loss, or one of several, takes logits, as far as it says so."""
    for one in keras.tree.flatten(loss):
        if "logit" in str(getattr(one, "__name__", "")):
            return True
        if hasattr(one, "get_config") and one.get_config().get("from_logits"):
            return True
    return False


class _Constant(keras.layers.Layer):
    """Gives one answer to every sample."""

    def __init__(self, answer: np.ndarray, **options: Any):
        super().__init__(**options)
        self._answer = answer

    def call(self, inputs: Tensor) -> Tensor:
        """Return the answer, as often as there are samples."""
        answer = keras.ops.convert_to_tensor(self._answer)[None]
        return keras.ops.broadcast_to(answer, (keras.ops.shape(inputs)[0], *self._answer.shape))


def _evaluated(
    model: keras.Model, constants: list[np.ndarray], labelled: _Labelled, metric: str
) -> float | None:
    """The score of constant answers; None if it is no single number."""
    count = len(labelled.parts[0])
    logs = _constant_model(model, constants, count).evaluate(
        np.zeros((count, 1), "float32"),
        labelled.targets,
        sample_weight=labelled.weights,
        return_dict=True,
        verbose=0,
    )
    if metric not in logs or np.ndim(logs[metric]) > 0:
        return None
    return float(logs[metric])


def _constant_model(model: keras.Model, constants: list[np.ndarray], samples: int) -> keras.Model:
    """A model that gives constant answers to so many samples, compiled with another's loss and metrics."""
    names = _output_names(model) or [f"output_{index}" for index in range(len(constants))]
    x = keras.Input((1,))
    outputs = []
    for answer, name in zip(constants, names, strict=True):
        outputs.append(_Constant(answer, name=name)(x))
    if len(outputs) == 1:
        # a Sequential has no structure of outputs, and only one
        guessing = keras.Model(x, outputs[0])
    else:
        guessing = keras.Model(x, keras.tree.pack_sequence_as(model.output, outputs))
    # it learns nothing, and is evaluated once: for few batches that is done before it is traced
    once = {
        "optimizer": "sgd",
        "steps_per_execution": 1,
        "jit_compile": False,
        "run_eagerly": samples <= _FEW_SAMPLES,
    }
    guessing.compile(**{**compile_arguments(model), **once})
    return guessing
