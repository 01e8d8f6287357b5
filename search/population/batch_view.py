"""One call of a population: what each member sees of the batch, and what layers leave behind.

A member sees the same samples as all others, or as those of its seed.

XLA compiles a program for each size of a batch. An epoch's smaller last batch, filled up with copies
of a sample that do not count, takes the program of the others. That is exact where each sample goes
through the model by itself, and losses and metrics leave out what is masked: `may_fill_up` tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_acts.compat import all_layers, resolved_parts, standardize_inputs

from ..runtime import choices
from ..vectorize.batch import SEEDED, SHARED, Batch, with_free_axis
from ..vectorize.samples import acts_on_each_sample, is_known_activation
from .members import Member

if TYPE_CHECKING:
    from .block import LayerPlan
    from .model import PopulationModel

Tensor = Any
Structure = Any  # of tensors, as Keras nests them


@dataclass(frozen=True)
class BatchView:
    """Where the members' samples lie in the tensors of a batch.

    Attributes:
        size: how many members there are, P.
        seed_rows: where each member's seed lies in (S, B, ...), in public order; None for (B, ...),
            which all members see.
        counted: how many of a batch's samples count, a scalar tensor; those behind them fill it up
            (`may_fill_up`). None for all.
    """

    size: int
    seed_rows: tuple[int, ...] | None = None
    counted: Any = field(default=None, compare=False)

    @property
    def sample_axis(self) -> int:
        """The axis of the samples in the tensors of a batch."""
        if self.seed_rows is None:
            return 0
        return 1

    def inputs(self, graph: Any, inputs: Structure, order: tuple[int, ...]) -> list[Batch]:
        """Return a model's inputs as its graph takes them; `order` is the inside one."""
        if self.seed_rows is None:
            return [Batch(x, SHARED, self.size) for x in standardize_inputs(graph, inputs)]
        seed_rows = tuple(self.seed_rows[member] for member in order)
        seeds = max(self.seed_rows) + 1
        # Keras standardizes inputs of the model's rank: the seeds' samples one after the other
        merged = keras.tree.map_structure(
            lambda x: ops.reshape(x, with_free_axis(x, 1)[1:]), inputs
        )
        batches = []
        for x in standardize_inputs(graph, merged):
            by_seed = ops.reshape(x, (seeds, *with_free_axis(x, 0)))
            batches.append(Batch(by_seed, SEEDED, self.size, seed_rows))
        return batches

    def per_member(self, values: Structure) -> Structure:
        """Return labels or weights as (P, B, ...)."""

        def stack(value: Tensor | None) -> Tensor | None:
            if value is None:
                return None
            value = ops.convert_to_tensor(value)
            if self.seed_rows is not None:
                return ops.take(value, self.seed_rows, axis=0)
            return ops.broadcast_to(ops.expand_dims(value, 0), (self.size, *ops.shape(value)))

        return keras.tree.map_structure(stack, values)

    def specs(self, values: Structure) -> Structure:
        """Return what `per_member` makes of labels or weights, without their values."""

        def spec(value: Tensor | None) -> keras.KerasTensor | None:
            if value is None:
                return None
            return keras.KerasTensor((self.size, *value.shape[self.sample_axis :]), value.dtype)

        return keras.tree.map_structure(spec, values)

    def mask_of_counted(self, y: Tensor, mask: Tensor | None) -> Tensor | None:
        """Return the mask of an output (P, B, ...), (P, B) or longer: what fills a batch up is masked.

        Args:
            y: the output.
            mask: that it has already.
        """
        if self.counted is None:
            return mask
        samples = ops.shape(y)[1]
        counts = ops.less(ops.arange(samples, dtype="int32"), ops.cast(self.counted, "int32"))
        if mask is None:
            return ops.broadcast_to(counts, (self.size, samples))
        ones = (1,) * (len(mask.shape) - 2)
        return ops.logical_and(mask, ops.reshape(counts, (1, samples, *ones)))

    def known_samples(self, y_pred: Structure) -> Any:
        """Return how many samples of each member count, as an ordinary model would know it.

        None in a graph of TensorFlow's for batches of any size: there Keras weights the logged losses
        of its outputs by nothing.

        Args:
            y_pred: the outputs, (P, B, ...).
        """
        if self.counted is not None and keras.backend.backend() == "jax":
            return self.counted
        return keras.tree.flatten(y_pred)[0].shape[1]

    def samples(self, x: Structure) -> Any:
        """Return how many samples of each member count."""
        if self.counted is not None:
            return self.counted
        first = next(value for value in keras.tree.flatten(x) if value is not None)
        return ops.shape(first)[self.sample_axis]


def seeds_of(members: tuple[Member, ...]) -> tuple[int, ...]:
    """Return the seeds, each once."""
    return tuple(dict.fromkeys(member.seed for member in members))


def by_seed(members: tuple[Member, ...]) -> BatchView:
    """Return the view of a batch that holds one for each of the members' seeds.

    Of a shared one if they have one.
    """
    seeds = seeds_of(members)
    if len(seeds) == 1:
        return BatchView(len(members))
    return BatchView(len(members), tuple(seeds.index(member.seed) for member in members))


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """Lives for one call of a population, and is handed down to each layer that the call runs.

    Attributes:
        view: how the batch is seen.
        losses: what layers add to the members' losses, (P,) in inside order each.
        assigned: the trained variables that layers themselves assign.
        lanes: how many members go through the layers in each lane; nothing for all at once.
    """

    view: BatchView
    losses: list[Tensor] = field(default_factory=list)
    assigned: list[keras.Variable] = field(default_factory=list)
    lanes: tuple[int, ...] = ()
    _regularized: set[str] = field(default_factory=set)

    def is_to_regularize(self, path: str) -> bool:
        """Return whether the weights of the layer at a path are to be regularized now.

        They are once, however often the model calls the layer, as in Keras.
        """
        if path in self._regularized:
            return False
        self._regularized.add(path)
        return True


def may_fill_up(population: PopulationModel, *, training: bool) -> bool:
    """Whether a batch may be filled up: who counts gets what it would get without the others.

    In training it may not where samples see each other (BatchNormalization), nor where random
    numbers are drawn for the whole batch at once (Dropout): those of the same samples were others.
    """
    if not choices.fills_batches() or not _has_one_value_a_sample(population):
        return False
    for stacked in population.stacked:
        plan = stacked.plan
        if not acts_on_each_sample(plan.layer, plan.rule):
            return False
        # members have noise of their own where the model itself may have none
        if training and (plan.strengths is not None or _mixes_in_training(plan.layer)):
            return False
        if not all(map(is_known_activation, _searched_activations(plan))):
            return False
    losses, metrics = resolved_parts(population)
    if losses is not None and not losses.leave_out_masked:
        return False
    return metrics is None or bool(metrics.leave_out_masked)


def _has_one_value_a_sample(population: PopulationModel) -> bool:
    """Whether each output is (P, B, C), of which a loss over the last axis has one value a sample.

    Of sequences and images it has more, and Keras lays a mask of samples along the axis behind
    them; of (P, B) it has one for the whole batch.
    """
    outputs = keras.tree.flatten(population.output_spec)
    return all(len(output.shape) == 3 for output in outputs)


def _mixes_in_training(layer: Any) -> bool:
    if not isinstance(layer, keras.layers.Layer):
        return False
    for part in all_layers(layer):
        if isinstance(part, keras.layers.BatchNormalization):
            return True
        # the weights are all variables but the states of random number generators
        if len(part.variables) != len(part.weights):
            return True
    return False


def _searched_activations(plan: LayerPlan) -> Iterator[Any]:
    for segments in plan.segments.values():
        for segment in segments:
            yield from segment.activations
