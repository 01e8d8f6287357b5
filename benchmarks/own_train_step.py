"""Many models with a `train_step` of their own as one program: what comes of it.

`jax.vmap` and `tf.vectorized_map` of that very `train_step`, against one `fit` after the other.

    KERAS_BACKEND=jax python -m benchmarks.own_train_step [--members 8 32] [--epochs 2]
    KERAS_BACKEND=tensorflow python -m benchmarks.own_train_step

The model is subclassed, with a penalty in its `train_step`, as Keras' guides write it on each
backend. A row shows the seconds of both ways, with all that is traced, and the largest difference
between a weight and the same one after `fit`; or how it fails.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers
from rich.console import Console
from rich.table import Table

from benchmarks.machine import environment, parsed

ACTIVATIONS = ("relu", "tanh")
_BATCH = 32
_SAMPLES = 320
_RATE = 1e-3
_PENALTY = 1e-3

# the values of the trained variables and of the optimizer's
State = tuple[Sequence[Any], Sequence[Any]]
# takes all members of one activation through all batches; returns the trained values, stacked
Together = Callable[[keras.Model, list[State], int], Sequence[Any]]


class Net(keras.Model):
    """A subclassed model."""

    def __init__(self, activation: str):
        super().__init__()
        self.first = layers.Dense(64, activation=activation)
        self.second = layers.Dense(64, activation=activation)
        self.last = layers.Dense(4)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Return logits."""
        return self.last(self.second(self.first(x)))


class OnJax(Net):
    """Its `train_step` is a function of values, as Keras' guide for JAX has it."""

    def losses_of(self, trained: Any, others: Any, x: Any, y: Any) -> Any:
        """Return the loss with its penalty, and the new states."""
        outputs, others = self.stateless_call(trained, others, x, training=True)
        penalty = sum(keras.ops.sum(keras.ops.square(value)) for value in trained)
        return self.compute_loss(x, y, outputs) + _PENALTY * penalty, others

    def train_step(self, state: Any, data: Any) -> Any:
        """Take a step."""
        import jax

        trained, others, of_optimizer, metrics = state
        of_values = jax.value_and_grad(self.losses_of, has_aux=True)
        (loss, others), gradients = of_values(trained, others, *data)
        trained, of_optimizer = self.optimizer.stateless_apply(of_optimizer, gradients, trained)
        return {"loss": loss}, (trained, others, of_optimizer, metrics)


class OnTensorFlow(Net):
    """Its `train_step` updates variables, as Keras' guide for TensorFlow has it."""

    def train_step(self, data: Any) -> Any:
        """Take a step."""
        import tensorflow as tf

        x, y = data
        with tf.GradientTape() as tape:
            squares = [tf.reduce_sum(tf.square(value)) for value in self.trainable_variables]
            loss = self.compute_loss(x, y, self(x, training=True)) + _PENALTY * sum(squares)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return samples of four classes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(_SAMPLES, 16)).astype("float32")
    return x, np.minimum(np.abs(x[:, 0]) * 2, 3).astype("int32")


def built(kind: type[Net], activation: str, seed: int) -> keras.Model:
    """Return a compiled model with all its variables."""
    keras.utils.set_random_seed(seed)
    model = kind(activation)
    model(data()[0][:1])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(_RATE), loss)
    model.optimizer.build(model.trainable_variables)
    return model


def state_of(model: keras.Model) -> State:
    """Return copies of a model's values."""
    trained = [keras.ops.copy(v.value) for v in model.trainable_variables]
    return trained, [keras.ops.copy(v.value) for v in model.optimizer.variables]


def by_jax(model: keras.Model, states: list[State], epochs: int) -> Sequence[Any]:
    """Train by `jax.vmap` of the model's own `train_step`."""
    import jax

    trained, of_optimizer = jax.tree.map(lambda *each: keras.ops.stack(each), *states)
    state = (trained, [], of_optimizer, [])
    step = jax.jit(jax.vmap(model.train_step, in_axes=(0, None)))
    for batch in _batches(epochs):
        _, state = step(state, batch)
    return list(jax.block_until_ready(state[0]))


def by_tensorflow_scope(model: keras.Model, states: list[State], epochs: int) -> Sequence[Any]:
    """Train by `tf.vectorized_map`, the values in a scope that stands for the variables."""

    def step(state: State, batch: Any) -> State:
        variables = [*model.trainable_variables, *model.optimizer.variables]
        mapping = list(zip(variables, [*state[0], *state[1]], strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            model.train_step(batch)
        trained = [scope.get_current_value(v) for v in model.trainable_variables]
        return trained, [scope.get_current_value(v) for v in model.optimizer.variables]

    return _vectorized(step, states, epochs)


def by_tensorflow_variables(model: keras.Model, states: list[State], epochs: int) -> Sequence[Any]:
    """Train by `tf.vectorized_map`, the values assigned to the variables first."""

    def step(state: State, batch: Any) -> State:
        variables = [*model.trainable_variables, *model.optimizer.variables]
        for variable, value in zip(variables, [*state[0], *state[1]], strict=True):
            variable.assign(value)
        model.train_step(batch)
        return state_of(model)

    return _vectorized(step, states, epochs)


def _vectorized(
    step: Callable[[State, Any], State], states: list[State], epochs: int
) -> Sequence[Any]:
    import tensorflow as tf

    def step_of_all(state: State, x: Any, y: Any) -> Any:
        def of_member(member: State) -> State:
            return step(member, (x, y))

        return tf.vectorized_map(of_member, state, fallback_to_while_loop=False)

    state = tf.nest.map_structure(lambda *each: tf.stack(each), *states)
    traced = tf.function(step_of_all, autograph=False)
    for x, y in _batches(epochs):
        state = traced(state, x, y)
    return list(state[0])


def _batches(epochs: int) -> list[Any]:
    x, y = data()
    batches = []
    for start in range(0, _SAMPLES, _BATCH):
        part = slice(start, start + _BATCH)
        batches.append(tuple(map(keras.ops.convert_to_tensor, (x[part], y[part]))))
    return batches * epochs


# by backend: the model, and the ways to train all of them at once
WAYS: dict[str, tuple[type[Net], dict[str, Together]]] = {
    "jax": (OnJax, {"jax.vmap": by_jax}),
    "tensorflow": (
        OnTensorFlow,
        {
            "vectorized_map, in a scope": by_tensorflow_scope,
            "vectorized_map, variables assigned": by_tensorflow_variables,
        },
    ),
}


def measured(members: int, epochs: int) -> list[tuple[str, ...]]:
    """Return a row for each way."""
    kind, ways = WAYS[keras.backend.backend()]
    models = [built(kind, ACTIVATIONS[i % 2], seed=i) for i in range(members)]
    starts = [state_of(model) for model in models]
    x, y = data()
    start = time.perf_counter()
    for model in models:
        model.fit(x, y, batch_size=_BATCH, epochs=epochs, shuffle=False, verbose=0)
    alone = f"{time.perf_counter() - start:.1f}"
    rows = []
    for name, way in ways.items():
        start = time.perf_counter()
        try:
            worst = _worst(kind, way, models, starts, epochs)
            outcome = f"{worst:.1e}"
        except Exception as error:  # which it is, is what the row shows
            outcome = f"{type(error).__name__}: {_last_line(error)}"
        seconds = f"{time.perf_counter() - start:.1f}"
        rows.append((name, str(members), alone, seconds, outcome))
    return rows


def _worst(
    kind: type[Net], way: Together, models: list[keras.Model], starts: list[State], epochs: int
) -> float:
    """The largest difference to what `fit` made; members of one activation are one program."""
    worst = 0.0
    for first, activation in enumerate(ACTIVATIONS):
        states = starts[first::2]
        stacked = way(built(kind, activation, seed=first), states, epochs)
        for member, model in enumerate(models[first::2]):
            for value, variable in zip(stacked, model.trainable_variables, strict=True):
                differences = np.asarray(value[member]) - np.asarray(variable.value)
                worst = max(worst, float(np.abs(differences).max()))
    return worst


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip()[:90]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--members", type=int, nargs="+", default=[8, 32], help="even (default: %(default)s)"
    )
    parser.add_argument("--epochs", type=int, default=2, help="(default: %(default)s)")
    arguments = parsed(parser, members=[2], epochs=1)
    console = Console(width=140)
    console.print(environment(), soft_wrap=True)
    table = Table("way", "members", "s, one by one", "s, together", "largest difference")
    for members in arguments.members:
        for row in measured(members, arguments.epochs):
            table.add_row(*row)
            console.print(" | ".join(row), soft_wrap=True)
    console.print(table)


if __name__ == "__main__":
    main()
