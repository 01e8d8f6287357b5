"""Neighbours in a population that share an activation function, and the order that makes them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np

import keras_acts
from keras_acts.layers import TrainedActivation

from ..space.assignment import Choice
from ..space.candidate import Candidate

# a value, a function, or a layer with trained parameters
Activation: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Segment:
    """Members next to each other inside that have the same activation function, but for numbers.

    Where they are those of one layer, it may hold several activations, as recurrent layers do.

    Attributes:
        start: the first member, in inside order.
        stop: the member after the last.
        candidate: one member's.
        activations: that member's: values, functions, or layers with trained parameters.
        numbers: the fixed numeric parameters of the first activation, one value a member each.
    """

    start: int
    stop: int
    candidate: Choice
    activations: tuple[Activation, ...]
    numbers: dict[str, np.ndarray]

    @property
    def activation(self) -> Activation:
        """The only activation of that member."""
        return self.activations[0]

    @property
    def size(self) -> int:
        """How many members it has."""
        return self.stop - self.start

    @property
    def trained(self) -> bool:
        """Whether an activation has variables."""
        return any(isinstance(activation, keras.layers.Layer) for activation in self.activations)


def arrange(choices: Sequence[Choice]) -> tuple[tuple[int, ...], tuple[Segment, ...]]:
    """Return the inside order, and the segments in that order.

    ``order[i]`` is the public index of inside member i. Members of one segment have the same
    functions in all their activation slots.
    """
    # functions cannot be compared: each has the rank in which it is first met
    ranks: dict[Hashable, int] = {}
    keys: dict[Choice, list[int]] = {}
    for choice in dict.fromkeys(choices):
        keys[choice] = []
        for candidate in _candidates(choice):
            function = _function(candidate.activation(1))
            keys[choice].append(ranks.setdefault(function, len(ranks)))
    order = tuple(sorted(range(len(choices)), key=lambda index: keys[choices[index]]))
    return order, segments([choices[index] for index in order])


def segments(inside: Sequence[Choice], slots: Sequence[str] = ()) -> tuple[Segment, ...]:
    """Return the segments of members in inside order with the same functions in some slots.

    Args:
        inside: what each member has, in inside order.
        slots: the names of the activation slots; by default all.
    """
    activations: dict[Choice, tuple[Activation, ...]] = {}
    functions: dict[Choice, tuple[Hashable, ...]] = {}
    for choice in dict.fromkeys(inside):
        of_choice = tuple(candidate.activation(1) for candidate in _candidates(choice, slots))
        activations[choice] = of_choice
        functions[choice] = tuple(map(_function, of_choice))

    result = []
    start = 0
    for _, run in itertools.groupby(inside, functions.__getitem__):
        members = list(run)
        columns = _columns([activations[choice][0] for choice in members])
        stop = start + len(members)
        result.append(Segment(start, stop, members[0], activations[members[0]], columns))
        start = stop
    return tuple(result)


def _columns(activations: Sequence[Activation]) -> dict[str, np.ndarray]:
    """The numbers of activations with the same function, by name: one value an activation."""
    rows = list(map(_numbers, activations))
    columns: dict[str, np.ndarray] = {}
    for name in rows[0]:
        columns[name] = np.array([row[name] for row in rows])
    return columns


def _candidates(choice: Choice, slots: Sequence[str] = ()) -> tuple[Candidate, ...]:
    if isinstance(choice, Candidate):
        return (choice,)
    return tuple(choice[slot] for slot in slots or sorted(choice))


def _parameters(activation: Activation) -> dict[str, Any]:
    """The parameters that are not trained."""
    if isinstance(activation, TrainedActivation):
        names = [parameter.name for parameter in activation.spec.parameters]
        config = activation.get_config()
        return {name: config[name] for name in names if name not in activation.trained}
    if isinstance(activation, keras_acts.Activation):
        return dict(activation.parameters)
    return {}


def _numbers(activation: Activation) -> dict[str, float]:
    parameters = _parameters(activation).items()
    return {name: value for name, value in parameters if isinstance(value, float)}


def _function(activation: Activation) -> Hashable:
    """What two members must have in common to be in one segment."""
    parameters = _parameters(activation).items()
    # floats are data, one a member; the others, such as a mode or an axis, say which function it is
    settings = tuple((name, value) for name, value in parameters if not isinstance(value, float))
    if isinstance(activation, TrainedActivation):
        return "trained", activation.spec.name, tuple(activation.trained), settings
    if isinstance(activation, keras_acts.Activation):
        return "value", activation.spec.name, settings
    return "function", activation
