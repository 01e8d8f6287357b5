"""One training step of a population on TensorFlow.

Traced once, compiled where that pays, diverged slots left alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_acts.compat import moving_averages, resolved_parts
from keras_acts.lowering import uncompiled

from ..runtime.device import lacks_onednn
from .batch_view import BatchView
from .diverged import Healthy, rows_of
from .one_kernel import one_kernel

Tensor = Any


# Compiling the update alone takes XLA 0.5 s and saves 2.7 ms a step of 32 slots. A whole step of 8
# activations takes so many ms to compile, and then saves so many more a step, and of each so many a
# slot: with oneDNN, and without, where it is 5 of 10 ms at 32 slots (MLP 64-64 on letters, 2
# cores).
_UPDATE, _SLOTS = 200, 8
_WHOLE, _WHOLE_WITHOUT = (1600, 1.1, 0.015), (5000, 0.3, 0.17)


class TrainingStep:
    """The training step of a compiled population, called in Keras' train function.

    Where XLA is faster it compiles the whole step, if the training is long enough for that to pay,
    for batches of the size that comes first. Any other size, as the last one of an epoch often is,
    takes the same step in a graph. Elsewhere XLA compiles the update of the weights alone, unless
    it is `one_kernel`: it depends on no batch, and in a graph an optimizer is a dozen passes over
    each variable.

    Args:
        population: the population.
        optimizer: that it is compiled with.
        jit_compile: as in `compile`; ``"auto"`` for where it pays.
        faster: whether XLA makes the whole step faster.
    """

    def __init__(self, population: Any, optimizer: Any, jit_compile: bool | str, faster: bool):
        import tensorflow as tf

        self._population, self._jit_compile, self._faster = population, jit_compile, faster
        self._whole, self._update_too = jit_compile is True, False
        self._steps = 0.0
        self._traced: dict[Any, Callable[..., Any]] = {}
        self._usual = tf.Variable(
            0, trainable=False
        )  # made now: once Keras has traced a function, it may make none
        self._one_kernel = one_kernel(optimizer)
        self._view = self._shared = BatchView(len(population.members))
        self._other: Any = None  # Keras' train function for batches of the other kind

    def expect(self, steps: float) -> None:
        """Hear how many steps are about to come, infinity if that is unknown, and choose what is compiled."""
        self._usual.assign(0)
        total = self._steps + steps
        self._steps += steps if np.isfinite(steps) else 0
        slots = len(self._population.members)
        if self._jit_compile != "auto" or slots < _SLOTS:
            return
        whole = self._whole or (self._faster and _pays(total, slots))
        update = not whole and not self._one_kernel and (self._update_too or total >= _UPDATE)
        if (whole, update) != (self._whole, self._update_too):
            self._whole, self._update_too = whole, update
            self._traced.clear()
            self._other = None
            self._population.make_train_function(force=True)

    @contextmanager
    def batches(self, view: BatchView) -> Iterator[None]:
        """Take batches that are to be viewed so inside the scope.

        Those of each seed have a train function of their own: Keras' would be traced for tensors of
        any rank.
        """
        if view == self._shared:
            yield
            return
        population = self._population
        self._view = view
        self._other, population.train_function = population.train_function, self._other
        try:
            yield
        finally:
            self._view = self._shared
            self._other, population.train_function = population.train_function, self._other

    def __call__(self, data: Any) -> dict[str, Tensor]:
        """Take a step on one batch and return the logs."""
        import tensorflow as tf

        if tf.executing_eagerly():
            return _step(
                self._population, data, self._view, functools.partial(_update, self._population)
            )
        tensors = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]
        specs = keras.tree.map_structure(
            lambda leaf: leaf if leaf is None else tf.type_spec_from_value(leaf), data
        )
        key = repr(specs), self._view
        if key not in self._traced:
            self._traced[key] = self._trace(data, specs)
        return self._traced[key](*tensors)

    def _trace(self, data: Any, specs: Any) -> Callable[..., Any]:
        import tensorflow as tf

        leaves, view = keras.tree.flatten(specs), self._view

        def step(*tensors: Tensor) -> dict[str, Tensor]:
            values = iter(tensors)
            structured = keras.tree.pack_sequence_as(
                specs, [leaf if leaf is None else next(values) for leaf in leaves]
            )
            return _step(self._population, structured, view, update)

        with tf.init_scope():  # outside of Keras' own trace
            _build(self._population, data, view)
        constrained = any(
            v.constraint is not None for v in self._population.trainable_variables
        )  # slot after slot
        update = functools.partial(_update, self._population)
        if self._update_too and not constrained:
            update = tf.function(update, jit_compile=True, autograph=False)
        elif not self._whole:
            update = functools.partial(_update_most, self._population)

        def traced(jit_compile: bool) -> Callable[..., Any]:
            function = tf.function(step, jit_compile=jit_compile, autograph=False)
            return function.get_concrete_function(*(leaf for leaf in leaves if leaf is not None))

        plain = traced(False)
        if not self._whole:
            return plain
        compiled = traced(True)  # by XLA, when it is first called

        def either(*tensors: Tensor) -> dict[str, Tensor]:
            size = view.samples(tensors[0])
            self._usual.assign(tf.where(tf.equal(self._usual, 0), size, self._usual))
            return tf.cond(
                tf.equal(size, self._usual), lambda: compiled(*tensors), lambda: plain(*tensors)
            )

        return either


class Announcement(keras.callbacks.Callback):
    """Tells the training step of a population how many steps are about to come.

    Args:
        epochs: that are to come.
    """

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = epochs

    def on_train_begin(self, logs: Any = None) -> None:
        """Tell it."""
        step = self.model._state.step
        if step is not None and self.epochs > 0:
            step.expect(self.epochs * (self.params["steps"] or np.inf))


def _pays(steps: float, slots: int) -> bool:
    """Whether a whole step under XLA saves, over so many, more than it takes to compile."""
    compiling, saved, of_slot = _WHOLE_WITHOUT if lacks_onednn() else _WHOLE
    return steps * (saved + of_slot * slots) >= compiling


def _step(
    population: Any, data: Any, view: BatchView, update: Callable[..., None]
) -> dict[str, Tensor]:
    state = population._state
    shared, state.view = state.view, view
    try:
        return _step_on(population, data, update)
    finally:
        state.view = shared


def _step_on(population: Any, data: Any, update: Callable[..., None]) -> dict[str, Tensor]:
    import tensorflow as tf

    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    rows = rows_of(population)
    before = [(v, tf.identity(v.value)) for v in _may_be_assigned(population, rows)]
    with tf.GradientTape() as tape:
        y_pred = population(x, training=True)
        loss = population.compute_loss(x, y, y_pred, sample_weight, training=True)
        loss = population.optimizer.scale_loss(
            loss
        )  # the optimizer divides gradients by its `loss_scale_factor`
    with uncompiled():
        gradients = tape.gradient(loss, population.trainable_variables)
    update([g if g is None else tf.convert_to_tensor(g) for g in gradients])
    healthy = Healthy(rows, population.healthy)
    assigned = {id(variable) for layer in population.stacked for variable in layer.plan.assigned}
    for variable, value in before:
        if not variable.trainable or id(variable) in assigned:
            variable.assign(healthy.where(variable, variable, value))
    return population.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


def _may_be_assigned(population: Any, rows: dict[int, tuple[int, int]]) -> list[Any]:
    """The stacked variables that layers may assign in a step: those that are not trained.

    Without a rule, all.
    """
    found = [v for v in population.non_trainable_variables if id(v) in rows]
    for layer in population.stacked:
        if layer.plan.rule is None:
            found += [v for v in layer.trainable_variables if id(v) in rows]
    return found


def _update_most(population: Any, gradients: list[Tensor | None]) -> None:
    """Let the optimizer update all slots, if all are healthy: one pass over the weights less."""
    import tensorflow as tf

    def all_slots() -> None:
        population.optimizer.apply(gradients, population.trainable_variables)

    healthy = ops.all(ops.not_equal(population.healthy, 0))
    tf.cond(healthy, all_slots, lambda: _update(population, gradients))


def _update(population: Any, gradients: list[Tensor | None]) -> None:
    """Let the optimizer update the healthy slots; in one program, this costs no pass of its own."""
    import tensorflow as tf

    variables, healthy = (
        population.trainable_variables,
        Healthy(rows_of(population), population.healthy),
    )
    before = [
        tf.identity(v.value) for v in variables
    ]  # not convert_to_tensor: that gives the variable itself
    kept = [
        g if g is None else healthy.where(v, g, 0)
        for v, g in zip(variables, gradients, strict=True)
    ]
    optimizer = population.optimizer
    optimizer.apply(kept, variables)
    for variable, value in zip(variables, before, strict=True):
        variable.assign(healthy.where(variable, variable, value))
    if optimizer.use_ema:  # when training ends, Keras gives each variable its average
        for variable, average in zip(variables, moving_averages(optimizer), strict=True):
            average.assign(healthy.where(variable, average, variable))


def _build(population: Any, data: Any, view: BatchView) -> None:
    """Make all variables now: those that come up in a trace would have it traced twice."""
    if not population.optimizer.built:
        population.optimizer.build(population.trainable_variables)
    _, y, _ = keras.utils.unpack_x_y_sample_weight(data)
    for part in resolved_parts(population):
        if part is not None and not part.built and y is not None:
            part.build(view.specs(y), population.output_spec)
