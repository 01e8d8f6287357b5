"""Rules for recurrent layers.

The inputs of all steps are projected at once, then one loop over time runs all slots.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from keras_acts.compat import rnn

from .activations import apply_to_all
from .batch import SHARED, STACKED, Batch
from .dense import projected
from .registry import RuleCall, rule_for, vectorizes

Tensor = Any


def _covered(layer: Any) -> bool:
    cell = layer.cell
    gate = getattr(cell, "recurrent_activation", None)
    drops = cell.dropout == 1 or cell.recurrent_dropout
    return not layer.stateful and not drops and not isinstance(gate, keras.layers.Layer)


@vectorizes(layers.LSTM, layers.GRU, layers.SimpleRNN, accepts=_covered, xla=False)
def recurrent(call: RuleCall, sequences: Batch, initial_state: Any = None) -> Any:
    """One batched matrix product for the inputs, and one a step for the states."""
    layer = call.layer
    cell = _CELLS[type(layer)]
    inputs = _inputs(call, sequences)

    def step(x: Tensor, states: Any) -> tuple[Tensor, list[Tensor]]:
        new = cell(call, x, *states)
        return new[0], new

    if initial_state is None:
        zeros = ops.zeros((sequences.slots, ops.shape(inputs)[2], layer.units), inputs.dtype)
        start = [zeros] * len(layer.state_size)
    else:
        start = [state.stacked() for state in keras.tree.flatten(initial_state)]
    last, all_steps, states = rnn(
        step,
        inputs,
        start,
        go_backwards=layer.go_backwards,
        unroll=layer.unroll,
        return_all_outputs=layer.return_sequences,
    )
    y = Batch(
        ops.swapaxes(all_steps, 1, 2) if layer.return_sequences else last, STACKED, sequences.slots
    )
    return (y, *map(_stacked, states)) if layer.return_state else y


def _both_covered(layer: Any) -> bool:
    """Trained activations of the two layers are not kept apart from their weights."""
    parts = (layer.forward_layer, layer.backward_layer)
    plain = not any(
        isinstance(getattr(part, "activation", None), keras.layers.Layer) for part in parts
    )
    return plain and not layer.return_state and all(rule_for(part) is recurrent for part in parts)


@vectorizes(layers.Bidirectional, accepts=_both_covered, xla=False)
def bidirectional(call: RuleCall, sequences: Batch) -> Any:
    """The two layers, each by its rule."""
    layer = call.layer
    there, back = (
        recurrent(call.inside(part), sequences)
        for part in (layer.forward_layer, layer.backward_layer)
    )
    if layer.return_sequences:
        back = back.mapped(lambda value: ops.flip(value, axis=2))
    if layer.merge_mode is None:
        return there, back
    merged = {
        "concat": lambda a, b: ops.concatenate([a, b], axis=-1),
        "sum": ops.add,
        "ave": lambda a, b: (a + b) / 2,
        "mul": ops.multiply,
    }
    return there.mapped(lambda value: merged[layer.merge_mode](value, back.value))


def _inputs(call: RuleCall, x: Batch) -> Tensor:
    """What the inputs add at each step, (P, T, B, G*U)."""
    if call.training and call.layer.dropout:  # the same inputs at all steps
        dropped = keras.random.dropout(
            x.stacked(), call.layer.dropout, (None, None, 1, None), seed=call.random
        )
        x = Batch(dropped, STACKED, x.slots)
    shared = x.layout == SHARED
    by_step = ops.swapaxes(x.value, 0, 1) if shared else ops.swapaxes(x.stacked(), 1, 2)
    bias = call.weights.get("bias")
    if bias is not None and len(bias.shape) == 3:  # the second one is for the states
        bias = bias[:, 0]
    return projected(
        Batch(by_step, SHARED if shared else STACKED, x.slots), call.weights["kernel"], bias
    ).value


def _lstm(call: RuleCall, x: Tensor, h: Tensor, c: Tensor) -> list[Tensor]:
    i, f, new, o = ops.split(x + ops.matmul(h, call.weights["recurrent_kernel"]), 4, axis=-1)
    c = _gate(call, f) * c + _gate(call, i) * _activated(call, new)
    return [_gate(call, o) * _activated(call, c), c]


def _gru(call: RuleCall, x: Tensor, h: Tensor) -> list[Tensor]:
    weights, gates = call.weights, 2 * call.layer.units
    after = call.layer.reset_after
    inner = ops.matmul(
        h, weights["recurrent_kernel"] if after else weights["recurrent_kernel"][..., :gates]
    )
    if after and "bias" in weights:
        inner = ops.add(inner, weights["bias"][:, 1:])
    z, r = ops.split(_gate(call, x[..., :gates] + inner[..., :gates]), 2, axis=-1)
    new = (
        r * inner[..., gates:]
        if after
        else ops.matmul(r * h, weights["recurrent_kernel"][..., gates:])
    )
    return [z * h + (1 - z) * _activated(call, x[..., gates:] + new)]


def _simple(call: RuleCall, x: Tensor, h: Tensor) -> list[Tensor]:
    return [_activated(call, x + ops.matmul(h, call.weights["recurrent_kernel"]))]


_CELLS: dict[type, Callable[..., list[Tensor]]] = {
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
