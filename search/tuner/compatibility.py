"""Which models may train as one population.

Those that are the same but for activations and the numbers that a member may have for itself: the
learning rate, the weight decay, the label smoothing, and how strong layers of noise are.
"""

from __future__ import annotations

import collections
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_acts.compat import Functional, all_layers, compiled_with, functional_of
from keras_acts.errors import ActivationError, ModelError
from keras_acts.layers import TrainedActivation
from keras_acts.rewritten import REGISTERED

from ..population.losses import label_smoothing_of
from ..population.members import noise_layers
from ..rewrite.own_training import own_methods
from ..rewrite.slots import SlotSite, slot_sites
from ..rewrite.walk import layers_of
from ..space.assignment import Assignment, Choice
from ..space.candidate import Candidate

# modules whose objects say all in their configs
_OURS = ("keras.", "keras_acts.", "builtins")


@dataclass(frozen=True, eq=False)
class BuiltModel:
    """A model as a search made it, seen as a member of a population.

    Attributes:
        model: compiled.
        key: what models of one population have in common, hyperparameters apart.
        activations: the candidate in each hidden slot, in order.
        slots: their names.
        rate: the learning rate, None if it follows a schedule.
        decay: the weight decay of the optimizer, None if it has none.
        smoothing: the label smoothing of the loss, None if members cannot have their own.
        noise: how strong each layer of noise is of which members can have their own, by its path.
        custom: whether something in it is not Keras' or ours, so that its config may not tell all.
    """

    model: keras.Model
    key: str
    activations: tuple[Candidate, ...]
    slots: tuple[str, ...]
    rate: float | None
    decay: float | None
    smoothing: float | None
    noise: dict[str, float]
    custom: bool


def inspect_model(model: keras.Model) -> BuiltModel:
    """Return what a population needs to know of a model.

    Raises:
        ModelError: if it can only train for itself.
    """
    check_training(model)
    sites = slot_sites(model)
    hidden: list[SlotSite] = []
    others: list[tuple[str, str, str]] = []
    for site in sites:
        if site.slot.role == "hidden":
            hidden.append(site)
        else:
            others.append((site.argument, site.slot.current, site.slot.role))
    compiled, numbers = _compiled_without_numbers(model)
    # Keras counts up the names of what is built in one process
    names = {name: f"{index}" for index, name in enumerate(_names(model))}
    left_out = {site.layer.name: "activation" for site in hidden if site.place is None}
    noise = noise_of(model)
    for path, attribute in noise.items():
        left_out[_name_at(path)] = attribute
    architecture = _common(model.get_config(), names, left_out)
    parts = [*keras.tree.flatten(compiled_with(model)), *all_layers(model)]
    return BuiltModel(
        model,
        key=json.dumps([architecture, compiled, others], default=repr),
        activations=tuple(map(_candidate, hidden)),
        slots=tuple(site.slot.name for site in hidden),
        rate=numbers.get("learning_rate"),
        decay=numbers.get("weight_decay"),
        smoothing=numbers.get("label_smoothing"),
        noise=_strengths(model, noise),
        custom=not all(map(_is_ours, parts)),
    )


# of an optimizer, what each member of a population may have for itself
_NUMBERS = ("learning_rate", "weight_decay")


def _compiled_without_numbers(model: keras.Model) -> tuple[dict[str, Any], dict[str, float]]:
    """What a model was compiled with, and apart from it what members may have for themselves."""
    with warnings.catch_warnings():
        # nobody loads it
        warnings.filterwarnings("ignore", "The object being serialized includes a `lambda`")
        compiled = model.get_compile_config()
    numbers: dict[str, float] = {}
    smoothing = label_smoothing_of(compiled_with(model)["loss"])
    if smoothing is not None:
        numbers["label_smoothing"] = smoothing
        del compiled["loss"]["config"]["label_smoothing"]
    optimizer = compiled.get("optimizer")
    if not isinstance(optimizer, dict):
        return compiled, numbers
    config = optimizer["config"]
    config.pop("name", None)
    for name in _NUMBERS:
        if isinstance(config.get(name), float):
            numbers[name] = config.pop(name)
    return compiled, numbers


def noise_of(model: keras.Model) -> dict[str, str]:
    """Return the layers of noise that may differ in members, by path, with what says how strong it is.

    Those are left out whose name another layer has too: a config would not tell which is meant.
    """
    counts = collections.Counter(layer.name for layer in all_layers(model))
    layers = dict(layers_of(model))
    attributes = {}
    for path, attribute in noise_layers(model).items():
        # of 1, which drops everything, members cannot have their own
        is_below_one = getattr(layers[path], attribute) < 1
        if counts[layers[path].name] == 1 and is_below_one:
            attributes[path] = attribute
    return attributes


def _strengths(model: keras.Model, noise: Mapping[str, str]) -> dict[str, float]:
    layers = dict(layers_of(model))
    return {path: float(getattr(layers[path], noise[path])) for path in noise}


def _name_at(path: str) -> str:
    """The name of the layer at a path."""
    return path.rpartition("/")[2]


def check_training(model: keras.Model) -> None:
    """Check that a model trains as Keras trains models.

    Raises:
        ModelError: if it does so in its own way.
    """
    methods = own_methods(model)
    if methods:
        raise ModelError(
            f"a model of class {type(model).__name__} has its own {', '.join(methods)}"
        )
    if type(model) not in (keras.Sequential, keras.Model, Functional):
        raise ModelError(
            f"the config of a subclassed model may not tell all: {type(model).__name__}"
        )
    if model.run_eagerly:
        raise ModelError("the model runs eagerly")
    if not model.compiled or not model.built:
        raise ModelError("the model must be compiled and built")


def differing_slots(models: Sequence[BuiltModel]) -> tuple[tuple[str, ...], list[Choice]]:
    """Return the slots of the first model where models of one key differ, and what each has there.

    Raises:
        ModelError: if they have no hidden slot.
    """
    first = models[0]
    if not first.slots:
        raise ModelError("a model has no hidden slot")
    indices = _differing(models)
    slots = tuple(first.slots[index] for index in indices)
    choices: list[Choice] = []
    for model in models:
        activations = (model.activations[index] for index in indices)
        assignment = Assignment.of(dict(zip(slots, activations, strict=True)))
        choices.append(assignment.only or assignment)
    return slots, choices


def _differing(models: Sequence[BuiltModel]) -> list[int]:
    """Where models differ; if nowhere, where all have what they have in their first slot."""
    rows = [model.activations for model in models]
    columns = list(zip(*rows, strict=True))
    differing = [index for index, column in enumerate(columns) if len(set(column)) > 1]
    if differing:
        return differing
    common = columns[0][0]
    return [index for index, column in enumerate(columns) if column[0] == common]


def _candidate(site: SlotSite) -> Candidate:
    activation = site.activation()
    if isinstance(activation, TrainedActivation):
        one_a_channel = (site.slot.channels,)
        if any(weight.shape != one_a_channel for weight in activation.weights):
            raise ModelError(
                "a trained activation of a population has a parameter for each channel"
            )
    try:
        return Candidate.of(site.slot.current)
    except ActivationError as error:
        raise ModelError(
            f"the activation of {site.slot.name!r} has no name: {site.slot.current}"
        ) from error


def _is_ours(part: object) -> bool:
    """Whether a part of a model is a plain value, or of a class or function of `_OURS`."""
    if isinstance(part, str | int | float | bool | dict) or part is None:
        return True
    module = str(getattr(part, "__module__", None) or type(part).__module__)
    return module.startswith(_OURS)


def _names(model: keras.Model) -> Iterator[str]:
    for operation in functional_of(model).operations:
        yield operation.name
        if isinstance(operation, keras.Sequential | Functional):
            yield from _names(operation)
    yield model.name


def _common(config: Any, names: Mapping[str, str], left_out: Mapping[str, str]) -> Any:
    """A config without what models of one population may differ in.

    Without what is left out, one entry of each layer's config by its name, and with numbers for the
    names that Keras counts up.
    """
    if isinstance(config, dict):
        if config.get("registered_name") == REGISTERED:
            # the layer as its constructor makes it
            config = {**config, **config["config"]["layer"]}
        name = config.get("name")
        without = None
        if isinstance(name, str):
            without = left_out.get(name)
        common = {}
        for key, value in config.items():
            if key != without:
                common[key] = _common(value, names, left_out)
        return common
    if isinstance(config, list | tuple):
        return [_common(value, names, left_out) for value in config]
    if isinstance(config, str):
        return names.get(config, config)
    return config
