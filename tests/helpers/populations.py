"""Populations beside their ordinary models: what the tests of populations share."""

from typing import NamedTuple

import keras
import numpy as np
import pytest
from keras import layers

from keras_acts.search import with_activations
from keras_acts.search.population.model import PopulationModel
from keras_acts.search.runtime.seeding import isolated_seed

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.01, amsgrad=True, clipvalue=0.05),
    "adam in one kernel": lambda: keras.optimizers.Adam(0.01, epsilon=1e-5),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "rmsprop": lambda: keras.optimizers.RMSprop(
        0.01, centered=True, use_ema=True, ema_overwrite_frequency=3
    ),
    "adagrad": lambda: keras.optimizers.Adagrad(0.05),
    "adadelta": lambda: keras.optimizers.Adadelta(0.5),
    "adamax": lambda: keras.optimizers.Adamax(
        keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.8)
    ),
    "nadam": lambda: keras.optimizers.Nadam(0.01, gradient_accumulation_steps=2),
    "lion": lambda: keras.optimizers.Lion(0.003),
}


def data(shape=(4,), classes=3, samples=32, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, *shape)).astype(keras.config.floatx()), rng.integers(
        0, classes, samples
    )


def mlp(**options):
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, activation="relu", name="first", **options),
            layers.BatchNormalization(),
            layers.Dense(6, use_bias=False),
            layers.Activation("relu", name="second"),
            layers.Dense(3, activation="softmax", name="output"),
        ]
    )


def two_slots():
    """An activation of a layer, and one that is a layer."""
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, activation="relu", name="first"),
            layers.Activation("relu", name="second"),
            layers.Dense(3, activation="softmax", name="output"),
        ]
    )


def cnn():
    return keras.Sequential(
        [
            keras.Input((7, 6, 2)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.DepthwiseConv2D(2, depth_multiplier=2, activation="relu"),
            layers.BatchNormalization(momentum=0.8),
            layers.Conv2D(3, 2, strides=1, use_bias=False, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def branches():
    """Merges of shared, stacked and folded values, operations, a layer used twice, a nested model, a gate."""
    x = keras.Input((6, 6, 2))
    h = layers.Conv2D(4, 3, activation="relu")(x)
    gate = layers.Dense(4, activation="sigmoid", name="gate")(layers.GlobalAveragePooling2D()(h))
    h = layers.Multiply()([h, layers.Reshape((1, 1, 4))(gate)])
    h = layers.Add()([h, layers.Cropping2D(1)(layers.Conv2D(4, 1)(x))])
    inner = keras.Input((4,))
    nested = keras.Model(inner, layers.Dense(4, activation="relu")(inner), name="nested")
    twice = layers.Dense(4, activation="relu", name="twice")
    h = twice(nested(layers.GlobalMaxPooling2D()(h)))
    h = layers.Concatenate()([twice(h), layers.Flatten()(x)])
    return keras.Model(x, layers.Dense(3, activation="softmax")(h * 0.5))


def tokens():
    return keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            layers.Embedding(7, 4),
            layers.LayerNormalization(),
            layers.Dense(6, activation="relu"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def without_rules():
    """Layers that run member after member.

    With a slot inside, with random numbers, with a regularizer.
    """
    return keras.Sequential(
        [
            keras.Input((5, 3)),
            layers.Conv1DTranspose(4, 2, activation="relu", name="conv"),
            layers.LSTM(
                4,
                name="lstm",
                activation="relu",
                kernel_regularizer="l2",
                recurrent_dropout=0.1,
                seed=3,
            ),
            layers.Dense(3, activation="softmax"),
        ]
    )


MODELS = {
    "mlp": (mlp, (4,)),
    "two_slots": (two_slots, (4,)),
    "regularized": (
        lambda: mlp(
            kernel_regularizer="l2",
            bias_regularizer=keras.regularizers.L1L2(0.01, 0.02),
            kernel_constraint="max_norm",
        ),
        (4,),
    ),
    "cnn": (cnn, (7, 6, 2)),
    "branches": (branches, (6, 6, 2)),
    "tokens": (tokens, (5,)),
    "without_rules": (without_rules, (5, 3)),
}


class Alone(NamedTuple):
    """What the training of one ordinary model ended with, by the paths of its variables, and its logs."""

    weights: list[tuple[str, np.ndarray]]
    optimizer: list[tuple[str, np.ndarray]]
    history: dict[str, list[float]]


class Ordinary:
    """What the user would do for each candidate and seed, once for each.

    Args:
        model: of which `with_activations` makes each.
        compiled: makes the arguments of `compile`.
    """

    def __init__(self, model, compiled):
        self.model = model
        self.compiled = compiled
        self.trained = {}

    def fit(self, member, fitted):
        key = (
            member.candidate,
            member.seed,
            keras.config.floatx(),
            *map(id, keras.tree.flatten(fitted)),
        )
        if key not in self.trained:
            self.trained[key] = self._fit(member, fitted), fitted  # which keeps the identities
        return self.trained[key][0]

    def _fit(self, member, fitted):
        with isolated_seed(member.seed):
            alone = with_activations(self.model, member.candidate)
        # eagerly: for so few steps that takes half as long as it does to trace them. JAX compiles
        # each operation by itself then, which takes three times as long
        eagerly = keras.backend.backend() == "tensorflow"
        alone.compile(**self.compiled(), run_eagerly=eagerly)
        history = alone.fit(**fitted, shuffle=False, verbose=0).history
        weights, optimizer = (
            list(zip([v.path for v in variables], _values(variables), strict=True))
            for variables in (alone.weights, alone.optimizer.variables)
        )
        return Alone(weights, optimizer, history)


def _values(variables):
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def settings(optimizer="adam", **options):
    def compiled():
        made = OPTIMIZERS[optimizer]()
        return {
            "optimizer": made,
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy"],
            **options,
        }

    return compiled


def check(
    model,
    candidates,
    compiled,
    fitted,
    *,
    seeds=1,
    members=None,
    rtol=1e-8,
    jit_compile="auto",
    ordinary=None,
):
    """Train a population and its members one by one, and compare weights, logs and optimizers.

    8 steps by default.

    Tests that train the same ordinary models share an `ordinary`.
    """
    fitted = {"batch_size": 8, "epochs": 2, **fitted}
    ordinary = ordinary or Ordinary(model, compiled)
    population = PopulationModel(model, candidates, seeds)
    population.compile(**compiled(), jit_compile=jit_compile)
    history = population.fit(**fitted, shuffle=False, verbose=0).history
    compare(population, history, ordinary, fitted, members, rtol)
    return population


def compare(population, history, ordinary, fitted, members, rtol):
    """Compare members of a trained population with their ordinary models."""
    tolerance = {"rtol": rtol, "atol": rtol * 1e-2}
    for p in range(len(population.members)) if members is None else members:
        member = population.members[p]
        alone, same = ordinary.fit(member, fitted), population.model(p)
        for expected, found in (
            (alone.weights, same.weights),
            (alone.optimizer, same.optimizer.variables),
        ):
            for (path, value), variable in zip(expected, found, strict=True):
                np.testing.assert_allclose(variable, value, **tolerance, err_msg=f"{member} {path}")
        for name, values in alone.history.items():
            key = f"val_members/{name[4:]}" if name.startswith("val_") else f"members/{name}"
            found = np.stack([np.atleast_1d(epoch) for epoch in history[key]])[:, p]
            np.testing.assert_allclose(found, values, rtol=max(rtol, 1e-6), err_msg=key)


SLOW = {name: pytest.param(name, marks=pytest.mark.slow) for name in ("branches", "without_rules")}


def small():
    """Of what an optimizer sees: a kernel, a bias, and perhaps an alpha."""
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )


def cnn_of_features():
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Reshape((2, 2, 1)),
            layers.Conv2D(3, 2, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def carry_into(population, member, model):
    """Set one member's weights."""
    from keras_acts.search.rewrite.walk import layers_of, variables_of

    inside = population.positions[member]
    plans = {layer.plan.path: layer.plan for layer in population.stacked}
    for path, layer in layers_of(model):
        for key, variable in variables_of(layer).items():
            for block in plans[path].blocks:
                if block.key == key and block.start <= inside < block.stop:
                    values = np.array(block.variable)
                    values[inside - block.start] = variable
                    block.variable.assign(values)
