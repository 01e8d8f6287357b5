"""A race that is killed in the middle of a rung goes on there, to the same numbers."""

import shutil

import keras
import pytest

from keras_acts.search import ActivationSpace, search_activations
from keras_acts.search.race import runner
from keras_acts.search.runtime import kept_arrays, pace
from tests.helpers.crashes import Snapshots
from tests.helpers.models import blobs, mlp

X, Y = blobs(90)
RACE = {"strategy": "race", "trials": 4, "epochs": 6, "verdict": 0, "learning_rates": None}


def noisy():
    """With layers that have states and random numbers of their own."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, "relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(6, "relu"),
            keras.layers.Dense(3, "softmax"),
        ]
    )
    schedule = keras.optimizers.schedules.ExponentialDecay(0.02, 5, 0.9)
    model.compile(
        keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def raced(folder, model=noisy, **options):
    arguments = {"activations": ["mish", "elu", "tanh"], "verbose": 1, **RACE, **options}
    found = search_activations(model(), X, Y, batch_size=16, directory=folder, **arguments)
    rows = [(str(t.rated), t.score, t.rank, t.status, t.epochs, t.seeds) for t in found.trials]
    return rows, found.model.evaluate(X, Y, verbose=0)


class Epochs:
    """Counts the epochs that members train."""

    def __init__(self, monkeypatch):
        self.trained = 0
        watch = runner.RaceSearch._epoch

        def counting(race, members):
            self.trained += members
            watch(race, members)

        monkeypatch.setattr(runner.RaceSearch, "_epoch", counting)


def keep_often(patched):
    """Keep what a race has after each epoch."""
    patched.setattr(pace, "LEAST_SECONDS", 0.0)
    patched.setattr(pace, "SHARE", 1e9)


@pytest.fixture
def often(monkeypatch):
    keep_often(monkeypatch)


QUICK = {"activations": ["mish"], "trials": 2, "epochs": 2}


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A small race that nothing disturbed, and the folder that keeps it."""
    folder = tmp_path_factory.mktemp("quick") / "runs"
    with pytest.MonkeyPatch.context() as patched:
        keep_often(patched)
        return raced(folder, mlp, **QUICK), folder


def checkpoints(folders):
    """Of the folders, those in which the last thing that was written is a checkpoint."""
    seen = set()
    for folder in folders:
        (project,) = folder.iterdir()
        for file in project.glob("*.npz"):
            content = file.read_bytes()
            if content not in seen:
                seen.add(content)
                yield folder


def check_each(monkeypatch, capsys, tmp_path, begin, points=None):
    """Go on at some checkpoints: those at these shares of all, else at every second and the last."""
    epochs = Epochs(monkeypatch)
    with monkeypatch.context() as patched:
        snapshots = Snapshots(patched, tmp_path / "runs", tmp_path / "snapshots")
        undisturbed = begin(tmp_path / "runs")
    of_all = epochs.trained
    chosen = list(checkpoints(snapshots.taken))
    assert len(chosen) > 5
    if points is None:
        chosen = [*chosen[:-1:2], chosen[-1]]
    else:
        last = len(chosen) - 1
        chosen = [chosen[min(round(share * len(chosen)), last)] for share in points]
    left = []
    for folder in chosen:
        epochs.trained = 0
        assert begin(folder) == undisturbed, folder
        assert "begin again" not in capsys.readouterr().err
        left.append(epochs.trained)
    assert left[-1] < of_all
    return left


@pytest.mark.once
def test_a_race_goes_on_in_the_middle_of_a_rung(monkeypatch, tmp_path, often, capsys):
    # in the last rung, of three epochs: one part has two of them, one none yet
    (left,) = check_each(monkeypatch, capsys, tmp_path, raced, (0.7,))
    assert left == 6


@pytest.mark.slow
def test_a_race_goes_on_wherever_it_was_killed(monkeypatch, tmp_path, often, capsys):
    left = check_each(monkeypatch, capsys, tmp_path, raced)
    # the later, the less is trained again
    assert left == sorted(left, reverse=True)


@pytest.mark.slow
def test_a_search_that_does_not_race_goes_on_too(monkeypatch, tmp_path, often, capsys):
    said = []

    def begin(folder):
        rows, score = raced(folder, strategy="auto")
        said.append(capsys.readouterr().err.replace("\n", " "))
        # each has trained to its end, whatever its score; on so small a model seeds are for nothing
        assert {row[-2:] for row in rows} in ({(6, 1)}, {(6, 2)}, {(6, 3)})
        return rows, score

    left = check_each(monkeypatch, capsys, tmp_path, begin, (0.3, 0.9))
    assert left == sorted(left, reverse=True)
    assert all("All candidates train to the end" in text for text in said)
    assert not any("begin again" in text for text in said)


@pytest.mark.slow
def test_a_race_for_each_layer_goes_on_wherever_it_was_killed(monkeypatch, tmp_path, often, capsys):
    def begin(folder):
        space = ActivationSpace(["mish"], per="layer")
        return raced(folder, mlp, activations=space, max_epochs=60, epochs=3)

    # the first, the last, and some of its three stages; the test of one race goes on at more
    check_each(monkeypatch, capsys, tmp_path, begin, (0, 0.2, 0.4, 0.6, 0.8, 1))


@pytest.mark.slow
def test_a_schedule_by_the_epoch_goes_on(monkeypatch, tmp_path, often, capsys):
    def begin(folder):
        # by what the rate was before
        halved = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.8)
        return raced(folder, mlp, callbacks=halved, activations=["mish"], trials=2)

    check_each(monkeypatch, capsys, tmp_path, begin, (0.5,))


@pytest.mark.once
def test_too_little_memory_for_a_copy_costs_no_race(monkeypatch, tmp_path, often, capsys, quick):
    def no_memory(arrays, path, meta):
        raise MemoryError

    undisturbed, _ = quick
    monkeypatch.setattr(kept_arrays.Arrays, "write", no_memory)
    assert raced(tmp_path / "full", mlp, **QUICK) == undisturbed
    said = capsys.readouterr().err
    assert "The race cannot be kept: the memory is too small for a copy" in said
    assert "begin again" not in said


@pytest.mark.slow
def test_populations_that_nobody_wants_any_more_are_deleted(tmp_path, often):
    """Of the race of changes only scores are wanted, once it is over."""
    space = ActivationSpace(["mish"], per="layer")
    project = tmp_path / "activations"
    options = {"activations": space, "max_epochs": 60, "epochs": 3}
    undisturbed = raced(tmp_path, mlp, **options)
    assert list(project.glob("changes-*.json"))
    assert list(project.glob("final-*.npz"))
    assert not list(project.glob("changes-*.npz"))
    # of another stage, that the time ended
    (project / "final-01234567.npz").write_bytes(b"stale")
    (project / "changes-mine.npz").write_bytes(b"mine")
    assert raced(tmp_path, mlp, **options) == undisturbed
    assert not (project / "final-01234567.npz").exists()
    assert (project / "changes-mine.npz").exists()


@pytest.mark.once
@pytest.mark.parametrize(
    "damage", ["halved", *(pytest.param(d, marks=pytest.mark.slow) for d in ("flipped", "foreign"))]
)
def test_a_damaged_checkpoint_is_told_and_costs_training_only(
    tmp_path, often, capsys, quick, damage
):
    undisturbed, kept = quick
    shutil.copytree(kept, tmp_path / "runs")
    file = tmp_path / "runs" / "activations" / "race.npz"
    content = bytearray(file.read_bytes())
    if damage == "halved":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
    else:
        raced(tmp_path / "other", noisy, **QUICK)
        shutil.copy(tmp_path / "other" / "activations" / "race.npz", file)
        content = bytearray(file.read_bytes())
    file.write_bytes(bytes(content))
    capsys.readouterr()
    assert raced(tmp_path / "runs", mlp, **QUICK) == undisturbed
    assert f"{file} is not of this race" in capsys.readouterr().err.replace("\n", "")
