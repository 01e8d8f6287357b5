"""Where memory runs out as learning rates are tried, fewer trainings are one population, with the same scores."""

import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from keras_acts.search import PopulationModel
from keras_acts.search.population import trainers
from keras_acts.search.population.trainers import OneByOneTrainer
from keras_acts.search.rewrite.building import built_for
from keras_acts.search.rewrite.learning_rate import at_factor
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.strategy.learning_rates import RatePlan
from keras_acts.search.strategy.progress import Progress
from keras_acts.search.verdict.rate_trials import RatedModels, Trainers, choose_rates
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs(64)
FIT = {"x": X, "y": Y, "epochs": 1, "batch_size": 32, "validation_data": (X, Y)}
CHOICES = (Candidate.of("relu"), Candidate.of("mish"), Candidate.of("tanh"))
PLAN = RatePlan(factors=(0.5, 1.0, 2.0), own=0.001)


def models():
    model = eager(mlp())

    def builder(rated):
        return at_factor(lambda: built_for(model, rated.choice), rated.factor)

    return RatedModels(model, CHOICES, builder)


def studied(say=None):
    objective = keras_tuner.Objective("val_loss", "min")
    progress = Progress(0, verbose=0)
    progress.say = say or progress.say
    chosen = models()
    return choose_rates(
        chosen,
        Trainers(chosen, ()),
        PLAN,
        FIT,
        objective,
        baseline="relu",
        seed=3,
        most_seeds=4,
        progress=progress,
    )


@pytest.fixture(scope="module")
def whole():
    """The study in enough memory."""
    return studied()


@pytest.mark.slow
def test_halves_are_tried_before_one_by_one(monkeypatch, whole):
    fit = PopulationModel.fit
    sizes = []

    def short(self, *args, **kwargs):
        if len(self.members) > 4:
            raise tf.errors.ResourceExhaustedError(None, None, "there is none left")
        sizes.append(len(self.members))
        return fit(self, *args, **kwargs)

    def one_by_one(*args, **kwargs):
        raise AssertionError("no candidate need train by itself")

    monkeypatch.setattr(PopulationModel, "fit", short)
    monkeypatch.setattr(OneByOneTrainer, "train", one_by_one)
    told = []
    parted = studied(told.append)
    # nine trainings, of which four fit: the first four on each seed, then two on both, and three
    assert sizes == [4, 4, 4, 3, 3]
    assert any("Memory ran out with 9 trainings at once" in line for line in told)
    np.testing.assert_allclose(parted.scores, whole.scores, rtol=1e-5)
    assert parted.chosen == whole.chosen


@pytest.mark.slow
def test_populations_that_cannot_be_made_are_made_smaller(monkeypatch, whole):
    made = trainers.PopulationModel

    def short(model, members, **options):
        if len(members) > 5:
            raise MemoryError
        return made(model, members, **options)

    monkeypatch.setattr(trainers, "PopulationModel", short)
    np.testing.assert_allclose(studied().scores, whole.scores, rtol=1e-5)
