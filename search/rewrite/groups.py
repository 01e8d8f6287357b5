"""Groups of a model's slots: all of it, its blocks, each layer, or as the user names them."""

from __future__ import annotations

import re
from typing import Any

from keras_acts.errors import ModelError

from ..space.assignment import SlotGroup
from .slots import SlotTable

# up to the first number that more follows: conv2 of conv2_block1_1_relu, block1a of
# block1a_expand_activation
_BLOCK = re.compile(r"(.*?\d+[a-z]?)_")


def block(name: str) -> str:
    """Return the block of a slot, as its name shows it.

    It is what comes before the first underscore that follows a number, with the nested models
    around it; where there is none, the nested models; without those, the name.
    ``conv2_block1_1_relu`` is in ``conv2``, ``encoder/dense`` in ``encoder``.
    """
    models, _, own = name.rpartition("/")
    found = _BLOCK.match(own)
    if found:
        return f"{models}/{found[1]}" if models else found[1]
    return models or own


def chosen_slots(table: SlotTable, per: Any) -> tuple[str, ...] | None:
    """Return the names of the slots that `groups` has; None for all hidden ones."""
    return (
        None
        if per == "model"
        else tuple(name for group in groups(table, per) for name in group.slots)
    )


def groups(table: SlotTable, per: Any) -> tuple[SlotGroup, ...]:
    """Return the groups of a model's slots, each with at least one.

    Args:
        table: the slots of the model.
        per: as in `ActivationSpace`.

    Raises:
        ModelError: if a group has no slot, or names one that the model has not.
    """
    hidden = [slot.name for slot in table.hidden]
    if per == "model":
        return (SlotGroup("model", tuple(hidden)),)
    if isinstance(per, str):
        found: dict[str, list[str]] = {}
        for name in hidden:
            found.setdefault(block(name) if per == "block" else name, []).append(name)
        return tuple(SlotGroup(name, tuple(members)) for name, members in found.items())
    left, result = [slot.name for slot in table], []
    for name, members in per.items():
        if isinstance(members, str):
            own = [slot for slot in left if slot in hidden and re.fullmatch(members, slot)]
        else:
            unknown = [slot for slot in members if slot not in left]
            if unknown:
                raise ModelError(
                    f"The group {name!r} must name slots that no group before it has: {left}. Received: {unknown}"
                )
            own = list(members)
        if not own:
            raise ModelError(
                f"The group {name!r} must match the whole name of a hidden slot that no group before it has: "
                f"{[slot for slot in left if slot in hidden]}. Received: {members!r}"
            )
        left = [slot for slot in left if slot not in own]
        result.append(SlotGroup(name, tuple(own)))
    return tuple(result)
