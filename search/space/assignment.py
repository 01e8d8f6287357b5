"""For what an activation is chosen: a group of slots; and one candidate for each group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .candidate import Candidate


@dataclass(frozen=True)
class SlotGroup:
    """Slots that share a choice."""

    name: str
    slots: tuple[str, ...]


@dataclass(frozen=True)
class Assignment(Mapping[str, Candidate]):
    """A candidate for each group; as a mapping, for each slot, as `with_activations` takes it."""

    groups: tuple[tuple[SlotGroup, Candidate], ...]

    @classmethod
    def of(cls, chosen: Mapping[str, Any]) -> Assignment:
        """Return the assignment of a mapping from slot names to activations, each slot a group.

        Raises:
            ActivationError: if there is no such activation.

        Example:
            >>> PopulationModel(model, [Assignment.of({"conv1": "mish", "conv2": "relu"}), "relu"])
        """
        return cls(
            tuple((SlotGroup(slot, (slot,)), Candidate.of(own)) for slot, own in chosen.items())
        )

    def with_choice(self, group: SlotGroup, candidate: Candidate) -> Assignment:
        """Return the assignment with another candidate for one group."""
        return Assignment(
            tuple((own, candidate if own == group else old) for own, old in self.groups)
        )

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
        others = " and ".join(
            f"{group.name}: {candidate}" for group, candidate in self.groups if candidate != common
        )
        return f"{common} but {others}" if others else str(common)


Choice = Candidate | Assignment
