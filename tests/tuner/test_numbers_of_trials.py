"""Trials with numbers of their own, beside their activations, train together as they do one by one."""

import keras
import keras_tuner
import numpy as np
import pytest

from keras_acts.search import ActivationTuner, PopulationModel, activation_choice
from keras_acts.search.population.members import Member
from keras_acts.search.tuner.compatibility import inspect_model
from tests.helpers.models import blobs

X, Y = blobs(96)
ONE_HOT = np.eye(3, dtype="float32")[Y]
FIT = {"epochs": 2, "validation_split": 0.25, "batch_size": 16, "verbose": 0}


def model(rate=0.01, decay=0.1, smoothing=0.0, dropout=0.0, noise=0.0, act="relu", eagerly=False):
    built = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.GaussianNoise(noise),
            keras.layers.Dense(8, activation=act),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=decay)
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    built.compile(optimizer, loss, run_eagerly=eagerly)
    return built


def searched(folder, values, eagerly=False, space=("relu", "mish"), **arguments):
    """A search over all values of hyperparameters, each with all activations."""

    def build(hp):
        index = hp.Int("index", 0, len(values) - 1)
        act = activation_choice(hp, space=list(space))
        return model(**values[index], act=act, eagerly=eagerly)

    tuner = ActivationTuner(
        build,
        oracle=keras_tuner.oracles.RandomSearchOracle(
            "val_loss", max_trials=len(space) * len(values), seed=3
        ),
        directory=folder,
        project_name=f"eagerly_{eagerly}",
        **arguments,
    )
    tuner.said = []
    tuner.say = tuner.said.append
    tuner.search(X, ONE_HOT, **FIT)
    return tuner


@pytest.fixture
def sizes(monkeypatch):
    """The list that the sizes of all populations go into, as they begin to train."""
    trained = []
    fit = PopulationModel.fit

    def recorded(self, *args, **kwargs):
        trained.append(len(self.members))
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(PopulationModel, "fit", recorded)
    return trained


def test_trials_of_one_program_differ_in_numbers_that_a_member_has_for_itself():
    """And in nothing else: what a config says beside them still counts."""
    plain = inspect_model(model())
    own = inspect_model(model(0.02, 0.3, 0.1, 0.5, 0.2))
    assert own.key == plain.key
    assert (own.rate, own.decay, own.smoothing) == pytest.approx((0.02, 0.3, 0.1))
    assert list(own.noise.values()) == [0.2, 0.5]
    assert list(plain.noise.values()) == [0.0, 0.0]
    assert inspect_model(model(dropout=1.0)).key != plain.key
    seeded = model()
    seeded.layers[2].seed = 3
    assert inspect_model(seeded).key != plain.key
    other_loss = model()
    other_loss.compile("adamw", keras.losses.CategoricalFocalCrossentropy(label_smoothing=0.1))
    third = model()
    third.compile("adamw", keras.losses.CategoricalFocalCrossentropy(label_smoothing=0.2))
    assert inspect_model(other_loss).key != inspect_model(third).key
    # what two layers are called is not told apart
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.2, name="twice")])
    outer = keras.Sequential([keras.Input((4,)), inner, keras.layers.Dropout(0.3, name="twice")])
    outer.add(keras.layers.Dense(1, activation="relu"))
    outer.compile("sgd", "mse")
    assert inspect_model(outer).noise == {}


@pytest.mark.slow
def test_trials_with_numbers_of_their_own_score_as_one_by_one(tmp_path, sizes):
    """Without noise there is no randomness; so the scores and the kept models are the same."""
    values = [{"smoothing": 0.0}, {"smoothing": 0.3, "rate": 0.03, "decay": 0.5}]
    together = searched(tmp_path, values)
    alone = searched(tmp_path, values, eagerly=True, population=1)
    assert sizes == [4]
    assert together.said == []
    for trial_id, trial in alone.oracle.trials.items():
        found = together.oracle.trials[trial_id]
        assert found.hyperparameters.values == trial.hyperparameters.values
        assert found.score == pytest.approx(trial.score, rel=1e-5)
    (kept,) = together.get_best_models(1)
    best = together.oracle.get_best_trials(1)[0]
    found = kept.evaluate(X[72:], ONE_HOT[72:], verbose=0)
    assert found == pytest.approx(best.score, rel=1e-5)
    assert kept.loss.label_smoothing == values[best.hyperparameters.get("index")]["smoothing"]


@pytest.mark.slow
def test_trials_without_noise_train_beside_those_with_it(tmp_path, sizes):
    """Exactly as without them; and Keras reads their checkpoints, which hold no random state."""
    values = [{}, {"dropout": 0.5}, {"noise": 0.3}, {"dropout": 0.2, "noise": 0.1}]
    together = searched(tmp_path, values)
    alone = searched(tmp_path, values, eagerly=True, population=1)
    assert sizes == [8]
    assert together.said == []
    for trial_id, trial in alone.oracle.trials.items():
        found = together.oracle.trials[trial_id]
        if trial.hyperparameters.get("index") == 0:
            assert found.score == pytest.approx(trial.score, rel=1e-5)
        else:
            assert found.score != pytest.approx(trial.score, rel=1e-5)
    trials = together.oracle.get_best_trials(8)
    for trial, kept in zip(trials, together.get_best_models(8), strict=True):
        own = values[trial.hyperparameters.get("index")]
        assert kept.layers[0].stddev == own.get("noise", 0.0)
        assert kept.layers[2].rate == own.get("dropout", 0.0)
        score = kept.evaluate(X[72:], ONE_HOT[72:], verbose=0)
        assert score == pytest.approx(trial.score, rel=1e-5)


def test_a_layer_without_noise_in_all_trials_keeps_none_from_training_together(tmp_path, sizes):
    """Here the first one of the model; Keras has made no random numbers for it."""
    together = searched(tmp_path, [{"dropout": 0.2}, {"dropout": 0.3}], space=["relu"])
    assert sizes == [2]
    assert together.said == []


@pytest.mark.slow
def test_trials_with_noise_in_different_layers_are_two_populations(tmp_path, sizes):
    """A model has no random numbers for a layer without noise, and so no member of it has any."""
    searched(tmp_path, [{"dropout": 0.5}, {"noise": 0.3}])
    assert sorted(sizes) == [2, 2]


def test_a_member_says_its_noise():
    assert Member("relu", 0, noise=(("drop", 0.5),)) != Member("relu", 0)
