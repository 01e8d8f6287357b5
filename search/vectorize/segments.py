"""Neighbours in a population that share an activation function, and the order that makes them neighbours."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

import keras_acts
from keras_acts.layers import TrainedActivation

from ..space.assignment import Choice
from ..space.candidate import Candidate


@dataclass(frozen=True, eq=False)
class Segment:
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


def arrange(found: Sequence[Choice]) -> tuple[tuple[int, ...], tuple[Segment, ...]]:
    """Return the inside order, ``order[i]`` the public index of inside slot i, and the groups in that order.

    Members of one group have the same functions in all their activation slots.
    """
    ranks: dict[Any, int] = {}
    keys = {}
    for choice in dict.fromkeys(found):
        functions = [_function(candidate.activation(1)) for candidate in _candidates(choice)]
        keys[choice] = [ranks.setdefault(function, len(ranks)) for function in functions]
    order = tuple(sorted(range(len(found)), key=lambda p: keys[found[p]]))
    return order, segments([found[p] for p in order])


def segments(inside: Sequence[Choice], slots: Sequence[str] = ()) -> tuple[Segment, ...]:
    """Return the groups of slots in inside order that have the same functions in some activation slots.

    Args:
        inside: what each slot has, in inside order.
        slots: the names of the activation slots; by default all.
    """
    activations = {
        c: tuple(own.activation(1) for own in _candidates(c, slots)) for c in dict.fromkeys(inside)
    }
    keys = {choice: tuple(map(_function, own)) for choice, own in activations.items()}
    groups, start = [], 0
    for _, run in itertools.groupby(inside, keys.__getitem__):
        own = list(run)
        values = [_numbers(activations[choice][0]) for choice in own]
        columns = {name: np.array([value[name] for value in values]) for name in values[0]}
        groups.append(Segment(start, start + len(own), own[0], activations[own[0]], columns))
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
        return {
            p.name: config[p.name]
            for p in activation.spec.parameters
            if p.name not in activation.trained
        }
    return dict(activation.parameters) if isinstance(activation, keras_acts.Activation) else {}


def _numbers(activation: Any) -> dict[str, float]:
    return {
        name: value for name, value in _parameters(activation).items() if isinstance(value, float)
    }


def _function(activation: Any) -> tuple[Any, ...]:
    """What two slots must have in common to be one group."""
    fixed = tuple(
        (name, value)
        for name, value in _parameters(activation).items()
        if not isinstance(value, float)
    )
    if isinstance(activation, TrainedActivation):
        return "trained", activation.spec.name, tuple(activation.trained), fixed
    if isinstance(activation, keras_acts.Activation):
        return "value", activation.spec.name, fixed
    return "function", activation
