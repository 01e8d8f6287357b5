"""A learning rate for each slot of a population.

The rate that an optimizer hands to its updates becomes a column.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from keras import ops

from keras_acts.compat import decays, replace_weight_decay, restore_update_of_all

Tensor = Any


def rate_per_member(
    optimizer: Any, rates: np.ndarray, rows: dict[int, tuple[int, int]], variables: list[Any]
) -> None:
    """Have an optimizer of stacked variables use a rate for each slot, in the update and in weight decay.

    Args:
        optimizer: a Keras optimizer that updates each value from its own gradient.
        rates: (P,), inside order.
        rows: by the identity of a variable, the first of its slots and the one after the last.
        variables: the trained ones.
    """
    # on TensorFlow an update gets the variable that Keras' own holds
    known = {id(held): rows[id(v)] for v in variables for held in (v, v.value)}
    step = partial(type(optimizer).update_step, optimizer)  # not one with other rates
    restore_update_of_all(optimizer)  # `one_kernel` has one rate for all

    def column(variable: Any) -> Tensor:
        start, stop = known[id(variable)]
        return ops.convert_to_tensor(
            rates[start:stop].reshape(-1, *(1,) * (len(variable.shape) - 1)), variable.dtype
        )

    def update_step(gradient: Tensor, variable: Any, learning_rate: Any) -> None:
        step(gradient, variable, column(variable))

    def apply_weight_decay(decayed: list[Any]) -> None:
        for variable in decayed if optimizer.weight_decay is not None else ():
            if decays(optimizer, variable):
                decay = ops.cast(optimizer.weight_decay, variable.dtype)
                variable.assign(variable - variable * decay * column(variable))

    optimizer.update_step = update_step
    replace_weight_decay(optimizer, apply_weight_decay)
