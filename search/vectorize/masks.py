"""Masks of a population: which layer gets which, and what masks go on, as Keras' `Layer.__call__` has it.

A mask is a `Batch` of its own, which the batch that it belongs to carries. Most are shared: they
come from the inputs that all members see.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from ..space.known import is_of_keras
from .batch import SHARED, STACKED, Batch

Structure = Any  # of tensors or batches, as Keras nests them

# their masks depend on the values that they see
_LOOK_AT_VALUES = ("Embedding", "Masking", "ReversibleEmbedding", "Lambda", "Pipeline")


def mask_of(x: Any) -> Batch | None:
    """Return the mask of a batch."""
    if isinstance(x, Batch):
        return x.mask
    return None


def masks_of(structure: Structure) -> Structure:
    """Return the masks of batches, in their structure."""
    return keras.tree.map_structure(mask_of, structure)


def any_mask(structure: Structure) -> bool:
    """Return whether there is a mask among them, or on one of the batches."""
    return any(mask_of(x) is not None for x in keras.tree.flatten(structure))


def filled_in(
    layer: keras.layers.Layer, inputs: Sequence[Any], options: dict[str, Any]
) -> dict[str, Any]:
    """Return the keyword arguments of a call, with the masks that Keras hands to the layer."""
    parameters = inspect.signature(layer.call).parameters
    arguments = inspect.signature(layer.call).bind(*inputs, **options).arguments
    batches = {name: value for name, value in arguments.items() if _is_of_batches(value)}
    filled = dict(options)
    if len(batches) == 1:
        (only,) = batches.values()
        _fill("mask", masks_of(only), parameters, arguments, filled)
    else:
        for name, value in batches.items():
            _fill(f"{name}_mask", masks_of(value), parameters, arguments, filled)
    return filled


def _fill(
    name: str, mask: Structure, parameters: Any, arguments: Any, filled: dict[str, Any]
) -> None:
    has_one = any(m is not None for m in keras.tree.flatten(mask))
    if has_one and name in parameters and arguments.get(name) is None:
        filled[name] = mask


def _is_of_batches(value: Any) -> bool:
    if isinstance(value, Batch):
        return True
    leaves = keras.tree.flatten(value)
    return bool(leaves) and all(isinstance(leaf, Batch) for leaf in leaves)


def makes_masks(layer: Any) -> bool:
    """Return whether a layer says itself which mask goes on."""
    if not isinstance(layer, keras.layers.Layer) or not layer.supports_masking:
        return False
    return type(layer).compute_mask is not keras.layers.Layer.compute_mask


def previous(inputs: Sequence[Any], options: dict[str, Any]) -> Structure:
    """Return the mask that a layer may hand on: the one that it is called with, or its input's."""
    if options.get("mask") is not None:
        return options["mask"]
    return masks_of(_first(inputs, options))


def _first(inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    if inputs:
        return inputs[0]
    return next(iter(options.values()))


def take_off(seen: Sequence[Any], of_graph: Sequence[Any]) -> None:
    """Take the masks that a layer took off what it saw off the batches of the graph too.

    Other layers see these as they are then.
    """
    for after, batch in zip(seen, of_graph, strict=True):
        if isinstance(batch, Batch) and after.mask is None:
            batch.mask = None


def go_on(
    layer: keras.layers.Layer,
    inputs: Sequence[Any],
    options: dict[str, Any],
    previous: Structure,
    outputs: Structure,
) -> None:
    """Give the outputs of a layer the masks that Keras would give them.

    Args:
        layer: one member's.
        inputs: its arguments.
        options: its keyword arguments, with masks filled in.
        previous: as of `previous`, before the call.
        outputs: what it made of them.
    """
    if not layer.supports_masking:
        return
    masks = _computed(layer, _first(inputs, options), previous)
    if masks is None:
        return
    # an output without a mask has None in its place
    pairs = zip(keras.tree.flatten(outputs), keras.tree.flatten(masks), strict=False)
    for output, mask in pairs:
        if output.mask is None and mask is not None:
            output.mask = mask


def _computed(layer: keras.layers.Layer, first: Structure, previous: Structure) -> Structure:
    """The masks that a layer makes of its first argument and the masks of that."""
    if not makes_masks(layer):
        return previous
    batches = [x for x in keras.tree.flatten((first, previous)) if isinstance(x, Batch)]
    members = batches[0].members
    if _is_common(layer, first, previous):
        masks = layer.compute_mask(*_seen_by(0, (first, previous)))
        return keras.tree.map_structure(lambda m: _batch(m, SHARED, members), masks)
    of_members = [
        layer.compute_mask(*_seen_by(member, (first, previous))) for member in range(members)
    ]
    return keras.tree.map_structure(lambda *ms: _stacked(ms, members), *of_members)


def _is_common(layer: keras.layers.Layer, first: Structure, previous: Structure) -> bool:
    """Whether all members have the same masks."""
    looked_at = [previous]
    if not is_of_keras(type(layer)) or type(layer).__name__ in _LOOK_AT_VALUES:
        looked_at.append(first)
    batches = [x for x in keras.tree.flatten(looked_at) if isinstance(x, Batch)]
    return all(x.layout == SHARED for x in batches)


def _seen_by(member: int, structure: Structure) -> Structure:
    def value(x: Any) -> Any:
        if isinstance(x, Batch):
            return x.per_member()[member]
        return x

    return keras.tree.map_structure(value, structure)


def _batch(mask: Any, layout: str, members: int) -> Batch | None:
    if mask is None:
        return None
    return Batch(mask, layout, members)


def _stacked(masks: Sequence[Any], members: int) -> Batch | None:
    if masks[0] is None:
        return None
    return Batch(ops.stack(masks), STACKED, members)
