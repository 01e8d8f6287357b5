"""Keras' losses and metrics, one result for each slot of a population.

(P,) where an ordinary model has a scalar.

Labels, predictions and weights are (P, B, ...): each slot has its own.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import losses, ops

from keras_acts.compat import (
    CompileLoss,
    CompileMetrics,
    LossFunctionWrapper,
    copy_direction,
    flat_metrics,
    function_arguments,
    reduce_to_samplewise_values,
    squeeze_or_expand_to_same_rank,
    wrapped_function,
)
from keras_acts.errors import ModelError

from ..rewrite.compiling import fresh_metric
from ..space.known import as_written
from ..vectorize.batch import with_logits

Tensor = Any

# they reduce the last axis and nothing else, so that the slots may be one more axis in front
_LAST_AXIS_LOSSES = (
    *(losses.mean_squared_error, losses.mean_absolute_error, losses.mean_absolute_percentage_error),
    *(
        losses.mean_squared_logarithmic_error,
        losses.huber,
        losses.log_cosh,
        losses.poisson,
        losses.kl_divergence,
    ),
    *(losses.hinge, losses.squared_hinge, losses.categorical_hinge),
    *(
        losses.binary_crossentropy,
        losses.categorical_crossentropy,
        losses.sparse_categorical_crossentropy,
    ),
)
_LAST_AXIS_METRICS = (
    *_LAST_AXIS_LOSSES,
    *(
        keras.metrics.binary_accuracy,
        keras.metrics.categorical_accuracy,
        keras.metrics.sparse_categorical_accuracy,
    ),
)

# what a loss must not hold
_STATE = (keras.Variable, keras.random.SeedGenerator, keras.metrics.Metric)

# the labels of these have one axis less
_OF_CLASSES = (losses.sparse_categorical_crossentropy, keras.metrics.sparse_categorical_accuracy)


class MemberLosses(CompileLoss):
    """What `compile(loss=…, loss_weights=…)` means, (P,).

    Keras resolves names and structures from one slot.
    """

    def __init__(self, slots: int, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.slots = slots

    def build(self, y_true: Any, y_pred: Any) -> None:
        """Resolve the losses, then make each one of all slots."""
        super().build(_first_member(y_true), _first_member(y_pred))
        self._flat_losses: list[Any] = [
            found._replace(loss=_MemberLoss(found.loss)) for found in self._flat_losses
        ]
        self._metrics[:] = [MemberMean(self.slots, name=metric.name) for metric in self._metrics]


class MemberMetrics(CompileMetrics):
    """What `compile(metrics=…, weighted_metrics=…)` means, (P,) each."""

    def __init__(self, slots: int, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.slots = slots

    def build(self, y_true: Any, y_pred: Any) -> None:
        """Resolve the metrics, then make each one of all slots."""
        super().build(_first_member(y_true), _first_member(y_pred))
        for metrics in flat_metrics(self):
            metrics.metrics = [_member_metric(metric, self.slots) for metric in metrics.metrics]


class MemberMean(keras.metrics.Metric):
    """A mean for each slot."""

    def __init__(self, slots: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.total = self.add_variable((slots,), "zeros", name="total")
        self.count = self.add_variable((slots,), "zeros", name="count")

    def update_state(self, values: Tensor, sample_weight: Any = None) -> None:
        """Add (P,) with a weight, the same for all slots or one each."""
        weight = ops.cast(1 if sample_weight is None else sample_weight, self.dtype)
        self.total.assign_add(ops.cast(values, self.dtype) * weight)
        self.count.assign_add(ops.broadcast_to(weight, self.count.shape))

    def result(self) -> Tensor:
        """Return (P,)."""
        return ops.divide_no_nan(self.total.value, self.count.value)


class MemberLossMean(MemberMean):
    """The mean loss of each slot.

    Keras' training steps hand over the sum over slots: that is left out.

    `healthy`, (P,), tells which slots had not diverged: on JAX metrics see no variables but their
    own.
    """

    def __init__(self, slots: int, **kwargs: Any):
        super().__init__(slots, **kwargs)
        self.healthy = self.add_variable((slots,), "ones", name="healthy")

    def update_state(self, values: Tensor, sample_weight: Any = None, healthy: Any = None) -> None:
        """Add (P,) with a weight; a scalar is left out."""
        if len(values.shape):
            super().update_state(values, sample_weight)
            self.healthy.assign(healthy)


class _MemberFunctionMean(MemberMean):
    """A `MeanMetricWrapper` of a function that reduces the last axis."""

    def __init__(self, metric: keras.metrics.MeanMetricWrapper, slots: int):
        super().__init__(slots, name=metric.name, dtype=metric.dtype)
        self.function, self.options = wrapped_function(metric), function_arguments(metric)

    def update_state(  # type: ignore[override]
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None
    ) -> None:
        if self.function not in _OF_CLASSES:
            y_true, y_pred = _same_rank(y_true, y_pred)
        values = ops.cast(self.function(y_true, y_pred, **self.options), self.dtype)  # (P, B, ...)
        if (
            len(values.shape) == 1
        ):  # Keras' accuracies drop a last axis of size 1, which the batch may be
            values = ops.expand_dims(values, 1)
        if sample_weight is not None and len(sample_weight.shape) > 2:
            slots = range(values.shape[0])
            reduced = [
                reduce_to_samplewise_values(values[i], sample_weight[i], ops.mean, self.dtype)
                for i in slots
            ]
            values, weight = (ops.stack(parts) for parts in zip(*reduced, strict=True))
        else:
            values = (
                ops.mean(values, axis=tuple(range(2, len(values.shape))))
                if len(values.shape) > 2
                else values
            )
            weight = (
                ops.ones_like(values)
                if sample_weight is None
                else ops.cast(sample_weight, self.dtype)
            )
            values = values * weight
        axes = tuple(range(1, len(weight.shape)))
        self.total.assign_add(ops.sum(values, axis=1))
        self.count.assign_add(ops.sum(weight, axis=axes))


class _MemberCopies(keras.metrics.Metric):
    """Any other metric: a copy of it for each slot."""

    def __init__(self, metric: keras.metrics.Metric, slots: int):
        super().__init__(name=metric.name, dtype=metric.dtype)
        self.copies = [fresh_metric(metric) for _ in range(slots)]

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        for i, metric in enumerate(self.copies):
            own = keras.tree.map_structure(lambda x, i=i: _member(x, i), (args, kwargs))
            metric.update_state(*own[0], **own[1])

    def reset_state(self) -> None:
        for metric in self.copies:
            metric.reset_state()

    def result(self) -> Tensor:
        return ops.stack([metric.result() for metric in self.copies])


def _member_metric(metric: keras.metrics.Metric, slots: int) -> keras.metrics.Metric:
    plain = isinstance(metric, keras.metrics.MeanMetricWrapper) and as_written(metric)
    at_once = (
        plain
        and wrapped_function(metric) in _LAST_AXIS_METRICS
        and _on_last_axis(function_arguments(metric))
    )
    made = (_MemberFunctionMean if at_once else _MemberCopies)(metric, slots)
    copy_direction(made, metric)
    return made


class _MemberLoss:
    """A Keras loss of all slots: called with (P, B, ...), it returns (P,)."""

    def __init__(self, loss: Any):
        if getattr(loss, "reduction", None) in (None, "none"):
            raise ModelError(
                f"Each loss must reduce to one number a slot. Received: {loss.name!r}, reduction=None"
            )
        _refuse_state(loss)
        self.loss, self.name = loss, loss.name
        plain = isinstance(loss, LossFunctionWrapper) and as_written(loss)
        self.at_once = (
            plain and loss.fn in _LAST_AXIS_LOSSES and _on_last_axis(function_arguments(loss))
        )

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        if not self.at_once:
            slots = range(y_pred.shape[0])
            return ops.stack(
                [
                    self.loss(*(_member(x, i) for x in (y_true, y_pred, sample_weight)))
                    for i in slots
                ]
            )
        dtype = self.loss.dtype
        y_pred = with_logits(lambda t: ops.convert_to_tensor(t, dtype=dtype), y_pred)
        y_true = ops.convert_to_tensor(y_true, dtype=dtype)
        y_true, y_pred = _same_rank(y_true, y_pred)
        values = self.loss.fn(y_true, y_pred, **function_arguments(self.loss))  # (P, B, ...)
        return _reduced(values, sample_weight, self.loss.reduction, dtype)


def _refuse_state(loss: Any) -> None:
    """Refuse a loss that remembers.

    All slots would write into one memory, where each ordinary model has its own.
    """
    held = {
        type(part).__name__
        for part in keras.tree.flatten(dict(vars(loss)))
        if isinstance(part, _STATE)
    }
    if held:
        raise ModelError(
            "A loss of a population has no variables and no random numbers of its own: slots would share them. "
            f"Received: {loss.name!r} with {', '.join(sorted(held))}"
        )


def _reduced(values: Tensor, sample_weight: Any, reduction: str, dtype: Any) -> Tensor:
    """Keras' `reduce_weighted_values` over all axes but the slots'."""
    weight = None
    if sample_weight is not None:
        values, weight = _same_rank(values, ops.convert_to_tensor(sample_weight, dtype=dtype))
        missing = len(values.shape) - len(weight.shape)
        values = values * ops.reshape(
            weight, (weight.shape[0], *(1,) * missing, *ops.shape(weight)[1:])
        )
    total = ops.sum(values, axis=tuple(range(1, len(values.shape))))
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and weight is not None:
        weights = ops.sum(weight, axis=tuple(range(1, len(weight.shape))))
        return ops.divide_no_nan(total, ops.cast(weights, total.dtype))
    count = ops.prod(ops.convert_to_tensor(ops.shape(values)[1:], dtype="int32"))
    return ops.divide_no_nan(total, ops.cast(count, total.dtype))


def _same_rank(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """What Keras does to the ranks of two tensors of one slot, done to those of all."""

    def like(one: Tensor, x: Tensor) -> Tensor:
        difference = len(one.shape) + 1 - len(x.shape)
        if not difference:
            return x
        return with_logits(
            lambda t: ops.squeeze(t, -1) if difference < 0 else ops.expand_dims(t, -1), x
        )

    first = squeeze_or_expand_to_same_rank(
        *(keras.KerasTensor(x.shape[1:], x.dtype) for x in (a, b))
    )
    return like(first[0], a), like(first[1], b)


def _on_last_axis(options: dict[str, Any]) -> bool:
    return options.get("axis", -1) == -1 and options.get("ignore_class") is None


def _member(x: Any, index: int) -> Any:
    return None if x is None else with_logits(lambda tensor: tensor[index], x)


def _first_member(structure: Any) -> Any:
    return keras.tree.map_structure(lambda x: _member(x, 0), structure)
