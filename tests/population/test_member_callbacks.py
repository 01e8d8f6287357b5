"""Callbacks in populations: each member is an ordinary `fit` with callbacks of its own."""

import csv

import keras
import keras_tuner
import numpy as np
import pytest

from keras_acts.search import Candidate, with_activations
from keras_acts.search.population.member_callbacks import (
    of_all,
    of_members,
    why_callbacks_alone,
)
from keras_acts.search.population.members import Member
from keras_acts.search.population.trainers import OneByOneTrainer, PopulationTrainer
from keras_acts.search.race.cohorts import Cohorts
from keras_acts.search.rewrite.learning_rate import at_factor
from keras_acts.search.runtime.seeding import Stream, derive, isolated_seed
from keras_acts.search.space.rated import Rated
from keras_acts.search.strategy.callbacks import OneTraining, label, own_copies
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs(120)
FIT = {"x": X[:90], "y": Y[:90], "validation_data": (X[90:], Y[90:]), "batch_size": 30}
LOSS = keras_tuner.Objective("val_loss", "min")
SEED = 7
WHOLE = 6
RATED = [Rated(Candidate.of("relu")), Rated(Candidate.of("mish")), Rated(Candidate.of("mish"), 4.0)]


def callbacks(folder):
    def logged(epoch, logs):
        with open(folder / "losses.txt", "a") as file:
            file.write(f"{logs['val_loss']:.5f}\n")

    return [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9 if epoch else rate),
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=10.0),
        keras.callbacks.EarlyStopping(
            "val_accuracy", patience=2, min_delta=0.1, restore_best_weights=True
        ),
        keras.callbacks.CSVLogger(folder / "log.csv"),
        keras.callbacks.ModelCheckpoint(
            folder / "best.weights.h5", "val_loss", save_best_only=True, save_weights_only=True
        ),
        keras.callbacks.LambdaCallback(on_epoch_end=logged),
        keras.callbacks.TerminateOnNaN(),
    ]


MODEL = eager(mlp())


def builder(rated):
    return at_factor(lambda: with_activations(MODEL, rated.choice), rated.factor)


def members_on(*seeds):
    return [Member(rated.choice, seed, rated.factor) for rated in RATED for seed in seeds]


def rows(path):
    with open(path, newline="") as file:
        header, *lines = csv.reader(file)
    return header, np.array(lines, float)


def alone(member, folder, ends):
    """A model that trained by itself, stretch after stretch, each in its own batch order."""
    folder.mkdir()
    with isolated_seed(member.seed):
        model = builder(member.rated)()
    training = OneTraining.of(own_copies(callbacks(folder), "own", member.factor), WHOLE)
    first = 0
    for index, end in enumerate(ends):
        if training.stopped:
            break
        with isolated_seed(derive(SEED, Stream.BATCHES, index)):
            model.fit(**FIT, initial_epoch=first, epochs=end, callbacks=[training], verbose=0)
        first = end
    return model, training


@pytest.mark.slow
@pytest.mark.parametrize("ends", [[WHOLE], [1, 3, WHOLE]], ids=["a stretch", "rungs"])
def test_members_of_a_race(tmp_path, ends):
    raced = tmp_path / "raced"
    raced.mkdir()
    members = members_on(3, 4)
    given = callbacks(raced)
    assert why_callbacks_alone(given, mlp()) == ""
    race = Cohorts(MODEL, LOSS, FIT, ends, SEED, lambda members: None, member_callbacks=given)
    for end in ends:
        race.train(members, end)
    stopped = []
    losses = []
    for member in members:
        name = label(member.rated, member.seed)
        folder = tmp_path / name
        model, training = alone(member, folder, ends)
        header, logged = rows(raced / f"log-{name}.csv")
        own_header, own_logged = rows(folder / "log-own.csv")
        assert header == own_header
        assert "learning_rate" in header
        np.testing.assert_allclose(logged, own_logged, rtol=1e-3, atol=1e-5)
        losses += list(own_logged[:, header.index("val_loss")])
        run = race.runs[member]
        stopped.append(len(logged))
        assert run.stopped == len(logged) % WHOLE == training.stopped % WHOLE
        assert run.epochs == WHOLE
        assert run.best == pytest.approx(own_logged[:, header.index("val_loss")].min(), rel=1e-3)
        model.load_weights(folder / "best-own.weights.h5")
        best = race.model(member)
        best.load_weights(raced / f"best-{name}.weights.h5")
        kept = race.model(member)
        for one, other, third in zip(
            best.get_weights(), model.get_weights(), kept.get_weights(), strict=True
        ):
            np.testing.assert_allclose(one, other, atol=1e-4)
            np.testing.assert_allclose(third, other, atol=1e-4)
    # else they end together, and this compares less than it says
    assert min(stopped) < max(stopped)
    written = np.loadtxt(raced / "losses.txt")
    np.testing.assert_allclose(sorted(written), sorted(losses), rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 2])
def test_members_of_a_verdict(tmp_path, at_once):
    fit = {**FIT, "epochs": WHOLE}
    trained = {}
    builds = [builder(rated) for rated in RATED]
    trainers = {
        "together": PopulationTrainer(MODEL, RATED, builds=builds),
        "alone": OneByOneTrainer(builds, RATED),
    }
    for name, trainer in trainers.items():
        (tmp_path / name).mkdir()
        with_callbacks = {**fit, "callbacks": callbacks(tmp_path / name)}
        runs = list(trainer.train([3, 4], with_callbacks, at_once))
        scores = list(trainer.test([run.weights for run in runs], (X[90:], Y[90:])))
        trained[name] = (runs, scores)
        assert trainer.reason == ""
    for together, single in zip(*(runs for runs, _ in trained.values()), strict=True):
        assert {"loss", "val_loss", "val_accuracy"} <= together.history.keys()
        for name, values in together.history.items():
            own = single.history[name]
            # those that go on longest say how long a history is: its end is repeated
            own = np.concatenate([own, np.repeat(own[-1:], len(values) - len(own), axis=0)])
            np.testing.assert_allclose(values, own, rtol=1e-3, atol=1e-5)
        assert not together.diverged.any()
    for together, single in zip(*(scores for _, scores in trained.values()), strict=True):
        for name, values in together.items():
            np.testing.assert_allclose(values, single[name], rtol=1e-3, atol=1e-5)
    names = [{path.name for path in (tmp_path / name).iterdir()} for name in trained]
    assert names[0] == names[1]
    assert len(names[0]) == 2 * 2 * len(RATED) + 1
    lengths = {len(rows(path)[1]) for path in (tmp_path / "together").glob("*.csv")}
    assert min(lengths) < max(lengths)


def test_which_callbacks_want_single_models():
    class Own(keras.callbacks.Callback):
        pass

    class OwnStopping(keras.callbacks.EarlyStopping):
        pass

    model = mlp()
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)
    stop = keras.callbacks.EarlyStopping()
    for callback in (Own(), OwnStopping(), keras.callbacks.TensorBoard()):
        assert type(callback).__name__ in why_callbacks_alone([callback], model)
    batches = keras.callbacks.LambdaCallback(on_train_batch_end=print)
    assert "sees each batch" in why_callbacks_alone([batches], model)
    often = keras.callbacks.ModelCheckpoint("x.keras", save_freq=3)
    assert "sees each batch" in why_callbacks_alone([often], model)
    assert of_members([schedule, keras.callbacks.TerminateOnNaN()]) == []
    assert of_all([schedule, keras.callbacks.TerminateOnNaN()]) == [schedule]
    # whoever writes down rates is told those of its member
    assert of_members([schedule, stop]) == [schedule, stop]
    assert of_all([schedule, stop]) == []
    averaged = mlp()
    averaged.compile(keras.optimizers.SGD(use_ema=True), "mse")
    assert "averages" in why_callbacks_alone([stop], averaged)
    scheduled = mlp()
    scheduled.compile(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10)), "mse")
    assert why_callbacks_alone([stop], scheduled) == ""
    assert "no number" in why_callbacks_alone([stop, schedule], scheduled)
