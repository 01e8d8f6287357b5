"""Who is in a population, in which order they lie inside, and which of them share an activation function."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

import keras_acts
from keras_acts.errors import ModelError
from keras_acts.layers import TrainedActivation

from .groups import Assignment
from .space import Candidate

Choice = Candidate | Assignment


@dataclass(frozen=True)
class Member:
    """One slot of a population: a candidate, for all activation slots or for each, and the seed of its weights."""

    candidate: Choice
    seed: int


def members(candidates: Iterable[Any], seeds: int | Iterable[int]) -> tuple[Member, ...]:
    """Return the members in public order: slot ``k * S + s`` is candidate k with seed s.

    Raises:
        ModelError: if there is no candidate or no seed, or a seed is no integer from 0 on.
    """
    if isinstance(candidates, str | keras_acts.Activation | Candidate | Assignment):
        raise ModelError(f"candidates must be a list of activations. Received: candidates={candidates!r}")
    wanted = list(candidates)
    if wanted and all(isinstance(member, Member) for member in wanted):
        return tuple(wanted)
    chosen = [c if isinstance(c, Assignment) else Candidate.of(c) for c in wanted]
    given = range(seeds) if isinstance(seeds, int) and not isinstance(seeds, bool) else seeds
    listed = list(given) if isinstance(given, Iterable) else []
    if not chosen or not listed:
        raise ModelError(
            "A population needs at least one candidate and one seed. "
            f"Received: {len(chosen)} candidates, seeds={seeds!r}"
        )
    for seed in listed:
        if not isinstance(seed, numbers.Integral) or isinstance(seed, bool) or not 0 <= seed < 2**32:
            raise ModelError(f"seeds must be integers from 0 to 2**32 - 1, or how many. Received: seeds={seeds!r}")
    return tuple(Member(candidate, int(seed)) for candidate in chosen for seed in listed)


def activation_slots(found: Sequence[Member], given: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return the names of the activation slots that the members choose for; None for all hidden ones.

    Args:
        found: the members.
        given: the slots that the user names, if any.

    Raises:
        ModelError: if an assignment names others.
    """
    chosen = None if given is None else tuple(given)
    for choice in dict.fromkeys(member.candidate for member in found):
        if isinstance(choice, Assignment):
            chosen = tuple(choice) if chosen is None else chosen
            if set(choice) != set(chosen):
                raise ModelError(
                    f"All assignments of a population must be for the same slots, {list(chosen)}. "
                    f"Received: {list(choice)}"
                )
    return chosen


@dataclass(frozen=True, eq=False)
class Group:
    """Slots that lie next to each other inside and have the same activation function, but for numbers.

    Where they are those of one layer, it may hold several activations, as recurrent layers do.

    Attributes:
        start: the first slot, in inside order.
        stop: the slot after the last.
        candidate: the first slot's.
        activations: the first slot's: values, functions, or layers with trained parameters.
        numbers: the fixed numeric parameters of the first activation, one value a slot each.
    """

    start: int
    stop: int
    candidate: Choice
    activations: tuple[Callable[..., Any], ...]
    numbers: dict[str, np.ndarray]

    @property
    def activation(self) -> Callable[..., Any]:
        """The only activation of the first slot."""
        return self.activations[0]

    @property
    def size(self) -> int:
        """How many slots it has."""
        return self.stop - self.start

    @property
    def trained(self) -> bool:
        """Whether an activation has variables."""
        return any(isinstance(activation, keras.layers.Layer) for activation in self.activations)


def arrange(found: tuple[Member, ...]) -> tuple[tuple[int, ...], tuple[Group, ...]]:
    """Return the inside order, ``order[i]`` the public index of inside slot i, and the groups in that order.

    Members of one group have the same functions in all their activation slots.
    """
    ranks: dict[Any, int] = {}
    keys = {}
    for choice in dict.fromkeys(member.candidate for member in found):
        functions = [_function(candidate.activation(1)) for candidate in _candidates(choice)]
        keys[choice] = [ranks.setdefault(function, len(ranks)) for function in functions]
    order = tuple(sorted(range(len(found)), key=lambda p: keys[found[p].candidate]))
    return order, in_groups([found[p].candidate for p in order])


def in_groups(inside: Sequence[Choice], slots: Sequence[str] = ()) -> tuple[Group, ...]:
    """Return the groups of slots in inside order that have the same functions in some activation slots.

    Args:
        inside: what each slot has, in inside order.
        slots: the names of the activation slots; by default all.
    """
    activations = {c: tuple(own.activation(1) for own in _candidates(c, slots)) for c in dict.fromkeys(inside)}
    keys = {choice: tuple(map(_function, own)) for choice, own in activations.items()}
    groups, start = [], 0
    for _, run in itertools.groupby(inside, keys.__getitem__):
        own = list(run)
        values = [_numbers(activations[choice][0]) for choice in own]
        columns = {name: np.array([value[name] for value in values]) for name in values[0]}
        groups.append(Group(start, start + len(own), own[0], activations[own[0]], columns))
        start += len(own)
    return tuple(groups)


def _candidates(choice: Choice, slots: Sequence[str] = ()) -> tuple[Candidate, ...]:
    if isinstance(choice, Candidate):
        return (choice,)
    return tuple(choice[slot] for slot in slots or sorted(choice))


def _parameters(activation: Any) -> dict[str, Any]:
    """The parameters that are not trained."""
    if isinstance(activation, TrainedActivation):
        config = activation.get_config()
        return {p.name: config[p.name] for p in activation.spec.parameters if p.name not in activation.trained}
    return dict(activation.parameters) if isinstance(activation, keras_acts.Activation) else {}


def _numbers(activation: Any) -> dict[str, float]:
    return {name: value for name, value in _parameters(activation).items() if isinstance(value, float)}


def _function(activation: Any) -> tuple[Any, ...]:
    """What two slots must have in common to be one group."""
    fixed = tuple((name, value) for name, value in _parameters(activation).items() if not isinstance(value, float))
    if isinstance(activation, TrainedActivation):
        return "trained", activation.spec.name, tuple(activation.trained), fixed
    if isinstance(activation, keras_acts.Activation):
        return "value", activation.spec.name, fixed
    return "function", activation
