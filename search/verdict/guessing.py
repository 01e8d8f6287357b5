"""What guessing has.

The scores of a model that looks at no input and always gives one answer, the best there is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_acts.compat import all_layers, wrapped_function

from ..rewrite.compiling import compile_arguments
from ..rewrite.own_training import own_methods
from ..strategy.labels import are_shares
from ..strategy.objective import metrics_of
from .verdict import Guess

_SMALLEST = 1e-7  # a share, before its logarithm
_CLASS = "always the most frequent class"
_MEAN = "always the mean of the targets"
_MEDIAN = "always the median of the targets"


def best_guess(model: keras.Model, data: Any, metric: str, maximize: bool) -> Guess | None:
    """Return `constant_guess`, or None where it fails, for whatever reason.

    That must not lose a verdict.
    """
    try:
        return constant_guess(model, data, metric, maximize)
    except Exception:
        return None


def constant_guess(model: keras.Model, data: Any, metric: str, maximize: bool) -> Guess | None:
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
    targets, weights = _targets(data)
    if targets is None:
        return None
    outputs = getattr(model, "outputs", None)  # a subclassed model has none
    names = list(getattr(model, "output_names", None) or [])
    parts = [np.asarray(part) for part in _in_order(targets, names)]
    numbers = all(part.dtype.kind in "fiub" and part.size for part in parts)
    if not outputs or len(parts) != len(outputs) or not numbers:
        return None
    if _sums(metric, model):
        return None  # of a batch, whose size is not known here
    if metric == "loss" and _penalized(model, data):
        return (
            None  # the guess has no penalties, so that even a model that has learned may look worse
        )
    weighted = _weights_of_outputs(weights, names, parts)
    equal = [np.ones(len(part)) for part in parts]
    # metrics may be weighted or not, and their names do not tell
    countings = [weighted, equal]
    if all(np.ptp(each) == 0 for each in weighted):
        countings = [equal]
    of_classes = [
        _are_classes(part, output.shape) for part, output in zip(parts, outputs, strict=True)
    ]
    found = []
    for what, counted in itertools.product(
        (_CLASS,) if all(of_classes) else (_MEAN, _MEDIAN), countings
    ):
        constants = []
        for part, output, classes, each in zip(parts, outputs, of_classes, counted, strict=True):
            if classes:
                answer = _shares(part, output.shape, each, _takes_logits(model.loss))
            else:
                answer = _center(part, output.shape, each, what)
            constants.append(answer)
        score = _evaluated(model, constants, targets, weights, len(parts[0]), metric)
        if score is not None and math.isfinite(score):
            found.append(Guess(score, what))
    return max(found, key=lambda one: one.score if maximize else -one.score, default=None)


def validation_part(fit: Mapping[str, Any]) -> Any:
    """Return the data that `fit` validates with: those given, or the last part of arrays.

    None if that is unknown.
    """
    if fit.get("validation_data") is not None:
        return fit["validation_data"]
    split, x, y = fit.get("validation_split"), fit.get("x"), fit.get("y")
    if (
        not split
        or y is None
        or not all(hasattr(part, "shape") for part in keras.tree.flatten((x, y)))
    ):
        return None
    # as Keras cuts it, weights too
    first = math.floor(len(keras.tree.flatten(y)[0]) * (1 - split))
    weights = fit.get("sample_weight")
    return keras.tree.map_structure(
        lambda part: part[first:], (x, y) if weights is None else (x, y, weights)
    )


def weighs(fit: Mapping[str, Any]) -> bool:
    """Whether `fit` trains with weights of classes or samples.

    Such a model may aim at worse scores than guessing has.

    On purpose: where rare classes weigh more, its accuracy may be below the most frequent class's.
    """
    if fit.get("class_weight") is not None or fit.get("sample_weight") is not None:
        return True
    x: Any = fit.get("x")
    if fit.get("y") is not None or isinstance(x, Iterator):  # an iterator can be read only once
        return False
    if hasattr(x, "element_spec"):
        element = x.element_spec
    elif isinstance(x, keras.utils.PyDataset):
        element = x[0]
    else:
        # arrays without targets, or what gives batches, such as a DataLoader
        element = (
            next(iter(x), None) if isinstance(x, Iterable) and not hasattr(x, "shape") else None
        )
    return isinstance(element, tuple | list) and len(element) > 2 and element[2] is not None


def loss_of(model: keras.Model, metric: str) -> str:
    """Return the name of the loss that aims at a metric.

    That of the metric's output, if there are several.
    """
    names = list(getattr(model, "output_names", None) or [])
    own = [name for name in names if metric.startswith(f"{name}_")] if len(names) > 1 else []
    return f"{max(own, key=len)}_loss" if own else "loss"


def _is_loss(metric: str, model: keras.Model) -> bool:
    return metric in {
        "loss",
        *(f"{name}_loss" for name in getattr(model, "output_names", None) or []),
    }


def _sums(metric: str, model: keras.Model) -> bool:
    """Whether a loss, or a loss that is compiled as a metric, is summed over each batch."""
    if _is_loss(metric, model):
        losses = keras.tree.flatten(model.loss)
    else:
        losses = [wrapped_function(metrics_of(model).get(metric))]
    return any(getattr(loss, "reduction", None) == "sum" for loss in losses)


def _penalized(model: keras.Model, data: Any) -> bool:
    """Whether the model adds anything to its loss.

    Penalties of weights or activations, `add_loss`, a loss of its own.

    Some are known only once the model was called, which is done with one sample.
    """
    if {"compute_loss", "test_step"} & set(own_methods(model)) or model.losses:
        return True
    if any(getattr(layer, "activity_regularizer", None) is not None for layer in all_layers(model)):
        return True
    x = data[0] if isinstance(data, tuple | list) else next(iter(data))[0]
    model(keras.tree.map_structure(lambda part: part[:1], x), training=False)
    return bool(model.losses)


def _targets(data: Any) -> tuple[Any, Any]:
    """Targets and sample weights; None where they are not known."""
    if isinstance(data, tuple | list):
        _, targets, weights = (*data, None, None)[:3]
        known = targets is not None and all(
            hasattr(part, "shape") for part in keras.tree.flatten(targets)
        )
        return (targets, weights) if known else (None, None)
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
    return (whole[0], whole[1]) if len(whole) > 1 else (whole[0], None)


def _are_classes(targets: np.ndarray, output: tuple[int | None, ...]) -> bool:
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


def _in_order(parts: Any, names: list[str]) -> list[Any]:
    """What outputs have, in the order of the outputs: a dictionary may give it by their names."""
    if isinstance(parts, Mapping) and set(parts) == set(names):
        return [parts[name] for name in names]
    return keras.tree.flatten(parts)


def _weights_of_outputs(
    weights: Any, names: list[str], parts: list[np.ndarray]
) -> list[np.ndarray]:
    """The weight of each sample in each output: one array may be for all of them."""
    given = _in_order(weights, names)
    if len(given) == 1:
        given = given * len(parts)
    if len(given) != len(parts):
        given = [None] * len(parts)
    return [_each_samples(each, len(part)) for each, part in zip(given, parts, strict=True)]


def _each_samples(weights: Any, count: int) -> np.ndarray:
    """The weight of each sample; 1 where there are none, or they are of another kind."""
    given = None if weights is None else np.squeeze(np.asarray(weights))
    if (
        given is None
        or given.dtype.kind not in "fiub"
        or given.shape != (count,)
        or not given.sum() > 0
    ):
        return np.ones(count)
    return given.astype(float)


def _center(
    targets: np.ndarray, output: tuple[int | None, ...], weights: np.ndarray, what: str
) -> np.ndarray:
    """The mean or the median of the targets, at each place of a sample its own."""
    if what == _MEAN:
        constant = np.average(targets, axis=0, weights=weights)
    else:
        constant = np.median(targets[weights > 0], axis=0)
    constant = np.asarray(constant, "float32")
    # Keras adds the axis of a single unit where targets have none
    return constant.reshape(1) if len(output) == 2 and constant.ndim == 0 else constant


def _shares(
    targets: np.ndarray, output: tuple[int | None, ...], weights: np.ndarray, logits: bool
) -> np.ndarray:
    """How frequent each class is, at every place of a sample; as logits, if the loss takes them."""
    units = output[-1] or targets.shape[-1]
    each = np.broadcast_to(weights.reshape(-1, *[1] * (targets.ndim - 1)), targets.shape)
    if units == 1 or len(output) == 1:
        share = float(np.clip(np.average(targets, weights=each), _SMALLEST, 1 - _SMALLEST))
        answer = np.array([math.log(share / (1 - share)) if logits else share])
        places = targets.shape[1:] if targets.ndim == len(output) else (*targets.shape[1:], 1)
        return np.broadcast_to(answer, places).astype("float32")
    if targets.ndim == len(output) and targets.shape[-1] == units:
        shares = np.average(targets.reshape(-1, units), axis=0, weights=each[..., 0].ravel())
        places = targets.shape[1:-1]
    else:
        flat = targets.astype(int).ravel()
        named = (flat >= 0) & (flat < units)  # others are labels that a loss ignores
        counts = np.bincount(flat[named], weights=each.ravel()[named], minlength=units)
        shares = counts / max(counts.sum(), _SMALLEST)
        places = targets.shape[1 : len(output) - 1]
    answer = np.log(np.maximum(shares, _SMALLEST)) if logits else shares
    return np.broadcast_to(answer, (*places, units)).astype("float32")


def _takes_logits(loss: Any) -> bool:
    """Whether a loss takes logits, as far as it says so."""
    for one in keras.tree.flatten(loss):
        config = one.get_config() if hasattr(one, "get_config") else {}
        if config.get("from_logits") or "logit" in str(getattr(one, "__name__", "")):
            return True
    return False


class _Constant(keras.layers.Layer):
    """Gives one answer to every sample."""

    def __init__(self, answer: np.ndarray, **options: Any):
        super().__init__(**options)
        self._answer = answer

    def call(self, inputs: Any) -> Any:
        answer = keras.ops.convert_to_tensor(self._answer)[None]
        return keras.ops.broadcast_to(answer, (keras.ops.shape(inputs)[0], *self._answer.shape))


def _evaluated(
    model: keras.Model, constants: list[Any], targets: Any, weights: Any, count: int, metric: str
) -> float | None:
    """The score of constant answers."""
    names = list(
        getattr(model, "output_names", None) or [f"output_{k}" for k in range(len(constants))]
    )
    x = keras.Input((1,))
    answers = [
        _Constant(answer, name=name)(x) for answer, name in zip(constants, names, strict=True)
    ]
    # a Sequential has no structure of outputs, and only one
    structure = (
        answers[0] if len(answers) == 1 else keras.tree.pack_sequence_as(model.output, answers)
    )
    guessing = keras.Model(x, structure)
    arguments = compile_arguments(model)
    guessing.compile(
        **{**arguments, "optimizer": "sgd", "steps_per_execution": 1, "jit_compile": False}
    )
    found = guessing.evaluate(
        np.zeros((count, 1), "float32"), targets, sample_weight=weights, return_dict=True, verbose=0
    )
    return float(found[metric]) if metric in found and np.ndim(found[metric]) == 0 else None
