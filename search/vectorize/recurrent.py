"""Rules for recurrent layers.

The inputs of all steps are projected at once, then one loop over time runs all members.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import keras
from keras import layers, ops

from keras_acts.compat import rnn

from .activations import apply_to_all
from .batch import SHARED, STACKED, Batch, Tensor, plus
from .dense import projected
from .registry import RuleCall, rule_for, vectorizes

# one step of all members: the new states of the projected inputs and the old ones, the output first
_Cell: TypeAlias = Callable[..., list[Tensor]]
# a step of Keras' loop over time: of inputs and states, the output and the new states
_Step: TypeAlias = Callable[[Tensor, list[Tensor]], tuple[Tensor, list[Tensor]]]
# what a layer returns: one batch, or several
_Outputs: TypeAlias = Batch | tuple[Batch, ...]


def _covered(layer: keras.layers.Layer) -> bool:
    cell = layer.cell
    if layer.stateful or cell.dropout == 1 or cell.recurrent_dropout:
        return False
    gate = getattr(cell, "recurrent_activation", None)
    return not isinstance(gate, keras.layers.Layer)


@vectorizes(layers.LSTM, layers.GRU, layers.SimpleRNN, accepts=_covered, xla=False)
def recurrent(
    call: RuleCall, sequences: Batch, initial_state: Any = None, mask: Batch | None = None
) -> _Outputs:
    """One batched matrix product for the inputs, and one a step for the states."""
    layer = call.layer
    inputs = _projected_inputs(call, sequences)
    step = _step(call)
    if initial_state is None:
        samples = ops.shape(inputs)[2]
        zeros = ops.zeros((sequences.members, samples, layer.units), inputs.dtype)
        start = [zeros] * len(layer.state_size)
    else:
        start = [state.stacked() for state in keras.tree.flatten(initial_state)]
    if mask is not None:
        step = _masked_step(step, zeros_where_masked=layer.zero_output_for_mask)
        # one tensor: Keras' loop takes several only where it knows how many steps there are
        inputs = ops.concatenate([inputs, ops.cast(_counts(mask), inputs.dtype)], axis=-1)
        start = [*start, ops.zeros_like(start[0])]
    output, all_steps, states = rnn(
        step,
        inputs,
        start,
        go_backwards=layer.go_backwards,
        unroll=layer.unroll,
        return_all_outputs=layer.return_sequences,
    )
    if layer.return_sequences:
        output = ops.swapaxes(all_steps, 1, 2)
    y = Batch(output, STACKED, sequences.members)
    if layer.return_state:
        return (y, *map(_stacked, states[: len(layer.state_size)]))
    return y


def _step(call: RuleCall) -> _Step:
    cell = _CELLS[type(call.layer)]

    def step(x: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        new = cell(call, x, *states)
        return new[0], new

    return step


def _counts(mask: Batch) -> Tensor:
    """Which steps count, (P, T, B, 1)."""
    return ops.expand_dims(ops.swapaxes(mask.stacked(), 1, 2), -1)


def _masked_step(step: _Step, zeros_where_masked: bool) -> _Step:
    """A step that leaves the states as they are where it is masked, and repeats the last output.

    The last state is that output; the last value of the inputs tells whether the step counts.
    """

    def masked(x: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        counts = x[..., -1:] > 0
        *old, last = states
        output, new = step(x[..., :-1], old)
        if zeros_where_masked:
            last = ops.zeros_like(last)
        output = ops.where(counts, output, last)
        kept = [ops.where(counts, a, b) for a, b in zip(new, old, strict=True)]
        return output, [*kept, output]

    return masked


def _both_covered(layer: keras.layers.Layer) -> bool:
    if layer.return_state:
        return False
    for part in (layer.forward_layer, layer.backward_layer):
        # trained activations of the two layers are not kept apart from their weights
        if isinstance(getattr(part, "activation", None), keras.layers.Layer):
            return False
        if rule_for(part) is not recurrent:
            return False
    return True


@vectorizes(layers.Bidirectional, accepts=_both_covered, xla=False)
def bidirectional(call: RuleCall, sequences: Batch, mask: Batch | None = None) -> _Outputs:
    """The two layers, each by its rule."""
    layer = call.layer
    forward = recurrent(call.inside(layer.forward_layer), sequences, mask=mask)
    backward = recurrent(call.inside(layer.backward_layer), sequences, mask=mask)
    if layer.return_sequences:
        backward = backward.map(lambda value: ops.flip(value, axis=2))
    if layer.merge_mode is None:
        return forward, backward
    merge = _MERGES[layer.merge_mode]
    return forward.map(lambda value: merge(value, backward.value))


_MERGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "concat": lambda forward, backward: ops.concatenate([forward, backward], axis=-1),
    "sum": plus,
    "ave": lambda forward, backward: (forward + backward) / 2,
    "mul": ops.multiply,
}


def _projected_inputs(call: RuleCall, x: Batch) -> Tensor:
    """What the inputs add at each step, (P, T, B, G*U)."""
    if call.training and call.layer.dropout:  # the same inputs at all steps
        shape = (None, None, 1, None)
        dropped = keras.random.dropout(x.stacked(), call.layer.dropout, shape, seed=call.random)
        x = Batch(dropped, STACKED, x.members)
    if x.layout == SHARED:
        by_step = Batch(ops.swapaxes(x.value, 0, 1), SHARED, x.members)
    else:
        by_step = Batch(ops.swapaxes(x.stacked(), 1, 2), STACKED, x.members)
    bias = call.weights.get("bias")
    if bias is not None and len(bias.shape) == 3:  # the second one is for the states
        bias = bias[:, 0]
    return projected(by_step, call.weights["kernel"], bias).value


# The cells below are Keras' own formulas. In them x holds what the inputs add for each gate, side
# by side, h is the output of the step before and c LSTM's other state; the gates have Keras'
# letters.


def _lstm(call: RuleCall, x: Tensor, h: Tensor, c: Tensor) -> list[Tensor]:
    i, f, new, o = ops.split(x + ops.matmul(h, call.weights["recurrent_kernel"]), 4, axis=-1)
    c = _gate(call, f) * c + _gate(call, i) * _activated(call, new)
    return [_gate(call, o) * _activated(call, c), c]


def _gru(call: RuleCall, x: Tensor, h: Tensor) -> list[Tensor]:
    kernel = call.weights["recurrent_kernel"]
    gates = 2 * call.layer.units  # z and r lie before the new values
    if call.layer.reset_after:
        inner = ops.matmul(h, kernel)
        if "bias" in call.weights:
            inner = plus(inner, call.weights["bias"][:, 1:])
    else:
        inner = ops.matmul(h, kernel[..., :gates])
    z, r = ops.split(_gate(call, x[..., :gates] + inner[..., :gates]), 2, axis=-1)
    if call.layer.reset_after:
        of_state = r * inner[..., gates:]
    else:
        of_state = ops.matmul(r * h, kernel[..., gates:])
    return [z * h + (1 - z) * _activated(call, x[..., gates:] + of_state)]


def _simple(call: RuleCall, x: Tensor, h: Tensor) -> list[Tensor]:
    return [_activated(call, x + ops.matmul(h, call.weights["recurrent_kernel"]))]


_CELLS: dict[type, _Cell] = {
    layers.LSTM: _lstm,
    layers.GRU: _gru,
    layers.SimpleRNN: _simple,
}


def _gate(call: RuleCall, x: Tensor) -> Tensor:
    return apply_to_all(call.layer.recurrent_activation, _stacked(x)).value


def _activated(call: RuleCall, x: Tensor) -> Tensor:
    return call.activate(_stacked(x)).value


def _stacked(x: Tensor) -> Batch:
    return Batch(x, STACKED, x.shape[0])
