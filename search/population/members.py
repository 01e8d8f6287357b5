"""Who is in a population: candidates, each on seeds."""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras_acts
from keras_acts.errors import ModelError, shown

from ..space.assignment import Assignment, Choice
from ..space.candidate import Candidate
from ..space.rated import Rated

_MOST_SEED = 2**32  # NumPy's legacy generators take no larger one
_MOST_SEEDS = 1_000_000


@dataclass(frozen=True)
class Member:
    """One model of a population.

    A candidate, for all activation slots or for each, and the seed of its weights.

    Attributes:
        candidate: what its activation slots have.
        seed: of its initialization.
        factor: what the learning rate of the population's optimizer is multiplied by for it.
    """

    candidate: Choice
    seed: int
    factor: float = 1.0

    @property
    def rated(self) -> Rated:
        """What it is without its seed."""
        return Rated(self.candidate, self.factor)


def members(candidates: Iterable[Any], seeds: int | Iterable[int]) -> tuple[Member, ...]:
    """Return the members in public order: member ``k * S + s`` is candidate k with seed s.

    Raises:
        ModelError: if there is no candidate or no seed, or a seed is no integer from 0 on.
    """
    if isinstance(candidates, str | keras_acts.Activation | Candidate | Assignment | Rated):
        raise ModelError(
            f"candidates must be a list of activations. Received: candidates={shown(candidates)}"
        )
    try:
        wanted = list(candidates)
    except TypeError:
        raise ModelError(
            f"candidates must be a list of activations. Received: candidates={shown(candidates)}"
        ) from None
    if wanted and all(isinstance(candidate, Member) for candidate in wanted):
        return tuple(wanted)
    choices = [rated(candidate) for candidate in wanted]
    listed = _listed(seeds)
    if not choices or not listed:
        raise ModelError(
            "A population needs at least one candidate and one seed. "
            f"Received: {len(choices)} candidates, seeds={shown(seeds)}"
        )
    if not all(map(_is_seed, listed)):
        raise ModelError(
            f"seeds must be integers from 0 to 2**32 - 1, or how many. Received: seeds={shown(seeds)}"
        )
    return tuple(_each_on_each(choices, listed))


def rated(candidate: Any) -> Rated:
    """Return a candidate with its learning rate, the model's own if it has none."""
    if isinstance(candidate, Assignment | Rated):
        return Rated.of(candidate)
    return Rated(Candidate.of(candidate))


def _listed(seeds: Any) -> list[Any]:
    """The seeds that a user gave, or as many as they asked for."""
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        # no population is larger, and the list itself would fill the memory
        if seeds > _MOST_SEEDS:
            raise ModelError(
                f"A population has at most {_MOST_SEEDS:,} seeds. Received: seeds={shown(seeds)}"
            )
        return list(range(seeds))
    with contextlib.suppress(TypeError):
        return list(seeds)
    return []


def _is_seed(seed: Any) -> bool:
    if not isinstance(seed, numbers.Integral) or isinstance(seed, bool):
        return False
    return 0 <= int(seed) < _MOST_SEED


def _each_on_each(choices: Sequence[Rated], seeds: Sequence[int]) -> Iterator[Member]:
    for rated in choices:
        for seed in seeds:
            yield Member(rated.choice, int(seed), rated.factor)


def activation_slots(
    members: Sequence[Member], given: Iterable[str] | None
) -> tuple[str, ...] | None:
    """Return the names of the activation slots that the members choose for.

    None for all hidden ones.

    Args:
        members: the members.
        given: the slots that the user names, if any.

    Raises:
        ModelError: if an assignment names others.
    """
    chosen = None if given is None else tuple(given)
    for choice in dict.fromkeys(member.candidate for member in members):
        if not isinstance(choice, Assignment):
            continue
        if chosen is None:
            chosen = tuple(choice)
        if set(choice) != set(chosen):
            raise ModelError(
                "All assignments of a population must be for the same slots, "
                f"{list(chosen)}. Received: {list(choice)}"
            )
    return chosen
