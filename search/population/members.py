"""Who is in a population: candidates, each on seeds."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras_acts
from keras_acts.errors import ModelError

from ..space.assignment import Assignment, Choice
from ..space.candidate import Candidate


@dataclass(frozen=True)
class Member:
    """One slot of a population.

    A candidate, for all activation slots or for each, and the seed of its weights.
    """

    candidate: Choice
    seed: int


def members(candidates: Iterable[Any], seeds: int | Iterable[int]) -> tuple[Member, ...]:
    """Return the members in public order: slot ``k * S + s`` is candidate k with seed s.

    Raises:
        ModelError: if there is no candidate or no seed, or a seed is no integer from 0 on.
    """
    if isinstance(candidates, str | keras_acts.Activation | Candidate | Assignment):
        raise ModelError(
            f"candidates must be a list of activations. Received: candidates={candidates!r}"
        )
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
        if (
            not isinstance(seed, numbers.Integral)
            or isinstance(seed, bool)
            or not 0 <= seed < 2**32
        ):
            raise ModelError(
                f"seeds must be integers from 0 to 2**32 - 1, or how many. Received: seeds={seeds!r}"
            )
    return tuple(Member(candidate, int(seed)) for candidate in chosen for seed in listed)


def activation_slots(
    found: Sequence[Member], given: Iterable[str] | None
) -> tuple[str, ...] | None:
    """Return the names of the activation slots that the members choose for.

    None for all hidden ones.

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
