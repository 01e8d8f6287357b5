"""The same model with other activations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

import keras

from keras_acts.errors import ModelError

from ..runtime.seeding import isolated_seed
from ..space.candidate import ActivationLike, Candidate
from .cloner import Changes, LayerChanges, ModelCloner
from .initializers import rescaled_initializers
from .proof import check_copy, is_of_users, is_proved, note_proved
from .slots import Slot, SlotSite, SlotTable, left_alone, slot_sites, slots
from .walk import layers_of

__all__ = ["Slot", "SlotTable", "slots", "with_activations"]

# one activation for all hidden slots, or one for each of the slots that are named
Activations: TypeAlias = ActivationLike | Mapping[str, ActivationLike]


def with_activations(
    model: keras.Model,
    activation: Activations,
    *,
    weights: bool = False,
    rescale_init: bool = False,
) -> keras.Model:
    """Return a new model with other activations in its hidden slots.

    Same names, shapes, dtype policies, `trainable`.

    It is freshly initialized, but for the weights of layers that are not trained (a frozen
    pretrained part, an adapted `Normalization`): they are part of the model. If `model` is
    compiled, the new one is too, with its own optimizer.

    Args:
        model: a Sequential or Functional model. It is not changed.
        activation: a candidate, name, object or registered function for all hidden slots; or a
            mapping from slot names to such, which may name slots of any role. A trained activation
            (``"prelu"``) has one alpha a channel. What is written as the slot's `current` changes
            nothing there.
        weights: whether to copy all weights; a new trained activation starts afresh.
        rescale_init: whether a kernel that feeds a slot is initialized as the slot's activation
            needs it, with variance ``gain**2 / fan_in``; see
            `keras_acts.search.rewrite.initializers`.

    Raises:
        ModelError: if the model has no hidden slot, or none of a name in the mapping; if an
            activation that mixes the elements of a sample is meant for a hidden slot; if a layer
            cannot be made again from its config; or if layers share a variable that their copies
            would not share.
        ActivationError: if there is no such activation.

    Example:
        >>> with_activations(model, "mish")
        >>> with_activations(model, {"encoder/conv1": "trelu(theta=0.5)", "lstm.recurrent_activation": "hard_sigmoid"})
    """
    return rewritten(model, activation, weights=weights, rescale_init=rescale_init)


def rewritten(
    model: keras.Model,
    activation: Activations,
    *,
    weights: bool = False,
    rescale_init: bool = False,
    compiled: bool = True,
) -> keras.Model:
    """Return what `with_activations` does.

    Not compiled, if so asked: that takes Keras as long as all the rest.
    """
    sites = slot_sites(model)
    if not isinstance(activation, Mapping):
        _check_hidden(model, sites)
    cloner = ModelCloner(_changes(sites, activation, rescale_init))
    with dtype_policy(model.dtype_policy):
        _check_copies(model)
        copy = cloner.model(model)
        cloner.restore(model, copy, weights)
        if compiled:
            cloner.compile()
    return copy


def _check_hidden(model: keras.Model, sites: Sequence[SlotSite]) -> None:
    roles = [(site.slot.name, site.slot.role) for site in sites]
    if any(role == "hidden" for _, role in roles):
        return
    reasons = "".join(f". {sentence}" for sentence in left_alone(model))
    raise ModelError(
        "The model must have a hidden activation slot, such as Dense(..., activation='relu') "
        f"inside. Received: a model with the slots {roles}{reasons}"
    )


def _check_copies(model: keras.Model) -> None:
    """Check that copies of layers that a user wrote are copies.

    Raises:
        ModelError: if one is not.
    """
    for _, layer in layers_of(model):
        if not is_of_users(layer) or is_proved(layer):
            continue
        with isolated_seed(0):  # the copy has initializers
            cloner = ModelCloner({})
            copy = cloner.layer(layer)
            restore = partial(cloner.restore, layer, copy, weights=True)
            check_copy(layer, copy, restore, guessed=bool(cloner.guessed))
        note_proved(layer)


def rewritten_layer(
    model: keras.Model,
    sites: Sequence[SlotSite],
    activation: Activations,
    layer: keras.Operation,
) -> keras.Operation:
    """Return one layer as `rewritten` would make it, connected to no others.

    In a large model that is much faster.

    Args:
        model: that the layer belongs to.
        sites: the slots that are rewritten, the layer's.
        activation: as of `with_activations`.
        layer: of the model or of one inside; or an operation.

    Raises:
        ModelError: as `with_activations`.
    """
    cloner = ModelCloner(_changes(sites, activation, rescale_init=False))
    with dtype_policy(model.dtype_policy):
        copy = cloner.layer(layer)
        if isinstance(layer, keras.layers.Layer):
            copy.build_from_config(layer.get_build_config())
            cloner.restore(layer, copy, weights=False)
    return copy


def _changes(sites: Sequence[SlotSite], activation: Activations, rescale_init: bool) -> Changes:
    """What is new in layers, by their identities."""
    chosen = _chosen(sites, activation)
    changes: Changes = {}
    for site, candidate in chosen.items():
        new = candidate.activation(site.slot.channels, site.axis)
        of_layer = changes.setdefault(id(site.layer), LayerChanges())
        if site.place is None:
            of_layer.arguments[site.argument] = new
        else:
            of_layer.inside[site.place] = new
    if rescale_init:
        for layer, initializer in rescaled_initializers(chosen):
            of_layer = changes.setdefault(id(layer), LayerChanges())
            of_layer.arguments["kernel_initializer"] = initializer
    return changes


@contextmanager
def dtype_policy(policy: str | keras.DTypePolicy) -> Iterator[None]:
    """Keras' global policy is a model's own, and with it compile decides on loss scaling.

    KerasTuner resets it.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _chosen(sites: Sequence[SlotSite], activation: Activations) -> dict[SlotSite, Candidate]:
    """The candidate for each slot that changes."""
    table = SlotTable(site.slot for site in sites)
    wanted = _wanted(table, activation)
    candidates = {name: Candidate.of(value) for name, value in wanted.items()}
    chosen = {}
    for site in sites:
        slot = site.slot
        if slot.name not in candidates:
            continue
        candidate = candidates[slot.name]
        if slot.role == "hidden" and not candidate.elementwise:
            raise ModelError(
                "A hidden slot needs an activation of each element by itself. "
                f"Received: {candidate} for the slot {slot.name!r}"
            )
        chosen[site] = candidate
    return chosen


def _wanted(table: SlotTable, activation: Activations) -> Mapping[str, ActivationLike]:
    """What was asked for, by the names of the slots that change."""
    if isinstance(activation, Mapping):
        current = {slot.name: slot.current for slot in table}
        for name in activation:
            if name not in current:
                raise ModelError(
                    f"The mapping must name slots of the model: {sorted(current)}. Received: "
                    f"{name!r}"
                )
        changed = {}
        for name, value in activation.items():
            # an array compares with a text element by element
            is_current = isinstance(value, str) and value == current[name]
            if not is_current:
                changed[name] = value
        return changed
    return {slot.name: activation for slot in table.hidden}
