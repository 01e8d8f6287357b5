"""A layer of a population: the weights of one layer of all slots, and how it runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_acts.layers import TrainedActivation

from ..rewrite.slots import RECURRENT
from ..rewrite.walk import OF_ACTIVATION, variables_of
from ..space.assignment import Choice
from ..space.known import as_written
from ..vectorize.activations import apply_by_segment, apply_to_all, last_axis, with_variables
from ..vectorize.batch import SEEDED, STACKED, Batch
from ..vectorize.registry import RuleCall, rule_for, takes
from ..vectorize.segments import Segment, segments
from .block import LayerPlan, StackedVariable
from .blueprint import Blueprint
from .loop import run_one_by_one, run_shared

Tensor = Any


class StackedLayer(keras.layers.Layer):
    """The weights of one layer of all slots. `run` calls it; Keras only tracks its variables.

    Args:
        path: of the layer, in the model.
        blueprint: the ordinary models.
        candidates: of each slot, in inside order.
        weights: of each slot, in inside order, the layer's initial weights. Keras looks at all that
            a layer is made with: those of the whole model would take it seconds.
        random: makes the population's own random numbers.
        shared: whether it is part of a frozen prefix, and has no weights of the slots' own.
    """

    def __init__(
        self,
        path: str,
        blueprint: Blueprint,
        candidates: tuple[Choice, ...],
        weights: list[dict[str, np.ndarray]],
        random: keras.random.SeedGenerator,
        shared: bool = False,
    ):
        super().__init__(name=path.replace("/", "_"), autocast=False)
        own = blueprint.slots(path)
        mine = segments(candidates, own) if own else ()
        layers = {group: blueprint.layer(group.candidate, path) for group in mine if group.trained}
        first = blueprint.layer(candidates[0], path)
        searched = {slot: segments(candidates, (slot,)) for slot in own}
        rule = rule_for(first)
        by_rule = all(
            _runs_by_group(layer) and rule_for(layer) is rule for layer in (first, *layers.values())
        )
        by_rule = by_rule and not any(slot.endswith(f".{RECURRENT}") for slot in own)
        self.plan = LayerPlan(
            path, blueprint, candidates, searched, rule if by_rule else None, [], shared
        )
        self.random = random
        everyone = Segment(0, len(candidates), candidates[0], (), {})
        if shared:
            parts = []
        elif self.plan.rule is None or not mine:
            parts = [
                (group, list(variables_of(blueprint.layer(group.candidate, path))))
                for group in mine or [everyone]
            ]
        else:  # in common but for what activations train
            parts = [
                (
                    everyone,
                    [key for key in variables_of(first) if not key.startswith(OF_ACTIVATION)],
                )
            ]
            for group, layer in layers.items():
                parts.append(
                    (group, [key for key in variables_of(layer) if key.startswith(OF_ACTIVATION)])
                )
        for group, keys in parts:
            self._stack(group, keys, weights)
        self.built = True

    def _stack(self, group: Segment, keys: list[str], weights: list[dict[str, np.ndarray]]) -> None:
        layer = self.plan.blueprint.layer(group.candidate, self.plan.path)
        trainable = {id(variable) for variable in getattr(layer, "trainable_variables", ())}
        for key in keys:
            reference = variables_of(layer)[key]
            values = np.stack([slot[key] for slot in weights[group.start : group.stop]])
            variable = self.add_weight(
                name=reference.name,
                shape=values.shape,
                dtype=reference.dtype,
                initializer=partial(_initialize_with, values),
                trainable=id(reference) in trainable,
                autocast=False,
                constraint=reference.constraint and _PerSlot(reference.constraint, group.size),
            )
            self.plan.blocks.append(
                StackedVariable(variable, group.start, key, reference.name, reference.regularizer)
            )

    def run(
        self, training: bool | None, losses: list[Tensor], inputs: Any, options: dict[str, Any]
    ) -> Any:
        """Return what the layer makes of the inputs, each tensor a `Batch`.

        Args:
            training: whether the model trains; None leaves it to what the layer was called with.
            losses: a list to which the layer appends what it adds to the slots' losses, (P,) each.
            inputs: the layer's arguments.
            options: its keyword arguments.
        """
        plan = self.plan
        inputs, options = keras.tree.map_structure(self._cast, (inputs, options))
        asked = options.pop("training", None)
        training = bool(asked if training is None else training)  # as in a Functional model
        if plan.shared:
            return run_shared(plan, training, inputs, options)
        inputs, options = keras.tree.map_structure(_unseeded, (inputs, options))
        said = {name: value for name, value in options.items() if value is not None}
        if plan.rule is None or not takes(plan.rule, inputs, said):
            return run_one_by_one(plan, training, losses, inputs, options)
        for block in plan.blocks:
            if block.regularizer is not None and block.variable.trainable:
                losses.append(penalties(block, len(plan.candidates)))
        return plan.rule(self._call(plan.layer, training), *inputs, **said)

    def _call(self, layer: Any, training: bool) -> RuleCall:
        """What a rule gets to know of the layer, or of one that it holds."""
        keys = {id(variable): key for key, variable in variables_of(self.plan.layer).items()}
        stacked = {block.key: block.variable for block in self.plan.blocks}
        own = {
            v.name: stacked[keys[id(v)]]
            for key, v in variables_of(layer).items()
            if not key.startswith(OF_ACTIVATION)
        }
        return RuleCall(
            layer=layer,
            weights={name: ops.convert_to_tensor(variable) for name, variable in own.items()},
            activate=partial(self._activate, layer),
            assign=lambda name, value: own[name].assign(value),
            inside=lambda part: self._call(part, training),
            training=training,
            random=self.random,
        )

    def _cast(self, x: Any) -> Any:
        dtype = getattr(self.plan.layer, "compute_dtype", None)
        if not isinstance(x, Batch) or dtype is None or not self.plan.layer.autocast:
            return x
        given = keras.backend.standardize_dtype(x.value.dtype)
        return x.map(lambda v: ops.cast(v, dtype)) if "float" in given and given != dtype else x

    def _activate(self, layer: Any, x: Batch) -> Batch:
        plan = self.plan
        groups = plan.groups.get(
            plan.path if layer is plan.layer else f"{plan.path}/{layer.name}", ()
        )
        starts = [group.start for group in groups] or [0]
        variables: list[dict[str, Any]] = [{} for _ in starts]
        for block in plan.blocks:
            if block.key.startswith(OF_ACTIVATION):
                variables[starts.index(block.start)][block.name] = ops.convert_to_tensor(
                    block.variable
                )
        if groups:
            return apply_by_segment(groups, variables, x)
        activation = layer.activation
        return (
            with_variables(activation, variables[0], x)
            if variables[0]
            else apply_to_all(activation, x)
        )


def _unseeded(x: Any) -> Any:
    """What the slots of one seed share, once for each: only a frozen prefix takes it as it is."""
    return (
        Batch(x.stacked(), STACKED, x.members) if isinstance(x, Batch) and x.layout == SEEDED else x
    )


def _initialize_with(values: np.ndarray, shape: Any, dtype: Any = None) -> Tensor:
    return ops.convert_to_tensor(values, dtype=dtype)


class _PerSlot(keras.constraints.Constraint):
    """A constraint of one slot's variable, for the stacked one."""

    def __init__(self, constraint: Callable[[Tensor], Tensor], slots: int):
        self.constraint, self.slots = constraint, slots

    def __call__(self, value: Tensor) -> Tensor:
        return ops.stack([self.constraint(value[i]) for i in range(self.slots)])


def penalties(block: StackedVariable, slots: int) -> Tensor:
    """Return what the regularizer adds to the loss of each slot, (P,)."""
    value, regularizer = ops.convert_to_tensor(block.variable), block.regularizer
    power = {keras.regularizers.L1: ops.abs, keras.regularizers.L2: ops.square}.get(
        type(regularizer)
    )
    if power is None:
        losses = ops.stack([regularizer(value[i]) for i in range(block.stop - block.start)])
    else:
        factor = regularizer(
            ops.ones((1,), value.dtype)
        )  # rounded as this version of Keras does it
        losses = factor * ops.sum(power(value), axis=tuple(range(1, len(value.shape))))
    return ops.pad(losses, [(block.start, slots - block.stop)])


def _runs_by_group(layer: Any) -> bool:
    """Whether its activation may be one of a group's.

    The parameters, if trained, belong to the last axis.
    """
    activation = getattr(layer, "activation", None)
    if not isinstance(activation, keras.layers.Layer):
        return True
    return (
        isinstance(activation, TrainedActivation)
        and as_written(activation)
        and last_axis(activation)
    )
