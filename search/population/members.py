"""Who is in a population: candidates, each on seeds, and with noise of a strength of its own."""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

import keras_acts
from keras_acts.errors import ModelError, shown

from ..rewrite.walk import layers_of
from ..space.assignment import Assignment, Choice
from ..space.candidate import Candidate
from ..space.rated import Rated
from ..vectorize.noise import strength_attribute

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
        noise: by path of a layer, how strong its noise is in this member, where that is not as in
            the model.
    """

    candidate: Choice
    seed: int
    factor: float = 1.0
    noise: tuple[tuple[str, float], ...] = ()

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


def with_noise(
    members: Sequence[Member], noise: Mapping[str, Iterable[float]] | None, model: keras.Model
) -> tuple[Member, ...]:
    """Return members with strengths of noise of their own, beside those that they have.

    Args:
        members: of a population.
        noise: for layers, by path, one number a member.
        model: that the population is made of.

    Raises:
        ModelError: if there is no such layer of noise, or there is not one number from 0 on, and
            below 1, for each member, or one is above 0 where the layer has no random numbers.
    """
    strengths_of: dict[str, np.ndarray] = {}
    for path, given in (noise or {}).items():
        strengths_of[path] = _strengths(path, given, len(members))
    changed = []
    for index, member in enumerate(members):
        own = dict(member.noise)
        for path, strengths in strengths_of.items():
            own[path] = float(strengths[index])
        changed.append(replace(member, noise=tuple(own.items())))
    _check_layers(changed, model)
    return tuple(changed)


def noise_layers(model: keras.Model) -> dict[str, str]:
    """Return the layers of which members can have noise of their own.

    By path, with the attribute that says how strong it is.
    """
    attributes = {}
    for path, layer in layers_of(model):
        attribute = strength_attribute(layer)
        if attribute is not None:
            attributes[path] = attribute
    return attributes


def noisy_paths(members: Iterable[Member]) -> tuple[str, ...]:
    """Return the paths of the layers of which members have noise of their own."""
    paths: dict[str, None] = {}
    for member in members:
        paths.update(dict.fromkeys(path for path, _ in member.noise))
    return tuple(paths)


def strengths_at(path: str, layer: object, members: Sequence[Member]) -> np.ndarray | None:
    """Return how strong the noise of a layer is in each member.

    None if it is as strong as the layer says in all.
    """
    attribute = strength_attribute(layer)
    if attribute is None:
        return None
    of_layer = float(getattr(layer, attribute))
    strengths = np.array([dict(member.noise).get(path, of_layer) for member in members])
    if (strengths == of_layer).all():
        return None
    return strengths


def set_noise(model: keras.Model, member: Member) -> None:
    """Give the layers of a member's own model the strengths of its noise."""
    if not member.noise:
        return
    layers = dict(layers_of(model))
    for path, strength in member.noise:
        layer = layers[path]
        attribute = strength_attribute(layer)
        assert attribute is not None  # else no population was made with it
        setattr(layer, attribute, strength)


def _strengths(path: str, given: Iterable[float], count: int) -> np.ndarray:
    strengths = np.asarray(list(given), "float64")
    inside = strengths.shape == (count,) and bool(((strengths >= 0) & (strengths < 1)).all())
    if not inside:
        raise ModelError(
            f"A layer of noise takes one number from 0 on, and below 1, for each of {count} "
            f"members. Received: {strengths.tolist()} for {path!r}"
        )
    return strengths


def _check_layers(members: Sequence[Member], model: keras.Model) -> None:
    layers = dict(layers_of(model))
    known = noise_layers(model)
    with_random_numbers: set[str] = set()
    for member in members:
        with_random_numbers.update(path for path, strength in member.noise if strength > 0)
    for path in noisy_paths(members):
        if path not in known:
            raise ModelError(
                "Members have noise of their own in Keras' Dropout, SpatialDropout, AlphaDropout, "
                f"GaussianDropout and GaussianNoise: {list(known)}. Received: {shown(path)}"
            )
        attribute = known[path]
        # Keras makes the random numbers of a layer once, and none where it has no noise; where no
        # member has any either, none are missed
        has_none = not getattr(layers[path], attribute) > 0
        if has_none and path in with_random_numbers:
            raise ModelError(
                "A layer that has no noise has no random numbers either: build the model with a "
                f"{attribute} above 0, and give members 0. Received: {path!r} with {attribute}=0"
            )
