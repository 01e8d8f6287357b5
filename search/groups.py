"""For what an activation is chosen: groups of slots, and one activation for each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keras_acts.errors import ModelError

from .candidate import Candidate
from .slots import SlotTable

# up to the first number that more follows: conv2 of conv2_block1_1_relu, block1a of block1a_expand_activation
_BLOCK = re.compile(r"(.*?\d+[a-z]?)_")


@dataclass(frozen=True)
class Group:
    """Slots that share a choice."""

    name: str
    slots: tuple[str, ...]


@dataclass(frozen=True)
class Assignment(Mapping[str, Candidate]):
    """A candidate for each group; as a mapping, for each slot, as `with_activations` takes it."""

    groups: tuple[tuple[Group, Candidate], ...]

    @classmethod
    def of(cls, chosen: Mapping[str, Any]) -> Assignment:
        """Return the assignment of a mapping from slot names to activations, each slot a group.

        Raises:
            ActivationError: if there is no such activation.

        Example:
            >>> PopulationModel(model, [Assignment.of({"conv1": "mish", "conv2": "relu"}), "relu"])
        """
        return cls(tuple((Group(slot, (slot,)), Candidate.of(own)) for slot, own in chosen.items()))

    def with_choice(self, group: Group, candidate: Candidate) -> Assignment:
        """Return the assignment with another candidate for one group."""
        return Assignment(tuple((own, candidate if own == group else old) for own, old in self.groups))

    def __getitem__(self, slot: str) -> Candidate:
        return {name: candidate for group, candidate in self.groups for name in group.slots}[slot]

    def __iter__(self) -> Iterator[str]:
        return (name for group, _ in self.groups for name in group.slots)

    def __len__(self) -> int:
        return sum(len(group.slots) for group, _ in self.groups)

    @property
    def only(self) -> Candidate | None:
        """The candidate of all groups, if they have the same."""
        candidates = {candidate for _, candidate in self.groups}
        return candidates.pop() if len(candidates) == 1 else None

    def __str__(self) -> str:
        """What all groups have, or most of them and where others differ, if half of them agree; else each."""
        if self.only is not None:
            return str(self.only)
        common, count = Counter(candidate for _, candidate in self.groups).most_common(1)[0]
        if count == 1 or 2 * count < len(self.groups):
            return ", ".join(f"{group.name}: {candidate}" for group, candidate in self.groups)
        others = " and ".join(f"{group.name}: {candidate}" for group, candidate in self.groups if candidate != common)
        return f"{common} but {others}" if others else str(common)


def block(name: str) -> str:
    """Return the block of a slot, as its name shows it.

    It is what comes before the first underscore that follows a number, with the nested models around it; where there is
    none, the nested models; without those, the name. ``conv2_block1_1_relu`` is in ``conv2``, ``encoder/dense`` in
    ``encoder``.
    """
    models, _, own = name.rpartition("/")
    found = _BLOCK.match(own)
    if found:
        return f"{models}/{found[1]}" if models else found[1]
    return models or own


def chosen_slots(table: SlotTable, per: Any) -> tuple[str, ...] | None:
    """Return the names of the slots that `groups` has; None for all hidden ones."""
    return None if per == "model" else tuple(name for group in groups(table, per) for name in group.slots)


def groups(table: SlotTable, per: Any) -> tuple[Group, ...]:
    """Return the groups of a model's slots, each with at least one.

    Args:
        table: the slots of the model.
        per: as in `ActivationSpace`.

    Raises:
        ModelError: if a group has no slot, or names one that the model has not.
    """
    hidden = [slot.name for slot in table.hidden]
    if per == "model":
        return (Group("model", tuple(hidden)),)
    if isinstance(per, str):
        found: dict[str, list[str]] = {}
        for name in hidden:
            found.setdefault(block(name) if per == "block" else name, []).append(name)
        return tuple(Group(name, tuple(members)) for name, members in found.items())
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
        result.append(Group(name, tuple(own)))
    return tuple(result)
