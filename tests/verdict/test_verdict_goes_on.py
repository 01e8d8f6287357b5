"""A verdict of a kept search that is killed goes on with the next seed, to the same sentence."""

import keras
import numpy as np
import pytest

from keras_acts.search import search_activations
from keras_acts.search.runtime import pace
from keras_acts.search.verdict import kept_seeds
from tests.helpers.crashes import Snapshots
from tests.helpers.models import blobs, mlp

# which files are read, and what trains again; tests/verdict/test_compare.py trains at any version
pytestmark = pytest.mark.once

X, Y = blobs(120)


def noisy():
    """With layers that have states and random numbers of their own."""
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(8, "relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(3, "softmax"),
    ]
    model = keras.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def searched(folder, model=mlp, **options):
    arguments = {
        "activations": ["mish", "tanh"],
        "strategy": "random",
        "trials": 3,
        "epochs": 2,
        "verdict": 4,
        "batch_size": 20,
        "verbose": 1,
        "learning_rates": None,
        "test_data": (X[90:], Y[90:]),
        **options,
    }
    found = search_activations(model(), X[:90], Y[:90], directory=folder, **arguments)
    runs = found.verdict.runs
    scores = {name: values.tolist() for name, values in (*runs.history.items(), *runs.test.items())}
    return found.verdict.sentence, scores, found.test


@pytest.fixture
def trained(monkeypatch):
    """The seeds that are trained, not read."""
    seeds = []
    keep = kept_seeds.KeepingTrainer._keep

    def noting(trainer, seed, *rest):
        seeds.append(seed)
        keep(trainer, seed, *rest)

    monkeypatch.setattr(kept_seeds.KeepingTrainer, "_keep", noting)
    return seeds


def by_count(folders):
    """Of the folders, the first with each number of seeds."""
    first = {}
    for folder in folders:
        kept = folder.glob("activations/verdict/*.npz")
        # on a busy machine seeds are kept before their end too
        whole = [file for file in kept if not file.name.endswith(kept_seeds.TRAINING)]
        first.setdefault(len(whole), folder)
    return first


def check(monkeypatch, tmp_path, trained, counts=None, **options):
    with monkeypatch.context() as patched:
        snapshots = Snapshots(patched, tmp_path / "runs", tmp_path / "snapshots")
        undisturbed = searched(tmp_path / "runs", **options)
    all_seeds = list(trained)
    folders = by_count(snapshots.taken)
    left = {}
    for count in counts or sorted(folders):
        folder = folders[count]
        trained.clear()
        assert searched(folder, **options) == undisturbed
        left[count] = len(trained)
    assert len(folders) == len(all_seeds) + 1
    return left


def test_seeds_that_are_trained_are_read(monkeypatch, tmp_path, trained, capsys):
    # each by itself
    monkeypatch.setattr("keras_acts.search.runtime.costs.SEEDS_TOGETHER_MOST_MEMBERS", 3)
    two = {"activations": ["mish"], "trials": 2}
    assert check(monkeypatch, tmp_path, trained, [3], **two) == {3: 1}
    assert "Known from" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("rates", [None, ["x2"]])
def test_a_seed_goes_on_in_the_middle_of_its_epochs(monkeypatch, tmp_path, capsys, rates):
    def at_rates(folder):
        rate = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.8)
        options = {"epochs": 4, "verdict": 2, "trials": 2, "callbacks": [rate]}
        strategy = "random" if rates is None else "race"
        return searched(folder, noisy, **options, strategy=strategy, learning_rates=rates)

    monkeypatch.setattr(pace, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(pace, "SHARE", 1e9)
    with monkeypatch.context() as patched:
        snapshots = Snapshots(patched, tmp_path / "runs", tmp_path / "snapshots")
        undisturbed = at_rates(tmp_path / "runs")
    assert not list(tmp_path.glob("runs/activations/verdict/*.training.npz"))
    # four epochs are kept, a half and a whole file of each
    training = [
        folder
        for folder in snapshots.taken
        if list(folder.glob("activations/verdict/*.training.npz"))
    ]
    capsys.readouterr()
    for folder in training[4 :: max(1, len(training) // 2)]:
        (file, *_) = folder.glob("activations/verdict/*.training.npz")
        assert at_rates(folder) == undisturbed
        assert f"Going on from {file}" in capsys.readouterr().err.replace("\n", "")


@pytest.mark.slow
def test_seeds_that_train_together_count_together(monkeypatch, tmp_path, trained):
    # looks after 4, 6 and 8 seeds: four at once
    left = check(monkeypatch, tmp_path, trained, [1, 4, 6, 8], verdict=8)
    assert left == {1: 8, 4: 4, 6: 4, 8: 0}


@pytest.mark.slow
def test_learning_rates_that_are_tried_are_read(monkeypatch, tmp_path, trained):
    options = {"strategy": "race", "learning_rates": ["x2"], "trials": 4, "verdict": 2}
    left = check(monkeypatch, tmp_path, trained, **options)
    assert sorted(left.values(), reverse=True) == list(left.values())
    assert left[max(left)] == 0


@pytest.mark.slow
def test_a_damaged_seed_is_told_and_trains_again(tmp_path, trained, capsys):
    undisturbed = searched(tmp_path)
    (*_, file) = sorted(tmp_path.glob("activations/verdict/*.npz"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    trained.clear()
    capsys.readouterr()
    again = searched(tmp_path)
    assert again[0] == undisturbed[0]
    assert trained
    assert "is damaged: this seed trains again" in capsys.readouterr().err.replace("\n", "")
    assert np.isfinite(list(again[2].values())).all()
