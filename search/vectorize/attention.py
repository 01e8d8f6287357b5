"""Rules for attention.

Projections for all members at once, then the samples of all members as if of one batch.
"""

from __future__ import annotations

import functools
from typing import Any

import keras
from keras import layers, ops

from .batch import SHARED, STACKED, Batch, Tensor, from_merged, with_free_axis
from .dense import einsum_dense
from .registry import RuleCall, vectorizes
from .weightless import run_once

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
    query_mask: Batch | None = None,
    value_mask: Batch | None = None,
    key_mask: Batch | None = None,
    attention_mask: Batch | Tensor | None = None,
    return_attention_scores: bool = False,
    use_causal_mask: bool = False,
) -> Batch | tuple[Batch, Batch]:
    """Each projection is an `EinsumDense`; masks are small, and broadcast over the heads."""
    layer = call.layer
    if key is None:
        key = value
    # Keras looks at the mask of the query's tensor, whatever `query_mask` is, and takes the masks
    # off all three: who reads the same tensors next sees none
    parts = [_mask_of_queries(query.mask), _mask_of_keys(value_mask), _mask_of_keys(key_mask)]
    for read in (query, value, key):
        read.mask = None
    q = einsum_dense(call.inside(layer.query_dense), query).merged()
    k = einsum_dense(call.inside(layer.key_dense), key).merged()
    v = einsum_dense(call.inside(layer.value_dense), value).merged()
    scores = ops.einsum("btnh,bsnh->bnts", q * layer.key_dim**-0.5, k)
    if use_causal_mask:
        parts.append(_past(scores))
    mask = _all_of([_in_front(attention_mask), *parts])
    is_written_out = bool(layer.dropout) or return_attention_scores
    weights = _softmax(scores, mask, query.members, is_written_out)
    y = ops.einsum("bnts,bsnh->btnh", _dropped(call, weights), v)
    outputs = einsum_dense(call.inside(layer.output_dense), from_merged(y, query.members))
    if return_attention_scores:
        # as they were before values are dropped
        return outputs, from_merged(weights, query.members)
    return outputs


def _past(scores: Tensor) -> Tensor:
    """Which keys come no later than each query, (1, 1, T, S)."""
    past = ops.tril(ops.ones(ops.shape(scores)[-2:], "bool"))
    return ops.expand_dims(past, (0, 1))


def _dropped(call: RuleCall, weights: Tensor) -> Tensor:
    """Weights of which some are dropped, if the model trains."""
    if not call.training or not call.layer.dropout:
        return weights
    return keras.random.dropout(weights, call.layer.dropout, seed=call.random)


def _in_front(mask: Batch | Tensor | None) -> Tensor | None:
    """A mask as (P, ...), or (1, ...) where all members have the same."""
    if mask is None:
        return None
    if not isinstance(mask, Batch):  # a constant that the user's code holds
        return ops.expand_dims(ops.cast(mask, "bool"), 0)
    if mask.layout == SHARED:
        return ops.expand_dims(ops.cast(mask.value, "bool"), 0)
    return ops.cast(mask.stacked(), "bool")


def _mask_of_queries(mask: Batch | None) -> Tensor | None:
    """(P or 1, B, T) as (P or 1, B, T, 1)."""
    if mask is None:
        return None
    return ops.expand_dims(_in_front(mask), -1)


def _mask_of_keys(mask: Batch | None) -> Tensor | None:
    """(P or 1, B, S) as (P or 1, B, 1, S)."""
    if mask is None:
        return None
    return ops.expand_dims(_in_front(mask), -2)


def _all_of(masks: list[Tensor | None]) -> Tensor | None:
    """What all masks let through, (P or 1, B, 1 or N, T, S); None where there is no mask.

    Sizes before the last two broadcast from the right, behind the members' axis.
    """
    given = [mask for mask in masks if mask is not None]
    if not given:
        return None
    rank = max(len(mask.shape) for mask in given)
    common = functools.reduce(ops.logical_and, [_of_rank(mask, rank) for mask in given])
    while len(common.shape) < 5:  # the heads' axis, and the samples' where there is none
        common = ops.expand_dims(common, -3)
    return common


def _of_rank(mask: Tensor, rank: int) -> Tensor:
    """A mask with axes of size 1 behind the members'."""
    while len(mask.shape) < rank:
        mask = ops.expand_dims(mask, 1)
    return mask


def _softmax(scores: Tensor, mask: Tensor | None, members: int, is_written_out: bool) -> Tensor:
    """Softmax over the last axis of scores (P*B, N, T, S), of which a mask leaves some out.

    Args:
        scores: of all members' samples.
        mask: as of `_all_of`.
        members: how many there are.
        is_written_out: whether Keras calls its `Softmax` layer, as where it drops weights or returns
            them. Where nothing is left, that makes zeros, and its kernels equal weights.
    """
    if mask is None:
        return ops.softmax(scores, axis=-1)
    apart = ops.reshape(scores, (members, -1, *with_free_axis(scores, 0)[1:]))
    if is_written_out:
        weights = _softmax_layer().call(apart, mask=mask)
    else:
        weights = ops.softmax(ops.where(mask, apart, _MASKED), axis=-1)
    return ops.reshape(weights, with_free_axis(weights, 1)[1:])


@functools.cache
def _softmax_layer() -> keras.layers.Softmax:
    # a name of its own: Keras counts those that have none, which would rename the user's layers
    return layers.Softmax(name="softmax_of_attention")


def _is_dot_product(layer: keras.layers.Layer) -> bool:
    return getattr(layer, "score_mode", "dot") == "dot" and layer.dropout < 1


@vectorizes(layers.Attention, layers.AdditiveAttention, accepts=_is_dot_product)
def one_head(
    call: RuleCall,
    inputs: list[Batch],
    mask: list[Batch | None] | None = None,
    return_attention_scores: bool = False,
    use_causal_mask: bool = False,
) -> Batch | tuple[Batch, Batch]:
    """As the layer itself without weights; else its formula, with the members' axis in front."""
    layer = call.layer
    if not _are_aligned(inputs, mask):
        return NotImplemented
    options: dict[str, Any] = {
        "return_attention_scores": return_attention_scores,
        "use_causal_mask": use_causal_mask,
    }
    if mask is not None:
        options["mask"] = mask
    if not layer.weights and not layer.dropout:
        result: Batch | tuple[Batch, Batch] = run_once(call, inputs, **options)
        return result
    members = inputs[0].members
    query, value, *rest = (x.stacked() for x in inputs)
    key = value
    if rest:
        key = rest[0]
    scores = _scores(call, query, key)
    query_mask, value_mask, *_ = mask or (None, None)
    parts = [_mask_of_keys(value_mask)]
    if use_causal_mask:
        parts.append(_past(scores))
    given = [part for part in parts if part is not None]
    if given:
        seen = functools.reduce(ops.logical_and, given)
        # not a constant: where nothing is left, Keras weighs as without a mask
        scores = ops.where(seen, scores, scores - 1e9)
    weights = ops.softmax(scores, axis=-1)
    y = ops.matmul(_dropped(call, weights), value)
    if query_mask is not None:
        y = ops.where(_mask_of_queries(query_mask), y, 0.0)
    outputs = Batch(y, STACKED, members)
    if return_attention_scores:
        return outputs, Batch(weights, STACKED, members)
    return outputs


def _are_aligned(inputs: list[Batch], masks: list[Batch | None] | None) -> bool:
    """Whether the axes of the samples, and what is masked, lie below each other.

    Keras lets tensors of other ranks and masks of other shapes broadcast from the last axis on, so
    that the members' axis would meet others.
    """
    ranks = {x.rank for x in inputs}
    if len(ranks) > 1:
        return False
    given = [mask for mask in masks or () if mask is not None]
    if not given:
        return True
    return ranks == {3} and all(isinstance(each, Batch) and each.rank == 2 for each in given)


def _scores(call: RuleCall, query: Tensor, key: Tensor) -> Tensor:
    """How much each query (P, B, ..., T, C) looks at each key (P, B, ..., S, C), (P, B, ..., T, S)."""
    scale = call.weights.get("scale")
    if not isinstance(call.layer, layers.AdditiveAttention):
        scores = ops.matmul(query, ops.swapaxes(key, -2, -1))
        if scale is None:
            return scores
        ones = (1,) * (len(scores.shape) - 1)
        return scores * ops.reshape(scale, (-1, *ones))
    pairs = ops.tanh(ops.expand_dims(query, -2) + ops.expand_dims(key, -3))
    if scale is not None:
        ones = (1,) * (len(pairs.shape) - 2)
        pairs = pairs * ops.reshape(scale, (scale.shape[0], *ones, -1))
    return ops.sum(pairs, axis=-1)
