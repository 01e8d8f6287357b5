"""Slots of populations carried on: into an ordinary model, or into another population."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_acts.compat import states_by_attribute
from keras_acts.errors import ModelError

from ..rewrite.compiling import compile_arguments
from ..rewrite.walk import layers_of, variables_of
from .members import Member

Values = Callable[[Any], Any]
Contents = list[tuple[Any, Any]]  # variables and their values


def to_model(population: Any, slot: int, model: keras.Model) -> None:
    """Give an ordinary model an inside slot's weights, compile it alike, and give its optimizer the slot's state."""
    if population.compiled:
        model.compile(**compile_arguments(population))
        if population.optimizer.built:
            model.optimizer.build(model.trainable_variables)
    for variable, value in state_reader(population)(slot, model):
        variable.assign(value)


def state_reader(population: Any) -> Callable[[int, keras.Model], Contents]:
    """Return what tells which variable of an ordinary model has which value in an inside slot, optimizer included.

    It reads each stacked variable once, however many slots it is asked for. Variables of a frozen
    prefix are missing: the model has their values already.

    Raises:
        ModelError: by what is returned, if the model is not made as the population's are.
    """
    places, values = (
        _places(population),
        _cached(lambda block: keras.ops.convert_to_numpy(block.variable)),
    )
    shared = {layer.plan.path for layer in population.stacked if layer.plan.shared}
    states: dict[str, Values] = {}

    def contents(slot: int, model: keras.Model) -> Contents:
        rows = {}
        for path, layer in layers_of(model):
            if path in shared:
                continue
            for key, variable in variables_of(layer).items():
                if (path, key, slot) not in places:
                    raise ModelError(
                        "A model of a population has the population's layers, by name, and their variables. "
                        f"Received: {path!r} with the variable {variable.path!r}, which the population has not"
                    )
                rows[id(variable)] = (variable, *places[path, key, slot])
        expected = sum(of == slot for _, _, of in places)
        if len(rows) != expected:
            raise ModelError(
                "A model of a population has the population's layers, by name, and their variables. "
                f"Received: {len(rows)} variables instead of {expected}"
            )
        found = [(variable, values(block)[row]) for variable, block, row in rows.values()]
        optimizer = getattr(model, "optimizer", None)  # there is none before `compile`
        if optimizer is None or not optimizer.built:
            return found

        def moved(of: Values) -> list[Any]:
            return [
                of(block)[row] for _, block, row in (rows[id(v)] for v in model.trainable_variables)
            ]

        return found + _optimizer_contents([population], model, moved, states)

    return contents


def reset(population: Any, members: Sequence[Member]) -> None:
    """Make a population one of other members of the same candidates, at their start.

    Its optimizer stays as it is.
    """
    state = population._state
    state.members = tuple(members)
    inside = tuple(members[p] for p in state.order)
    weights = state.blueprint.initial(inside)
    for layer in population.stacked:
        for block in layer.plan.blocks:
            mine = weights[block.start : block.stop]
            block.variable.assign(np.stack([slot[layer.plan.path][block.key] for slot in mine]))
    population.healthy.assign(np.ones(len(inside)))
    population.random.state.assign(keras.random.SeedGenerator(members[0].seed).state)


def to_population(origins: Sequence[tuple[Any, int]], target: Any) -> None:
    """Give a population the state of other populations' slots.

    Args:
        origins: (population, inside slot) for each inside slot of the target. All populations are
            of one model, compiled alike and trained for as many steps.
        target: the population that is filled.

    Raises:
        ModelError: if one of the populations has not the target's layers, or not that slot.
    """
    sources = list({id(population): population for population, _ in origins}.values())
    places = {id(population): _places(population) for population in sources}

    def place(population: Any, path: str, key: str, slot: int) -> tuple[Any, int]:
        if (path, key, slot) not in places[id(population)]:
            raise ModelError(
                "A population is filled from populations of its own model, with its layers, by name, and slots. "
                f"Received: {population.name!r}, which has no {path!r} with the variable {key!r} in slot {slot}"
            )
        return places[id(population)][path, key, slot]

    def gathered(block: Any, path: str, values: Values) -> np.ndarray:
        found = [
            place(origin, path, block.key, slot)
            for origin, slot in origins[block.start : block.stop]
        ]
        return np.stack([values(source)[row] for source, row in found])

    blocks = [(layer.plan.path, block) for layer in target.stacked for block in layer.plan.blocks]
    weights = _cached(lambda block: keras.ops.convert_to_numpy(block.variable))
    for path, block in blocks:
        block.variable.assign(gathered(block, path, weights))
    healthy = {
        id(population): keras.ops.convert_to_numpy(population.healthy) for population in sources
    }
    target.healthy.assign(np.stack([healthy[id(population)][slot] for population, slot in origins]))
    # not the numbers of the first steps again
    target.random.state.assign(keras.ops.convert_to_numpy(sources[0].random.state))
    if not sources[0].compiled:
        return
    target.compile(**compile_arguments(sources[0]))
    if not sources[0].optimizer.built:
        return
    target.optimizer.build(target.trainable_variables)
    known = {id(block.variable): (path, block) for path, block in blocks}

    def moved(values: Values) -> list[Any]:
        found = [known[id(v)] for v in target.trainable_variables]
        return [gathered(block, path, values) for path, block in found]

    for state, value in _optimizer_contents(sources, target, moved):
        state.assign(value)


def _places(population: Any) -> dict[tuple[str, str, int], tuple[Any, int]]:
    """Where a variable of a layer lies for an inside slot: the block and the row."""
    return {
        (layer.plan.path, block.key, slot): (block, slot - block.start)
        for layer in population.stacked
        for block in layer.plan.blocks
        for slot in range(block.start, block.stop)
    }


def _optimizer_contents(
    populations: Sequence[Any],
    target: keras.Model,
    moved: Callable[[Values], list[Any]],
    known: dict[str, Values] | None = None,
) -> Contents:
    """Return the state that an optimizer is to have.

    Args:
        populations: where the state comes from; what is not kept for each variable, from the first.
        target: whose optimizer it is.
        moved: picks from the stacked values, one for each trained variable of the target.
        known: keeps the stacked values for the next call.
    """
    known, contents = {} if known is None else known, Contents()
    theirs = [per_variable(p.optimizer, len(p.trainable_variables)) for p in populations]
    ours = per_variable(target.optimizer, len(target.trainable_variables))
    for name, states in ours.items():
        state_of = {
            id(variable): state
            for population, found in zip(populations, theirs, strict=True)
            for variable, state in zip(population.trainable_variables, found[name], strict=True)
        }

        def values(block: Any, state_of: dict[int, Any] = state_of) -> Any:
            return keras.ops.convert_to_numpy(state_of[id(block.variable)])

        contents += zip(states, moved(known.setdefault(name, _cached(values))), strict=True)
    first = _of_all(populations[0].optimizer, theirs[0])
    ours_of_all = _of_all(target.optimizer, ours)
    return contents + [
        (s, keras.ops.convert_to_numpy(v)) for s, v in zip(ours_of_all, first, strict=True)
    ]


def per_variable(optimizer: Any, count: int) -> dict[str, list[Any]]:
    """Return the optimizer's lists of one state for each trained variable, by attribute.

    Momentums, velocities, ….
    """
    by_attribute = states_by_attribute(optimizer)
    return {name: states for name, states in by_attribute.items() if len(states) == count}


def _of_all(optimizer: Any, states: dict[str, list[Any]]) -> list[Any]:
    """The optimizer's other variables: iterations, learning rate."""
    apart = {id(state) for found in states.values() for state in found}
    return [v for v in optimizer.variables if id(v) not in apart]


def _cached(values: Values) -> Values:
    known: dict[int, Any] = {}

    def once(block: Any) -> Any:
        if id(block) not in known:
            known[id(block)] = values(block)
        return known[id(block)]

    return once
