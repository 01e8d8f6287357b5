"""Members of populations carried on: into an ordinary model, another population, or another process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import keras
import numpy as np

from keras_acts.compat import states_by_attribute
from keras_acts.errors import ModelError

from ..rewrite.compiling import compile_arguments
from ..rewrite.walk import layers_of, variables_of
from .block import StackedVariable
from .losses import smoothed_loss

if TYPE_CHECKING:
    from .model import PopulationModel

Contents = list[tuple[keras.Variable, np.ndarray]]  # variables and their values
Read = Callable[[StackedVariable], np.ndarray]  # of a variable, or of what an optimizer keeps of it
# picks, with what reads the stacked values, one value for each trained variable of a target
Pick = Callable[[Read], list[np.ndarray]]


class Origin(NamedTuple):
    """Where a member's state comes from: a population, and the position inside of it."""

    population: PopulationModel
    position: int


class _Row(NamedTuple):
    """Where a variable of one member lies."""

    block: StackedVariable
    row: int


# by path of the layer, key of the variable in it, and position inside
_Rows = dict[tuple[str, str, int], _Row]


def to_model(
    population: PopulationModel, position: int, model: keras.Model, smoothing: float | None = None
) -> None:
    """Give an ordinary model the weights of a position inside, and its optimizer the state.

    It is compiled as the population is, with its own label smoothing if one is given.
    """
    if population.compiled:
        arguments = compile_arguments(population)
        if smoothing is not None:
            arguments["loss"] = smoothed_loss(arguments["loss"], smoothing)
        model.compile(**arguments)
        if population.optimizer.built:
            model.optimizer.build(model.trainable_variables)
    for variable, value in state_reader(population)(position, model):
        variable.assign(value)


def state_reader(population: PopulationModel) -> Callable[[int, keras.Model], Contents]:
    """Return what tells which variable of an ordinary model has which value at a position inside.

    Variables of its optimizer too, if it is compiled. It reads each stacked variable once, however
    many members it is asked for. Variables of a frozen prefix are missing: the model has their
    values already.

    Raises:
        ModelError: by what is returned, if the model is not made as the population's are.
    """
    return _StateReader(population).contents


class _StateReader:
    """See `state_reader`."""

    def __init__(self, population: PopulationModel):
        self._population = population
        self._rows = _locate(population)
        self._shared = {layer.plan.path for layer in population.stacked if layer.plan.shared}
        self._weights = _Cached(_weights)
        self._states: dict[str, Read] = {}

    def contents(self, position: int, model: keras.Model) -> Contents:
        """Return the variables of a model, and of its optimizer, with the values of a position."""
        rows = self._rows_of(position, model)
        contents = [(variable, self._weights(row.block)[row.row]) for variable, row in rows]
        optimizer = getattr(model, "optimizer", None)  # there is none before `compile`
        if optimizer is None or not optimizer.built:
            return contents
        row_of = {id(variable): row for variable, row in rows}

        def pick(read: Read) -> list[np.ndarray]:
            trained = [row_of[id(variable)] for variable in model.trainable_variables]
            return [read(row.block)[row.row] for row in trained]

        return contents + _optimizer_contents([self._population], model, pick, self._states)

    def _rows_of(self, position: int, model: keras.Model) -> list[tuple[keras.Variable, _Row]]:
        """Where each variable of a model lies, but those of a frozen prefix."""
        rows: dict[int, tuple[keras.Variable, _Row]] = {}
        for path, layer in layers_of(model):
            for key, variable in variables_of(layer).items():
                row = self._rows.get((path, key, position))
                if row is None and path in self._shared:
                    continue
                if row is None:
                    raise ModelError(
                        "A model of a population has the population's layers, by name, and their "
                        f"variables. Received: {path!r} with the variable {variable.path!r}, "
                        "which the population has not"
                    )
                rows[id(variable)] = (variable, row)
        # none of the population's is left over
        expected = sum(of == position for _, _, of in self._rows)
        if len(rows) != expected:
            raise ModelError(
                "A model of a population has the population's layers, by name, and their "
                f"variables. Received: {len(rows)} variables instead of {expected}"
            )
        return list(rows.values())


def to_population(origins: Sequence[Origin], target: PopulationModel) -> None:
    """Give a population the state of other populations' members.

    Args:
        origins: for each position inside the target. All populations are of one model, compiled
            alike and trained for as many steps.
        target: the population that is filled.

    Raises:
        ModelError: if one of the populations has not the target's layers, or not that member.
    """
    gathering = _Gathering(origins)
    path_of: dict[int, str] = {}  # of the layer, by the identity of the stacked variable
    block_of: dict[int, StackedVariable] = {}
    weights = _Cached(_weights)
    for path, block in target.blocks():
        path_of[id(block.variable)] = path
        block_of[id(block.variable)] = block
        block.assign(gathering.values(block, path, weights))
    target.healthy.assign(gathering.healthy())
    target.regroup()
    first = gathering.sources[0]
    # not the numbers of the first steps again
    target.random.state.assign(keras.ops.convert_to_numpy(first.random.state))
    if not first.compiled:
        return
    target.compile(**compile_arguments(first))
    if not first.optimizer.built:
        return
    target.optimizer.build(target.trainable_variables)

    def pick(read: Read) -> list[np.ndarray]:
        values = []
        for variable in target.trainable_variables:
            block = block_of[id(variable)]
            of_members = gathering.values(block, path_of[id(variable)], read)
            values.append(block.as_stored(of_members))
        return values

    for state, value in _optimizer_contents(gathering.sources, target, pick, {}):
        state.assign(value)


class _Gathering:
    """Brings together what the members of a new population have in those that they come from.

    Attributes:
        sources: the populations, each once.
    """

    def __init__(self, origins: Sequence[Origin]):
        self._origins = origins
        by_identity = {id(origin.population): origin.population for origin in origins}
        self.sources = list(by_identity.values())
        self._rows = {identity: _locate(source) for identity, source in by_identity.items()}

    def values(self, block: StackedVariable, path: str, read: Read) -> np.ndarray:
        """Return the values for a stacked variable of a layer of the new population."""
        rows = [
            self._row(origin, path, block.key) for origin in self._origins[block.start : block.stop]
        ]
        return np.stack([read(row.block)[row.row] for row in rows])

    def healthy(self) -> np.ndarray:
        """Return which members have not diverged, (P,)."""
        healthy_of = {
            id(source): keras.ops.convert_to_numpy(source.healthy) for source in self.sources
        }
        return np.stack(
            [healthy_of[id(origin.population)][origin.position] for origin in self._origins]
        )

    def _row(self, origin: Origin, path: str, key: str) -> _Row:
        row = self._rows[id(origin.population)].get((path, key, origin.position))
        if row is None:
            raise ModelError(
                "A population is filled from populations of its own model, with its layers, by "
                f"name, and members. Received: {origin.population.name!r}, which has no {path!r} "
                f"with the variable {key!r} at position {origin.position}"
            )
        return row


def _locate(population: PopulationModel) -> _Rows:
    """Where a variable of a layer lies for an inside position."""
    rows = {}
    for path, block in population.blocks():
        for row in range(block.size):
            rows[path, block.key, block.start + row] = _Row(block, row)
    return rows


def _optimizer_contents(
    populations: Sequence[PopulationModel],
    target: keras.Model,
    pick: Pick,
    readers: dict[str, Read],
) -> Contents:
    """Return the state that an optimizer is to have.

    Args:
        populations: where the state comes from; what is not kept for each variable, from the first.
        target: whose optimizer it is.
        pick: picks from the stacked values.
        readers: by attribute of the optimizer; those that are missing are added, for the next call.
    """
    sources = [per_variable(p.optimizer, len(p.trainable_variables)) for p in populations]
    own = per_variable(target.optimizer, len(target.trainable_variables))
    contents: Contents = []
    for name, states in own.items():
        if name not in readers:
            state_of = _states_by_variable(populations, [source[name] for source in sources])
            readers[name] = _Cached(_StateOf(state_of))
        contents += zip(states, pick(readers[name]), strict=True)
    common = _of_all(populations[0].optimizer, sources[0])
    for state, source_state in zip(_of_all(target.optimizer, own), common, strict=True):
        contents.append((state, keras.ops.convert_to_numpy(source_state)))
    return contents


def _states_by_variable(
    populations: Sequence[PopulationModel], states: Sequence[Sequence[keras.Variable]]
) -> dict[int, keras.Variable]:
    """What the optimizers keep of each stacked variable in one attribute, by its identity."""
    state_of = {}
    for population, of_population in zip(populations, states, strict=True):
        for variable, state in zip(population.trainable_variables, of_population, strict=True):
            state_of[id(variable)] = state
    return state_of


def per_variable(
    optimizer: keras.optimizers.Optimizer, count: int
) -> dict[str, list[keras.Variable]]:
    """Return the optimizer's lists of one state for each trained variable, by attribute.

    Momentums, velocities, ….
    """
    by_attribute = states_by_attribute(optimizer)
    return {name: states for name, states in by_attribute.items() if len(states) == count}


def _of_all(
    optimizer: keras.optimizers.Optimizer, states: dict[str, list[keras.Variable]]
) -> list[keras.Variable]:
    """The optimizer's other variables: iterations, learning rate."""
    kept_per_variable: set[int] = set()
    for of_attribute in states.values():
        kept_per_variable.update(map(id, of_attribute))
    return [variable for variable in optimizer.variables if id(variable) not in kept_per_variable]


def _weights(block: StackedVariable) -> np.ndarray:
    values: np.ndarray = block.by_member(keras.ops.convert_to_numpy(block.variable))
    return values


class _StateOf:
    """Reads what an optimizer keeps of a stacked variable."""

    def __init__(self, state_of: dict[int, keras.Variable]):
        self._state_of = state_of

    def __call__(self, block: StackedVariable) -> np.ndarray:
        state = keras.ops.convert_to_numpy(self._state_of[id(block.variable)])
        values: np.ndarray = block.by_member(state)
        return values


class _Cached:
    """Reads each stacked variable once."""

    def __init__(self, read: Read):
        self._read = read
        self._values: dict[int, np.ndarray] = {}  # by the identity of the block

    def __call__(self, block: StackedVariable) -> np.ndarray:
        if id(block) not in self._values:
            self._values[id(block)] = self._read(block)
        return self._values[id(block)]


def values_of(population: PopulationModel) -> list[np.ndarray]:
    """Return weights, the optimizer's state, normalization and random states."""
    return [np.array(keras.ops.convert_to_numpy(each)) for each in _state_variables(population)]


def restore(population: PopulationModel, values: Sequence[np.ndarray]) -> None:
    """Give a compiled population of the same members in the same order a state.

    Raises:
        ModelError: if it is not made as the one was whose state it is; nothing is changed then.
    """
    variables = _state_variables(population)
    expected = [(tuple(each.shape), np.dtype(each.dtype).kind) for each in variables]
    received = [(value.shape, value.dtype.kind) for value in values]
    if expected != received:
        raise ModelError(
            f"The state must be that of such a population. Received: {len(received)} variables for "
            f"{len(expected)}, or of other shapes"
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _state_variables(population: PopulationModel) -> list[keras.Variable]:
    if not population.optimizer.built:
        population.optimizer.build(population.trainable_variables)
    # metrics begin anew with each epoch
    of_metrics = {id(variable) for variable in population.metrics_variables}
    own = [variable for variable in population.variables if id(variable) not in of_metrics]
    known = {id(variable) for variable in own}
    of_optimizer = [each for each in population.optimizer.variables if id(each) not in known]
    return [*own, *of_optimizer]
