"""Trials in the middle of their epochs go on only as what they were."""

import logging
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_acts.search import ActivationTuner
from keras_acts.search.population import memory as planner
from keras_acts.search.runtime import kept_arrays, pace
from keras_acts.search.tuner import kept_settings
from keras_acts.search.tuner.kept_population import KeptTraining

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """What trains together is kept after each epoch."""
    monkeypatch.setattr(pace, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(pace, "SHARE", 1e9)


def model(rate=0.05, frozen=0.5):
    first = keras.layers.Dense(3, trainable=False)
    layers = [
        keras.Input((3,)),
        first,
        keras.layers.Dense(4, activation="relu"),
        keras.layers.Dense(1),
    ]
    made = keras.Sequential(layers)
    first.set_weights([np.full((3, 3), frozen), np.zeros(3)])
    made.compile(keras.optimizers.SGD(rate), "mse")
    return made


def tuner(folder, searched=None, **options):
    options = {"activations": ["relu", "tanh", "elu"], "max_trials": 3, **options}
    made = ActivationTuner(searched or model(), directory=folder, project_name="p", **options)
    made.oracle.verbose = 0
    return made


FIT = {"x": X, "y": Y, "epochs": 5, "validation_split": 0.25, "verbose": 0}


class Killed(BaseException):
    """Ends a search as a signal that nobody catches does, files apart."""


def kill(monkeypatch, folder, after=3, fit=FIT, **options):
    """Search until something was kept so many times."""
    keep = KeptTraining.keep
    times = []

    def keeping(*args):
        keep(*args)
        times.append(1)
        if len(times) == after:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(KeptTraining, "keep", keeping)
        with pytest.raises(Killed):
            tuner(folder, **options).search(**fit)
    assert list(folder.glob("p/population-*.npz"))


def searched(folder, fit=FIT, **options):
    made = tuner(folder, **options)
    made.search(**fit)
    scores = {name: trial.score for name, trial in made.oracle.trials.items()}
    weights = made.get_best_models(1)[0].get_weights()
    return scores, [weight.tolist() for weight in weights]


slow = pytest.mark.slow
STOP = keras.callbacks.EarlyStopping(patience=1)
OTHER = [
    pytest.param("y", {"y": -10 * Y}, model),
    pytest.param("epochs", {"epochs": 4}, model, marks=slow),
    pytest.param("compile", {}, partial(model, rate=0.001), marks=pytest.mark.once),
    pytest.param("x", {"x": 2 * X}, model, marks=slow),
    pytest.param("batch_size", {"batch_size": 16}, model, marks=slow),
    pytest.param("callbacks", {"callbacks": [STOP]}, model, marks=slow),
    pytest.param("sample_weight", {"sample_weight": np.arange(64.0)}, model, marks=slow),
    pytest.param("model", {}, partial(model, frozen=-1.0), marks=slow),
]


@pytest.mark.parametrize(("name", "fit", "build"), OTHER)
def test_trials_of_other_settings_train_from_their_beginning(
    monkeypatch, tmp_path, caplog, name, fit, build
):
    """KerasTuner keeps no settings: the file itself says of what it is."""
    kill(monkeypatch, tmp_path / "killed")
    with caplog.at_level(logging.WARNING):
        resumed = searched(tmp_path / "killed", {**FIT, **fit}, searched=build())
    assert f"other settings ({name})" in caplog.text
    assert "Going on" not in caplog.text
    assert resumed == searched(tmp_path / "fresh", {**FIT, **fit}, searched=build())


def test_trials_of_the_same_settings_go_on(monkeypatch, tmp_path, caplog):
    options = {"activations": ["relu", "trelu(alpha=0.1)", "elu"]}
    fit = {**FIT, "callbacks": [keras.callbacks.EarlyStopping(patience=4)]}
    kill(monkeypatch, tmp_path / "killed", fit=fit, **options)
    again = {**fit, "x": X.copy(), "callbacks": [keras.callbacks.EarlyStopping(patience=4)]}
    with caplog.at_level(logging.WARNING):
        resumed = searched(tmp_path / "killed", again, **options)
    assert "after 3 epochs" in caplog.text
    assert resumed == searched(tmp_path / "fresh", fit, **options)
    assert not list(tmp_path.glob("*/p/population*"))


def test_batches_that_nobody_compared_are_told(monkeypatch, tmp_path, caplog):
    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    fit = {"x": batches, "validation_data": (X, Y), "epochs": 4, "verbose": 0, "shuffle": False}
    kill(monkeypatch, tmp_path, after=2, fit=fit)
    with caplog.at_level(logging.WARNING):
        searched(tmp_path, fit)
    assert "Going on" in caplog.text
    assert "nobody has compared" in caplog.text


@pytest.mark.once
def test_what_cannot_be_described_is_never_the_same(monkeypatch, tmp_path, caplog):
    def fails(value):
        raise RecursionError

    monkeypatch.setattr(kept_settings, "fingerprint_value", fails)
    kill(monkeypatch, tmp_path)
    with caplog.at_level(logging.WARNING):
        searched(tmp_path)
    assert "other settings (objective" in caplog.text


def no_memory(arrays, path, meta):
    raise MemoryError


@pytest.mark.once
def test_too_little_memory_for_a_copy_costs_no_training(monkeypatch, tmp_path, caplog):
    expected = searched(tmp_path / "other")
    monkeypatch.setattr(kept_arrays.Arrays, "write", no_memory)
    with caplog.at_level(logging.WARNING):
        assert searched(tmp_path / "full") == expected
    assert "memory is too small for a copy" in caplog.text
    assert "one by one" not in caplog.text


FOUR = {"activations": ["relu", "tanh", "elu", "mish"], "max_trials": 4}


@pytest.mark.once
def test_each_wave_has_a_file_of_its_own(monkeypatch, tmp_path, caplog):
    """A kill in the second costs the first no more than the second."""

    def two_waves(members, *rest):
        return [members[:2], members[2:]]

    monkeypatch.setattr(planner, "waves", two_waves)
    with caplog.at_level(logging.WARNING):
        expected = searched(tmp_path / "other", **FOUR)
    # nothing happened, and nothing is said
    assert not caplog.text
    # the first wave keeps four times: the last of its epochs is its end
    kill(monkeypatch, tmp_path / "killed", after=7, **FOUR)
    assert len(list(tmp_path.glob("killed/p/population-*.npz"))) == 2
    with caplog.at_level(logging.WARNING):
        assert searched(tmp_path / "killed", **FOUR) == expected
    assert caplog.text.count("Going on from") == 2
    assert not list(tmp_path.glob("*/p/population*"))


@pytest.mark.once
def test_files_of_a_users_stay(tmp_path):
    (tmp_path / "p").mkdir()
    names = ["population-mine.npz", "population-0123456.npz"]
    for name in names:
        (tmp_path / "p" / name).write_bytes(b"mine")
    searched(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("p/*.npz")) == sorted(names)
