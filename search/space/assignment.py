"""For what an activation is chosen: a group of slots; and one candidate for each group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ..report.notebook import simple
from ..report.numbers import counted
from .candidate import ActivationLike, Candidate


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
    def of(cls, chosen: Mapping[str, ActivationLike]) -> Assignment:
        """Return the assignment of a mapping from slot names to activations, each slot a group.

        Raises:
            ActivationError: if there is no such activation.

        Example:
            >>> PopulationModel(model, [Assignment.of({"conv1": "mish", "conv2": "relu"}), "relu"])
        """
        groups = []
        for slot, activation in chosen.items():
            groups.append((SlotGroup(slot, (slot,)), Candidate.of(activation)))
        return cls(tuple(groups))

    def with_choice(self, group: SlotGroup, candidate: Candidate) -> Assignment:
        """Return the assignment with another candidate for one group."""
        groups = []
        for each, before in self.groups:
            if each == group:
                groups.append((each, candidate))
            else:
                groups.append((each, before))
        return Assignment(tuple(groups))

    def __getitem__(self, slot: str) -> Candidate:
        for group, candidate in self.groups:
            if slot in group.slots:
                return candidate
        raise KeyError(slot)

    def __iter__(self) -> Iterator[str]:
        for group, _ in self.groups:
            yield from group.slots

    def __len__(self) -> int:
        return sum(len(group.slots) for group, _ in self.groups)

    @property
    def only(self) -> Candidate | None:
        """The candidate of all groups, if they have the same."""
        candidates = {candidate for _, candidate in self.groups}
        if len(candidates) != 1:
            return None
        return candidates.pop()

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        rows = []
        for group, candidate in self.groups:
            rows.append((group.name, str(candidate), ", ".join(group.slots)))
        header = ("part of the model", "activation", "its layers")
        return simple(header, rows, f"Activations for {counted(len(rows), 'part')} of a model.")

    def __str__(self) -> str:
        """What all groups have; if half of them agree, what most have and the others; else each."""
        if self.only is not None:
            return str(self.only)
        counts = Counter(candidate for _, candidate in self.groups)
        common, count = counts.most_common(1)[0]
        if count == 1 or 2 * count < len(self.groups):
            return ", ".join(self._each_but(None))
        return f"{common} but {' and '.join(self._each_but(common))}"

    def _each_but(self, common: Candidate | None) -> Iterator[str]:
        """Each group with its candidate, without those that have `common`."""
        for group, candidate in self.groups:
            if candidate != common:
                yield f"{group.name}: {candidate}"


# what a member of a population has: one activation for all slots, or one for each group of them
Choice: TypeAlias = Candidate | Assignment
