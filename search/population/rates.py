"""A learning rate and a weight decay for each member of a population.

The numbers that an optimizer hands to its updates become columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_acts.compat import decays, replace_weight_decay, restore_update_of_all

from .block import column_shape
from .diverged import Rows
from .one_kernel import RateOf
from .tables import update_step_of

Tensor = Any


def rate_per_member(
    optimizer: keras.optimizers.Optimizer,
    rates: Tensor,
    rows: Rows,
    variables: Sequence[keras.Variable],
    *,
    are_factors: bool = False,
    weight_decays: np.ndarray | None = None,
) -> RateOf:
    """Have an optimizer of stacked variables use a rate for each member, in the update and in weight decay.

    Args:
        optimizer: a Keras optimizer that updates each value from its own gradient.
        rates: (P,), inside order: numbers, or a variable of TensorFlow's that may change.
        rows: by the identity of a variable, the members that it is stacked over.
        variables: the trained ones.
        are_factors: whether the rates are multiples of the optimizer's own, whatever that is in a
            step: a number, a schedule, or what a callback sets.
        weight_decays: (P,), each member's weight decay, inside order; None for the optimizer's own.

    Returns:
        What gives the rates of the members that a variable is stacked over, for `one_kernel`.
    """
    rates_of = _by_variable(rates, rows, variables)
    decays_of = None
    if weight_decays is not None:
        decays_of = _by_variable(weight_decays, rows, variables)
    # the class's own step: the instance's may be one of ours, with other rates
    update_with_rate = update_step_of(optimizer)
    restore_update_of_all(optimizer)  # `one_kernel`'s, with other rates

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
    return column


def _by_variable(
    numbers: Tensor, rows: Rows, variables: Sequence[keras.Variable]
) -> dict[int, _Numbers]:
    """The numbers of the members that each variable is stacked over, by the variable's identity."""
    numbers_of = {}
    for variable in variables:
        block = rows[id(variable)]
        of_members = _Numbers(numbers, block.start, block.stop, block.rows)
        numbers_of[id(variable)] = of_members
        # on TensorFlow an update gets the variable that Keras' own holds
        numbers_of[id(variable.value)] = of_members
    return numbers_of


class _Numbers(NamedTuple):
    """The numbers of some members of all, and how many rows of a variable each is for."""

    of_all: Tensor
    start: int
    stop: int
    rows: int


def _column(numbers_of: dict[int, _Numbers], variable: keras.Variable) -> Tensor:
    """The number of each member that a variable is stacked over, to multiply it with."""
    of_all, start, stop, rows = numbers_of[id(variable)]
    # read now: a variable may have changed
    numbers = ops.cast(of_all[start:stop], variable.dtype)
    tensor = ops.reshape(numbers, column_shape(len(variable.shape)))
    if rows == 1:
        return tensor
    return ops.repeat(tensor, rows, axis=0)
