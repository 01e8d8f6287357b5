"""A full disk ends a search with one line, and the same search goes on once there is room."""

import contextlib
import errno
import itertools
import os

import keras
import keras_tuner
import pytest
import tensorflow as tf

from keras_acts.errors import SearchError
from keras_acts.search import ActivationTuner, search_activations
from keras_acts.search.runtime.kept_files import DiskFullError, is_disk_full
from keras_acts.search.runtime.memory import is_out_of_memory
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


@pytest.mark.parametrize("population", [pytest.param("auto", marks=pytest.mark.once), 1])
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


def grid(hp):
    return eager(mlp(hp.Choice("act", ["relu", "mish", "elu"])))


def several_trials(folder, population, oracle=None):
    options = {"activations": ["relu", "mish", "elu"], "max_trials": 3}
    if oracle is not None:
        options = {"oracle": oracle()}
    searched = mlp()
    if oracle is not None:
        searched = grid
    elif population == 1:
        searched = eager(searched)
    tuner = ActivationTuner(searched, directory=folder, population=population, **options)
    tuner.oracle.verbose = 0
    return tuner


def grid_search():
    return keras_tuner.oracles.GridSearchOracle(
        objective=keras_tuner.Objective("val_loss", "min"), max_trials=3
    )


def table_of(tuner):
    trials = tuner.oracle.trials
    assert sorted(tuner.oracle.end_order) == sorted(trials)
    assert {trial.status for trial in trials.values()} == {"COMPLETED"}
    # in another population, or alone, an exponential may be rounded another way
    return pytest.approx([trials[name].score for name in sorted(trials)], rel=1e-5)


FIT = {"x": X, "y": Y, "validation_split": 0.3, "epochs": 1, "verbose": 0}


@pytest.mark.once
@pytest.mark.parametrize("error", [DiskFullError, KeyboardInterrupt])
def test_a_trial_that_has_trained_when_the_disk_is_full_is_not_lost(tmp_path, monkeypatch, error):
    """By the same tuner: it has the trial in memory, and must not take it for one in flight."""
    tuner = several_trials(tmp_path, 1)
    with monkeypatch.context() as patched:

        def ends(trial):
            if error is KeyboardInterrupt:
                raise KeyboardInterrupt
            FullDisk(patched, 0)
            ActivationTuner.on_trial_end(tuner, trial)

        tuner.on_trial_end = ends
        with pytest.raises(error):
            tuner.search(**FIT)
    del tuner.on_trial_end
    trained = []
    monkeypatch.setattr(tuner, "on_trial_begin", lambda trial: trained.append(trial.trial_id))
    tuner.search(**FIT)
    assert trained == ["1", "2"]
    assert len(table_of(tuner).expected) == 3


@pytest.mark.slow
@pytest.mark.parametrize(("population", "oracle"), [("auto", None), (1, None), (1, grid_search)])
def test_the_same_tuner_goes_on_when_there_is_room(tmp_path, monkeypatch, population, oracle):
    """A trial that has trained is not lost, and none is missing, wherever the disk was full."""
    undisturbed = several_trials(tmp_path / "other", population, oracle)
    undisturbed.search(**FIT)
    expected = table_of(undisturbed)
    tuner = several_trials(tmp_path / "full", population, oracle)
    full = 0
    for first in itertools.count():
        with monkeypatch.context() as patched:
            FullDisk(patched, first)
            try:
                tuner.search(**FIT)
            except DiskFullError:
                full += 1
                assert full < 40
                continue
        break
    assert full > 3
    assert table_of(tuner).expected == expected


def small():
    return eager(mlp())


RACE = {"strategy": "race", "trials": 4, "activations": ["mish", "elu"], "epochs": 2}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return searched(tmp_path_factory.mktemp("race"), small, **RACE)[1]


@pytest.mark.once
@pytest.mark.parametrize("first", [0, 4, pytest.param(6, marks=pytest.mark.slow)])
def test_a_race_loses_no_result_and_goes_on_when_there_is_room(
    tmp_path, monkeypatch, undisturbed, first
):
    with monkeypatch.context() as patched:
        FullDisk(patched, first)
        if first == 0:
            # nothing is trained that could not be kept
            with pytest.raises(DiskFullError):
                searched(tmp_path / "full", small, **RACE)
        else:
            found, table = searched(tmp_path / "full", small, **RACE)
            assert table == undisturbed
            assert found.model is not None
            assert "goes on where it was" in found.errors["journal"]
    assert searched(tmp_path / "full", small, **RACE)[1] == undisturbed


class FullCache(keras.utils.PyDataset):
    """Batches that keep something in a file, which TensorFlow can write for a while."""

    def __init__(self, reads):
        super().__init__()
        self.left = reads

    def __len__(self):
        return 3

    def __getitem__(self, index):
        self.left -= 1
        if self.left < 0:
            tf.io.write_file("/dev/full", "x" * 100_000)
        rows = slice(20 * index, 20 * (index + 1))
        return X[rows], Y[rows]


@pytest.mark.once
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.parametrize("population", [None, 1])
def test_no_candidate_is_set_aside_for_a_full_disk(capsys, population):
    options = {} if population is None else {"population": population}
    with pytest.raises(Exception, match="No space left"):
        search_activations(
            eager(mlp()),
            FullCache(6),
            validation_data=(X, Y),
            activations=["mish", "elu"],
            trials=3,
            strategy="race",
            epochs=8,
            verdict=0,
            learning_rates=None,
            **options,
        )
    said = capsys.readouterr()
    assert "set aside" not in said.out + said.err
    assert "memory" not in said.out + said.err


@pytest.mark.once
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
    # TensorFlow has one error for each resource of the system
    with pytest.raises(tf.errors.ResourceExhaustedError) as caught:
        tf.io.write_file("/dev/full", "x" * 100_000)
    assert is_disk_full(caught.value)
    assert not is_out_of_memory(caught.value)
    no_memory = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
    assert is_out_of_memory(no_memory)
    assert not is_disk_full(no_memory)
    no_files = tf.errors.ResourceExhaustedError(None, None, "x.csv; Too many open files")
    assert not is_out_of_memory(no_files)
    assert not is_disk_full(OSError(errno.EACCES, "Permission denied"))
    assert not is_disk_full(ValueError("no space left on device"))
