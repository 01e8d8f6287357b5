"""Callbacks that set learning rates, where multiples of the model's own are searched."""

import keras
import keras_tuner
import numpy as np
import pytest

from keras_acts.search import Candidate, with_activations
from keras_acts.search.population.members import Member
from keras_acts.search.race.one_by_one import OneByOne
from keras_acts.search.rewrite.learning_rate import at_factor
from keras_acts.search.runtime.seeding import Stream, derive, isolated_seed
from keras_acts.search.strategy.callbacks import own_copies
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs(60)
OWN = 0.01
EPOCHS = 3


class WarmUp(keras.callbacks.Callback):
    """Sets rates, whatever the model was compiled with."""

    def __init__(self, rate=OWN):
        super().__init__()
        self.rate = rate

    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate = self.rate * (epoch + 1)


class Decay(keras.callbacks.Callback):
    """Multiplies the rate that there is, after each batch."""

    def on_train_batch_end(self, batch, logs=None):
        rate = self.model.optimizer.learning_rate
        self.model.optimizer.learning_rate = rate * 0.9


class AtBegin(keras.callbacks.Callback):
    """Sets a rate once."""

    def on_train_begin(self, logs=None):
        self.model.optimizer.learning_rate = OWN / 2


class Scheduled(keras.callbacks.Callback):
    """Puts a schedule into the place of a number."""

    def on_train_begin(self, logs=None):
        schedule = keras.optimizers.schedules.ExponentialDecay(OWN, 2, 0.5)
        self.model.optimizer.learning_rate = schedule


class Steps(keras.callbacks.LearningRateScheduler):
    """A scheduler that goes on within an epoch."""

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = OWN / (1 + batch)


class Plateau(keras.callbacks.ReduceLROnPlateau):
    """Of the user's own."""


class Rates(keras.callbacks.Callback):
    """Notes with which rate each epoch ends."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(float(self.model.optimizer.learning_rate))


def each_epoch():
    return keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate)


def reduced(kind=keras.callbacks.ReduceLROnPlateau):
    return kind("loss", factor=0.1, patience=0, min_delta=1e9)


GIVEN = {
    "warm-up": lambda: [WarmUp()],
    "each batch": lambda: [Decay()],
    "once": lambda: [AtBegin()],
    "a schedule": lambda: [Scheduled()],
    "a scheduler's batches": lambda: [Steps(lambda epoch, rate: rate)],
    "scheduler and plateau": lambda: [each_epoch(), reduced()],
    "plateau and scheduler": lambda: [reduced(), each_epoch()],
    "two of ones own": lambda: [WarmUp(), Decay()],
    "plateau of ones own": lambda: [reduced(Plateau)],
}


def compiled():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(keras.optimizers.SGD(OWN), "sparse_categorical_crossentropy", run_eagerly=True)
    return model


def rates(given, factor):
    """With which rates the epochs of a training end, and which are logged."""
    model = at_factor(compiled, factor)()
    seen = Rates()
    copies = [*own_copies(given, "one", factor), seen]
    history = model.fit(X, Y, batch_size=30, epochs=EPOCHS, callbacks=copies, verbose=0).history
    return np.array(seen.seen), np.array(history.get("learning_rate", []))


@pytest.mark.parametrize("given", GIVEN)
def test_all_rates_are_multiples_of_those_of_the_models_own(given):
    own, own_logged = rates(GIVEN[given](), 1.0)
    for factor in (4.0, 3.0):
        seen, logged = rates(GIVEN[given](), factor)
        np.testing.assert_allclose(seen, factor * own, rtol=1e-6)
        np.testing.assert_allclose(logged, factor * own_logged, rtol=1e-6)


def test_a_plateau_lasts_beside_a_scheduler():
    seen, _ = rates([each_epoch(), reduced()], 4.0)
    np.testing.assert_allclose(seen, 4 * OWN * 0.1 ** np.arange(EPOCHS), rtol=1e-5)


def test_a_member_at_a_multiple_is_the_ordinary_training_with_it():
    fit = {"x": X[:40], "y": Y[:40], "validation_data": (X[40:], Y[40:]), "batch_size": 20}
    objective = keras_tuner.Objective("val_loss", "min")
    member = Member(Candidate.of("relu"), 5, 4.0)

    def build(choice):
        return eager(with_activations(mlp(), choice))

    race = OneByOne(
        build, objective, {**fit, "callbacks": [WarmUp()]}, [2], 7, lambda members: None
    )
    race.train([member], 2)
    with isolated_seed(member.seed):
        model = build(member.candidate)
    with isolated_seed(derive(7, Stream.BATCHES, 0)):
        history = model.fit(**fit, epochs=2, callbacks=[WarmUp(4 * OWN)], verbose=0).history
    assert race._trainings[member].history.history == history
