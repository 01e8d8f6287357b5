"""One training step of a population on TensorFlow: traced once, compiled where that pays, diverged slots left alone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from .steps import rows_of, where_healthy

Tensor = Any


class TrainingStep:
    """The training step of a compiled population, called in Keras' train function.

    XLA compiles it when a training has gone on for so long that this will pay, for batches of the size that came first.
    Any other size, as the last one of an epoch often is, takes the same step in a graph: another compilation would not
    pay. Else the update of the weights alone can be compiled: it depends on no batch, and in a graph an optimizer is a
    dozen passes over each variable.

    Args:
        population: the population.
        xla_after: the number of steps after which XLA compiles the whole step; None for never.
        compile_update: whether XLA compiles the update of the weights, from the first step on.
    """

    def __init__(self, population: Any, *, xla_after: int | None, compile_update: bool):
        self._population, self._xla_after, self._compile_update = population, xla_after, compile_update
        self._traced: dict[Any, Callable[..., Any]] = {}

    def __call__(self, data: Any) -> dict[str, Tensor]:
        """Take a step on one batch and return the logs."""
        import tensorflow as tf

        if tf.executing_eagerly():
            return _step(self._population, data, functools.partial(_update, self._population))
        leaves = keras.tree.flatten(data)
        given = [leaf is not None for leaf in leaves]
        tensors = [leaf for leaf in leaves if leaf is not None]
        key = (*given, *map(tf.type_spec_from_value, tensors))
        if key not in self._traced:
            self._traced[key] = self._trace(data, given, list(key[len(given) :]))
        return self._traced[key](*tensors)

    def _trace(self, data: Any, given: list[bool], specs: list[Any]) -> Callable[..., Any]:
        import tensorflow as tf

        def step(*tensors: Tensor) -> dict[str, Tensor]:
            values = iter(tensors)
            structured = keras.tree.pack_sequence_as(data, [next(values) if there else None for there in given])
            return _step(self._population, structured, self._update)

        with tf.init_scope():  # outside of Keras' own trace
            _build(self._population, data)
            usual, taken = (tf.Variable(0, trainable=False, name=name) for name in ("usual_size", "steps_taken"))

        def traced(jit_compile: bool) -> Callable[..., Any]:
            return tf.function(step, jit_compile=jit_compile, autograph=False).get_concrete_function(*specs)

        plain = traced(False)
        if self._xla_after is None:
            return plain
        compiled = traced(True)  # by XLA when it is first called, and once more for each size

        def either(*tensors: Tensor) -> dict[str, Tensor]:
            size = tf.shape(tensors[0])[0]
            usual.assign(tf.where(tf.equal(usual, 0), size, usual))
            pays = tf.logical_and(tf.equal(size, usual), taken.assign_add(1) > self._xla_after)
            return tf.cond(pays, lambda: compiled(*tensors), lambda: plain(*tensors))

        return either

    @functools.cached_property
    def _update(self) -> Callable[..., None]:
        import tensorflow as tf

        variables = self._population.trainable_variables
        constrained = any(variable.constraint is not None for variable in variables)  # slot after slot: slow to compile
        update = functools.partial(_update, self._population)
        function = tf.function(update, jit_compile=self._compile_update and not constrained, autograph=False)
        return lambda gradients: function(gradients)


def _step(population: Any, data: Any, update: Callable[..., None]) -> dict[str, Tensor]:
    import tensorflow as tf

    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    rows = rows_of(population)
    states = [v for v in population.non_trainable_variables if id(v) in rows]
    before = [tf.identity(v.value) for v in states]
    with tf.GradientTape() as tape:
        y_pred = population(x, training=True)
        loss = population.compute_loss(x, y, y_pred, sample_weight, training=True)
    update([g if g is None else tf.convert_to_tensor(g) for g in tape.gradient(loss, population.trainable_variables)])
    healthy = ops.not_equal(population.healthy, 0)
    for variable, value in zip(states, before, strict=True):
        variable.assign(where_healthy(healthy, rows[id(variable)], variable, value))
    return population.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


def _update(population: Any, gradients: list[Tensor | None]) -> None:
    """Let the optimizer update the healthy slots; in one program, this costs no pass of its own."""
    import tensorflow as tf

    variables, rows = population.trainable_variables, rows_of(population)
    healthy = ops.not_equal(population.healthy, 0)
    before = [tf.identity(v.value) for v in variables]  # not convert_to_tensor: that gives the variable itself
    kept = [
        g if g is None else where_healthy(healthy, rows[id(v)], g, 0) for v, g in zip(variables, gradients, strict=True)
    ]
    population.optimizer.apply(kept, variables)
    for variable, value in zip(variables, before, strict=True):
        variable.assign(where_healthy(healthy, rows[id(variable)], variable, value))


def _build(population: Any, data: Any) -> None:
    """Make all variables now: those that come up in a trace would have it traced twice."""
    if not population.optimizer.built:
        population.optimizer.build(population.trainable_variables)
    _, y, _ = keras.utils.unpack_x_y_sample_weight(data)
    y = keras.tree.map_structure(lambda t: t if t is None else keras.KerasTensor(t.shape, t.dtype), y)
    for part in (population._compile_loss, population._compile_metrics):
        if part is not None and not part.built and y is not None:
            part.build(y, population.output_spec)
