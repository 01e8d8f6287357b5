"""A layer of the frozen prefix: once for all members, or once for each seed.

Members whose samples and random numbers are the same, as those of one seed, see the same: it is
computed once for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from ..rewrite.walk import variables_of
from ..vectorize.batch import SEEDED, SHARED, Batch, with_free_axis
from ..vectorize.samples import acts_on_each_sample
from .block import LayerPlan
from .loop import MemberRun, run_member, with_training

Tensor = Any
Structure = Any  # of tensors or batches, as Keras nests them
# for each member, in which row of a tensor its values are
Rows = tuple[int, ...]


def run_once(
    plan: LayerPlan, draws: Rows, training: bool, inputs: Structure, options: Structure
) -> Structure:
    """Return what a layer or operation makes of its arguments, each tensor a `Batch`.

    Args:
        plan: of a layer of the frozen prefix.
        draws: for each member, which of the layer's random states it has, by number.
        training: whether the model trains.
        inputs: the layer's arguments.
        options: its keyword arguments.
    """
    call = _Call(plan, training, inputs, options)
    if plan.blocks:
        return _run_with_random_numbers(call, draws)
    if not call.varies:
        return call.as_batches([call.on(0)], (0,) * plan.size)
    if not call.acts_on_each_sample:
        return _run_groups(call)
    # all groups' samples are one batch
    merged = call.on_all(lambda x: ops.reshape(x, with_free_axis(x, 1)[1:]))
    count = max(call.rows) + 1

    def apart(y: Tensor) -> Batch:
        by_group = ops.reshape(y, (count, *with_free_axis(y, 0)))
        return Batch(by_group, SEEDED, plan.size, call.rows)

    return keras.tree.map_structure(apart, merged)


def _run_groups(call: _Call) -> Structure:
    """Once for each group of members that see the same."""
    outputs = [call.on(call.rows.index(group)) for group in range(max(call.rows) + 1)]
    return call.as_batches(outputs, call.rows)


def _run_with_random_numbers(call: _Call, draws: Rows) -> Structure:
    """Once for each group of members that see and draw the same; they all go on to one state."""
    first = call.drawn(0)
    rows = call.rows
    if first.assigned:
        rows = groups([call.rows, draws])
    runs: list[MemberRun] = []
    for group in range(max(rows) + 1):
        member = rows.index(group)
        if member == 0:
            runs.append(first)
        else:
            runs.append(call.drawn(member))
    if first.assigned:
        for block in call.plan.blocks:
            of_groups = ops.stack([run.states[block.key] for run in runs])
            block.assign(ops.take(of_groups, rows, axis=0))
    return call.as_batches([run.outputs for run in runs], rows)


def groups(rows: Sequence[Rows]) -> Rows:
    """Return for each member the number of its group: those that have all the same rows."""
    of_members = list(zip(*rows, strict=True))
    different = sorted(set(of_members))
    return tuple(different.index(of_member) for of_member in of_members)


class _Call:
    """A call of a layer that runs once for members that see the same.

    Attributes:
        plan: of the layer.
        rows: for each member the number of its group: those that see the same.
    """

    def __init__(self, plan: LayerPlan, training: bool, inputs: Structure, options: Structure):
        self.plan = plan
        self._training = training
        self._arguments = (inputs, options)
        self._batches = [x for x in keras.tree.flatten(self._arguments) if isinstance(x, Batch)]
        everyone = (0,) * plan.size
        seeded = [x.seed_rows for x in self._batches if x.layout == SEEDED]
        self.rows = groups([everyone, *seeded])

    @property
    def varies(self) -> bool:
        """Whether not all members see the same."""
        return max(self.rows) > 0

    @property
    def acts_on_each_sample(self) -> bool:
        """Whether no sample has a say in another's output, whatever batch it is in.

        What has several inputs may put them together in its way: ``x - mean``.
        """
        is_layer = isinstance(self.plan.layer, keras.layers.Layer)
        has_one_input = is_layer and len(self._batches) == 1
        return has_one_input and acts_on_each_sample(self.plan.layer, self.plan.rule)

    def on(self, member: int) -> Structure:
        """Return what the layer makes of what a member sees."""
        return self._called(lambda x: _seen_by(x, member))

    def on_all(self, change: Callable[[Tensor], Tensor]) -> Structure:
        """Return what the layer makes of changed tensors (G, B, ...), of all groups."""
        members = [self.rows.index(group) for group in range(max(self.rows) + 1)]
        return self._called(lambda x: change(ops.stack([_seen_by(x, one) for one in members])))

    def drawn(self, member: int) -> MemberRun:
        """Return what the layer makes of what a member sees, with the member's random state."""
        weights = {}
        for key, variable in variables_of(self.plan.layer).items():
            weights[key] = ops.convert_to_tensor(variable)
        for block in self.plan.blocks:
            weights[block.key] = ops.convert_to_tensor(block.variable)[member]
        args, kwargs = self._picked(lambda x: _seen_by(x, member))
        return run_member(self.plan, member, weights, self._training, args, kwargs)

    def as_batches(self, outputs: Sequence[Structure], rows: Rows) -> Structure:
        """Return the outputs of the groups as one batch for each."""
        size = self.plan.size
        if len(outputs) == 1:
            return keras.tree.map_structure(lambda y: Batch(y, SHARED, size), outputs[0])
        return keras.tree.map_structure(
            lambda *ys: Batch(ops.stack(ys), SEEDED, size, rows), *outputs
        )

    def _picked(self, pick: Callable[[Batch], Tensor]) -> Any:
        def picked(x: Any) -> Any:
            if isinstance(x, Batch):
                return pick(x)
            return x

        return keras.tree.map_structure(picked, self._arguments)

    def _called(self, pick: Callable[[Batch], Tensor]) -> Structure:
        args, kwargs = self._picked(pick)
        layer = self.plan.layer
        if isinstance(layer, keras.layers.Layer):
            kwargs = with_training(layer, kwargs, self._training)
        return layer(*args, **kwargs)


def _seen_by(x: Batch, member: int) -> Tensor:
    """What a member sees of a shared or seeded batch."""
    if x.layout == SHARED:
        return x.value
    return x.value[x.seed_rows[member]]
