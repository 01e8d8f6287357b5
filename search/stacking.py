"""A layer of a population: the weights of one layer of all slots, and how it runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_acts.layers import TrainedActivation

from . import rules  # noqa: F401  (it registers them)
from .blueprint import OF_ACTIVATION, Blueprint, Weights, variables_of
from .grouped import by_group, everywhere, last_axis, with_variables
from .groups import Assignment
from .layout import SEEDED, STACKED, Batch
from .loop import Block, Plan, once, slot_after_slot
from .members import Choice, Group, in_groups
from .vectorize import Call, rule_for

Tensor = Any


class StackedLayer(keras.layers.Layer):
    """The weights of one layer of all slots. `run` calls it; Keras only tracks its variables.

    Args:
        path: of the layer, in the model.
        blueprint: the ordinary models.
        groups: the groups of slots, in inside order.
        candidates: of each slot, in inside order.
        weights: of each slot, in inside order, the initial weights.
        random: makes the population's own random numbers.
        shared: whether it is part of a frozen prefix, and has no weights of the slots' own.
    """

    def __init__(
        self,
        path: str,
        blueprint: Blueprint,
        groups: tuple[Group, ...],
        candidates: tuple[Choice, ...],
        weights: list[Weights],
        random: keras.random.SeedGenerator,
        shared: bool = False,
    ):
        super().__init__(name=path.replace("/", "_"), autocast=False)
        own = blueprint.slots(path)
        apart = any(isinstance(candidate, Assignment) for candidate in candidates)
        mine = in_groups(candidates, own) if own and apart else groups if own else ()
        made = [blueprint.layer(group.candidate, path) for group in mine]
        first = blueprint.layer(candidates[0], path)
        rule = rule_for(first) if all(map(_runs_by_group, made or (first,))) else None
        self.plan = Plan(path, blueprint, candidates, mine, rule, [], shared)
        self.random = random
        everyone = Group(0, len(candidates), candidates[0], (), {})
        for group in () if shared else mine or (everyone,):
            keys = variables_of(blueprint.layer(group.candidate, path))
            if rule is None or not mine:
                self._stack(group, list(keys), weights)
            else:
                if group is mine[0]:
                    self._stack(everyone, [key for key in keys if not key.startswith(OF_ACTIVATION)], weights)
                self._stack(group, [key for key in keys if key.startswith(OF_ACTIVATION)], weights)
        self.built = True

    def _stack(self, group: Group, keys: list[str], weights: list[Weights]) -> None:
        layer = self.plan.blueprint.layer(group.candidate, self.plan.path)
        trainable = {id(variable) for variable in getattr(layer, "trainable_variables", ())}
        for key in keys:
            reference = variables_of(layer)[key]
            values = np.stack([slot[self.plan.path][key] for slot in weights[group.start : group.stop]])
            variable = self.add_weight(
                name=reference.name,
                shape=values.shape,
                dtype=reference.dtype,
                initializer=partial(_as_they_are, values),
                trainable=id(reference) in trainable,
                autocast=False,
                constraint=reference.constraint and _PerSlot(reference.constraint, group.size),
            )
            self.plan.blocks.append(Block(variable, group.start, key, reference.name, reference.regularizer))

    def run(self, training: bool | None, losses: list[Tensor], inputs: Any, options: dict[str, Any]) -> Any:
        """Return what the layer makes of the inputs, each tensor a `Batch`.

        Args:
            training: whether the model trains; None leaves it to what the layer was called with.
            losses: a list to which the layer appends what it adds to the slots' losses, (P,) each.
            inputs: the layer's arguments.
            options: its keyword arguments.
        """
        plan = self.plan
        inputs, options = keras.tree.map_structure(self._cast, (inputs, options))
        said = options.pop("training", None)
        training = bool(said if training is None else training)  # as in a Functional model
        if plan.shared:
            return once(plan, training, inputs, options)
        inputs, options = keras.tree.map_structure(_of_slots, (inputs, options))
        if plan.rule is None:
            return slot_after_slot(plan, training, losses, inputs, options)
        for block in plan.blocks:
            if block.regularizer is not None and block.variable.trainable:
                losses.append(penalties(block, len(plan.candidates)))
        own = [block for block in plan.blocks if not block.key.startswith(OF_ACTIVATION)]
        call = Call(
            layer=plan.layer,
            weights={block.name: ops.convert_to_tensor(block.variable) for block in own},
            activate=self._activate,
            assign=lambda name, value: next(b.variable for b in own if b.name == name).assign(value),
            training=training,
            random=self.random,
        )
        options.pop("mask", None)  # None: models that make masks are refused
        return plan.rule(call, *inputs, **options)

    def _cast(self, x: Any) -> Any:
        dtype = getattr(self.plan.layer, "compute_dtype", None)
        if not isinstance(x, Batch) or dtype is None or not self.plan.layer.autocast:
            return x
        given = keras.backend.standardize_dtype(x.value.dtype)
        return x.mapped(lambda v: ops.cast(v, dtype)) if "float" in given and given != dtype else x

    def _activate(self, x: Batch) -> Batch:
        plan = self.plan
        starts = [group.start for group in plan.groups] or [0]
        variables: list[dict[str, Any]] = [{} for _ in starts]
        for block in plan.blocks:
            if block.key.startswith(OF_ACTIVATION):
                variables[starts.index(block.start)][block.name] = ops.convert_to_tensor(block.variable)
        if plan.groups:
            return by_group(plan.groups, variables, x)
        activation = plan.layer.activation
        return with_variables(activation, variables[0], x) if variables[0] else everywhere(activation, x)


def _of_slots(x: Any) -> Any:
    """What the slots of one seed share, once for each: only a frozen prefix takes it as it is."""
    return Batch(x.stacked(), STACKED, x.slots) if isinstance(x, Batch) and x.layout == SEEDED else x


def _as_they_are(values: np.ndarray, shape: Any, dtype: Any = None) -> Tensor:
    return ops.convert_to_tensor(values, dtype=dtype)


class _PerSlot(keras.constraints.Constraint):
    """A constraint of one slot's variable, for the stacked one."""

    def __init__(self, constraint: Callable[[Tensor], Tensor], slots: int):
        self.constraint, self.slots = constraint, slots

    def __call__(self, value: Tensor) -> Tensor:
        return ops.stack([self.constraint(value[i]) for i in range(self.slots)])


def penalties(block: Block, slots: int) -> Tensor:
    """Return what the regularizer adds to the loss of each slot, (P,)."""
    value, regularizer = ops.convert_to_tensor(block.variable), block.regularizer
    power = {keras.regularizers.L1: ops.abs, keras.regularizers.L2: ops.square}.get(type(regularizer))
    if power is None:
        losses = ops.stack([regularizer(value[i]) for i in range(block.stop - block.start)])
    else:
        factor = regularizer(ops.ones((1,), value.dtype))  # rounded as this version of Keras does it
        losses = factor * ops.sum(power(value), axis=tuple(range(1, len(value.shape))))
    return ops.pad(losses, [(block.start, slots - block.stop)])


def _runs_by_group(layer: Any) -> bool:
    """Whether its activation may be one of a group's: the parameters, if trained, belong to the last axis."""
    activation = getattr(layer, "activation", None)
    if not isinstance(activation, keras.layers.Layer):
        return True
    return isinstance(activation, TrainedActivation) and last_axis(activation)
