"""Members that only save a program have none of the user's callbacks: no file, no second voice."""

import keras
import pytest

from keras_acts.search import Candidate
from keras_acts.search.population.trainers import PopulationTrainer, unwanted_members_pay
from keras_acts.search.rewrite.building import built_for
from keras_acts.search.rewrite.learning_rate import at_factor
from keras_acts.search.runtime import costs
from keras_acts.search.space.rated import Rated
from keras_acts.search.strategy.progress import Progress
from keras_acts.search.verdict.rate_trials import RatedModels, Trainers, _RateTrials
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs(48)
FIT = {"x": X, "y": Y, "epochs": 1, "batch_size": 24, "validation_data": (X, Y)}
CHOICES = (Candidate.of("relu"), Candidate.of("tanh"))
MODEL = eager(mlp())


def builder(rated):
    return at_factor(lambda: built_for(MODEL, rated.choice), rated.factor)


def beside(callbacks):
    """Who trains beside all candidates where a further rate is tried."""
    models = RatedModels(MODEL, CHOICES, builder)
    trainers = Trainers(models, callbacks)
    trainers.of([Rated(choice, 2.0) for choice in CHOICES])
    fit = {**FIT, "callbacks": callbacks}
    trials = _RateTrials(models, trainers, fit, "loss", [5], 3, Progress(0, verbose=0))
    return trials.beside("relu", 4.0)


def test_nobody_trains_twice_at_a_rate_with_callbacks_of_the_user(tmp_path):
    twin = [Rated(CHOICES[0], 4.0)]
    assert beside([]) == twin
    # these are for the population, once for all
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate)
    assert beside([schedule, keras.callbacks.TerminateOnNaN()]) == twin
    for callback in (
        keras.callbacks.EarlyStopping("val_loss"),
        keras.callbacks.ReduceLROnPlateau("val_loss"),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ):
        assert beside([callback]) == []


def test_callbacks_that_would_hear_of_two_trainings_as_one_are_refused(tmp_path):
    callbacks = [keras.callbacks.CSVLogger(tmp_path / "log.csv")]
    trainer = PopulationTrainer(MODEL, [*CHOICES, CHOICES[0]])
    with pytest.raises(ValueError, match=r"must differ. Received: Member\(.*relu.*more than once"):
        next(trainer.train([5], {**FIT, "callbacks": callbacks}))
    assert list(tmp_path.iterdir()) == []


def test_the_last_wave_leaves_files_of_its_own_seeds_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(costs, "SEEDS_TOGETHER_MOST_MEMBERS", 4)
    callbacks = [keras.callbacks.CSVLogger(tmp_path / "log.csv")]
    trainer = PopulationTrainer(MODEL, CHOICES)
    fit = {**FIT, "callbacks": callbacks}
    trained = list(trainer.train([5, 6, 7], fit, at_once=3))
    assert [one.together for one in trained] == [2, 2, 1]
    assert unwanted_members_pay(0.5, FIT)  # without callbacks it is filled up
    expected = {f"log-{choice}-seed{seed}.csv" for choice in CHOICES for seed in (5, 6, 7)}
    assert {path.name for path in tmp_path.iterdir()} == expected
