"""A rule for attention.

Projections for all members at once, then the samples of all members as if of one batch.
"""

from __future__ import annotations

import keras
from keras import layers, ops

from .batch import Batch, from_merged
from .dense import einsum_dense
from .registry import RuleCall, vectorizes

_ONE_AXIS = "abc,cde->abde"  # how inputs (B, T, C) are projected
_MASKED = -1e30  # a score so low that softmax makes it 0, and finite, as in Keras


def _covered(layer: keras.layers.Layer) -> bool:
    # older versions of Keras have neither a gate nor a window
    config = layer.get_config()
    if config.get("use_gate") or config.get("sliding_window"):
        return False
    if layer.dropout >= 1:
        return False
    return layer.query_dense.equation == layer.key_dense.equation == _ONE_AXIS


@vectorizes(layers.MultiHeadAttention, accepts=_covered)
def attention(
    call: RuleCall,
    query: Batch,
    value: Batch,
    key: Batch | None = None,
    use_causal_mask: bool = False,
) -> Batch:
    """Each projection is an `EinsumDense`; no mask but the causal one."""
    layer = call.layer
    if key is None:
        key = value
    q = einsum_dense(call.inside(layer.query_dense), query).merged()
    k = einsum_dense(call.inside(layer.key_dense), key).merged()
    v = einsum_dense(call.inside(layer.value_dense), value).merged()
    scores = ops.einsum("btnh,bsnh->bnts", q * layer.key_dim**-0.5, k)
    if use_causal_mask:
        past = ops.tril(ops.ones(ops.shape(scores)[-2:], "bool"))
        scores = ops.where(past, scores, _MASKED)
    weights = ops.softmax(scores, axis=-1)
    if call.training and layer.dropout:
        weights = keras.random.dropout(weights, layer.dropout, seed=call.random)
    y = from_merged(ops.einsum("bnts,bsnh->btnh", weights, v), query.members)
    return einsum_dense(call.inside(layer.output_dense), y)
