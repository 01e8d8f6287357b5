"""What is searched.

Activations and ranges of their parameters, as KerasTuner hyperparameters, samples and grids.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import keras_tuner
import numpy as np

import keras_acts
from keras_acts.errors import KerasActsError, SearchError
from keras_acts.specs import SearchRange

from .candidate import Candidate
from .entry import SpaceEntry, make_entry, read_activation, same_choice
from .ranges import fraction_of, grid, value_at

__all__ = ["ActivationSpace", "Candidate", "default_activations"]

# Keras' own that today's models use most
_BUILTINS = ("gelu", "silu")
_PER = ("model", "block", "layer")
_FORMAT = 1


def default_activations() -> tuple[str, ...]:
    """Return what a search tries by default.

    Every registered activation that suits a hidden layer, gelu and silu.
    """
    return (*(name for name in keras_acts.names() if keras_acts.spec(name).hidden), *_BUILTINS)


class ActivationSpace:
    """The activations to choose from, the ranges of their parameters, and for what each choice is made.

    Args:
        activations: names (``"relu"``, Keras' built-ins too), activation objects, or registered
            functions of your own. Parameters that are written (``"trelu(theta=0.5)"``,
            ``"trelu(alpha=trained)"``) are fixed, the others are searched in the range of their
            spec. `default_activations()` by default.
        ranges: what to search instead of the spec's range: ``{"leaky_relu.alpha": (0.01, 0.3)}``,
            linear unless it says ``(0.01, 0.3, "log")``; a number, which fixes the parameter; or
            ``"trained"``.
        per: ``"model"``: one activation for all hidden slots. ``"layer"``: one for each.
            ``"block"``: one for each block, as the slots' names show it (see
            `keras_acts.search.rewrite.groups.block`). Your own groups: a mapping from names to a
            regular expression that the whole name of a hidden slot must match, or to a list of
            names of any slots; a slot goes to the first group that takes it, and one that no group
            takes keeps its activation.

    Raises:
        ActivationError: on an unknown activation or an invalid parameter.
        SearchError: on an empty space, an activation given twice, a range or a group that is none.

    Example:
        >>> space = ActivationSpace(["relu", "mish", "trelu(theta=0.5)"])
        >>> space.labels
        ('relu', 'mish', 'trelu(theta=0.5)')
    """

    def __init__(
        self,
        activations: Iterable[Any] | None = None,
        *,
        ranges: Mapping[str, Any] | None = None,
        per: str | Mapping[str, Any] = "model",
    ):
        if isinstance(activations, str):
            raise SearchError(
                f"activations must be a list of activations. Received: activations={activations!r}"
            )
        given = tuple(default_activations() if activations is None else activations)
        if not given:
            raise SearchError(
                f"A space needs at least one activation. Received: activations={activations!r}"
            )
        overrides, used = dict(ranges or {}), set[str]()
        self.per = _checked_per(per)
        self._entries: dict[str, SpaceEntry] = {}
        for activation in given:
            entry = make_entry(activation, overrides, used)
            alike = [e.label for e in self._entries.values() if same_choice(e, entry)]
            if alike:
                raise SearchError(
                    f"Each activation may be given once. Received: {entry.label!r} twice, first as {alike[0]!r}"
                )
            self._entries[entry.label] = entry
        if overrides.keys() - used:
            searched = [f"{e.name}.{name}" for e in self._entries.values() for name, _ in e.ranges]
            raise SearchError(
                "ranges must name parameters of the space's activations that are not written already. "
                f"The searched parameters are {searched}. Received: {sorted(overrides.keys() - used)}"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The values of the `Choice`: an activation each, with its fixed parameters."""
        return tuple(self._entries)

    def with_baseline(self, baseline: str = "relu") -> ActivationSpace:
        """Return the space with `baseline` in it, first.

        Every search must say whether it beats ReLU.
        """
        first = make_entry(baseline, {}, set())
        found = [label for label, entry in self._entries.items() if same_choice(entry, first)]
        order = {found[0]: self._entries[found[0]]} if found else {first.label: first}
        return _made({**order, **self._entries}, self.per)

    def choose(self, hp: keras_tuner.HyperParameters, name: str = "act") -> Candidate:
        """Return the candidate that `hp` holds, declaring its hyperparameters.

        They are a `Choice` called `name` and, active only under their activation, a `Float`
        ``name.trelu.alpha`` each.

        Raises:
            SearchError: if `hp` holds an activation that the space has not.
        """
        label = hp.Choice(name, list(self.labels))
        for entry in self._entries.values():
            with hp.conditional_scope(name, [entry.label]):
                values = [
                    hp.Float(
                        f"{name}.{entry.name}.{parameter}",
                        searched.low,
                        searched.high,
                        sampling="log" if searched.log else "linear",
                        default=searched.start,
                    )
                    for parameter, searched in entry.ranges
                ]
            if entry.label == label:
                chosen = entry.candidate(values)
        if label not in self._entries:
            raise SearchError(
                f"The hyperparameter {name!r} must be one of {self.labels}. Received: {label!r}"
            )
        return chosen

    def hyperparameters(self, candidate: Candidate, name: str = "act") -> dict[str, Any]:
        """Return the values under which `choose` returns the candidate.

        Its text, if it is an alias without any.
        """
        for entry in self._entries.values():
            values = entry.values(candidate)
            if values is not None:
                searched = {
                    f"{name}.{entry.name}.{p}": v
                    for (p, _), v in zip(entry.ranges, values, strict=True)
                }
                return {name: entry.label, **searched}
        return {name: str(candidate)}

    @property
    def size(self) -> float:
        """How many candidates a choice has; infinity if a range is searched."""
        return (
            math.inf if any(entry.ranges for entry in self._entries.values()) else len(self.grid())
        )

    def grid(self, points: int = 5) -> tuple[Candidate, ...]:
        """Return all candidates, each once, with `points` values, ends included, of every searched range."""
        if isinstance(points, bool) or not isinstance(points, int) or points < 1:
            raise SearchError(f"points must be an integer >= 1. Received: points={points!r}")
        found = [
            entry.candidate(values)
            for entry in self._entries.values()
            for values in itertools.product(
                *(grid(searched, points) for _, searched in entry.ranges)
            )
        ]
        return tuple(dict.fromkeys(found))

    def sample(self, count: int, seed: int = 0) -> tuple[Candidate, ...]:
        """Return `count` random candidates.

        An activation, then its parameters, uniformly on their scales.
        """
        rng = np.random.default_rng(seed)
        entries = list(self._entries.values())
        drawn = [entries[rng.integers(len(entries))] for _ in range(count)]
        return tuple(
            e.candidate([value_at(searched, rng.random()) for _, searched in e.ranges])
            for e in drawn
        )

    def neighbours(self, candidate: Any, step: float = 0.1) -> tuple[Candidate, ...]:
        """Return the candidates one step away.

        A parameter moved by `step` of its range, or another activation's start.

        Raises:
            SearchError: if `candidate` is not in the space.
        """
        centre = Candidate.of(candidate)
        places = [(entry, entry.values(centre)) for entry in self._entries.values()]
        own = next(((entry, values) for entry, values in places if values is not None), None)
        if own is None:
            raise SearchError(
                f"The candidate must be in the space {self.labels}. Received: {centre}"
            )
        entry, values = own
        found = []
        for index, (_, searched) in enumerate(entry.ranges):
            for move in (-step, step):
                moved = value_at(searched, fraction_of(searched, values[index]) + move)
                found.append(entry.candidate([*values[:index], moved, *values[index + 1 :]]))
        found += [
            e.candidate([r.start for _, r in e.ranges if r.start is not None])
            for e, _ in places
            if e is not entry
        ]
        return tuple(c for c in dict.fromkeys(found) if c != centre)

    def to_json(self) -> str:
        """Return the space as JSON text, with its fingerprint."""
        return json.dumps({**self._data(), "fingerprint": self.fingerprint}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> ActivationSpace:
        """Return the space that `to_json` wrote.

        Functions of your own must be registered again first.

        Raises:
            SearchError: if the text is no space, or was changed.
            ActivationError: if an activation is not known here.
        """
        try:
            data = json.loads(text)
            entries = [
                SpaceEntry(
                    *read_activation(given["activation"]),
                    tuple((k, SearchRange(*r)) for k, r in given["ranges"].items()),
                )
                for given in data["activations"]
            ]
            space = _made({entry.label: entry for entry in entries}, _checked_per(data["per"]))
            written = data["fingerprint"]
        except KerasActsError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SearchError(
                f"The text must be a space that to_json wrote. Received: {text[:80]!r}"
            ) from error
        if space.fingerprint != written:
            raise SearchError(
                f"The space was changed. Expected: fingerprint {space.fingerprint}. Received: {written!r}"
            )
        return space

    @property
    def fingerprint(self) -> str:
        """Sixteen characters that are the same for the same space only.

        Its activations in order, ranges and groups.
        """
        return hashlib.sha256(json.dumps(self._data()).encode()).hexdigest()[:16]

    def _data(self) -> dict[str, Any]:
        entries = [
            {
                "activation": e.label,
                "ranges": {name: [r.low, r.high, r.log, r.start] for name, r in e.ranges},
            }
            for e in self._entries.values()
        ]
        return {"format": _FORMAT, "activations": entries, "per": self.per}

    def __eq__(self, other: object) -> bool:
        return (
            self._data() == other._data() if isinstance(other, ActivationSpace) else NotImplemented
        )

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"ActivationSpace({list(self.labels)}, per={self.per!r})"


def _made(entries: dict[str, SpaceEntry], per: Any) -> ActivationSpace:
    space = ActivationSpace.__new__(ActivationSpace)
    space._entries, space.per = entries, per
    return space


def _checked_per(per: Any) -> Any:
    if isinstance(per, str) and per in _PER:
        return per
    if not isinstance(per, Mapping) or not per:
        raise SearchError(
            f"per must be one of {_PER} or a mapping from group names to a regular expression or a list of slot names. "
            f"Received: per={per!r}"
        )
    for group, members in per.items():
        names = (
            isinstance(members, list | tuple)
            and members
            and all(isinstance(name, str) for name in members)
        )
        if not isinstance(group, str) or not group or not (isinstance(members, str) or names):
            raise SearchError(
                "A group has a name, and a regular expression or a list of slot names. "
                f"Received: per={{{group!r}: {members!r}}}"
            )
        try:
            re.compile(members if isinstance(members, str) else "")
        except re.error as error:
            raise SearchError(
                f"A group's regular expression must be valid: {error}. Received: per={{{group!r}: {members!r}}}"
            ) from error
    return {
        group: members if isinstance(members, str) else list(members)
        for group, members in per.items()
    }
