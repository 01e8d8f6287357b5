"""What is searched.

Activations and ranges of their parameters, as KerasTuner hyperparameters, samples and grids.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeAlias

import keras_tuner
import numpy as np

import keras_acts
from keras_acts.errors import KerasActsError, SearchError, shown
from keras_acts.specs import Parameter, SearchRange

from ..report.notebook import simple
from ..report.numbers import counted
from .candidate import ActivationLike, Candidate
from .entry import SpaceEntry, check_elementwise, make_entry, read_activation, same_choice
from .learning_rates import LearningRates, LearningRatesLike
from .ranges import fraction_of, grid, override, value_at

__all__ = ["ActivationSpace", "Candidate", "default_activations"]

# Keras' own that today's models use most
_BUILTINS = ("gelu", "silu")
_PER = ("model", "block", "layer")
# of what `to_json` writes
_FORMAT = 1

# for what each choice is made: one of `_PER`, or groups of slots by name
Per: TypeAlias = str | Mapping[str, str | Sequence[str]]


def default_activations() -> tuple[str, ...]:
    """Return what a search tries by default.

    Every registered activation that suits a hidden layer, gelu and silu.
    """
    ours = [name for name in keras_acts.names() if keras_acts.spec(name).hidden]
    return (*ours, *_BUILTINS)


class ActivationSpace:
    """The activations to choose from, the ranges of their parameters, and what each choice is for.

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
        learning_rates: at which rates each activation trains, as one more thing that is chosen.
            ``"auto"``: a quarter, a half, once, twice and four times the rate that the model is
            compiled with, and beyond where the best is at an end. A list of rates (``0.004``) and
            of multiples of the model's own (``"x2"``), which is always among them. None: the
            model's own.

    Raises:
        ActivationError: on an unknown activation or an invalid parameter.
        SearchError: on an empty space, an activation given twice, a range, a group or learning
            rates that are none.

    Example:
        >>> space = ActivationSpace(["relu", "mish", "trelu(theta=0.5)"])
        >>> space.labels
        ('relu', 'mish', 'trelu(theta=0.5)')
    """

    def __init__(
        self,
        activations: Iterable[ActivationLike] | None = None,
        *,
        ranges: Mapping[str, Any] | None = None,
        per: Per = "model",
        learning_rates: LearningRatesLike = None,
    ):
        given = _listed(activations)
        if not given:
            raise SearchError(
                f"A space needs at least one activation. Received: activations={shown(activations)}"
            )
        overrides = _checked_ranges(ranges)
        used: set[str] = set()
        self.per = _checked_per(per)
        self.learning_rates = LearningRates.of(learning_rates)
        self._entries: dict[str, SpaceEntry] = {}
        for activation in given:
            entry = make_entry(activation, overrides, used)
            same = self._entry_like(entry)
            if same is not None:
                raise SearchError(
                    f"Each activation may be given once. Received: {entry.label!r} twice, first as "
                    f"{same.label!r}"
                )
            self._entries[entry.label] = entry
        # a misspelt name would otherwise search the range of the spec, unseen
        unknown = sorted(map(str, overrides.keys() - used))
        if unknown:
            raise SearchError(
                "ranges must name parameters of the space's activations that are not written "
                f"already. The searched parameters are {list(self._searched_parameters())}. "
                f"Received: {shown(unknown)}"
            )

    @staticmethod
    def _of_entries(
        entries: Iterable[SpaceEntry], per: Per, learning_rates: LearningRates | None
    ) -> ActivationSpace:
        # not by the constructor: it would make the entries again, with the ranges of their specs
        space = ActivationSpace.__new__(ActivationSpace)
        space.per = per
        space.learning_rates = learning_rates
        space._entries = {entry.label: entry for entry in entries}
        return space

    def _entry_like(self, entry: SpaceEntry) -> SpaceEntry | None:
        """The entry of the space that is the same choice."""
        for known in self._entries.values():
            if same_choice(known, entry):
                return known
        return None

    def _searched_parameters(self) -> Iterator[str]:
        for entry in self._entries.values():
            for name, _ in entry.ranges:
                yield f"{entry.name}.{name}"

    @property
    def labels(self) -> tuple[str, ...]:
        """The values of the `Choice`: an activation each, with its fixed parameters."""
        return tuple(self._entries)

    @property
    def entries(self) -> Mapping[str, SpaceEntry]:
        """What is fixed and what is searched of each activation, by its label."""
        return MappingProxyType(self._entries)

    def with_baseline(self, baseline: str = "relu") -> ActivationSpace:
        """Return the space with `baseline` in it, first.

        Every search must say whether it beats ReLU.
        """
        entry = make_entry(baseline, {}, set())
        first = self._entry_like(entry) or entry
        others = [known for known in self._entries.values() if known is not first]
        return ActivationSpace._of_entries([first, *others], self.per, self.learning_rates)

    def with_learning_rates(self, learning_rates: LearningRatesLike) -> ActivationSpace:
        """Return the space with other learning rates.

        Raises:
            SearchError: if they are none.
        """
        rates = LearningRates.of(learning_rates)
        return ActivationSpace._of_entries(self._entries.values(), self.per, rates)

    def choose(self, hp: keras_tuner.HyperParameters, name: str = "act") -> Candidate:
        """Return the candidate that `hp` holds, declaring its hyperparameters.

        They are a `Choice` called `name` and, active only under their activation, a `Float`
        ``name.trelu.alpha`` each.

        Raises:
            SearchError: if `hp` holds an activation that the space has not.
        """
        label = hp.Choice(name, list(self.labels))
        values: dict[str, list[float]] = {}
        # all are declared, whichever is chosen: an oracle must know of each before it proposes one
        for entry in self._entries.values():
            with hp.conditional_scope(name, [entry.label]):
                values[entry.label] = _declare_ranges(hp, f"{name}.{entry.name}", entry.ranges)
        if label not in self._entries:
            raise SearchError(
                f"The hyperparameter {name!r} must be one of {self.labels}. Received: {label!r}"
            )
        return self._entries[label].candidate(values[label])

    def hyperparameters(self, candidate: Candidate, name: str = "act") -> dict[str, Any]:
        """Return the values under which `choose` returns the candidate.

        Its text, if it is an alias without any.
        """
        for entry in self._entries.values():
            values = entry.values(candidate)
            if values is None:
                continue
            hyperparameters: dict[str, Any] = {name: entry.label}
            for (parameter, _), value in zip(entry.ranges, values, strict=True):
                hyperparameters[f"{name}.{entry.name}.{parameter}"] = value
            return hyperparameters
        return {name: str(candidate)}

    @property
    def size(self) -> float:
        """How many candidates a choice has; infinity if a range is searched."""
        if any(entry.ranges for entry in self._entries.values()):
            return math.inf
        return len(self.grid())

    def grid(self, points: int = 5) -> tuple[Candidate, ...]:
        """Return all candidates, each once, with `points` values of every range, ends included."""
        if isinstance(points, bool) or not isinstance(points, int) or points < 1:
            raise SearchError(f"points must be an integer >= 1. Received: points={shown(points)}")
        candidates: list[Candidate] = []
        for entry in self._entries.values():
            axes = [grid(searched, points) for _, searched in entry.ranges]
            candidates += map(entry.candidate, itertools.product(*axes))
        return tuple(dict.fromkeys(candidates))

    def sample(self, count: int, seed: int = 0) -> tuple[Candidate, ...]:
        """Return `count` random candidates.

        An activation, then its parameters, uniformly on their scales.
        """
        rng = np.random.default_rng(seed)
        entries = list(self._entries.values())
        # all activations before all values: another order would be other candidates of a seed
        drawn = [entries[rng.integers(len(entries))] for _ in range(count)]
        candidates = []
        for entry in drawn:
            values = [value_at(searched, rng.random()) for _, searched in entry.ranges]
            candidates.append(entry.candidate(values))
        return tuple(candidates)

    def neighbours(self, candidate: ActivationLike, step: float = 0.1) -> tuple[Candidate, ...]:
        """Return the candidates one step away.

        A parameter moved by `step` of its range, or another activation's start.

        Raises:
            SearchError: if `candidate` is not in the space.
        """
        centre = Candidate.of(candidate)
        entry, values = self._entry_of(centre)
        neighbours = []
        for index, (_, searched) in enumerate(entry.ranges):
            for move in (-step, step):
                moved = value_at(searched, fraction_of(searched, values[index]) + move)
                neighbours.append(entry.candidate([*values[:index], moved, *values[index + 1 :]]))
        neighbours += [other.start() for other in self._entries.values() if other is not entry]
        # at an end of a range the move leads back
        return tuple(neighbour for neighbour in dict.fromkeys(neighbours) if neighbour != centre)

    def _entry_of(self, candidate: Candidate) -> tuple[SpaceEntry, list[float]]:
        """The entry that makes a candidate, and the values with which it does."""
        for entry in self._entries.values():
            values = entry.values(candidate)
            if values is not None:
                return entry, values
        raise SearchError(
            f"The candidate must be in the space {self.labels}. Received: {candidate}"
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows: each activation, and what is searched of it."""
        rows = []
        for entry in self._entries.values():
            rows.append((entry.label, "; ".join(itertools.starmap(_range_in_words, entry.ranges))))
        caption = f"{counted(len(rows), 'activation')}, chosen {_per_in_words(self.per)}."
        return simple(("activation", "searched"), rows, caption)

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
            entries = [_entry_from(given) for given in data["activations"]]
            # older files have none
            rates = LearningRates.of(data.get("learning_rates"))
            space = ActivationSpace._of_entries(entries, _checked_per(data["per"]), rates)
            written = data["fingerprint"]
            readable = data["format"] == _FORMAT and len(space.labels) == len(entries) > 0
        except KerasActsError:  # it says more than that the text is no space
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _no_space(text) from error
        if not readable:
            raise _no_space(text)
        if space.fingerprint != written:
            raise SearchError(
                f"The space was changed. Expected: fingerprint {space.fingerprint}. Received: "
                f"{shown(written)}"
            )
        return space

    @property
    def fingerprint(self) -> str:
        """Sixteen characters that are the same for the same space only.

        Its activations in order, ranges and groups.
        """
        return hashlib.sha256(json.dumps(self._data()).encode()).hexdigest()[:16]

    def _data(self) -> dict[str, Any]:
        activations = []
        for entry in self._entries.values():
            ranges = {name: [r.low, r.high, r.log, r.start] for name, r in entry.ranges}
            activations.append({"activation": entry.label, "ranges": ranges})
        data = {"format": _FORMAT, "activations": activations, "per": self.per}
        if self.learning_rates is not None:
            data["learning_rates"] = self.learning_rates.written()
        return data

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ActivationSpace):
            return NotImplemented
        return self._data() == other._data()

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        options = f"per={self.per!r}"
        if self.learning_rates is not None:
            options += f", learning_rates={self.learning_rates.written()}"
        return f"ActivationSpace({list(self.labels)}, {options})"


def _declare_ranges(
    hp: keras_tuner.HyperParameters, prefix: str, ranges: Iterable[tuple[str, SearchRange]]
) -> list[float]:
    """Declare a hyperparameter for each range, and return their values."""
    values = []
    for parameter, searched in ranges:
        sampling = "linear"
        if searched.log:
            sampling = "log"
        value = hp.Float(
            f"{prefix}.{parameter}",
            searched.low,
            searched.high,
            sampling=sampling,
            default=searched.start,
        )
        values.append(value)
    return values


def _entry_from(given: Mapping[str, Any]) -> SpaceEntry:
    """The entry that `to_json` wrote so."""
    label = given["activation"]
    if not isinstance(label, str):  # no object is made of what a file holds
        raise ValueError("an activation is a text")
    name, fixed = read_activation(label)
    known = {}
    if name in keras_acts.names():
        known = {parameter.name: parameter for parameter in keras_acts.spec(name).parameters}
    ranges: list[tuple[str, SearchRange]] = []
    for key, values in given["ranges"].items():
        if key in dict(fixed):
            raise ValueError("a parameter is fixed or searched")
        ranges.append((key, _range_from(f"{name}.{key}", known[key], values)))
    entry = SpaceEntry(name, fixed, tuple(ranges))
    check_elementwise(name, label)
    entry.start()  # whatever the parameters contradict together is refused now
    return entry


def _range_from(key: str, parameter: Parameter, values: Any) -> SearchRange:
    """The range that `to_json` wrote so, checked as if a user had written it."""
    low, high, log, start = values
    scale = "linear"
    if log is True:
        scale = "log"
    searched = override(key, parameter, (low, high, scale))
    searched = replace(searched, start=parameter.check(start, key))
    if not isinstance(log, bool) or not searched.low <= searched.start <= searched.high:
        raise ValueError("the start of a range lies inside of it")
    return searched


def _no_space(text: object) -> SearchError:
    return SearchError(f"The text must be a space that to_json wrote. Received: {shown(text)}")


def _listed(activations: Iterable[ActivationLike] | None) -> tuple[ActivationLike, ...]:
    """Return the activations that were given, or those of a search by default."""
    if activations is None:
        return default_activations()
    # a text would be taken for its letters; an array without axes says that it is iterable
    if not isinstance(activations, str):
        with contextlib.suppress(TypeError):
            return tuple(activations)
    raise SearchError(
        f"activations must be a list of activations. Received: activations={shown(activations)}"
    )


def _checked_ranges(ranges: Any) -> dict[str, Any]:
    """Return what is searched instead of the ranges of the specs, by the names of parameters."""
    if ranges is None:
        return {}
    try:
        return dict(ranges)
    except (TypeError, ValueError):
        raise SearchError(
            "ranges must be a mapping from names of parameters to ranges, such as "
            f"{{'leaky_relu.alpha': (0.01, 0.3)}}. Received: ranges={shown(ranges)}"
        ) from None


def _checked_per(per: Any) -> Per:
    """Return `per`, with plain lists in it, after checking all of it."""
    if isinstance(per, str) and per in _PER:
        return per
    if not isinstance(per, Mapping) or not per:
        raise SearchError(
            f"per must be one of {_PER} or a mapping from group names to a regular expression or a "
            f"list of slot names. Received: per={shown(per)}"
        )
    return {group: _checked_slots(group, slots) for group, slots in per.items()}


def _checked_slots(group: Any, slots: Any) -> str | list[str]:
    """Return which slots a group has: a regular expression, or a list of names."""
    is_named = isinstance(group, str) and group != ""
    if is_named and isinstance(slots, str):
        try:
            re.compile(slots)
        # a number of repetitions may be too large, or brackets too deep
        except (re.error, OverflowError, RecursionError) as error:
            raise SearchError(
                f"A group's regular expression must be valid: {error}. Received: "
                f"per={{{shown(group)}: {shown(slots)}}}"
            ) from error
        return slots
    is_list = isinstance(slots, list | tuple) and len(slots) > 0
    if not is_named or not is_list or not all(isinstance(slot, str) for slot in slots):
        raise SearchError(
            "A group has a name, and a regular expression or a list of slot names. "
            f"Received: per={{{shown(group)}: {shown(slots)}}}"
        )
    return list(slots)


def _range_in_words(name: str, searched: SearchRange) -> str:
    text = f"{name} from {searched.low:g} to {searched.high:g}"
    if searched.log:
        return f"{text}, on a logarithmic scale"
    return text


def _per_in_words(per: Per) -> str:
    if per == "model":
        return "once for the whole model"
    if isinstance(per, str):
        return f"for each {per}"
    return f"for each of the groups {', '.join(per)}"
