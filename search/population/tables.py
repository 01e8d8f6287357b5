"""Tables of all members: their rows one below the other, each occurrence of a row apart in gradients.

An ordinary model that takes rows of a table gets a gradient of TensorFlow's with one row for each
occurrence of a token (`tf.IndexedSlices`). Keras' optimizers square and clip occurrence by
occurrence, and add up afterwards; of a dense gradient they would square the sum. So that a member
is what it is alone, its rows of the common table get their occurrences, and nothing else. JAX has
dense gradients, and no tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
from keras import ops

from keras_acts.compat import (
    adadelta_states,
    adagrad_state,
    clip_by_norm,
    index_in,
    rmsprop_states,
)

from .block import StackedVariable, axes_within, column_shape

Tensor = Any
# what an optimizer does with a gradient, a variable and a learning rate
UpdateStep = Callable[[Tensor, Any, Tensor], None]


def has_occurrences(gradient: Tensor) -> bool:
    """Return whether a gradient has one row for each occurrence of a row of a table."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return isinstance(gradient, tf.IndexedSlices)


def kept_apart(block: StackedVariable | None, gradient: Tensor | None) -> Tensor | None:
    """Return a gradient as the optimizer takes it: occurrences only of a table."""
    if gradient is None:
        return None
    if block is not None and block.is_table and has_occurrences(gradient):
        return gradient
    return added_up(gradient)


def added_up(gradient: Tensor) -> Tensor:
    """Return a gradient with the occurrences of each row added up."""
    if not has_occurrences(gradient):
        return gradient
    import tensorflow as tf

    return tf.convert_to_tensor(gradient)  # Keras' leaves it as it is


def with_values(gradient: Any, values: Tensor) -> Any:
    """Return the gradient of the same occurrences with other values."""
    import tensorflow as tf

    return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)


def of_occurrences(block: StackedVariable, of_members: Tensor, gradient: Any) -> Tensor:
    """Return one number for each occurrence of a table, shaped as a column beside its values.

    Args:
        block: the table.
        of_members: (n,), one for each of its members.
        gradient: of the table.
    """
    numbers = ops.take(of_members, gradient.indices // block.rows, axis=0)
    return ops.reshape(numbers, column_shape(len(gradient.values.shape)))


def squares_of_members(block: StackedVariable, gradient: Any) -> Tensor:
    """Return the sum of the squares of each member's occurrences, (n,)."""
    squares = ops.square(gradient.values)
    if len(squares.shape) > 1:
        squares = ops.sum(squares, axes_within(squares))
    members = gradient.indices // block.rows
    return ops.segment_sum(squares, ops.cast(members, "int32"), num_segments=block.size)


def clip_norm(
    optimizer: keras.optimizers.Optimizer, block: StackedVariable, gradient: Tensor
) -> Tensor:
    """Return a gradient whose norm is `clipnorm` at most, for each member."""
    if not has_occurrences(gradient):
        values = block.by_member(gradient)
        return block.as_stored(clip_by_norm(optimizer, values, axes_within(values)))
    norms = ops.sqrt(squares_of_members(block, gradient))
    limit = ops.convert_to_tensor(optimizer.clipnorm, norms.dtype)  # a cast would round to float32
    divisors = ops.maximum(norms, limit)
    clipped = gradient.values * optimizer.clipnorm / of_occurrences(block, divisors, gradient)
    return with_values(gradient, clipped)


def read_each(block: StackedVariable) -> Sequence[Tensor]:
    """Return each member's value of a table; occurrences in their gradients stay apart."""
    import tensorflow as tf

    table = tf.convert_to_tensor(block.variable)
    shape = [int(size) for size in table.shape]

    @tf.custom_gradient
    def split(table: Tensor) -> Any:
        def gradient(*of_members: Tensor) -> Tensor:
            if not all(map(has_occurrences, of_members)):
                return tf.concat([tf.convert_to_tensor(one) for one in of_members], 0)
            values = [one.values for one in of_members]
            indices = []
            for member, one in enumerate(of_members):
                indices.append(tf.cast(one.indices, "int64") + member * block.rows)
            return tf.IndexedSlices(
                tf.concat(values, 0), tf.concat(indices, 0), tf.constant(shape, "int64")
            )

        return tf.split(table, block.size), gradient

    values: Sequence[Tensor] = split(table)
    return values


def update_step_of(optimizer: keras.optimizers.Optimizer) -> UpdateStep:
    """Return how an optimizer updates one variable.

    It is Keras' own way, but for optimizers that divide occurrences by what they keep of each row.
    Where a divisor is NaN, Keras adds its row to the occurrences and then mistakes rows that occur
    twice, which in a table may be those of other members; and XLA takes minutes to compile that.
    Here the occurrences are added up before they are divided.
    """
    update = partial(type(optimizer).update_step, optimizer)
    divide = _DIVIDING.get(type(optimizer).__name__)
    if divide is None:
        return update

    def update_step(gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        if not has_occurrences(gradient):
            update(gradient, variable, learning_rate)
            return
        total = added_up(gradient)
        squares = added_up(with_values(gradient, ops.square(gradient.values)))
        rate = ops.cast(learning_rate, variable.dtype)
        change = divide(optimizer, index_in(optimizer, variable), rate, total, squares)
        variable.assign_sub(change)

    return update_step


def update_tables_apart(optimizer: keras.optimizers.Optimizer) -> None:
    """Have an optimizer update tables as `update_step_of` says."""
    if type(optimizer).__name__ in _DIVIDING:
        optimizer.update_step = update_step_of(optimizer)


# The functions below are Keras' own formulas. They take an optimizer, the place of a table in its
# lists of states, the learning rate, the sums of the occurrences and of their squares; they return
# what is subtracted from the table.


def _rmsprop(optimizer: Any, index: int, rate: Tensor, total: Tensor, squares: Tensor) -> Tensor:
    velocity, average, momentum = rmsprop_states(optimizer, index)
    rho = optimizer.rho
    velocity.assign(rho * velocity + (1 - rho) * squares)
    divisor = velocity + optimizer.epsilon
    if average is not None:
        average.assign(rho * average + (1 - rho) * total)
        divisor = velocity - ops.square(average) + optimizer.epsilon
    change = rate * total / ops.sqrt(divisor)
    if momentum is None:
        return change
    momentum.assign(optimizer.momentum * momentum + change)
    return ops.convert_to_tensor(momentum)


def _adagrad(optimizer: Any, index: int, rate: Tensor, total: Tensor, squares: Tensor) -> Tensor:
    accumulator = adagrad_state(optimizer, index)
    accumulator.assign(accumulator + squares)
    return rate * total / ops.sqrt(accumulator + optimizer.epsilon)


def _adadelta(optimizer: Any, index: int, rate: Tensor, total: Tensor, squares: Tensor) -> Tensor:
    of_gradients, of_changes = adadelta_states(optimizer, index)
    rho = optimizer.rho
    of_gradients.assign(rho * of_gradients + (1 - rho) * squares)
    ratio = ops.sqrt(of_changes + optimizer.epsilon) / ops.sqrt(of_gradients + optimizer.epsilon)
    of_changes.assign(rho * of_changes + (1 - rho) * ops.square(ratio) * squares)
    return rate * ratio * total


_DIVIDING: dict[str, Callable[..., Tensor]] = {
    "RMSprop": _rmsprop,
    "Adagrad": _adagrad,
    "Adadelta": _adadelta,
}
