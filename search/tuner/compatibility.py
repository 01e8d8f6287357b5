"""Which models may train as one population.

Those that are the same but for activations and the learning rate.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from keras_acts.compat import Functional, all_layers, compiled_with, functional_of
from keras_acts.errors import ActivationError, ModelError
from keras_acts.layers import TrainedActivation

from ..rewrite.own_training import own_methods
from ..rewrite.slots import is_activation, slot_sites
from ..space.assignment import Assignment, Choice
from ..space.candidate import Candidate

_OURS = ("keras.", "keras_acts.", "builtins")


@dataclass(frozen=True, eq=False)
class BuiltModel:
    """A model as a search made it, seen as a slot of a population.

    Attributes:
        model: compiled.
        key: what models of one population have in common, hyperparameters apart.
        activations: the candidate in each hidden slot, in order.
        slots: their names.
        rate: the learning rate, None if it follows a schedule.
        custom: whether something in it is not Keras' or ours, so that its config may not tell all.
    """

    model: keras.Model
    key: str
    activations: tuple[Candidate, ...]
    slots: tuple[str, ...]
    rate: float | None
    custom: bool


def inspect_model(model: keras.Model) -> BuiltModel:
    """Return what a population needs to know of a model.

    Raises:
        ModelError: if it can only train for itself.
    """
    check_training(model)
    found = slot_sites(model)
    hidden = [place for place in found if place.slot.role == "hidden"]
    others = [
        (place.argument, place.slot.current, place.slot.role)
        for place in found
        if place.slot.role != "hidden"
    ]
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "The object being serialized includes a `lambda`"
        )  # nobody loads it
        compiled = model.get_compile_config()
    optimizer = (
        compiled["optimizer"]["config"] if isinstance(compiled.get("optimizer"), dict) else {}
    )
    optimizer.pop("name", None)
    rate = (
        optimizer.pop("learning_rate")
        if isinstance(optimizer.get("learning_rate"), float)
        else None
    )
    names = {name: f"{i}" for i, name in enumerate(_names(model))}
    key = json.dumps(
        [_common(model.get_config(), names, {p.layer.name for p in hidden}), compiled, others],
        default=repr,
    )
    parts = [*keras.tree.flatten(compiled_with(model)), *all_layers(model)]
    return BuiltModel(
        model,
        key,
        tuple(_candidate(place) for place in hidden),
        tuple(place.slot.name for place in hidden),
        rate,
        custom=not all(_module(part).startswith(_OURS) for part in parts),
    )


def check_training(model: keras.Model) -> None:
    """Check that a model trains as Keras trains models.

    Raises:
        ModelError: if it does so in its own way.
    """
    if own := own_methods(model):
        raise ModelError(f"a model of class {type(model).__name__} has its own {', '.join(own)}")
    if type(model) not in (keras.Sequential, keras.Model, Functional):
        raise ModelError(
            f"the config of a subclassed model may not tell all: {type(model).__name__}"
        )
    if model.run_eagerly:
        raise ModelError("the model runs eagerly")
    if not model.compiled or not model.built:
        raise ModelError("the model must be compiled and built")


def differing_slots(models: list[BuiltModel]) -> tuple[tuple[str, ...], list[Choice]]:
    """Return the slots of the first model where models of one key differ, and what each model has there.

    Raises:
        ModelError: if they have no hidden slot.
    """
    if not models[0].slots:
        raise ModelError("a model has no hidden slot")
    columns = list(zip(*(made.activations for made in models), strict=True))
    places_ = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    places_ = places_ or [i for i, column in enumerate(columns) if column[0] == columns[0][0]]
    slots = tuple(models[0].slots[i] for i in places_)
    assignments = [
        Assignment.of({models[0].slots[i]: made.activations[i] for i in places_}) for made in models
    ]
    return slots, [assignment.only or assignment for assignment in assignments]


def _candidate(place: Any) -> Candidate:
    activation = (
        place.layer if is_activation(place.layer) else getattr(place.layer, place.argument, None)
    )
    if isinstance(activation, keras.layers.Activation):
        activation = activation.activation
    if isinstance(activation, TrainedActivation) and any(
        v.shape != (place.slot.channels,) for v in activation.weights
    ):
        raise ModelError("a trained activation of a population has a parameter for each channel")
    try:
        return Candidate.of(place.slot.current)
    except ActivationError as error:
        raise ModelError(
            f"the activation of {place.slot.name!r} has no name: {place.slot.current}"
        ) from error


def _module(part: Any) -> str:
    if isinstance(part, str | int | float | bool | dict) or part is None:
        return "builtins"
    return str(getattr(part, "__module__", None) or type(part).__module__)


def _names(model: Any) -> Iterator[str]:
    for operation in functional_of(model).operations:
        yield operation.name
        if isinstance(operation, keras.Sequential | Functional):
            yield from _names(operation)
    yield model.name


def _common(config: Any, names: dict[str, str], hidden: set[str]) -> Any:
    """A config without the activations of hidden slots, and with numbers for the names that Keras counts up."""
    if isinstance(config, dict):
        changes = config.get("name") in hidden
        return {
            k: _common(v, names, hidden)
            for k, v in config.items()
            if not (changes and k == "activation")
        }
    if isinstance(config, list | tuple):
        return [_common(value, names, hidden) for value in config]
    return names.get(config, config) if isinstance(config, str) else config
