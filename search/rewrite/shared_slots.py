"""The slots inside the layers of a model, where several of them may hold the same activation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeAlias

import keras

from keras_acts.compat import all_layers
from keras_acts.inside import Place

from .graph import Call
from .inner_slots import InnerSlot, inside
from .proof import is_of_users

# the identity of a layer of the model, and the argument or place of one of its slots
Key: TypeAlias = tuple[int, str]


class InnerSlots:
    """The slots inside the layers of a model, each activation once.

    A rewrite exchanges an activation for all that hold it, so it is one slot: that of the layer of
    the model which has it, or else of the first layer that holds it.

    Args:
        calls: the first one of each layer.
    """

    def __init__(self, calls: Sequence[Call]):
        self._layers = [call.layer for call in calls]
        # by the identity of a layer that a user wrote
        self._found: dict[int, tuple[InnerSlot, ...]] = {}
        self._parts: dict[int, set[int]] = {}
        self._own: dict[int, list[InnerSlot]] = defaultdict(list)
        # by what a slot is known by, where else its activation is
        self._elsewhere: dict[Key, list[tuple[keras.Operation, InnerSlot]]] = defaultdict(list)
        users = [call for call in calls if is_of_users(call.layer)]
        for call in users:
            self._found[id(call.layer)] = inside(call.layer, call.outer).slots
            self._parts[id(call.layer)] = set(map(id, all_layers(call.layer)))
        for call in users:
            for slot in self._found[id(call.layer)]:
                self._add(call.layer, slot)

    def of(self, layer: keras.Operation) -> Sequence[InnerSlot]:
        """Return the slots inside a layer that no other layer has."""
        return self._own.get(id(layer), ())

    def elsewhere(
        self, layer: keras.Operation, name: str
    ) -> Sequence[tuple[keras.Operation, InnerSlot]]:
        """Return where else the activation of a slot is: the layers that hold it, and where.

        Args:
            layer: that has the slot.
            name: of the argument or of the place.
        """
        return self._elsewhere.get((id(layer), name), ())

    def _add(self, holder: keras.layers.Layer, slot: InnerSlot) -> None:
        key = self._key_in_model(holder, slot.place) or self._key_in_earlier(slot.place)
        if key is None:
            self._own[id(holder)].append(slot)
        else:
            self._elsewhere[key].append((holder, slot))

    def _key_in_model(self, holder: keras.layers.Layer, place: Place) -> Key | None:
        """The slot of another layer of the model that has what is at a place inside a holder."""
        for layer in self._layers:
            # a recurrent layer's activation belongs to its cell
            has_it = place.layer is layer or place.layer is getattr(layer, "cell", None)
            if has_it and layer is not holder and id(layer) not in self._found:
                return id(layer), place.argument
        parts = self._parts[id(holder)]
        owners = [
            layer
            for layer in self._layers
            if layer is not holder and id(layer) in parts and self._holds(layer, place)
        ]
        if not owners:
            return None
        innermost = min(owners, key=lambda layer: len(self._parts[id(layer)]))
        for slot in self._found[id(innermost)]:
            if slot.place.held_at & place.held_at:
                return id(innermost), slot.place.name
        # its constructor's, or one that it leaves alone
        return id(innermost), place.argument

    def _holds(self, layer: keras.Operation, place: Place) -> bool:
        return id(place.layer) in self._parts.get(id(layer), ())

    def _key_in_earlier(self, place: Place) -> Key | None:
        """The slot of a layer before, which holds the same activation."""
        for layer in self._layers:
            for slot in self._own.get(id(layer), ()):
                if slot.place.held_at & place.held_at:
                    return id(layer), slot.place.name
        return None
