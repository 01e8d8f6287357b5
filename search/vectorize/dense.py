"""Rules for layers with weights: dense layers, embeddings, trained activations."""

from __future__ import annotations

import math
import string

import keras
from keras import layers, ops

from keras_acts.layers import ELU, LeakyReLU, PReLU, TReLU
from keras_acts.target import is_compiled

from ..runtime import choices
from .activations import last_axis, with_variables
from .batch import SHARED, STACKED, Batch, Tensor, broadcast_parameters, plus, with_free_axis
from .registry import RuleCall, vectorizes


def plain(layer: keras.layers.Layer) -> bool:
    """Return whether the layer computes with its own kernel: not quantized, no LoRA."""
    if getattr(layer, "lora_enabled", False):
        return False
    return getattr(layer, "quantization_mode", None) is None


@vectorizes(layers.Dense, accepts=plain)
def dense(call: RuleCall, x: Batch) -> Batch:
    """A batched matrix product; the first layer's one shared batch is not copied."""
    return call.activate(projected(x, call.weights["kernel"], call.weights.get("bias")))


def projected(x: Batch, kernel: Tensor, bias: Tensor | None) -> Batch:
    """Return the products of the last axis with kernels (P, C, F), plus biases (P, F)."""
    if x.layout == SHARED:
        value = ops.expand_dims(x.value, 0)
    else:
        value = x.stacked()
    flat = value
    if x.rank != 2:
        flat = ops.reshape(value, (value.shape[0], -1, value.shape[-1]))
    y = _products(flat, kernel)
    if bias is not None:
        y = plus(y, ops.expand_dims(bias, 1))
    if x.rank != 2:
        # what is known stays known: a loop over steps may be unrolled by their number
        unknown = [axis for axis in range(1, x.rank) if value.shape[axis] is None]
        free_axis = next(iter(unknown), 1)
        sizes = with_free_axis(value, free_axis)[1:-1]
        y = ops.reshape(y, (x.members, *sizes, kernel.shape[-1]))
    return Batch(y, STACKED, x.members)


def _products(x: Tensor, kernels: Tensor) -> Tensor:
    """Return x (P or 1, N, C) times kernels (P, C, F)."""
    members, *size = kernels.shape
    if not choices.multiplies_separately(members, math.prod(size), is_compiled()):
        return ops.matmul(x, kernels)
    if x.shape[0] == 1:
        parts = [x[0]] * members
    else:
        parts = ops.unstack(x, members)
    pairs = zip(parts, ops.unstack(kernels, members), strict=True)
    products = [ops.matmul(part, kernel) for part, kernel in pairs]
    return ops.stack(products)


@vectorizes(layers.EinsumDense, accepts=plain)
def einsum_dense(call: RuleCall, x: Batch) -> Batch:
    """The layer's equation with an index more, that of the members."""
    equation = call.layer.equation
    inputs, rest = equation.split(",")
    kernel, outputs = rest.split("->")
    member = next(letter for letter in string.ascii_letters if letter not in equation)
    if x.layout == SHARED:
        value = x.value
    else:
        value = x.stacked()
        inputs = f"{member}{inputs}"
    for_members = f"{inputs},{member}{kernel}->{member}{outputs}"
    y = Batch(ops.einsum(for_members, value, call.weights["kernel"]), STACKED, x.members)
    if "bias" in call.weights:
        bias = broadcast_parameters(call.weights["bias"], y)
        y = y.map(lambda product: plus(product, bias))
    return call.activate(y)


@vectorizes(layers.Embedding, accepts=plain)
def embedding(call: RuleCall, x: Batch) -> Batch:
    """One table of all members' vectors, one below the other."""
    members = x.members
    tokens = call.layer.input_dim
    indices = x.value
    if x.layout != SHARED:
        indices = x.stacked()
    if keras.backend.standardize_dtype(indices.dtype) not in ("int32", "int64"):
        indices = ops.cast(indices, "int32")
    # negative ones count from the end of the member's own
    indices = ops.where(indices < 0, indices + tokens, indices)
    is_token = ops.logical_and(indices >= 0, indices < tokens)
    if x.layout == SHARED:
        indices = ops.expand_dims(indices, 0)
        is_token = ops.expand_dims(is_token, 0)
    # each member's vectors begin at its first row
    ones = (1,) * (x.rank)
    first_rows = ops.reshape(ops.arange(members, dtype=indices.dtype) * tokens, (members, *ones))
    # what is no token is no row of another member's either: beyond all, as Keras has it
    rows = ops.where(is_token, indices + first_rows, members * tokens)
    vectors = ops.take(call.table("embeddings"), rows, axis=0)
    return Batch(ops.cast(vectors, call.layer.compute_dtype), STACKED, members)


@vectorizes(ELU, LeakyReLU, PReLU, TReLU, accepts=last_axis)
def trained_activation(call: RuleCall, x: Batch) -> Batch:
    """An activation whose parameters, one a channel or one a member, are data."""
    return with_variables(call.layer, call.weights, x)


@vectorizes(layers.PReLU)
def prelu(call: RuleCall, x: Batch) -> Batch:
    """Keras' own, with an alpha for each value of a sample, or for some axes."""
    x = x.as_folded_or_stacked()
    alpha = broadcast_parameters(call.weights["alpha"], x)
    return x.map(lambda value: ops.relu(value) - alpha * ops.relu(-value))
