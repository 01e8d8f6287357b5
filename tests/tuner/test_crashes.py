"""A search of trials that is killed at any point goes on to the same table, with no trial lost."""

import keras
import keras_tuner
import pytest

from keras_acts.search import ActivationTuner, search_activations
from keras_acts.search.runtime import pace
from keras_acts.search.tuner.trials import TrialSearch
from tests.helpers.crashes import Snapshots, ended_trials
from tests.helpers.models import blobs, eager, mlp

# which files are read, and what trains again, with the one version of KerasTuner that there is;
# tests/tuner/test_kept_population.py and test_checkpoints.py go on at any version
pytestmark = pytest.mark.once

X, Y = blobs(60)
FAST = {"trials": 3, "epochs": 2, "verdict": 0, "verbose": 0, "learning_rates": None}


def table(search):
    return [(str(t.candidate), t.score, t.rank, t.status) for t in search.trials]


class Trained:
    """The trials that are trained while it listens."""

    def __init__(self, monkeypatch):
        self.ids: list[str] = []
        begin = ActivationTuner._try_run_and_update_trial

        def noting(tuner, trial, *args, **kwargs):
            self.ids.append(trial.trial_id)
            return begin(tuner, trial, *args, **kwargs)

        monkeypatch.setattr(ActivationTuner, "_try_run_and_update_trial", noting)


def each_point_of_each_kind(snapshots):
    return snapshots.of_each_kind(copies=3)


def a_point_of_each_kind(snapshots):
    return snapshots.of_each_kind()


def points_at(*shares):
    """Choose the points where these shares of all writes are done."""

    def choose(snapshots):
        taken = snapshots.taken
        return [taken[round(share * (len(taken) - 1))] for share in shares]

    return choose


def check_points(monkeypatch, tmp_path, begin, choose):
    """Whichever of the chosen writes was the last: the search goes on as if nothing had happened."""
    with monkeypatch.context() as patched:
        snapshots = Snapshots(patched, tmp_path / "runs", tmp_path / "snapshots")
        undisturbed = begin(tmp_path / "runs")
    trained = Trained(monkeypatch)
    assert len(snapshots.taken) > 10
    for folder in choose(snapshots):
        (project,) = folder.iterdir()
        ended = ended_trials(project)
        trained.ids.clear()
        assert begin(folder) == undisturbed, folder
        assert not ended & set(trained.ids), folder


def random(population, **options):
    def begin(folder):
        found = search_activations(
            eager(mlp()),
            X,
            Y,
            activations=["mish", "tanh"],
            strategy="random" if population == "auto" else "auto",
            population=population,
            directory=folder,
            **{**FAST, **options},
        )
        scores = found.model.evaluate(X, Y, verbose=0)
        return table(found), scores

    return begin


@pytest.mark.parametrize("population", ["auto", 1])
def test_random_goes_on_wherever_it_was_killed(monkeypatch, tmp_path, population):
    check_points(monkeypatch, tmp_path, random(population, epochs=1), points_at(0.6))


@pytest.mark.slow
@pytest.mark.parametrize("population", ["auto", 1])
def test_random_goes_on_after_each_kind_of_write(monkeypatch, tmp_path, population):
    check_points(monkeypatch, tmp_path, random(population), a_point_of_each_kind)


def grid(hp):
    model = mlp(hp.Choice("act", ["relu", "mish", "tanh"]))
    rate = hp.Choice("rate", [0.01, 0.001])
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", run_eagerly=True)
    return model


def tuned(make_oracle):
    def begin(folder):
        tuner = ActivationTuner(
            grid, oracle=make_oracle(), directory=folder, project_name="mine", seed=3, population=1
        )
        tuner.search(X, Y, validation_split=0.3, epochs=1, verbose=0)
        trials = tuner.oracle.trials.values()
        return sorted((t.trial_id, repr(t.hyperparameters.values), t.score) for t in trials)

    return begin


def grid_search():
    return keras_tuner.oracles.GridSearchOracle(keras_tuner.Objective("val_loss", "min"))


def bayesian():
    return keras_tuner.oracles.BayesianOptimizationOracle(
        keras_tuner.Objective("val_loss", "min"), max_trials=6, num_initial_points=3, seed=5
    )


def plain_random():
    return keras_tuner.oracles.RandomSearchOracle(
        keras_tuner.Objective("val_loss", "min"), max_trials=3, seed=5
    )


def hyperband():
    return keras_tuner.oracles.HyperbandOracle(
        keras_tuner.Objective("val_loss", "min"), max_epochs=2, factor=2, seed=5
    )


def test_an_oracle_of_kerastuners_goes_on_where_it_was_killed(monkeypatch, tmp_path):
    # in the middle of the writes with which the second trial ends, and while the third begins
    check_points(monkeypatch, tmp_path, tuned(grid_search), points_at(0.4))


# what an oracle keeps it writes in the same way for each of them: all kinds of points of one, the first, the last and
# some in the middle of the others
SOME = points_at(0, 0.2, 0.35, 0.5, 0.65, 0.8, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make_oracle", "choose"),
    [
        (plain_random, each_point_of_each_kind),
        (grid_search, SOME),
        (bayesian, SOME),
        (hyperband, SOME),
    ],
)
def test_kerastuners_oracles_go_on_wherever_they_were_killed_at_each_point(
    monkeypatch, tmp_path, make_oracle, choose
):
    check_points(monkeypatch, tmp_path, tuned(make_oracle), choose)


@pytest.fixture
def often(monkeypatch):
    """What trains together is kept after each epoch."""
    monkeypatch.setattr(pace, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(pace, "SHARE", 1e9)


def regular():
    """A model with states and random numbers of its own."""
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(8, "relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(3, "softmax"),
    ]
    model = keras.Sequential(layers)
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    return model


class Epochs:
    """Counts the epochs of trials."""

    def __init__(self, monkeypatch):
        self.trained = 0
        end = TrialSearch.on_epoch_end

        def counting(search, trial, model, epoch, logs=None):
            self.trained += 1
            return end(search, trial, model, epoch, logs)

        monkeypatch.setattr(TrialSearch, "on_epoch_end", counting)


def check_epochs(monkeypatch, tmp_path, options, choose):
    def begin(folder):
        model = regular()
        found = search_activations(
            model,
            X,
            Y,
            activations=["mish", "tanh", "elu"],
            strategy="random",
            trials=4,
            batch_size=16,
            directory=folder,
            verdict=0,
            verbose=0,
            learning_rates=None,
            **options(),
        )
        return table(found), found.model.evaluate(X, Y, verbose=0)

    epochs = Epochs(monkeypatch)
    with monkeypatch.context() as patched:
        snapshots = Snapshots(patched, tmp_path / "runs", tmp_path / "snapshots")
        undisturbed = begin(tmp_path / "runs")
    of_all = epochs.trained
    kept = {}
    for folder in snapshots.taken:
        for file in folder.glob("activations/population-*.npz"):
            kept.setdefault(file.read_bytes(), folder)
    chosen = list(kept.values())
    assert len(chosen) > 3
    assert not list(tmp_path.glob("runs/activations/population-*"))
    left = []
    for folder in choose(chosen):
        epochs.trained = 0
        assert begin(folder) == undisturbed, folder
        left.append(epochs.trained)
    return of_all, left


def test_trials_together_go_on_in_the_middle_of_their_epochs(monkeypatch, tmp_path, often):
    def in_the_middle(kept):
        return [kept[round(len(kept) / 2)]]

    of_all, (left,) = check_epochs(monkeypatch, tmp_path, lambda: {"epochs": 6}, in_the_middle)
    assert of_all == 24
    assert 4 <= left <= 12


@pytest.mark.slow
def test_trials_together_go_on_wherever_they_were_killed(monkeypatch, tmp_path, often):
    def options():
        stop = keras.callbacks.EarlyStopping(patience=1)
        slower = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9)
        return {"epochs": 8, "executions_per_trial": 2, "callbacks": [stop, slower]}

    def every_second(kept):
        return [*kept[:-1:2], kept[-1]]

    of_all, left = check_epochs(monkeypatch, tmp_path, options, every_second)
    assert left == sorted(left, reverse=True)
    assert left[0] < of_all
