"""One activation of a space: what is fixed, and what is searched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras_acts
from keras_acts import lookup
from keras_acts.errors import SearchError, shown
from keras_acts.specs import SearchRange

from .candidate import ActivationLike, Candidate, Value, checked
from .ranges import override, start_of


@dataclass(frozen=True)
class SpaceEntry:
    """One activation of a space.

    Its fixed parameters, and the ranges of the searched ones, each with a start.
    """

    name: str
    fixed: tuple[tuple[str, Value], ...] = ()
    ranges: tuple[tuple[str, SearchRange], ...] = ()

    @property
    def label(self) -> str:
        """The name with what is fixed: the value of the `Choice`."""
        return str(Candidate(self.name, self.fixed))

    def candidate(self, values: Iterable[float]) -> Candidate:
        """The candidate whose searched parameters have these values."""
        if self.name not in keras_acts.names():
            return Candidate(self.name)
        names = [name for name, _ in self.ranges]
        searched = dict(zip(names, values, strict=True))
        return Candidate.of(self.name, **dict(self.fixed), **searched)

    def start(self) -> Candidate:
        """The candidate that a search tries first."""
        return self.candidate([given.start for _, given in self.ranges if given.start is not None])

    def values(self, candidate: Candidate) -> list[float] | None:
        """The values of the searched parameters that make `candidate`; None if none do."""
        given = dict(candidate.parameters)
        values = []
        for name, searched in self.ranges:
            value = given.get(name)
            # missing, or trained
            if not isinstance(value, int | float) or not searched.low <= value <= searched.high:
                return None
            values.append(value)
        if self.candidate(values) != candidate:
            return None
        return values


def same_choice(first: SpaceEntry, second: SpaceEntry) -> bool:
    """Whether two entries are the same choice.

    Of one label, or the same function with nothing to search.
    """
    # the label holds what is fixed; ranges of the same parameters are one choice, whatever their ends
    if first.ranges or second.ranges:
        return first.label == second.label
    return first.candidate(()) == second.candidate(())


def make_entry(
    activation: ActivationLike, overrides: Mapping[str, Any], used: set[str]
) -> SpaceEntry:
    """Make the entry; the names of the overrides that it uses are added to `used`."""
    name, written = read_activation(activation)
    check_elementwise(name, activation)
    if name not in keras_acts.names():
        return SpaceEntry(name)
    given = dict(written)
    fixed: list[tuple[str, Value]] = []
    ranges: list[tuple[str, SearchRange]] = []
    for parameter in keras_acts.spec(name).parameters:
        if parameter.name in given:
            fixed.append((parameter.name, given[parameter.name]))
            continue
        key = f"{name}.{parameter.name}"
        searched: Any = parameter.search
        if key in overrides:
            used.add(key)
            searched = override(key, parameter, overrides[key])
        if isinstance(searched, SearchRange):
            ranges.append((parameter.name, start_of(parameter, searched)))
        elif searched is not None:
            values = checked(name, {parameter.name: searched})
            fixed.append((parameter.name, values[parameter.name]))
    return SpaceEntry(name, tuple(fixed), tuple(ranges))


def check_elementwise(name: str, activation: ActivationLike) -> None:
    """Check that an activation can be a hidden one.

    Raises:
        SearchError: if it mixes the elements of a sample.
    """
    if not Candidate(name).elementwise:
        raise SearchError(
            f"{name} mixes the elements of a sample: it is no hidden activation. Received: "
            f"{shown(activation)}"
        )


def read_activation(activation: ActivationLike) -> tuple[str, tuple[tuple[str, Value], ...]]:
    """The name of an activation and the parameters that were written, checked."""
    candidate = Candidate.of(activation)
    if isinstance(activation, str) and "." not in activation.partition("(")[0]:
        name, written = lookup.parse(activation)
        if name in keras_acts.names():
            values = checked(name, written)
            return name, tuple((key, value) for key, value in values.items() if key in written)
    return candidate.name, candidate.parameters
