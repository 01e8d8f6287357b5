"""Ctrl-C ends a race also where a library makes another error of it, or none."""

import contextlib
import signal

import keras
import keras_tuner
import pytest

from keras_acts.search import Candidate, with_activations
from keras_acts.search.population.members import Member
from keras_acts.search.race.cohorts import Cohorts
from keras_acts.search.race.one_by_one import OneByOne
from keras_acts.search.strategy.data_order import DataOrder
from tests.helpers.models import blobs, mlp

X, Y = blobs(30)
FIT = {"x": X, "y": Y, "validation_data": (X, Y), "batch_size": 30, "verbose": 0}
LOSS = keras_tuner.Objective("val_loss", "min")
MEMBERS = [Member(Candidate.of(name), 1) for name in ("relu", "tanh")]


def fails_otherwise(number):
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise TypeError("Failed to convert elements of (None,) to Tensor") from None


def goes_on(number):
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("library", [fails_otherwise, goes_on])
def test_together(library):
    race = Cohorts(mlp(), LOSS, FIT, [1], 0, library)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        race.train(MEMBERS, 1)
    assert not any(run.error for run in race.runs.values())
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("library", [fails_otherwise, goes_on])
def test_one_by_one(library):
    model = mlp()

    def build(candidate: Candidate) -> keras.Model:
        return with_activations(model, candidate)

    race = OneByOne(build, LOSS, FIT, [1], 0, library, data_order=DataOrder(FIT))
    with pytest.raises(KeyboardInterrupt):
        race.train(MEMBERS, 1)
    assert not any(run.error for run in race.runs.values())
