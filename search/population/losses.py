"""Keras' losses and metrics, one result for each member of a population.

(P,) where an ordinary model has a scalar.

Labels, predictions and weights are (P, B, ...): each member has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import losses, ops

from keras_acts.compat import (
    CompileLoss,
    CompileMetrics,
    LossFunctionWrapper,
    attach_mask,
    copy_direction,
    flat_metrics,
    function_arguments,
    logits_of,
    mask_of,
    reduce_to_samplewise_values,
    squeeze_or_expand_to_same_rank,
    wrapped_function,
)
from keras_acts.errors import ModelError
from keras_acts.target import in_xla

from ..rewrite.compiling import fresh_metric
from ..runtime.device import gpus
from ..space.known import as_written
from ..vectorize.batch import with_logits
from .batch_view import Structure
from .block import axes_within, column_shape

Tensor = Any

# they reduce the last axis and nothing else, so that the members may be one more axis in front
_LAST_AXIS_LOSSES = (
    losses.mean_squared_error,
    losses.mean_absolute_error,
    losses.mean_absolute_percentage_error,
    losses.mean_squared_logarithmic_error,
    losses.huber,
    losses.log_cosh,
    losses.poisson,
    losses.kl_divergence,
    losses.hinge,
    losses.squared_hinge,
    losses.categorical_hinge,
    losses.binary_crossentropy,
    losses.categorical_crossentropy,
    losses.sparse_categorical_crossentropy,
)
_LAST_AXIS_METRICS = (
    *_LAST_AXIS_LOSSES,
    keras.metrics.binary_accuracy,
    keras.metrics.categorical_accuracy,
    keras.metrics.sparse_categorical_accuracy,
)

# those of them that smooth labels
_SMOOTHING_LOSSES = (losses.BinaryCrossentropy, losses.CategoricalCrossentropy)

# what a loss must not hold
_STATE = (keras.Variable, keras.random.SeedGenerator, keras.metrics.Metric)

# the labels of these have one axis less
_OF_CLASSES = (losses.sparse_categorical_crossentropy, keras.metrics.sparse_categorical_accuracy)


class _Built(Exception):
    """Losses are built, which was all that they were called for."""


class MemberLosses(CompileLoss):
    """What `compile(loss=…, loss_weights=…)` means, (P,).

    Keras resolves names and structures from one member.

    Args:
        count: how many members there are.
        args: as of Keras' own.
        smoothings: (P,), each member's label smoothing, of losses that smooth labels; None for
            theirs.
        kwargs: as of Keras' own.

    Attributes:
        samples: how many samples of a batch count, as `BatchView.known_samples` says: set before a
            call, for the loss of each output is shown as a mean weighted by them.
    """

    def __init__(self, count: int, *args: Any, smoothings: np.ndarray | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.count = count
        self.smoothings = smoothings
        self.samples: Any = None
        self._only_builds = False

    def build_for(self, y_true: Structure, y_pred: Structure) -> None:
        """Build as the first call does, with the labels as users nest them, and compute nothing.

        Users may nest them otherwise than the outputs. It is Keras' call that nests them alike,
        by names or order, before it builds; so it is asked, and left where it has built.
        """
        self._only_builds = True
        try:
            self.call(y_true, y_pred)
        except _Built:
            pass
        finally:
            self._only_builds = False

    def build(self, y_true: Structure, y_pred: Structure) -> None:
        """Resolve the losses, then make each one of all members."""
        self._resolve(y_true, y_pred)
        if self._only_builds:
            raise _Built

    def _resolve(self, y_true: Structure, y_pred: Structure) -> None:
        super().build(_first_member(y_true), _first_member(y_pred))
        self._flat_losses: list[Any] = [
            resolved._replace(loss=_MemberLoss(resolved.loss, self.smoothings))
            for resolved in self._flat_losses
        ]
        self._metrics[:] = [
            _OutputLossMean(self.count, self._weight_of_batch, name=metric.name)
            for metric in self._metrics
        ]

    def _weight_of_batch(self) -> Any:
        return self.samples

    @property
    def leave_out_masked(self) -> bool:
        """Whether samples that are masked change nothing: each has a loss of its own."""
        return self.built and all(resolved.loss.at_once for resolved in self._flat_losses)


class MemberMetrics(CompileMetrics):
    """What `compile(metrics=…, weighted_metrics=…)` means, (P,) each."""

    def __init__(self, count: int, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.count = count

    def build_for(self, y_true: Structure, y_pred: Structure) -> None:
        """Build as the first call does, with the labels as users nest them."""
        self.build(y_true, y_pred)

    def build(self, y_true: Structure, y_pred: Structure) -> None:
        """Resolve the metrics, then make each one of all members."""
        super().build(_first_member(y_true), _first_member(y_pred))
        for metrics in flat_metrics(self):
            metrics.metrics = [_member_metric(metric, self.count) for metric in metrics.metrics]

    @property
    def leave_out_masked(self) -> bool:
        """Whether samples that are masked change nothing: each has a value of its own."""
        if not self.built:
            return False
        for metrics in flat_metrics(self):
            if not all(isinstance(metric, _MemberFunctionMean) for metric in metrics.metrics):
                return False
        return True


class MemberMean(keras.metrics.Metric):
    """A mean for each member."""

    def __init__(self, count: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.total = self.add_variable((count,), "zeros", name="total")
        self.count = self.add_variable((count,), "zeros", name="count")

    def update_state(self, values: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add (P,) with a weight, the same for all members or one each."""
        if sample_weight is None:
            sample_weight = 1
        weight = ops.cast(sample_weight, self.dtype)
        self.total.assign_add(ops.cast(values, self.dtype) * weight)
        self.count.assign_add(ops.broadcast_to(weight, self.count.shape))

    def result(self) -> Tensor:
        """Return (P,)."""
        return ops.divide_no_nan(self.total.value, self.count.value)


class MemberLossMean(MemberMean):
    """The mean loss of each member.

    Keras' training steps hand over the sum over members: that is left out.

    `healthy`, (P,), tells which members had not diverged: on JAX metrics see no variables but their
    own.
    """

    def __init__(self, count: int, **kwargs: Any):
        super().__init__(count, **kwargs)
        self.healthy = self.add_variable((count,), "ones", name="healthy")

    def update_state(
        self,
        values: Tensor,
        sample_weight: Tensor | None = None,
        healthy: Tensor | None = None,
    ) -> None:
        """Add (P,) with a weight; a scalar is left out."""
        if len(values.shape) == 0:
            return
        super().update_state(values, sample_weight)
        self.healthy.assign(healthy)


class _OutputLossMean(MemberMean):
    """The mean loss of one output, for each member.

    Keras weights a batch by the first size of the output, which is that of the members here.

    Args:
        count: how many members there are.
        weight_of_batch: returns how many samples the batch has; None where Keras would not know.
        kwargs: as of every metric.
    """

    def __init__(self, count: int, weight_of_batch: Callable[[], Any], **kwargs: Any):
        super().__init__(count, **kwargs)
        self._weight_of_batch = weight_of_batch

    def update_state(self, values: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add (P,) with the weight of the batch."""
        super().update_state(values, self._weight_of_batch())


class _Weighted(NamedTuple):
    """Values of samples, (P, B), times their weights, and the weights."""

    values: Tensor
    weight: Tensor


class _MemberFunctionMean(MemberMean):
    """A `MeanMetricWrapper` of a function that reduces the last axis."""

    def __init__(self, metric: keras.metrics.MeanMetricWrapper, count: int):
        super().__init__(count, name=metric.name, dtype=metric.dtype)
        self.function = wrapped_function(metric)
        self.options = function_arguments(metric)

    def update_state(  # type: ignore[override]
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        mask = mask_of(y_pred)
        if mask is not None:
            sample_weight = _weight_of_mask(mask, sample_weight, "sum", self.dtype)
        if self.function not in _OF_CLASSES:
            y_true, y_pred = _same_rank(y_true, y_pred)
        values = ops.cast(self.function(y_true, y_pred, **self.options), self.dtype)  # (P, B, ...)
        if len(values.shape) == 1:
            # Keras' accuracies drop a last axis of size 1, which the batch may be
            values = ops.expand_dims(values, 1)
        if sample_weight is not None and len(sample_weight.shape) > 2:
            weighted = self._weighted_one_by_one(values, sample_weight)
        else:
            weighted = self._weighted(values, sample_weight)
        self.total.assign_add(ops.sum(weighted.values, axis=1))
        self.count.assign_add(ops.sum(weighted.weight, axis=axes_within(weighted.weight)))

    def _weighted(self, values: Tensor, sample_weight: Tensor | None) -> _Weighted:
        """With one weight a sample, (P, B)."""
        if len(values.shape) > 2:
            values = ops.mean(values, axis=tuple(range(2, len(values.shape))))
        if sample_weight is None:
            sample_weight = ops.ones_like(values)
        weight = ops.cast(sample_weight, self.dtype)
        return _Weighted(values * weight, weight)

    def _weighted_one_by_one(self, values: Tensor, sample_weight: Tensor) -> _Weighted:
        """With weights for parts of a sample, (P, B, ...), which Keras spreads and reduces."""
        values_of_members = []
        weight_of_members = []
        for member in range(values.shape[0]):
            value, weight = reduce_to_samplewise_values(
                values[member], sample_weight[member], ops.mean, self.dtype
            )
            values_of_members.append(value)
            weight_of_members.append(weight)
        return _Weighted(ops.stack(values_of_members), ops.stack(weight_of_members))


class _MemberCopies(keras.metrics.Metric):
    """Any other metric: a copy of it for each member."""

    def __init__(self, metric: keras.metrics.Metric, count: int):
        super().__init__(name=metric.name, dtype=metric.dtype)
        self.copies = [fresh_metric(metric) for _ in range(count)]

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        for index, metric in enumerate(self.copies):
            member_args, member_kwargs = _member_of_all((args, kwargs), index)
            metric.update_state(*member_args, **member_kwargs)

    def reset_state(self) -> None:
        for metric in self.copies:
            metric.reset_state()

    def result(self) -> Tensor:
        return ops.stack([metric.result() for metric in self.copies])


def _member_metric(metric: keras.metrics.Metric, count: int) -> keras.metrics.Metric:
    is_mean = isinstance(metric, keras.metrics.MeanMetricWrapper) and as_written(metric)
    if is_mean and _reduces_last_axis(metric, wrapped_function(metric), _LAST_AXIS_METRICS):
        member_metric = _MemberFunctionMean(metric, count)
    else:
        member_metric = _MemberCopies(metric, count)
    copy_direction(member_metric, metric)  # callbacks ask for it
    return member_metric


def label_smoothing_of(loss: object) -> float | None:
    """Return the label smoothing of a loss; None where members cannot have their own.

    They can with Keras' own cross-entropies of one-hot or binary labels, over the last axis.
    """
    # the exact class: a user's own may do more
    if type(loss) not in _SMOOTHING_LOSSES or not as_written(loss):
        return None
    options = function_arguments(loss)
    if options.get("axis", -1) != -1:
        return None
    return float(options["label_smoothing"])


def smoothed_loss(loss: keras.losses.Loss, smoothing: float) -> keras.losses.Loss:
    """Return a loss of which `label_smoothing_of` knows the smoothing, with another."""
    config = {**loss.get_config(), "label_smoothing": smoothing, "dtype": loss.dtype}
    return type(loss).from_config(config)


class _MemberLoss:
    """A Keras loss of all members: called with (P, B, ...), it returns (P,)."""

    def __init__(self, loss: keras.losses.Loss, smoothings: np.ndarray | None = None):
        if getattr(loss, "reduction", None) in (None, "none"):
            raise ModelError(
                "Each loss must reduce to one number a member. "
                f"Received: {loss.name!r}, reduction=None"
            )
        _refuse_state(loss)
        self.loss = loss
        self.name = loss.name
        is_function = isinstance(loss, LossFunctionWrapper) and as_written(loss)
        self.at_once = is_function and _reduces_last_axis(loss, loss.fn, _LAST_AXIS_LOSSES)
        self.smoothings = smoothings

    def __call__(
        self, y_true: Structure, y_pred: Structure, sample_weight: Tensor | None = None
    ) -> Tensor:
        if not self.at_once:
            return self._one_by_one(y_true, y_pred, sample_weight)
        dtype = self.loss.dtype
        mask = mask_of(y_pred)
        if keras.backend.standardize_dtype(y_pred.dtype) != dtype:
            y_pred = ops.convert_to_tensor(y_pred, dtype=dtype)  # which ends its logits in Keras
        y_true = ops.convert_to_tensor(y_true, dtype=dtype)
        y_true, y_pred = _same_rank(y_true, y_pred)
        options = function_arguments(self.loss)
        if self.smoothings is not None:
            # Keras' function would take one number for all
            y_true = _smoothed(self.loss, y_true, self.smoothings)
            options = {**options, "label_smoothing": 0.0}
        values = class_entropies(self.loss, y_true, y_pred)  # (P, B, ...)
        if values is None:
            values = self.loss.fn(y_true, y_pred, **options)
        if mask is not None:
            sample_weight = _weight_of_mask(mask, sample_weight, self.loss.reduction, dtype)
        return _reduced(values, sample_weight, self.loss.reduction, dtype)

    def _one_by_one(
        self, y_true: Structure, y_pred: Structure, sample_weight: Tensor | None
    ) -> Tensor:
        losses_of_members = []
        for index in range(y_pred.shape[0]):
            loss = self.loss(
                _member(y_true, index), _member(y_pred, index), _member(sample_weight, index)
            )
            losses_of_members.append(loss)
        return ops.stack(losses_of_members)


def _smoothed(loss: keras.losses.Loss, y_true: Tensor, smoothings: np.ndarray) -> Tensor:
    """Labels (P, B, ...) as Keras smooths them, each member's with its own number."""
    dtype = keras.backend.standardize_dtype(y_true.dtype)
    column = smoothings.astype(dtype).reshape(column_shape(len(y_true.shape)))
    kept = y_true * (1 - column)
    if isinstance(loss, losses.BinaryCrossentropy):
        return kept + 0.5 * column
    return kept + column / ops.cast(ops.shape(y_true)[-1], dtype)


def _refuse_state(loss: keras.losses.Loss) -> None:
    """Refuse a loss that remembers.

    All members would write into one memory, where each ordinary model has its own.
    """
    parts = keras.tree.flatten(dict(vars(loss)))
    held = {type(part).__name__ for part in parts if isinstance(part, _STATE)}
    if held:
        raise ModelError(
            "A loss of a population has no variables and no random numbers of its own: members "
            f"would share them. Received: {loss.name!r} with {', '.join(sorted(held))}"
        )


def _weight_of_mask(
    mask: Tensor, sample_weight: Tensor | None, reduction: str, dtype: str
) -> Tensor:
    """Keras' `apply_mask` for each member: what is masked has no weight, the rest more."""
    weight = ops.cast(mask, dtype)
    if reduction in ("mean", "sum_over_batch_size"):
        axes = axes_within(weight)
        sizes = ops.convert_to_tensor(ops.shape(weight)[1:], dtype="int32")
        total = ops.cast(ops.prod(sizes), dtype)
        valid = ops.sum(weight, axis=axes, keepdims=True)
        weight = ops.where(ops.cast(mask, "bool"), ops.divide_no_nan(total, valid), 0)
    if sample_weight is None:
        return weight
    weight, sample_weight = _same_rank(weight, ops.cast(sample_weight, dtype))
    # member by member: an axis that one of them has not is the first of a member's
    pairs = zip(ops.unstack(weight), ops.unstack(sample_weight), strict=True)
    return ops.stack([of_mask * of_sample for of_mask, of_sample in pairs])


def _reduced(values: Tensor, sample_weight: Tensor | None, reduction: str, dtype: str) -> Tensor:
    """Keras' `reduce_weighted_values` over all axes but the members'."""
    weight = None
    if sample_weight is not None:
        values, weight = _same_rank(values, ops.convert_to_tensor(sample_weight, dtype=dtype))
        # one axis behind the members' for each that the weights have not
        missing = (1,) * (len(values.shape) - len(weight.shape))
        values = values * ops.reshape(weight, (weight.shape[0], *missing, *ops.shape(weight)[1:]))
    total = ops.sum(values, axis=axes_within(values))
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and weight is not None:
        weights = ops.sum(weight, axis=axes_within(weight))
        return ops.divide_no_nan(total, ops.cast(weights, total.dtype))
    count = ops.prod(ops.convert_to_tensor(ops.shape(values)[1:], dtype="int32"))
    return ops.divide_no_nan(total, ops.cast(count, total.dtype))


def _same_rank(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """What Keras does to the ranks of two tensors of one member, done to those of all."""
    a_of_member, b_of_member = squeeze_or_expand_to_same_rank(
        _without_members(a), _without_members(b)
    )
    return _with_rank_of(a_of_member, a), _with_rank_of(b_of_member, b)


def _without_members(x: Tensor) -> keras.KerasTensor:
    return keras.KerasTensor(x.shape[1:], x.dtype)


def _with_rank_of(of_member: keras.KerasTensor, x: Tensor) -> Tensor:
    """All members' tensor with a last axis more or less, if Keras has done so with one's."""
    rank = len(of_member.shape) + 1
    if rank < len(x.shape):
        return with_logits(lambda tensor: ops.squeeze(tensor, -1), x)
    if rank > len(x.shape):
        return with_logits(lambda tensor: ops.expand_dims(tensor, -1), x)
    return x


def _reduces_last_axis(
    wrapper: keras.losses.Loss | keras.metrics.Metric, function: Any, known: Sequence[Any]
) -> bool:
    """Whether what a loss or metric wraps reduces the last axis, and nothing else."""
    options = function_arguments(wrapper)
    # with `ignore_class` the values carry a mask, by which Keras counts
    return (
        function in known and options.get("axis", -1) == -1 and options.get("ignore_class") is None
    )


def _member(x: Tensor | None, index: int) -> Tensor | None:
    if x is None:
        return None
    of_member = with_logits(lambda tensor: tensor[index], x)
    mask = mask_of(x)
    if mask is not None:
        attach_mask(of_member, mask[index])
    return of_member


def _member_of_all(structure: Structure, index: int) -> Structure:
    return keras.tree.map_structure(lambda x: _member(x, index), structure)


def _first_member(structure: Structure) -> Structure:
    return _member_of_all(structure, 0)


def class_entropies(loss: keras.losses.Loss, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
    """Return the cross-entropy of each sample with its class, (P, B, ...); None where Keras' own is to be taken.

    TensorFlow's kernel takes three times as long as a softmax, of which a model with a softmax at its
    end has one anyway. With 32 MLPs, batches of 128 and 26 classes a step takes 5 % less CPU time so
    (medians of 7 pairs in one process, twice: 0.955 and 0.947; 28 November 2026: AMD EPYC, 2 cores
    that others worked on too, TensorFlow 2.21).

    Keras' own is to be taken where the loss is another one, of probabilities without their logits, or under XLA, which
    fuses Keras' own; and on a GPU, where TensorFlow gathers zeros, not an error, for a class that there is not.

    Args:
        loss: of one member, over the last axis, in which no class is ignored.
        y_true: the classes, (P, B, ...), or with one more axis of size 1.
        y_pred: what the models put out, with a last axis of classes.
    """
    if keras.backend.backend() != "tensorflow" or gpus() or in_xla():
        return None
    if getattr(loss, "fn", None) is not losses.sparse_categorical_crossentropy:
        return None
    logits = logits_of(y_pred)
    if logits is None and function_arguments(loss).get("from_logits"):
        logits = y_pred
    if logits is None:
        return None
    import tensorflow as tf

    classes = tf.cast(y_true, "int64")
    if len(classes.shape) == len(logits.shape):
        classes = tf.squeeze(classes, -1)
    return _entropies(classes, logits, _softmax_of(logits, y_pred))


def _softmax_of(logits: Tensor, y_pred: Tensor) -> Tensor:
    """The softmax of logits: the model's output, where it is just that."""
    import tensorflow as tf

    if not tf.executing_eagerly():
        softmax = _softmax_before(y_pred)
        if softmax is not None:
            given = _before_reshapes(softmax.op.inputs[0])
            if given.ref() == _before_reshapes(logits).ref():
                return y_pred
    return tf.nn.softmax(logits)


def _softmax_before(y_pred: Tensor) -> Tensor | None:
    """The softmax of a graph, over the last axis, that an output is; None if it is another."""
    output = _before_reshapes(y_pred)
    is_softmax = output.op.type == "Softmax" and output.shape[-1] == y_pred.shape[-1]
    return output if is_softmax and output.shape[-1] is not None else None


def _before_reshapes(tensor: Tensor) -> Tensor:
    """The tensor of a graph that one was reshaped from: all values are in the same order there."""
    while tensor.op.type == "Reshape":
        tensor = tensor.op.inputs[0]
    return tensor


def _entropies(classes: Tensor, logits: Tensor, softmax: Tensor) -> Tensor:
    import tensorflow as tf

    # a constant for the gradient: it is that of the logits alone
    softmax = tf.stop_gradient(softmax)
    axes = len(classes.shape)

    @tf.custom_gradient
    def entropies(logits: Tensor) -> Any:
        # log(sum(exp(logits))) is the highest logit, less the logarithm of its softmax, which is
        # never small; and near ones are subtracted from each other first, as in TensorFlow's kernel
        highest = tf.reduce_max(logits, -1)
        of_class = tf.gather(logits, classes, batch_dims=axes)
        values = (highest - of_class) - tf.math.log(tf.reduce_max(softmax, -1))

        def gradient(upstream: Tensor) -> Tensor:
            hits = tf.one_hot(classes, tf.shape(logits)[-1], dtype=logits.dtype)
            return (softmax - hits) * tf.expand_dims(upstream, -1)

        return values, gradient

    return entropies(logits)
