"""A learning rate and a weight decay for each member of a population.

The numbers that an optimizer hands to its updates become columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_acts.compat import decays, replace_weight_decay, restore_update_of_all

from .axes import column_shape
from .diverged import Rows

Tensor = Any


def rate_per_member(
    optimizer: keras.optimizers.Optimizer,
    rates: np.ndarray,
    rows: Rows,
    variables: Sequence[keras.Variable],
    *,
    are_factors: bool = False,
    weight_decays: np.ndarray | None = None,
) -> None:
    """Have an optimizer of stacked variables use a rate for each member, in the update and in weight decay.

    Args:
        optimizer: a Keras optimizer that updates each value from its own gradient.
        rates: (P,), inside order.
        rows: by the identity of a variable, the first of its members and the one after the last.
        variables: the trained ones.
        are_factors: whether the rates are multiples of the optimizer's own, whatever that is in a
            step: a number, a schedule, or what a callback sets.
        weight_decays: (P,), each member's weight decay, inside order; None for the optimizer's own.
    """
    rates_of = _by_variable(rates, rows, variables)
    decays_of = None
    if weight_decays is not None:
        decays_of = _by_variable(weight_decays, rows, variables)
    # the class's own step: the instance's may be one of ours, with other rates
    update_with_rate = partial(type(optimizer).update_step, optimizer)
    restore_update_of_all(optimizer)  # `one_kernel` has one rate for all

    def column(variable: keras.Variable, own_rate: Tensor) -> Tensor:
        rates_as_tensor = _column(rates_of, variable)
        if not are_factors:
            return rates_as_tensor
        return ops.cast(own_rate, variable.dtype) * rates_as_tensor

    def update_step(gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        update_with_rate(gradient, variable, column(variable, learning_rate))

    def apply_weight_decay(decayed: list[keras.Variable]) -> None:
        if optimizer.weight_decay is None:
            return
        for variable in decayed:
            if decays(optimizer, variable):
                decay = ops.cast(optimizer.weight_decay, variable.dtype)
                if decays_of is not None:
                    decay = _column(decays_of, variable)
                rate = column(variable, optimizer.learning_rate)
                variable.assign(variable - variable * decay * rate)

    optimizer.update_step = update_step
    replace_weight_decay(optimizer, apply_weight_decay)


def _by_variable(
    numbers: np.ndarray, rows: Rows, variables: Sequence[keras.Variable]
) -> dict[int, np.ndarray]:
    """The numbers of the members that each variable is stacked over, by the variable's identity."""
    numbers_of = {}
    for variable in variables:
        start, stop = rows[id(variable)]
        numbers_of[id(variable)] = numbers[start:stop]
        # on TensorFlow an update gets the variable that Keras' own holds
        numbers_of[id(variable.value)] = numbers[start:stop]
    return numbers_of


def _column(numbers_of: dict[int, np.ndarray], variable: keras.Variable) -> Tensor:
    """The number of each member that a variable is stacked over, to multiply it with."""
    column = numbers_of[id(variable)].reshape(column_shape(len(variable.shape)))
    return ops.convert_to_tensor(column, variable.dtype)
