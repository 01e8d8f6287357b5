"""One training step of a population on each backend: Keras' own, but a slot that has diverged stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Tensor = Any


def tensorflow_train_step(population: Any, step: Callable[..., Any], data: Any) -> dict[str, Tensor]:
    """Take a step; the values of diverged slots are put back. Costs nothing while there is none."""
    import tensorflow as tf

    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    rows = _rows(population)
    states = [v for v in population.non_trainable_variables if id(v) in rows]
    before = [tf.identity(v.value) for v in states]
    with tf.GradientTape() as tape:
        y_pred = population(x, training=True)
        loss = population.compute_loss(x, y, y_pred, sample_weight, training=True)
    variables = population.trainable_variables
    gradients = tape.gradient(loss, variables)
    healthy = tf.not_equal(tf.convert_to_tensor(population.healthy), 0)

    def all_of_them() -> Tensor:
        population.optimizer.apply(gradients, variables)
        return tf.constant(0)

    def some_of_them() -> Tensor:
        values = [tf.identity(v.value) for v in variables]
        kept = [
            g if g is None else _where(healthy, rows[id(v)], g, 0) for v, g in zip(variables, gradients, strict=True)
        ]
        population.optimizer.apply(kept, variables)
        for variable, value in zip(variables, values, strict=True):
            variable.assign(_where(healthy, rows[id(variable)], variable, value))
        return tf.constant(0)

    tf.cond(tf.reduce_all(healthy), all_of_them, some_of_them)
    for variable, value in zip(states, before, strict=True):
        variable.assign(_where(healthy, rows[id(variable)], variable, value))
    return population.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


def jax_train_step(population: Any, step: Callable[..., Any], state: Any, data: Any) -> Any:
    """Take Keras' own step, then keep the old values of diverged slots."""
    logs, (trained, others, optimizer, metrics) = step(state, data)
    rows = _rows(population)
    healthy = next(
        value for v, value in zip(population.non_trainable_variables, others, strict=True) if v is population.healthy
    )
    healthy = ops.not_equal(healthy, 0)

    def kept(variables: Any, new: Any, old: Any) -> list[Tensor]:
        return [
            _where(healthy, rows[id(v)], n, o) if id(v) in rows else n
            for v, n, o in zip(variables, new, old, strict=True)
        ]

    trained = kept(population.trainable_variables, trained, state[0])
    others = kept(population.non_trainable_variables, others, state[1])
    return logs, (trained, others, optimizer, metrics)


def _rows(population: Any) -> dict[int, tuple[int, int]]:
    """The slots that a variable is stacked over."""
    return {
        id(block.variable): (block.start, block.stop) for layer in population.stacked for block in layer.plan.blocks
    }


def _where(healthy: Tensor, rows: tuple[int, int], new: Any, old: Any) -> Tensor:
    new = ops.convert_to_tensor(new)
    mask = ops.reshape(healthy[rows[0] : rows[1]], (-1, *(1,) * (len(new.shape) - 1)))
    return ops.where(mask, new, ops.cast(old, new.dtype))
