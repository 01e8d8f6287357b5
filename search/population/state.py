"""The whole state of a population as arrays, so that another of the same members can go on from it."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from keras_acts.errors import ModelError

from .model import PopulationModel


def values_of(population: PopulationModel) -> list[np.ndarray]:
    """Return weights, the optimizer's state, normalization and random states."""
    return [np.array(keras.ops.convert_to_numpy(each)) for each in _variables(population)]


def restore(population: PopulationModel, values: Sequence[np.ndarray]) -> None:
    """Give a compiled population of the same members in the same order a state.

    Raises:
        ModelError: if it is not made as the one was whose state it is; nothing is changed then.
    """
    variables = _variables(population)
    expected = [(tuple(each.shape), np.dtype(each.dtype).kind) for each in variables]
    received = [(value.shape, value.dtype.kind) for value in values]
    if expected != received:
        raise ModelError(
            f"The state must be that of such a population. Received: {len(received)} variables for "
            f"{len(expected)}, or of other shapes"
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _variables(population: PopulationModel) -> list[keras.Variable]:
    if not population.optimizer.built:
        population.optimizer.build(population.trainable_variables)
    # metrics begin anew with each epoch
    of_metrics = {id(variable) for variable in population.metrics_variables}
    own = [variable for variable in population.variables if id(variable) not in of_metrics]
    known = {id(variable) for variable in own}
    of_optimizer = [each for each in population.optimizer.variables if id(each) not in known]
    return [*own, *of_optimizer]
