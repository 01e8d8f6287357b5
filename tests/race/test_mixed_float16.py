"""Models in mixed_float16 train one by one: each has a loss scale of its own, and skips its own steps."""

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers

from keras_acts.search import ActivationSpace, Candidate, with_activations
from keras_acts.search.population.members import Member
from keras_acts.search.race.one_by_one import OneByOne
from keras_acts.search.race.runner import why_one_by_one
from keras_acts.search.runtime.seeding import Stream, derive, isolated_seed

X = 4 * np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
FIT = {"x": X, "y": X[:, :1], "validation_data": (X, X[:, :1]), "batch_size": 16}
LOSS = keras_tuner.Objective("val_loss", "min")
SEED = 7


@pytest.fixture
def model():
    """Made and compiled under the policy, which the program leaves again: Keras scales its loss."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        x = keras.Input((4,))
        # relu's values are large, and so are its gradients
        h = layers.Dense(8, activation="relu", kernel_initializer="ones")(x)
        made = keras.Model(x, layers.Dense(1, dtype="float32")(h))
        made.compile(keras.optimizers.SGD(1e-5), "mse")
    finally:
        keras.config.set_dtype_policy(before)
    return made


def test_the_reason_is_said_before_training(model):
    reason = why_one_by_one(model, ActivationSpace(), FIT)
    assert "in float16 each model has a loss scale of its own" in reason
    assert "with 'mixed_float16'" in reason


@pytest.mark.slow
def test_one_overflows_and_the_other_does_not(model):
    def build(choice):
        return with_activations(model, choice)

    race = OneByOne(build, LOSS, FIT, [1, 2], SEED, lambda members: None)
    members = [Member(Candidate.of(name), 1) for name in ("relu", "tanh")]
    for end in (1, 2):
        race.train(members, end)
    scales = []
    for member in members:
        with isolated_seed(1):
            alone = build(member.candidate)
        with isolated_seed(derive(SEED, Stream.BATCHES, 0)):
            history = alone.fit(**FIT, epochs=2, verbose=0).history
        assert race.runs[member].best == min(history["val_loss"])
        raced = race._trainings[member].model
        for one, other in zip(raced.get_weights(), alone.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
        states = zip(raced.optimizer.variables, alone.optimizer.variables, strict=True)
        for one, other in states:
            np.testing.assert_array_equal(one, other)
        scales.append(float(raced.optimizer.dynamic_scale))
    # halved for each step that was skipped
    assert scales[0] < scales[1] == 2**15
