"""A layer of a population that no rule covers: slot after slot, in the same program.

Always right, just not faster.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_acts.compat import recomputes

from ..rewrite.walk import variables_of
from ..vectorize.batch import SEEDED, SHARED, STACKED, Batch, with_free_axis
from .block import LayerPlan

Tensor = Any


def run_one_by_one(
    plan: LayerPlan, training: bool, losses: list[Tensor], inputs: Any, options: Any
) -> Any:
    """Return what a layer or operation makes of its arguments, each tensor a `Batch`.

    See `StackedLayer.run`.
    """
    slots = len(plan.candidates)

    given = keras.tree.flatten((inputs, options))
    apart = [x.per_member() if isinstance(x, Batch) else [x] * slots for x in given]

    def arguments(i: int) -> tuple[Any, Any]:
        return keras.tree.pack_sequence_as((inputs, options), [values[i] for values in apart])

    if not isinstance(plan.layer, keras.layers.Layer):  # an operation: a pure function
        shared = all(x.layout == SHARED for x in given if isinstance(x, Batch))
        made = [
            plan.layer(*args, **kwargs)
            for args, kwargs in map(arguments, range(1 if shared else slots))
        ]
        if shared:
            return keras.tree.map_structure(lambda y: Batch(y, SHARED, slots), made[0])
        return keras.tree.map_structure(lambda *ys: Batch(ops.stack(ys), STACKED, slots), *made)

    weights: list[dict[str, Tensor]] = [{} for _ in range(slots)]
    for block in plan.blocks:
        values = ops.unstack(ops.convert_to_tensor(block.variable), block.stop - block.start)
        for i, value in enumerate(values, block.start):
            weights[i][block.key] = value
    runs = [_run(plan, i, weights[i], training, *arguments(i)) for i in range(slots)]
    plan.assigned.clear()
    for block in plan.blocks:
        states = [
            state[block.key] for _, state, _ in runs[block.start : block.stop] if block.key in state
        ]
        if states:
            block.variable.assign(ops.stack(states))
            if block.variable.trainable:
                plan.assigned.append(block.variable)
    if any(added for _, _, added in runs):
        losses.append(
            ops.stack(
                [sum((ops.sum(loss) for loss in added), ops.zeros(())) for _, _, added in runs]
            )
        )
    return keras.tree.map_structure(
        lambda *ys: Batch(ops.stack(ys), STACKED, slots), *(y for y, _, _ in runs)
    )


def run_shared(plan: LayerPlan, training: bool, inputs: Any, options: Any) -> Any:
    """Return what a layer or operation makes for all slots of its arguments, each tensor a shared or seeded `Batch`."""
    slots = len(plan.candidates)
    places = next(
        (
            x.seed_rows
            for x in keras.tree.flatten((inputs, options))
            if isinstance(x, Batch) and x.seed_rows
        ),
        (),
    )

    def made(value: Callable[[Tensor], Tensor]) -> Any:
        args, kwargs = keras.tree.map_structure(
            lambda x: value(x.value) if isinstance(x, Batch) else x, (inputs, options)
        )
        if (
            isinstance(plan.layer, keras.layers.Layer)
            and "training" in inspect.signature(plan.layer.call).parameters
        ):
            kwargs = {**kwargs, "training": training}
        return plan.layer(*args, **kwargs)

    if not places:
        return keras.tree.map_structure(lambda y: Batch(y, SHARED, slots), made(lambda x: x))
    seeds = max(places) + 1
    if plan.rule is not None:  # then it acts on each sample alone
        y = made(lambda x: ops.reshape(x, with_free_axis(x, 1)[1:]))
        apart = keras.tree.map_structure(
            lambda t: ops.reshape(t, (seeds, *with_free_axis(t, 0))), y
        )
    else:
        apart = keras.tree.map_structure(
            lambda *ts: ops.stack(ts), *(made(_picks(s)) for s in range(seeds))
        )
    return keras.tree.map_structure(lambda y: Batch(y, SEEDED, slots, places), apart)


def _picks(index: int) -> Callable[[Tensor], Tensor]:
    return lambda x: x[index]


class _Assigned(keras.StatelessScope):
    """A scope in which variables that a layer assigns read as TensorFlow's do.

    As they are, not as what made them.

    There a gradient ends where a variable is assigned, and begins anew where it is read again: that
    of a trained variable counts for it whether it was read before or after. Keras' own scope hands
    on the tensor that was assigned, as its JAX backend does, and gradients flow through it.
    """

    def __init__(self, mapping: list[tuple[Any, Tensor]], trained: list[Any]):
        super().__init__(state_mapping=mapping, collect_losses=True)
        self._trained = {id(variable) for variable in trained}
        self.assigned: set[int] = set()

    def add_update(self, update: tuple[Any, Tensor]) -> None:
        """Set what a variable reads as from now on."""
        variable, value = update
        self.assigned.add(id(variable))
        value = ops.stop_gradient(value)
        if id(variable) in self._trained:
            read = self.get_current_value(variable)
            value = value + (read - ops.stop_gradient(read))  # 0, with derivative 1
        super().add_update((variable, value))


def _run(
    plan: LayerPlan, i: int, own: dict[str, Tensor], training: bool, args: Any, kwargs: Any
) -> tuple[Any, dict[str, Tensor], list[Tensor]]:
    """One slot's output, the new values of its variables, of the trained ones that it assigns, and added losses."""
    layer = plan.blueprint.layer(plan.candidates[i], plan.path) if plan.groups else plan.layer
    if "training" in inspect.signature(layer.call).parameters:
        kwargs = {**kwargs, "training": training}
    keys = {id(variable): key for key, variable in variables_of(layer).items()}
    trained, others = (
        [own[keys[id(v)]] for v in kind]
        for kind in (layer.trainable_variables, layer.non_trainable_variables)
    )
    if keras.backend.backend() == "tensorflow" and _runs_as_written(layer):
        variables = [*layer.trainable_variables, *layer.non_trainable_variables]
        mapping = list(zip(variables, [*trained, *others], strict=True))
        with _Assigned(mapping, layer.trainable_variables) as scope:
            y = layer.call(*args, **kwargs)
            added = layer.losses
        kept = {id(v) for v in layer.non_trainable_variables} | scope.assigned
        changed = {
            keys[id(v)]: ops.stop_gradient(scope.get_current_value(v))
            for v in variables
            if id(v) in kept
        }
        return y, changed, added
    y, state, added = layer.stateless_call(trained, others, *args, return_losses=True, **kwargs)
    changed = {
        keys[id(v)]: new for v, new in zip(layer.non_trainable_variables, state, strict=True)
    }
    return y, changed, added


def _runs_as_written(layer: Any) -> bool:
    """Whether Keras calls nothing but the layer's `call`.

    It is not quantized, nothing is computed twice.
    """
    return layer.dtype_policy.quantization_mode is None and not recomputes(layer)
