"""Who is in a population, in which order they lie inside, and which of them share an activation function."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

import keras_acts
from keras_acts.errors import ModelError
from keras_acts.layers import TrainedActivation

from .space import Candidate


@dataclass(frozen=True)
class Member:
    """One slot of a population: a candidate and the seed of its initial weights."""

    candidate: Candidate
    seed: int


def members(candidates: Iterable[Any], seeds: int | Iterable[int]) -> tuple[Member, ...]:
    """Return the members in public order: slot ``k * S + s`` is candidate k with seed s.

    Raises:
        ModelError: if there is no candidate or no seed, or a seed is no integer from 0 on.
    """
    if isinstance(candidates, str | keras_acts.Activation | Candidate):
        raise ModelError(f"candidates must be a list of activations. Received: candidates={candidates!r}")
    wanted = list(candidates)
    if wanted and all(isinstance(member, Member) for member in wanted):
        return tuple(wanted)
    chosen = [Candidate.of(candidate) for candidate in wanted]
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


@dataclass(frozen=True, eq=False)
class Group:
    """Slots that lie next to each other inside and have the same activation function, but for numbers.

    Attributes:
        start: the first slot, in inside order.
        stop: the slot after the last.
        candidate: the first slot's.
        activation: the first slot's: a value, a function, or a layer with trained parameters.
        numbers: the fixed numeric parameters, one value a slot each.
    """

    start: int
    stop: int
    candidate: Candidate
    activation: Callable[..., Any]
    numbers: dict[str, np.ndarray]

    @property
    def size(self) -> int:
        """How many slots it has."""
        return self.stop - self.start

    @property
    def trained(self) -> bool:
        """Whether the activation has variables."""
        return isinstance(self.activation, keras.layers.Layer)


def arrange(found: tuple[Member, ...]) -> tuple[tuple[int, ...], tuple[Group, ...]]:
    """Return the inside order, ``order[i]`` the public index of inside slot i, and the groups in that order."""
    activations = {candidate: candidate.activation(1) for candidate in {member.candidate for member in found}}
    keys = {candidate: _function(activation) for candidate, activation in activations.items()}
    ranks: dict[Any, int] = {}
    for member in found:
        ranks.setdefault(keys[member.candidate], len(ranks))
    order = tuple(sorted(range(len(found)), key=lambda p: ranks[keys[found[p].candidate]]))
    groups, start = [], 0
    for key in ranks:
        inside = [found[p].candidate for p in order if keys[found[p].candidate] == key]
        values = [_numbers(activations[candidate]) for candidate in inside]
        columns = {name: np.array([value[name] for value in values]) for name in values[0]}
        groups.append(Group(start, start + len(inside), inside[0], activations[inside[0]], columns))
        start += len(inside)
    return order, tuple(groups)


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
