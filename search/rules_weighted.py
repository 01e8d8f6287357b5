"""Rules for layers with weights: dense layers, embeddings, trained activations."""

from __future__ import annotations

import string
from typing import Any

from keras import layers, ops

from keras_acts.layers import ELU, LeakyReLU, PReLU, TReLU

from .grouped import last_axis, with_variables
from .layout import FOLDED, SHARED, STACKED, Batch, beside
from .vectorize import Call, vectorizes

Tensor = Any


def plain(layer: Any) -> bool:
    """Return whether the layer computes with its own kernel: not quantized, no LoRA."""
    return not getattr(layer, "lora_enabled", False) and getattr(layer, "quantization_mode", None) is None


@vectorizes(layers.Dense, accepts=plain)
def dense(call: Call, x: Batch) -> Batch:
    """A batched matrix product; the first layer's one shared batch is not copied."""
    return call.activate(projected(x, call.weights["kernel"], call.weights.get("bias")))


def projected(x: Batch, kernel: Tensor, bias: Tensor | None) -> Batch:
    """Return the products of the last axis with kernels (P, C, F), plus biases (P, F)."""
    value = ops.expand_dims(x.value, 0) if x.layout == SHARED else x.stacked()
    sizes = ops.shape(value)
    flat = value if len(sizes) == 3 else ops.reshape(value, (sizes[0], -1, sizes[-1]))
    y = ops.matmul(flat, kernel)
    if bias is not None:
        y = ops.add(y, ops.expand_dims(bias, 1))
    if len(sizes) != 3:
        y = ops.reshape(y, (x.slots, *sizes[1:-1], kernel.shape[-1]))
    return Batch(y, STACKED, x.slots)


@vectorizes(layers.EinsumDense, accepts=plain)
def einsum_dense(call: Call, x: Batch) -> Batch:
    """The layer's equation with an index more, that of the slots."""
    given, rest = call.layer.equation.split(",")
    kernel, made = rest.split("->")
    slot = next(letter for letter in string.ascii_letters if letter not in call.layer.equation)
    first, value = ("", x.value) if x.layout == SHARED else (slot, x.stacked())
    y = ops.einsum(f"{first}{given},{slot}{kernel}->{slot}{made}", value, call.weights["kernel"])
    y = Batch(y, STACKED, x.slots)
    if "bias" in call.weights:
        y = y.mapped(lambda value: ops.add(value, beside(call.weights["bias"], y)))
    return call.activate(y)


@vectorizes(layers.Embedding, accepts=plain)
def embedding(call: Call, x: Batch) -> Batch:
    """All slots' vectors of one token lie side by side: the shared tokens are looked up once."""
    vectors = call.weights["embeddings"]
    slots, tokens, size = vectors.shape
    indices = ops.cast(x.value, "int32")
    if x.layout == SHARED:
        together = ops.reshape(ops.transpose(vectors, (1, 0, 2)), (tokens, slots * size))
        return Batch(ops.take(together, indices, axis=0), FOLDED, slots)
    indices = ops.cast(x.stacked(), "int32")
    first = ops.reshape(ops.arange(slots, dtype="int32") * tokens, (slots, *(1,) * (len(indices.shape) - 1)))
    return Batch(ops.take(ops.reshape(vectors, (slots * tokens, size)), indices + first, axis=0), STACKED, slots)


@vectorizes(ELU, LeakyReLU, PReLU, TReLU, accepts=last_axis)
def trained_activation(call: Call, x: Batch) -> Batch:
    """An activation whose parameters, one a channel or one a slot, are data."""
    return with_variables(call.layer, call.weights, x)


@vectorizes(layers.PReLU)
def prelu(call: Call, x: Batch) -> Batch:
    """Keras' own, with an alpha for each value of a sample, or for some axes."""
    x = x if x.layout == FOLDED else Batch(x.stacked(), STACKED, x.slots)
    alpha = beside(call.weights["alpha"], x)
    return x.mapped(lambda value: ops.relu(value) - alpha * ops.relu(-value))
