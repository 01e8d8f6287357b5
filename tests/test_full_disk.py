"""A full disk ends a search with one line, and the same search goes on once there is room."""

import contextlib
import errno
import os

import keras
import keras_tuner
import pytest

from keras_acts.errors import SearchError
from keras_acts.search import ActivationTuner, search_activations
from keras_acts.search.runtime.kept_files import DiskFullError, is_disk_full
from tests.helpers.models import blobs, eager, mlp

resource = pytest.importorskip("resource", reason="limits of processes are those of Unix")

X, Y = blobs(60)
ROOM = 20_000  # bytes of a file: those of JSON fit, checkpoints do not


@contextlib.contextmanager
def files_of_at_most(size):
    """Have the system itself refuse to write more into any file, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def wide():
    """A model whose checkpoint has no room."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(900, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return model


def searched(folder, make=wide, **options):
    arguments = {
        "activations": ["mish"],
        "trials": 2,
        "epochs": 1,
        "verdict": 0,
        "verbose": 0,
        "learning_rates": None,
        **options,
    }
    found = search_activations(make(), X, Y, directory=folder, **arguments)
    return found, [(str(t.candidate), t.score, t.status) for t in found.trials]


@pytest.mark.parametrize("population", ["auto", 1])
def test_a_search_of_trials_goes_on_when_there_is_room(tmp_path, population):
    options = {"population": population}
    if population == "auto":
        options["strategy"] = "random"
    with files_of_at_most(ROOM), pytest.raises(SearchError) as raised:
        searched(tmp_path / "full", **options)
    message = str(raised.value)
    assert "\n" not in message
    assert f"it goes on where it was. Received: no space left for {tmp_path / 'full'}" in message
    # what was half written takes no room
    assert not list(tmp_path.rglob("*partial*"))
    assert searched(tmp_path / "full", **options)[1] == searched(tmp_path / "other", **options)[1]


def test_a_tuner_goes_on_when_there_is_room(tmp_path):
    def scores():
        tuner = ActivationTuner(
            wide(), "val_loss", 2, activations=["relu", "mish"], directory=tmp_path, population=1
        )
        tuner.search(X, Y, validation_split=0.3, epochs=1, verbose=0)
        return [trial.score for trial in tuner.oracle.trials.values()]

    with files_of_at_most(ROOM), pytest.raises(DiskFullError, match="no space left for"):
        scores()
    assert all(scores())


class FullDisk:
    """Refuses to flush a file from the n-th time on, as a full disk may."""

    def __init__(self, monkeypatch, first):
        self._left = first
        self._flush = os.fsync
        monkeypatch.setattr(os, "fsync", self._refuse)

    def _refuse(self, handle):
        self._left -= 1
        if self._left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._flush(handle)


@pytest.mark.parametrize("first", [0, 4, pytest.param(6, marks=pytest.mark.slow)])
def test_a_race_loses_no_result_and_goes_on_when_there_is_room(tmp_path, monkeypatch, first):
    def small():
        return eager(mlp())

    options = {"strategy": "race", "trials": 4, "activations": ["mish", "elu"], "epochs": 2}
    _, undisturbed = searched(tmp_path / "other", small, **options)
    with monkeypatch.context() as patched:
        FullDisk(patched, first)
        if first == 0:
            # nothing is trained that could not be kept
            with pytest.raises(DiskFullError):
                searched(tmp_path / "full", small, **options)
        else:
            found, table = searched(tmp_path / "full", small, **options)
            assert table == undisturbed
            assert found.model is not None
            assert "goes on where it was" in found.errors["journal"]
    assert searched(tmp_path / "full", small, **options)[1] == undisturbed


def test_a_search_that_is_not_kept_returns_what_it_has(monkeypatch):
    objective = keras_tuner.Objective("val_loss", "min")
    arguments = {"activations": ["mish"], "trials": 2, "epochs": 1, "verdict": 0, "verbose": 0}
    with monkeypatch.context() as patched:
        FullDisk(patched, 14)
        found = search_activations(
            eager(mlp()),
            X,
            Y,
            objective=objective,
            population=1,
            learning_rates=None,
            **arguments,
        )
    assert found.trials[0].score is not None
    assert "There must be room on the disk" in found.errors["search"]


def test_what_says_that_a_disk_is_full():
    assert is_disk_full(OSError(errno.ENOSPC, "No space left on device"))
    # as h5py says it
    assert is_disk_full(OSError("... (file write failed: errno = 28, 'No space left on device')"))
    assert is_disk_full(RuntimeError("Can't flush: No space left on device"))
    assert not is_disk_full(OSError(errno.EACCES, "Permission denied"))
    assert not is_disk_full(ValueError("no space left on device"))
