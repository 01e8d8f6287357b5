"""The frozen layers that a model begins with, such as a pretrained part: which they are, and how they run.

Once for all members, or once for each seed: members whose samples and random numbers are the same,
as those of one seed, see the same, and it is computed once for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_acts.compat import all_layers, calls_of, mask_of, run_through_graph

from ..rewrite.walk import graph_of, is_graph, layers_of, slots_at, variables_of
from ..space.known import is_of_keras
from ..vectorize.batch import SEEDED, SHARED, Batch, with_free_axis
from ..vectorize.registry import rule_for
from ..vectorize.samples import acts_on_each_sample
from .block import LayerPlan
from .loop import MemberRun, run_member, with_training

Tensor = Any
Structure = Any  # of tensors or batches, as Keras nests them
# for each member, in which row of a tensor its values are
Rows = tuple[int, ...]


def frozen_prefix(model: keras.Model, searched: Iterable[str]) -> frozenset[str]:
    """Return the paths of the layers that see only what other such layers make of the inputs, and never change.

    They are Keras' own, are not trained, hold no slot that is searched, and no state that training
    changes but that of random numbers: members of one seed draw the same, as ordinary models do.
    Where the members' rules would do as well, the set is empty.

    Args:
        model: a Sequential or Functional model.
        searched: the names of the slots that are searched.
    """
    walk = _PrefixWalk(tuple(searched))
    graph = graph_of(model)
    before: dict[str, bool] | None = None
    # a later call of a layer may show that it does not run once, nor then what its first call feeds
    while walk.shared != before:
        before = dict(walk.shared)
        walk.through(graph, [_Flow(shared=True) for _ in graph.inputs], "")
    shared = frozenset(path for path, is_shared in walk.shared.items() if is_shared)
    for path, layer in layers_of(model):
        if path in shared and _gains(layer):
            return shared
    return frozenset()


def _gains(layer: Any) -> bool:
    """Whether a layer takes less time or memory once for all, if all see the same."""
    if not isinstance(layer, keras.layers.Layer) or isinstance(layer, keras.layers.InputLayer):
        return False
    # without a rule it would run member after member, and with random numbers of each
    return bool(layer.variables) or rule_for(layer) is None


@dataclass(frozen=True, eq=False)
class _Flow:
    """What flows through the graph in place of a tensor: whether it is the same for all members."""

    shared: bool


class _PrefixWalk:
    """Goes through the graph of a model, and of the models in it, and notes what runs once for all.

    Attributes:
        shared: by path of a layer, whether it does.
    """

    def __init__(self, searched: tuple[str, ...]):
        self._searched = searched
        self.shared: dict[str, bool] = {}

    def through(self, graph: Any, inputs: list[_Flow], prefix: str) -> Any:
        """Return what flows out of a graph; `prefix` is the path of the model whose graph it is."""

        def operation(op: keras.Operation) -> Callable[..., Any]:
            path = f"{prefix}{op.name}"

            def nested_model(*args: Any, **options: Any) -> Any:
                return self.through(graph_of(op), keras.tree.flatten(args), f"{path}/")

            def layer(*args: Any, **options: Any) -> Any:
                return self._out_of(op, path, keras.tree.flatten((args, options)))

            if is_graph(op):
                return nested_model
            return layer

        return run_through_graph(graph, inputs, operation)

    def _out_of(self, op: keras.Operation, path: str, arguments: list[Any]) -> Any:
        shared = all(x.shared for x in arguments if isinstance(x, _Flow))
        shared = shared and not slots_at(path, self._searched) and _never_changes(op)
        # a layer that is called twice counts if it does each time
        self.shared[path] = self.shared.get(path, True) and shared
        outputs = [_Flow(self.shared[path]) for _ in calls_of(op)[0].output_tensors]
        if len(outputs) == 1:
            return outputs[0]
        return outputs


def _is_masked(layer: keras.layers.Layer) -> bool:
    """Whether a mask comes with what a layer sees or makes."""
    for call in calls_of(layer):
        tensors = keras.tree.flatten((call.arguments.args, call.arguments.kwargs))
        if any(mask_of(tensor) is not None for tensor in (*tensors, *call.output_tensors)):
            return True
    return False


def _never_changes(layer: Any) -> bool:
    if not is_of_keras(type(layer)):
        return False
    if not isinstance(layer, keras.layers.Layer):  # an operation: a pure function
        return True
    # what a Lambda calls, and what a layer holds, may be a user's
    if isinstance(layer, keras.layers.Lambda | keras.layers.Wrapper):
        return False
    parts = all_layers(layer)
    if not all(is_of_keras(type(part)) for part in parts):
        return False
    # each member's loss is regularized, and each layer behind sees the mask
    if any(part.activity_regularizer is not None for part in parts) or _is_masked(layer):
        return False
    is_trained = bool(layer.weights) and layer.trainable
    return not is_trained and not hasattr(layer, "cell")


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
