"""One activation of a space: what is fixed, and what is searched."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras_acts
from keras_acts import lookup
from keras_acts.errors import SearchError
from keras_acts.specs import SearchRange

from .candidate import Candidate, checked
from .ranges import override, start_of


@dataclass(frozen=True)
class SpaceEntry:
    """One activation of a space.

    Its fixed parameters, and the ranges of the searched ones, each with a start.
    """

    name: str
    fixed: tuple[tuple[str, Any], ...] = ()
    ranges: tuple[tuple[str, SearchRange], ...] = ()

    @property
    def label(self) -> str:
        """The name with what is fixed: the value of the `Choice`."""
        return str(Candidate(self.name, self.fixed))

    def candidate(self, values: Iterable[float]) -> Candidate:
        """The candidate whose searched parameters have these values."""
        if self.name not in keras_acts.names():
            return Candidate(self.name)
        return Candidate.of(
            self.name, **dict(self.fixed), **dict(zip(dict(self.ranges), values, strict=True))
        )

    def values(self, candidate: Candidate) -> list[float] | None:
        """The values of the searched parameters that make `candidate`; None if none do."""
        given = dict(candidate.parameters)
        values = [given.get(name, math.nan) for name, _ in self.ranges]
        inside = all(
            r.low <= value <= r.high for value, (_, r) in zip(values, self.ranges, strict=True)
        )
        return values if inside and self.candidate(values) == candidate else None


def same_choice(first: SpaceEntry, second: SpaceEntry) -> bool:
    """Whether two entries are the same choice.

    Of one label, or the same function with nothing to search.
    """
    if first.ranges or second.ranges:
        return first.label == second.label
    return first.candidate(()) == second.candidate(())


def make_entry(activation: Any, overrides: Mapping[str, Any], used: set[str]) -> SpaceEntry:
    """Make the entry; the names of the overrides that it uses are added to `used`."""
    name, written = read_activation(activation)
    if not Candidate(name).elementwise:
        raise SearchError(
            f"{name} mixes the elements of a sample: it is no hidden activation. Received: {activation!r}"
        )
    if name not in keras_acts.names():
        return SpaceEntry(name)
    fixed, ranges = dict(written), []
    for parameter in keras_acts.spec(name).parameters:
        key = f"{name}.{parameter.name}"
        searched: Any = parameter.search
        if parameter.name in fixed:
            continue
        if key in overrides:
            used.add(key)
            searched = override(key, parameter, overrides[key])
        if isinstance(searched, SearchRange):
            ranges.append((parameter.name, start_of(parameter, searched)))
        elif searched is not None:
            fixed |= {parameter.name: checked(name, {parameter.name: searched})[parameter.name]}
    order = [
        parameter.name for parameter in keras_acts.spec(name).parameters if parameter.name in fixed
    ]
    return SpaceEntry(name, tuple((key, fixed[key]) for key in order), tuple(ranges))


def read_activation(activation: Any) -> tuple[str, tuple[tuple[str, Any], ...]]:
    """The name of an activation and the parameters that were written, checked."""
    candidate = Candidate.of(activation)
    if isinstance(activation, str) and "." not in activation.partition("(")[0]:
        name, written = lookup.parse(activation)
        if name in keras_acts.names():
            values = checked(name, written)
            return name, tuple((key, values[key]) for key in values if key in written)
    return candidate.name, candidate.parameters
