"""Groups of a model's slots: all of it, its blocks, each layer, or as the user names them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from keras_acts.errors import ModelError

from ..space.assignment import SlotGroup
from .slots import SlotTable

# up to the first number that more follows: conv2 of conv2_block1_1_relu, block1a of
# block1a_expand_activation
_BLOCK = re.compile(r"(.*?\d+[a-z]?)_")

# the groups that a user names: for each a regular expression, or the names of its slots
NamedGroups: TypeAlias = Mapping[str, str | Sequence[str]]


def block(name: str) -> str:
    """Return the block of a slot, as its name shows it.

    It is what comes before the first underscore that follows a number, with the nested models
    around it; where there is none, the nested models; without those, the name.
    ``conv2_block1_1_relu`` is in ``conv2``, ``encoder/dense`` in ``encoder``.
    """
    models, _, own_name = name.rpartition("/")
    match = _BLOCK.match(own_name)
    if match is None:
        return models or own_name
    if models:
        return f"{models}/{match[1]}"
    return match[1]


def chosen_slots(table: SlotTable, per: str | NamedGroups) -> tuple[str, ...] | None:
    """Return the names of the slots that `groups` has; None for all hidden ones."""
    if per == "model":
        return None
    names: list[str] = []
    for group in groups(table, per):
        names += group.slots
    return tuple(names)


def groups(table: SlotTable, per: str | NamedGroups) -> tuple[SlotGroup, ...]:
    """Return the groups of a model's slots, each with at least one.

    Args:
        table: the slots of the model.
        per: as in `ActivationSpace`.

    Raises:
        ModelError: if a group has no slot, or names one that the model has not.
    """
    hidden = [slot.name for slot in table.hidden]
    if not isinstance(per, str):
        return _named_groups(table, hidden, per)
    if per == "model":
        return (SlotGroup("model", tuple(hidden)),)
    members: dict[str, list[str]] = {}
    for name in hidden:
        group = name
        if per == "block":
            group = block(name)
        members.setdefault(group, []).append(name)
    return tuple(SlotGroup(group, tuple(names)) for group, names in members.items())


def _named_groups(table: SlotTable, hidden: list[str], per: NamedGroups) -> tuple[SlotGroup, ...]:
    """The groups that a user names: a slot goes to the first that takes it."""
    left = [slot.name for slot in table]
    result = []
    for group, wanted in per.items():
        if isinstance(wanted, str):
            pattern = re.compile(wanted)
            taken = [name for name in left if name in hidden and pattern.fullmatch(name)]
        else:
            unknown = [name for name in wanted if name not in left]
            if unknown:
                raise ModelError(
                    f"The group {group!r} must name slots that no group before it has: {left}. "
                    f"Received: {unknown}"
                )
            taken = list(wanted)
        if not taken:
            free = [name for name in left if name in hidden]
            raise ModelError(
                f"The group {group!r} must match the whole name of a hidden slot that no group "
                f"before it has: {free}. Received: {wanted!r}"
            )
        left = [name for name in left if name not in taken]
        result.append(SlotGroup(group, tuple(taken)))
    return tuple(result)
