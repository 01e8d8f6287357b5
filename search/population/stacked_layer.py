"""A layer of a population: the weights of one layer of all members, and how it runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_acts.compat import all_layers
from keras_acts.errors import ModelError
from keras_acts.layers import TrainedActivation

from ..rewrite.slots import RECURRENT
from ..rewrite.walk import OF_ACTIVATION, variables_of
from ..runtime.tracing import outside_of_traces
from ..space.assignment import Choice
from ..space.known import as_written
from ..vectorize import masks
from ..vectorize.activations import apply_by_segment, apply_to_all, last_axis, with_variables
from ..vectorize.batch import SEEDED, STACKED, Batch
from ..vectorize.registry import RuleCall, rule_for, takes
from ..vectorize.segments import Segment, segments
from .batch_view import ForwardPass
from .block import LayerPlan, StackedVariable, axes_within
from .blueprint import Blueprint
from .frozen_prefix import groups, run_once
from .lanes import Lane, NotInLanes, assign_together, joined, lanes_of, side_by_side
from .loop import run_one_by_one

Tensor = Any


class StackedLayer(keras.layers.Layer):
    """The weights of one layer of all members. `run` calls it; Keras only tracks its variables.

    Args:
        path: of the layer, in the model.
        blueprint: the ordinary models.
        candidates: of each member, in inside order.
        weights: of each member, in inside order, the layer's initial weights. Keras looks at all
            that a layer is made with: those of the whole model would take it seconds.
        random: makes the population's own random numbers.
        shared: whether it is part of a frozen prefix, and has no weights of the members' own.
        strengths: as of `LayerPlan`.
    """

    def __init__(
        self,
        path: str,
        blueprint: Blueprint,
        candidates: tuple[Choice, ...],
        weights: list[dict[str, np.ndarray]],
        random: keras.random.SeedGenerator,
        shared: bool = False,
        strengths: np.ndarray | None = None,
    ):
        super().__init__(name=path.replace("/", "_"), autocast=False, dtype=keras.config.floatx())
        slots = blueprint.slots(path)
        of_layer = segments(candidates, slots) if slots else ()
        self.plan = LayerPlan(
            path,
            blueprint,
            candidates,
            segments={slot: segments(candidates, (slot,)) for slot in slots},
            rule=_common_rule(path, blueprint, candidates[0], of_layer),
            blocks=[],
            shared=shared,
            strengths=strengths,
        )
        self.random = random
        if shared:
            self._stack(self._everyone, _keys_of_random_states(self.plan.layer), weights)
        else:
            for segment, keys in self._parts(of_layer):
                self._stack(segment, keys, weights)
        self.draws = self._random_states()
        self.built = True

    def regroup(self) -> bool:
        """See anew which members draw the same random numbers; return whether they are others."""
        before = self.draws
        self.draws = self._random_states()
        return self.draws != before

    def _random_states(self) -> tuple[int, ...]:
        """For each member of a layer that runs once for several, the number of its random state."""
        states: list[tuple[int, ...]] = [(0,) * self.plan.size]
        for block in self.plan.blocks if self.plan.shared else ():
            values = ops.convert_to_numpy(block.variable).reshape(self.plan.size, -1)
            _, numbers = np.unique(values, axis=0, return_inverse=True)
            states.append(tuple(numbers.reshape(-1).tolist()))
        return groups(states)

    @property
    def _everyone(self) -> Segment:
        return Segment(0, self.plan.size, self.plan.candidates[0], (), {})

    def _parts(self, of_layer: Sequence[Segment]) -> Iterator[tuple[Segment, list[str]]]:
        """Which variables, by key, are stacked over which members."""
        plan = self.plan
        everyone = self._everyone
        if plan.rule is None or not of_layer:
            for segment in of_layer or [everyone]:
                yield segment, list(variables_of(self._layer_of(segment)))
            return
        # a rule has the variables of all members in one, but for what activations train
        yield everyone, _keys(plan.layer, of_activation=False)
        for segment in of_layer:
            if segment.trained:
                yield segment, _keys(self._layer_of(segment), of_activation=True)

    def _layer_of(self, segment: Segment) -> Any:
        return self.plan.blueprint.layer(segment.candidate, self.plan.path)

    def _stack(
        self, segment: Segment, keys: list[str], weights: list[dict[str, np.ndarray]]
    ) -> None:
        layer = self._layer_of(segment)
        trainable = {id(variable) for variable in getattr(layer, "trainable_variables", ())}
        of_segment = weights[segment.start : segment.stop]
        tables = _tables(layer, self.plan.rule)
        for key in keys:
            reference = variables_of(layer)[key]
            values = np.stack([of_member[key] for of_member in of_segment])
            is_table = id(reference) in tables
            if is_table:
                values = values.reshape((-1, *values.shape[2:]))
            constraint = reference.constraint
            if constraint:
                constraint = _PerMember(constraint, segment.size, tuple(reference.shape))
            variable = self.add_weight(
                name=reference.name,
                shape=values.shape,
                dtype=reference.dtype,
                initializer=partial(_initialize_with, values),
                trainable=id(reference) in trainable,
                autocast=False,
                constraint=constraint,
            )
            self.plan.blocks.append(
                StackedVariable(
                    variable,
                    segment.start,
                    segment.size,
                    key,
                    reference.name,
                    reference.regularizer,
                    is_table,
                    goes_on=self.plan.shared,
                )
            )

    def run(
        self, forward: ForwardPass, training: bool | None, inputs: Any, options: dict[str, Any]
    ) -> Any:
        """Return what the layer makes of the inputs, each tensor a `Batch`.

        Args:
            forward: the call of the population, to which the layer appends what it adds to the
                members' losses, and what it assigns.
            training: whether the model trains; None leaves it to what the layer was called with.
            inputs: the layer's arguments.
            options: its keyword arguments.
        """
        plan = self.plan
        training_of_call = options.pop("training", None)
        if training is None:  # as in a Functional model
            training = training_of_call
        training = bool(training)
        if forward.lanes and not plan.shared:
            try:
                return self._run_in_lanes(forward, training, inputs, options)
            except NotInLanes:
                # nothing has been assigned yet
                inputs, options = keras.tree.map_structure(joined, (inputs, options))
        inputs, options = keras.tree.map_structure(self._cast, (inputs, options))
        if plan.shared:
            return run_once(plan, self.draws, training, inputs, options)
        return self._run(forward, training, inputs, options)

    def _run_in_lanes(
        self, forward: ForwardPass, training: bool, inputs: Any, options: dict[str, Any]
    ) -> Any:
        """Run for the members of each lane.

        Raises:
            NotInLanes: where it runs for all members at once only; it has left nothing behind then.
        """
        lanes = lanes_of(self.plan, forward.lanes)
        outputs = []
        for lane in lanes:
            of_lane = keras.tree.map_structure(lane.of, (inputs, options))
            args, kwargs = keras.tree.map_structure(self._cast, of_lane)
            outputs.append(self._run(forward, training, args, kwargs, lane))
        assign_together(self.plan, lanes)
        return side_by_side(lanes, outputs)

    def _run(
        self,
        forward: ForwardPass,
        training: bool,
        inputs: Any,
        options: dict[str, Any],
        lane: Lane | None = None,
    ) -> Any:
        """Run for all members, or for those of a lane."""
        plan = self.plan
        of_graph = keras.tree.flatten((inputs, options))
        inputs, options = keras.tree.map_structure(_unseeded, (inputs, options))
        if not isinstance(plan.layer, keras.layers.Layer):  # an operation ends a mask
            outputs = self._run_for_all(forward, training, inputs, options, lane)
            return keras.tree.map_structure(_unmasked, outputs)
        has_masks = masks.any_mask((inputs, options))
        seen = keras.tree.flatten((inputs, options))
        if has_masks:
            options = masks.filled_in(plan.layer, inputs, options)
        previous = masks.previous(inputs, options)
        outputs = self._run_for_all(forward, training, inputs, options, lane)
        if has_masks:
            # attention takes the masks off the tensors that it gets
            masks.take_off(seen, of_graph)
        if has_masks or "mask" in options or masks.makes_masks(plan.layer):
            outputs = keras.tree.map_structure(_unmasked, outputs)
            masks.go_on(plan.layer, inputs, options, previous, outputs)
        return outputs

    def _run_for_all(
        self,
        forward: ForwardPass,
        training: bool,
        inputs: Any,
        options: dict[str, Any],
        lane: Lane | None,
    ) -> Any:
        """By the rule, if it takes these arguments, or member after member."""
        plan = self.plan
        given = {name: value for name, value in options.items() if value is not None}
        if plan.rule is None or not takes(plan.rule, inputs, given):
            return _one_by_one(plan, forward, training, inputs, options, lane)
        outputs = plan.rule(self._call(plan.layer, training, lane), *inputs, **given)
        if outputs is NotImplemented:
            return _one_by_one(plan, forward, training, inputs, options, lane)
        if forward.is_to_regularize(plan.path):
            for block in plan.blocks:
                if block.regularizer is not None and block.variable.trainable:
                    forward.losses.append(penalties(block, plan.size))
        regularizer = getattr(plan.layer, "activity_regularizer", None)
        if regularizer is not None:
            for output in keras.tree.flatten(outputs):
                forward.losses.append(activity_penalties(regularizer, output))
        return outputs

    def _call(self, layer: keras.layers.Layer, training: bool, lane: Lane | None) -> RuleCall:
        """What a rule gets to know of the layer, or of one that it holds."""
        plan = self.plan
        # the variables are the outer layer's, under its keys
        key_of = {id(variable): key for key, variable in variables_of(plan.layer).items()}
        stacked = {block.key: block for block in plan.blocks}
        blocks: dict[str, StackedVariable] = {}
        for key, variable in variables_of(layer).items():
            if not key.startswith(OF_ACTIVATION):
                blocks[variable.name] = stacked[key_of[id(variable)]]
        weights = {}
        for name, block in blocks.items():
            weights[name] = _value(block, lane)
        strengths = None
        if layer is plan.layer:
            strengths = plan.strengths
        return RuleCall(
            layer=layer,
            weights=weights,
            table=lambda name: _table(blocks[name], lane),
            activate=partial(self._activate, layer, lane),
            assign=lambda name, value: _assign(blocks[name], value, lane),
            inside=lambda part: self._call(part, training, lane),
            training=training,
            random=self.random,
            strengths=strengths,
        )

    def _cast(self, x: Any) -> Any:
        """As Keras casts floating inputs to a layer's dtype."""
        dtype = getattr(self.plan.layer, "compute_dtype", None)
        if not isinstance(x, Batch) or dtype is None or not self.plan.layer.autocast:
            return x
        given = keras.backend.standardize_dtype(x.value.dtype)
        if "float" not in given or given == dtype:
            return x
        cast = x.map(lambda value: ops.cast(value, dtype))
        cast.mask = x.mask
        return cast

    def _activate(self, layer: keras.layers.Layer, lane: Lane | None, x: Batch) -> Batch:
        plan = self.plan
        slot = plan.path if layer is plan.layer else f"{plan.path}/{layer.name}"
        of_slot: Sequence[Segment] = plan.segments.get(slot, ())
        first = 0
        if lane is not None:
            first = lane.start
            of_slot = lane.segments(of_slot)
        starts = [first + segment.start for segment in of_slot] or [first]
        variables: list[dict[str, Tensor]] = [{} for _ in starts]
        for block in plan.blocks:
            if not block.key.startswith(OF_ACTIVATION):
                continue
            for start, of_segment in zip(starts, variables, strict=True):
                if block.start <= start < block.stop:
                    of_segment[block.name] = _value(block, lane)
        if of_slot:
            return apply_by_segment(of_slot, variables, x)
        if variables[0]:
            return with_variables(layer.activation, variables[0], x)
        return apply_to_all(layer.activation, x)


def _value(block: StackedVariable, lane: Lane | None) -> Tensor:
    """What a stacked variable holds for all members, or for those of a lane, (n, ...)."""
    if lane is not None:
        return lane.value(block)
    return block.by_member(ops.convert_to_tensor(block.variable))


def _assign(block: StackedVariable, value: Tensor, lane: Lane | None) -> None:
    if lane is not None:
        lane.assign(block, value)
    else:
        block.assign(value)


def _one_by_one(
    plan: LayerPlan,
    forward: ForwardPass,
    training: bool,
    inputs: Any,
    options: dict[str, Any],
    lane: Lane | None,
) -> Any:
    """Run a layer member after member, which its rule does not run with these arguments."""
    if lane is not None:
        raise NotInLanes
    _check_strengths(plan)
    return run_one_by_one(plan, forward, training, inputs, options)


def _check_strengths(plan: LayerPlan) -> None:
    """Refuse numbers of members where a layer runs member after member, each with the layer's own."""
    if plan.strengths is not None:
        raise ModelError(
            "Members have noise of their own in layers that run for all members at once. "
            f"Received: {plan.path!r}, called with other arguments than a layer of noise takes"
        )


def _common_rule(
    path: str, blueprint: Blueprint, first: Choice, of_layer: Sequence[Segment]
) -> Callable[..., Any] | None:
    """The rule that runs the layer for all members; None if there is no such."""
    # what a recurrent layer's steps do with the gates is not the rules' to change
    if any(slot.endswith(f".{RECURRENT}") for slot in blueprint.slots(path)):
        return None
    # nor does one know what is inside of a layer that a user wrote
    if blueprint.has_slots_inside(path):
        return None
    layer = blueprint.layer(first, path)
    is_layer = isinstance(layer, keras.layers.Layer)
    if is_layer and (_regularizes_inside(layer) or _computes_in_another_dtype(layer)):
        return None
    if not is_layer and of_layer:  # an operation says nothing of candidates
        return None
    rule = rule_for(layer)
    trained = [segment for segment in of_layer if segment.trained]
    for other in [layer, *(blueprint.layer(segment.candidate, path) for segment in trained)]:
        if not _runs_by_segment(other) or rule_for(other) is not rule:
            return None
    return rule


def _table(block: StackedVariable, lane: Lane | None) -> Tensor:
    """A stacked variable as (n*T, ...)."""
    if block.is_table:
        return ops.convert_to_tensor(block.variable)
    value = _value(block, lane)
    return ops.reshape(value, (-1, *value.shape[2:]))


def _tables(layer: Any, rule: Callable[..., Any] | None) -> set[int]:
    """The identities of those of a layer's variables that are stacked as tables.

    Of a layer that runs member after member any may be one that it takes rows of. A rule takes
    them of an Embedding.
    """
    if keras.backend.backend() != "tensorflow" or not isinstance(layer, keras.layers.Layer):
        return set()
    parts: Sequence[keras.layers.Layer] = [layer]
    if rule is not None:
        parts = [part for part in all_layers(layer) if isinstance(part, keras.layers.Embedding)]
    tables: set[int] = set()
    for part in parts:
        tables.update(id(v) for v in part.trainable_variables if len(v.shape) > 0)
    return tables


def _regularizes_inside(layer: keras.layers.Layer) -> bool:
    """Whether a layer that it holds regularizes activities, which a rule does not see."""
    parts = [part for part in all_layers(layer) if part is not layer]
    return any(part.activity_regularizer is not None for part in parts)


def _computes_in_another_dtype(layer: keras.layers.Layer) -> bool:
    """Whether a rule would round otherwise than the layer itself, which casts its weights.

    Or otherwise than a layer in it, which Keras casts inputs for: a wrapper's may have a dtype of
    its own.
    """
    for part in all_layers(layer):
        if part.compute_dtype != layer.compute_dtype:
            return True
        is_cast = part.compute_dtype != part.variable_dtype
        if is_cast and (part.weights or hasattr(part, "activation")):
            return True
    return False


def _keys_of_random_states(layer: Any) -> list[str]:
    """The keys of the states of a layer's random number generators, its only integers."""
    return [key for key, variable in variables_of(layer).items() if "int" in str(variable.dtype)]


def _keys(layer: Any, of_activation: bool) -> list[str]:
    """The keys of a layer's variables that its activation trains, or of the others."""
    return [key for key in variables_of(layer) if key.startswith(OF_ACTIVATION) == of_activation]


def _unseeded(x: Any) -> Any:
    """What the members of one seed share, once for each: only a frozen prefix takes it as it is."""
    if not isinstance(x, Batch) or x.layout != SEEDED:
        return x
    stacked = Batch(x.stacked(), STACKED, x.members)
    stacked.mask = _unseeded(x.mask)
    return stacked


def _unmasked(x: Batch) -> Batch:
    """A batch of its own, without a mask: a rule may have returned what it got."""
    return x.map(lambda value: value)


def _initialize_with(values: np.ndarray, shape: Any, dtype: Any = None) -> Tensor:
    return ops.convert_to_tensor(values, dtype=dtype)


class _PerMember(keras.constraints.Constraint):
    """A constraint of one member's variable, for the stacked one."""

    def __init__(self, constraint: Callable[[Tensor], Tensor], count: int, shape: tuple[int, ...]):
        self.constraint = constraint
        self.count = count
        self.shape = shape

    def __call__(self, value: Tensor) -> Tensor:
        stacked = ops.reshape(value, (self.count, *self.shape))
        constrained = ops.stack([self.constraint(stacked[i]) for i in range(self.count)])
        return ops.reshape(constrained, value.shape)


def penalties(block: StackedVariable, count: int) -> Tensor:
    """Return what the regularizer adds to the loss of each member, (P,)."""
    value = block.by_member(ops.convert_to_tensor(block.variable))
    regularizer = block.regularizer
    # the exact classes: a user's own may do more
    power = {keras.regularizers.L1: ops.abs, keras.regularizers.L2: ops.square}.get(
        type(regularizer)
    )
    if power is None:
        losses = ops.stack([regularizer(value[i]) for i in range(block.size)])
    else:
        # its factor as this version of Keras rounds it
        factor = regularizer(ops.ones((1,), value.dtype))
        losses = factor * ops.sum(power(value), axis=axes_within(value))
    return ops.pad(losses, [(block.start, count - block.stop)])


def activity_penalties(regularizer: Any, output: Batch) -> Tensor:
    """Return what a regularizer of activities adds to the loss of each member, (P,)."""
    value = output.stacked()
    losses = ops.stack([regularizer(of_member) for of_member in ops.unstack(value, output.members)])
    if not _activities_are_means():
        return losses
    samples = ops.cast(ops.shape(value)[1], value.dtype)
    return ops.divide_no_nan(losses, samples)


@functools.cache
def _activities_are_means() -> bool:
    """Whether this version of Keras divides what activities add by the samples: 3.12 does not."""
    with outside_of_traces():
        layer = keras.layers.ActivityRegularization(l1=1.0, dtype="float32")
        layer(ops.ones((2, 1), "float32"))
        return float(layer.losses[0]) == 1


def _runs_by_segment(layer: Any) -> bool:
    """Whether its activation may be one of a segment's.

    The parameters, if trained, belong to the last axis.
    """
    activation = getattr(layer, "activation", None)
    if not isinstance(activation, keras.layers.Layer):
        return True
    if not isinstance(activation, TrainedActivation):
        return False
    return as_written(activation) and last_axis(activation)
