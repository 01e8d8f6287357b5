"""A layer of a population that no rule covers: member after member, in the same program.

Always right, just not faster.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_acts.compat import attach_logits, attach_mask, logits_of, mask_of, recomputes

from ..rewrite.walk import variables_of
from ..runtime.tracing import functions_as_written
from ..vectorize.batch import SHARED, STACKED, Batch
from .batch_view import ForwardPass
from .block import LayerPlan
from .tables import read_each

Tensor = Any
Structure = Any  # of tensors or batches, as Keras nests them


def run_one_by_one(
    plan: LayerPlan, forward: ForwardPass, training: bool, inputs: Structure, options: Structure
) -> Structure:
    """Return what a layer or operation makes of its arguments, each tensor a `Batch`.

    See `StackedLayer.run`.
    """
    arguments = _Arguments(inputs, options, plan.size)
    if not isinstance(plan.layer, keras.layers.Layer):
        return _run_operation(plan, arguments)
    weights = _weights_of_members(plan)
    regularized = forward.is_to_regularize(plan.path)
    runs = []
    for member in range(plan.size):
        args, kwargs = arguments.of(member)
        run = run_member(
            plan, member, weights[member], training, args, kwargs, regularized=regularized
        )
        runs.append(run)
    arguments.take_masks_off()
    forward.assigned.extend(_assign_states(plan, runs))
    if any(run.losses for run in runs):
        forward.losses.append(ops.stack([_total(run.losses) for run in runs]))
    return _stacked([run.outputs for run in runs])


class _Arguments:
    """What each member's layer is called with."""

    def __init__(self, inputs: Structure, options: Structure, count: int):
        self._structure = (inputs, options)
        self.flat = keras.tree.flatten(self._structure)
        self._of_members = []
        for x in self.flat:
            if isinstance(x, Batch):
                self._of_members.append(_masked(x))
            else:
                self._of_members.append([x] * count)

    def take_masks_off(self) -> None:
        """Take the masks that the layer took off what it saw off the batches."""
        for x, values in zip(self.flat, self._of_members, strict=True):
            if isinstance(x, Batch) and x.mask is not None and mask_of(values[0]) is None:
                x.mask = None

    def of(self, member: int) -> tuple[Structure, Structure]:
        """Return the arguments and keyword arguments of one member."""
        flat = [values[member] for values in self._of_members]
        return keras.tree.pack_sequence_as(self._structure, flat)


def _masked(x: Batch) -> list[Tensor]:
    """What each member sees, with its mask attached as Keras does."""
    values = x.per_member()
    if x.mask is None:
        return values
    copies = []
    for value, mask in zip(values, x.mask.per_member(), strict=True):
        copy = ops.copy(value)  # the value may be seen elsewhere without a mask
        attach_mask(copy, mask)
        copies.append(copy)
    return copies


def _run_operation(plan: LayerPlan, arguments: _Arguments) -> Structure:
    """What an operation makes, which is a pure function."""
    batches = [x for x in arguments.flat if isinstance(x, Batch)]
    if all(batch.layout == SHARED for batch in batches):  # then so is what it makes
        args, kwargs = arguments.of(0)
        outputs = plan.layer(*args, **kwargs)
        return keras.tree.map_structure(lambda y: Batch(y, SHARED, plan.size), outputs)
    outputs_of_members = []
    for member in range(plan.size):
        args, kwargs = arguments.of(member)
        outputs_of_members.append(plan.layer(*args, **kwargs))
    return _stacked(outputs_of_members)


def _stacked(outputs_of_members: Sequence[Structure]) -> Structure:
    count = len(outputs_of_members)

    def stack(*ys: Tensor) -> Batch:
        y = ops.stack(ys)
        logits = [logits_of(one) for one in ys]
        if logits[0] is not None:  # what a softmax leaves for the loss
            attach_logits(y, ops.stack(logits))
        return Batch(y, STACKED, count)

    return keras.tree.map_structure(stack, *outputs_of_members)


def _weights_of_members(plan: LayerPlan) -> list[dict[str, Tensor]]:
    """Each member's values of the layer's variables, by key."""
    weights: list[dict[str, Tensor]] = [{} for _ in range(plan.size)]
    for block in plan.blocks:
        if block.is_table and block.variable.trainable:
            values = read_each(block)
        else:
            # not slices: their gradients would each be as large as all members'
            stacked = block.by_member(ops.convert_to_tensor(block.variable))
            values = ops.unstack(stacked, block.size)
        for member, value in enumerate(values, block.start):
            weights[member][block.key] = value
    return weights


def _assign_states(plan: LayerPlan, runs: Sequence[MemberRun]) -> list[keras.Variable]:
    """Give the stacked variables what the members' layers assigned to theirs; return the trained ones."""
    trained = []
    for block in plan.blocks:
        runs_of_block = runs[block.start : block.stop]
        states = [run.states[block.key] for run in runs_of_block if block.key in run.states]
        if not states:
            continue
        block.assign(ops.stack(states))
        if block.variable.trainable:
            trained.append(block.variable)
    return trained


def _total(losses: Sequence[Tensor]) -> Tensor:
    total = ops.zeros(())
    for loss in losses:
        total = total + ops.cast(ops.sum(loss), total.dtype)
    return total


def with_training(
    layer: keras.layers.Layer, kwargs: dict[str, Any], training: bool
) -> dict[str, Any]:
    """Return the keyword arguments of a call, with `training` where the layer takes it."""
    if "training" in inspect.signature(layer.call).parameters:
        return {**kwargs, "training": training}
    return kwargs


class _Assigned(keras.StatelessScope):
    """A scope in which variables that a layer assigns read as TensorFlow's do.

    As they are, not as what made them.

    There a gradient ends where a variable is assigned, and begins anew where it is read again: that
    of a trained variable counts for it whether it was read before or after. Keras' own scope hands
    on the tensor that was assigned, as its JAX backend does, and gradients flow through it.
    """

    def __init__(
        self,
        mapping: list[tuple[keras.Variable, Tensor]],
        trained: Sequence[keras.Variable],
    ):
        super().__init__(state_mapping=mapping, collect_losses=True)
        self._trained = {id(variable) for variable in trained}
        self.assigned: set[int] = set()

    def add_update(self, update: tuple[keras.Variable, Tensor]) -> None:
        """Set what a variable reads as from now on."""
        variable, value = update
        self.assigned.add(id(variable))
        if keras.backend.backend() != "tensorflow":
            super().add_update(update)
            return
        value = ops.stop_gradient(value)
        if id(variable) in self._trained:
            read = self.get_current_value(variable)
            value = value + (read - ops.stop_gradient(read))  # 0, with derivative 1
        super().add_update((variable, value))


class MemberRun(NamedTuple):
    """What the call of one member's layer gave.

    Attributes:
        outputs: as the layer returns them.
        states: by key, the new values of its variables; of the trained ones, those that it assigns.
        losses: that it added.
        assigned: whether it gave any variable a new value.
    """

    outputs: Structure
    states: dict[str, Tensor]
    losses: list[Tensor]
    assigned: bool


def run_member(
    plan: LayerPlan,
    member: int,
    weights: dict[str, Tensor],
    training: bool,
    args: Any,
    kwargs: dict[str, Any],
    *,
    regularized: bool = True,
) -> MemberRun:
    """Return what the layer of one member makes of its arguments, with weights by key.

    Without what regularizers add for its weights, if so asked.
    """
    layer = plan.layer
    if plan.segments:
        layer = plan.blueprint.layer(plan.candidates[member], plan.path)
    kwargs = with_training(layer, kwargs, training)
    keys = {id(variable): key for key, variable in variables_of(layer).items()}
    trained = [weights[keys[id(variable)]] for variable in layer.trainable_variables]
    others = [weights[keys[id(variable)]] for variable in layer.non_trainable_variables]
    with functions_as_written(), contextlib.ExitStack() as stack:
        if not regularized:
            stack.enter_context(_without_regularizers(layer))
        return _run_with(layer, keys, [*trained, *others], args, kwargs)


@contextlib.contextmanager
def _without_regularizers(layer: keras.layers.Layer) -> Iterator[None]:
    """Have the weights of a layer of ours not regularized inside the scope."""
    before = [(variable, variable.regularizer) for variable in layer.trainable_variables]
    try:
        for variable, _ in before:
            variable.regularizer = None
        yield
    finally:
        for variable, regularizer in before:
            variable.regularizer = regularizer


def _run_with(
    layer: keras.layers.Layer,
    keys: dict[int, str],
    values: list[Tensor],
    args: Any,
    kwargs: dict[str, Any],
) -> MemberRun:
    """Run a layer with other values of its variables, those of the trained ones first."""
    tensors = [x for x in keras.tree.flatten((args, kwargs)) if x is not None]
    is_mixed = layer.compute_dtype != layer.variable_dtype
    has_masks = any(mask_of(x) is not None for x in tensors)
    if is_mixed or has_masks or layer.activity_regularizer is not None:
        # Keras casts weights, regularizes activities and hands on masks around `call`
        return _run_in_scope(layer, keys, values, args, kwargs, layer)
    if keras.backend.backend() == "tensorflow" and _runs_as_written(layer):
        return _run_in_scope(layer, keys, values, args, kwargs, layer.call)
    count = len(layer.trainable_variables)
    trained = values[:count]
    others = values[count:]
    outputs, new_values, losses = layer.stateless_call(
        trained, others, *args, return_losses=True, **kwargs
    )
    states = {}
    for variable, value in zip(layer.non_trainable_variables, new_values, strict=True):
        states[keys[id(variable)]] = value
    assigned = any(new is not old for new, old in zip(new_values, others, strict=True))
    return MemberRun(outputs, states, losses, assigned)


def _run_in_scope(
    layer: keras.layers.Layer,
    keys: dict[int, str],
    values: list[Tensor],
    args: Any,
    kwargs: dict[str, Any],
    call: Callable[..., Structure],
) -> MemberRun:
    variables = [*layer.trainable_variables, *layer.non_trainable_variables]
    mapping = list(zip(variables, values, strict=True))
    with _Assigned(mapping, layer.trainable_variables) as scope:
        outputs = call(*args, **kwargs)
        losses = layer.losses
    changed = {id(variable) for variable in layer.non_trainable_variables} | scope.assigned
    states = {}
    for variable in variables:
        if id(variable) in changed:
            value = scope.get_current_value(variable)
            states[keys[id(variable)]] = ops.stop_gradient(value)
    return MemberRun(outputs, states, losses, bool(scope.assigned))


def _runs_as_written(layer: keras.layers.Layer) -> bool:
    """Whether Keras calls nothing but the layer's `call`.

    It is not quantized, nothing is computed twice.
    """
    return layer.dtype_policy.quantization_mode is None and not recomputes(layer)
