"""The model that a search keeps is a training of its verdict, where none was made at that rate before."""

import keras
import keras_tuner
import numpy as np
import pytest

from keras_acts.search.population.trainers import OneByOneTrainer, PopulationTrainer
from keras_acts.search.rewrite.clone import with_activations
from keras_acts.search.rewrite.learning_rate import at_factor
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.space.rated import Rated
from keras_acts.search.verdict.kept_seeds import Keeping, KeepingTrainer
from keras_acts.search.verdict.replicates import BestRuns, Replicates
from tests.helpers.models import blobs, eager

# which training is taken; tests/test_search_rates.py keeps one of a whole search
pytestmark = pytest.mark.once

X, Y = blobs(80)
VALIDATION = (X[60:], Y[60:])
FIT = {"x": X[:60], "y": Y[:60], "validation_data": VALIDATION, "epochs": 2, "batch_size": 20}
RATED = (Rated(Candidate.of("relu"), 4.0), Rated(Candidate.of("tanh"), 2.0))
NAMES = ("relu", "tanh")
SEEDS = [3, 4, 5]
LOSS = keras_tuner.Objective("val_loss", "min")


def noisy():
    """With a layer that has a state, which training changes besides its weights."""
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(6, "relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(3, "softmax"),
    ]
    model = keras.Sequential(layers)
    optimizer = keras.optimizers.Adam(0.01)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def builds(model):
    def build(rated):
        return at_factor(lambda: eager(with_activations(model, rated.choice)), rated.factor)

    return [build(rated) for rated in RATED]


def replicates_of(trainer):
    trained = Replicates(trainer, NAMES, FIT)
    assert list(trained.train(SEEDS, at_once=3)) == SEEDS
    return trained


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("seeds")


@pytest.fixture(scope="module")
def trained(folder):
    keeping = Keeping(folder, lambda text: None)
    trainer = KeepingTrainer(PopulationTrainer(noisy(), RATED), NAMES, keeping)
    with replicates_of(trainer) as replicates:
        yield replicates


def best(replicates, name, objective=LOSS):
    return BestRuns(replicates, RATED, (0, 1), NAMES, objective).best(name)


def check(run, replicates, column):
    """A run is what it says, and the best of its candidate."""
    losses = replicates.runs.history["val_loss"][:, :, column]
    index = replicates.runs.seeds.index(run.seed)
    assert index == int(np.argmin(losses[:, -1]))
    assert run.score == pytest.approx(losses[index, -1])
    assert run.mean == pytest.approx(losses.min(axis=1).mean())
    assert run.seeds == len(SEEDS)
    assert run.curve.metrics["val_loss"] == pytest.approx(tuple(losses[index]))
    assert run.epochs == 2
    assert run.rated == RATED[column]
    scores = run.model.evaluate(*VALIDATION, verbose=0, return_dict=True)
    assert scores["loss"] == pytest.approx(run.score, rel=1e-5)
    # its optimizer has its rate, and no other training's state
    assert run.model.optimizer.iterations == 0
    rate = float(run.model.optimizer.learning_rate)
    assert rate == pytest.approx(0.01 * RATED[column].factor)


@pytest.mark.parametrize("column", [0, 1])
def test_it_is_the_best_by_the_validation_data_and_evaluates_to_its_score(trained, column):
    check(best(trained, NAMES[column]), trained, column)


def test_it_is_read_where_an_earlier_process_has_trained_it(trained, folder):
    keeping = Keeping(folder, lambda text: None)
    again = KeepingTrainer(PopulationTrainer(noisy(), RATED), NAMES, keeping)
    with replicates_of(again) as known:
        check(best(known, "tanh"), trained, 1)


def test_it_is_one_of_those_that_train_one_by_one():
    with replicates_of(OneByOneTrainer(builds(noisy()), RATED)) as alone:
        check(best(alone, "tanh"), alone, 1)


def changed(replicates, monkeypatch, history=None, diverged=None):
    """The replicates as if they had trained otherwise."""
    if history is not None:
        monkeypatch.setattr(replicates, "_histories", history)
    if diverged is not None:
        monkeypatch.setattr(replicates, "_diverged", diverged)


def test_none_where_a_training_that_keeps_its_best_epoch_promises_more(trained, monkeypatch):
    # all were better in the middle than any is at its end
    first_better = [{"val_loss": np.array([[0.1, 0.1], [0.2, 0.2]])} for _ in SEEDS]
    changed(trained, monkeypatch, history=first_better)
    assert best(trained, "relu") is None


def test_none_of_which_a_training_diverged(trained, monkeypatch):
    changed(trained, monkeypatch, diverged=[np.array([False, True])] * 3)
    assert best(trained, "tanh") is None
    assert best(trained, "relu") is not None


def test_none_where_the_last_epoch_was_not_validated(trained, monkeypatch):
    seldom = [{"loss": np.ones((2, 2)), "val_loss": np.ones((1, 2))} for _ in SEEDS]
    changed(trained, monkeypatch, history=seldom)
    assert best(trained, "relu") is None


def test_none_where_the_training_data_rank(trained):
    assert best(trained, "relu", keras_tuner.Objective("loss", "min")) is None
