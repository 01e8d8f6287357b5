"""A rule for attention.

Projections for all slots at once, then the samples of all slots as if of one batch.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from .batch import Batch, from_merged
from .dense import einsum_dense
from .registry import RuleCall, vectorizes

_ONE_AXIS = "abc,cde->abde"  # how inputs (B, T, C) are projected


def _covered(layer: Any) -> bool:
    config = layer.get_config()
    plain = not config.get("use_gate") and not config.get(
        "sliding_window"
    )  # older versions of Keras have neither
    return (
        plain
        and layer.dropout < 1
        and layer.query_dense.equation == layer.key_dense.equation == _ONE_AXIS
    )


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
    given = {
        layer.query_dense: query,
        layer.key_dense: value if key is None else key,
        layer.value_dense: value,
    }
    q, k, v = (einsum_dense(call.inside(part), x).merged() for part, x in given.items())
    scores = ops.einsum("btnh,bsnh->bnts", q * layer.key_dim**-0.5, k)
    if use_causal_mask:
        seen = ops.tril(ops.ones(ops.shape(scores)[-2:], "bool"))
        scores = ops.where(seen, scores, -1e30)
    weights = ops.softmax(scores, axis=-1)
    if call.training and layer.dropout:
        weights = keras.random.dropout(weights, layer.dropout, seed=call.random)
    y = from_merged(ops.einsum("bnts,bsnh->btnh", weights, v), query.slots)
    return einsum_dense(call.inside(layer.output_dense), y)
