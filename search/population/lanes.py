"""Both cores in one training step: the members in two lanes, which share nothing within the step.

The kernels of small models are too small to be worth dividing among threads. So where TensorFlow
runs each on one thread (``TF_NUM_INTRAOP_THREADS=1``), half of the members go through the model as
one lane of the graph, and half as another. TensorFlow runs them at the same time, and each core
finds in its own cache what it made before. Weights, optimizer and losses are of all members, as ever.

Layers of a frozen prefix run once, before the lanes part. A layer that is called in a way in which
it runs member after member only does so for all members, between lanes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_acts.compat import all_layers, attach_logits, logits_of
from keras_acts.target import in_xla

from ..runtime import choices
from ..vectorize.batch import SEEDED, SHARED, STACKED, Batch
from ..vectorize.segments import Segment

if TYPE_CHECKING:
    from .block import LayerPlan, StackedVariable
    from .model import PopulationModel

Tensor = Any
# of the members of each lane
Sizes = tuple[int, ...]


class NotInLanes(Exception):
    """A layer was called in a way in which it runs for all members only."""


@dataclass(frozen=True, eq=False)
class Lane:
    """Members next to each other inside that go through a layer together.

    Attributes:
        start: the first of them.
        size: how many they are.
        values: of the layer's variables, what is theirs, by the variable's identity.
        assigned: what the layer assigns to their part of a variable, by its identity.
    """

    start: int
    size: int
    values: Mapping[int, Tensor]
    assigned: dict[int, Tensor] = field(default_factory=dict)

    @property
    def stop(self) -> int:
        """The member after the last."""
        return self.start + self.size

    def value(self, block: StackedVariable) -> Tensor:
        """Return what a stacked variable holds for them."""
        return self.values[id(block.variable)]

    def assign(self, block: StackedVariable, value: Tensor) -> None:
        """Remember what a stacked variable becomes for them."""
        self.assigned[id(block.variable)] = value

    def of(self, x: Any) -> Any:
        """Return their part of what flows through the graph."""
        if isinstance(x, Laned):
            return x.parts[x.starts.index(self.start)]
        if not isinstance(x, Batch):
            return x
        if x.mask is not None:
            # attention takes it off the batch itself
            raise NotInLanes
        if x.layout in (SHARED, SEEDED):
            return Batch(x.value, x.layout, self.size, x.seed_rows[self.start : self.stop])
        # what a layer that ran for all members has put out
        return Batch(x.stacked()[self.start : self.stop], STACKED, self.size)

    def segments(self, of_all: Sequence[Segment]) -> list[Segment]:
        """Return what is theirs of the segments of all members."""
        found = []
        for segment in of_all:
            start = max(segment.start, self.start)
            stop = min(segment.stop, self.stop)
            if start >= stop:
                continue
            numbers = {}
            for name, column in segment.numbers.items():
                numbers[name] = column[start - segment.start : stop - segment.start]
            first = start - self.start
            after = stop - self.start
            found.append(dataclasses.replace(segment, start=first, stop=after, numbers=numbers))
        return found


@dataclass(frozen=True, eq=False)
class Laned:
    """The batches of the lanes. To Keras' graph walk it is one tensor.

    Attributes:
        starts: the first member of each.
        parts: the batch of each.
    """

    starts: tuple[int, ...]
    parts: tuple[Batch, ...]

    def joined(self) -> Batch:
        """Return the batch of all members."""
        values = [part.stacked() for part in self.parts]
        value = ops.concatenate(values, axis=0)
        # Keras' cross-entropies look for what a softmax left on its output
        logits = [logits_of(each) for each in values]
        if all(each is not None for each in logits):
            attach_logits(value, ops.concatenate(logits, axis=0))
        batch = Batch(value, STACKED, sum(part.members for part in self.parts))
        masks = [part.mask for part in self.parts if part.mask is not None]
        if len(masks) == len(self.parts):
            batch.mask = Laned(self.starts, tuple(masks)).joined()
        return batch


def joined(x: Any) -> Any:
    """Return what flows through the graph for all members."""
    if isinstance(x, Laned):
        return x.joined()
    return x


def lanes_of(plan: LayerPlan, sizes: Sizes) -> list[Lane]:
    """Return the lanes of a layer's members, each with its part of the layer's variables."""
    starts = _starts(sizes)
    values: list[dict[int, Tensor]] = [{} for _ in sizes]
    for block in plan.blocks:
        overlaps = []
        for start, size in zip(starts, sizes, strict=True):
            overlap = min(block.stop, start + size) - max(block.start, start)
            overlaps.append(max(overlap, 0))
        value = ops.convert_to_tensor(block.variable)
        for of_lane, part in zip(values, _split(value, overlaps), strict=True):
            of_lane[id(block.variable)] = part
    lanes = []
    for start, size, of_lane in zip(starts, sizes, values, strict=True):
        lanes.append(Lane(start, size, of_lane))
    return lanes


def assign_together(plan: LayerPlan, lanes: Sequence[Lane]) -> None:
    """Assign to a layer's variables what its lanes would."""
    for block in plan.blocks:
        key = id(block.variable)
        if any(key in lane.assigned for lane in lanes):
            parts = [lane.assigned.get(key, lane.values[key]) for lane in lanes]
            block.assign(ops.concatenate(parts, axis=0))


def side_by_side(lanes: Sequence[Lane], outputs: Sequence[Any]) -> Any:
    """Return the outputs of the lanes, in the structure of one lane's."""
    starts = tuple(lane.start for lane in lanes)
    return keras.tree.map_structure(lambda *parts: Laned(starts, parts), *outputs)


def _starts(sizes: Sizes) -> tuple[int, ...]:
    starts = [0]
    for size in sizes[:-1]:
        starts.append(starts[-1] + size)
    return tuple(starts)


def _split(value: Tensor, sizes: Sequence[int]) -> Sequence[Tensor]:
    """The parts of a stacked variable; the gradient of a split is one concatenation."""
    import tensorflow as tf

    if sum(size > 0 for size in sizes) == 1:
        return [value] * len(sizes)
    return tf.split(value, sizes, axis=0)


def sizes_now(population: PopulationModel) -> Sizes:
    """Return how many members each lane has in a program that is about to be traced.

    Nothing if they are not parted.
    """
    if keras.backend.backend() != "tensorflow":
        return ()
    import tensorflow as tf

    # XLA divides the work of its kernels itself, and nothing runs beside an eager one
    if tf.executing_eagerly() or in_xla():
        return ()
    lanes = choices.lanes(len(population.members))
    if lanes < 2 or not all(_runs_in_lanes(layer.plan) for layer in population.stacked):
        return ()
    least, larger = divmod(len(population.members), lanes)
    return (least + 1,) * larger + (least,) * (lanes - larger)


def _runs_in_lanes(plan: LayerPlan) -> bool:
    """Whether a part of the members can go through a layer as all do."""
    if plan.shared:
        return True
    if plan.rule is None or plan.strengths is not None:
        return False
    # penalties are of all members at once
    if getattr(plan.layer, "activity_regularizer", None) is not None:
        return False
    if any(block.is_table or block.regularizer is not None for block in plan.blocks):
        return False
    return not _draws(plan.layer)


def _draws(layer: Any) -> bool:
    """Whether a layer draws random numbers, which it does for all members at once."""
    if not isinstance(layer, keras.layers.Layer):
        return False
    # the weights are all variables but the states of random number generators
    return any(len(part.variables) != len(part.weights) for part in all_layers(layer))
