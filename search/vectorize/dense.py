"""Rules for layers with weights: dense layers, embeddings, trained activations."""

from __future__ import annotations

import math
import string
from typing import Any

from keras import layers, ops

from keras_acts.layers import ELU, LeakyReLU, PReLU, TReLU
from keras_acts.lowering import is_compiled

from ..runtime.device import gpus, lacks_onednn
from .activations import last_axis, with_variables
from .batch import FOLDED, SHARED, STACKED, Batch, broadcast_parameters, with_free_axis
from .registry import RuleCall, vectorizes

Tensor = Any

# Without oneDNN, TensorFlow's batched product of 32 matrices, 128 x 64 x 64, takes 0.8 to 1.1 ms,
# 32 products of two 0.4 to 0.5. Small ones are not worth their place in the graph, and more of them
# take longer to trace than they save.
_LEAST_SINGLE, _MOST_SINGLE = 1024, 64


def plain(layer: Any) -> bool:
    """Return whether the layer computes with its own kernel: not quantized, no LoRA."""
    return (
        not getattr(layer, "lora_enabled", False)
        and getattr(layer, "quantization_mode", None) is None
    )


@vectorizes(layers.Dense, accepts=plain)
def dense(call: RuleCall, x: Batch) -> Batch:
    """A batched matrix product; the first layer's one shared batch is not copied."""
    return call.activate(projected(x, call.weights["kernel"], call.weights.get("bias")))


def projected(x: Batch, kernel: Tensor, bias: Tensor | None) -> Batch:
    """Return the products of the last axis with kernels (P, C, F), plus biases (P, F)."""
    value = ops.expand_dims(x.value, 0) if x.layout == SHARED else x.stacked()
    flat = value if x.rank == 2 else ops.reshape(value, (value.shape[0], -1, value.shape[-1]))
    y = _products(flat, kernel)
    if bias is not None:
        y = ops.add(y, ops.expand_dims(bias, 1))
    if x.rank != 2:
        y = ops.reshape(y, (x.slots, *with_free_axis(value, 1)[1:-1], kernel.shape[-1]))
    return Batch(y, STACKED, x.slots)


def _products(x: Tensor, kernels: Tensor) -> Tensor:
    """Return x (P or 1, N, C) times kernels (P, C, F)."""
    slots, *size = kernels.shape
    few = slots <= _MOST_SINGLE and math.prod(size) >= _LEAST_SINGLE
    if not few or not lacks_onednn() or gpus() or is_compiled():
        return ops.matmul(x, kernels)
    parts = [x[0]] * slots if x.shape[0] == 1 else ops.unstack(x, slots)
    return ops.stack(
        [
            ops.matmul(part, kernel)
            for part, kernel in zip(parts, ops.unstack(kernels, slots), strict=True)
        ]
    )


@vectorizes(layers.EinsumDense, accepts=plain)
def einsum_dense(call: RuleCall, x: Batch) -> Batch:
    """The layer's equation with an index more, that of the slots."""
    given, rest = call.layer.equation.split(",")
    kernel, made = rest.split("->")
    slot = next(letter for letter in string.ascii_letters if letter not in call.layer.equation)
    first, value = ("", x.value) if x.layout == SHARED else (slot, x.stacked())
    y = ops.einsum(f"{first}{given},{slot}{kernel}->{slot}{made}", value, call.weights["kernel"])
    y = Batch(y, STACKED, x.slots)
    if "bias" in call.weights:
        y = y.mapped(lambda value: ops.add(value, broadcast_parameters(call.weights["bias"], y)))
    return call.activate(y)


@vectorizes(layers.Embedding, accepts=plain)
def embedding(call: RuleCall, x: Batch) -> Batch:
    """All slots' vectors of one token lie side by side: the shared tokens are looked up once."""
    vectors = call.weights["embeddings"]
    slots, tokens, size = vectors.shape
    indices = ops.cast(x.value, "int32")
    if x.layout == SHARED:
        together = ops.reshape(ops.transpose(vectors, (1, 0, 2)), (tokens, slots * size))
        return Batch(ops.take(together, indices, axis=0), FOLDED, slots)
    indices = ops.cast(x.stacked(), "int32")
    first = ops.reshape(
        ops.arange(slots, dtype="int32") * tokens, (slots, *(1,) * (len(indices.shape) - 1))
    )
    return Batch(
        ops.take(ops.reshape(vectors, (slots * tokens, size)), indices + first, axis=0),
        STACKED,
        slots,
    )


@vectorizes(ELU, LeakyReLU, PReLU, TReLU, accepts=last_axis)
def trained_activation(call: RuleCall, x: Batch) -> Batch:
    """An activation whose parameters, one a channel or one a slot, are data."""
    return with_variables(call.layer, call.weights, x)


@vectorizes(layers.PReLU)
def prelu(call: RuleCall, x: Batch) -> Batch:
    """Keras' own, with an alpha for each value of a sample, or for some axes."""
    x = x if x.layout == FOLDED else Batch(x.stacked(), STACKED, x.slots)
    alpha = broadcast_parameters(call.weights["alpha"], x)
    return x.mapped(lambda value: ops.relu(value) - alpha * ops.relu(-value))
