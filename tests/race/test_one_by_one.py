"""Races of models that train one by one: each member is one ordinary `fit`."""

import copy
import csv

import keras
import keras_tuner
import numpy as np
import pytest

from keras_acts.search import Candidate, search_activations, with_activations
from keras_acts.search.population.members import Member
from keras_acts.search.race.one_by_one import OneByOne
from keras_acts.search.runtime.seeding import Stream, derive, isolated_seed
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs(120)
FIT = {"x": X[:90], "y": Y[:90], "validation_data": (X[90:], Y[90:]), "batch_size": 30}
LOSS = keras_tuner.Objective("val_loss", "min")
SEED = 7
WHOLE = 6


# of each training what its `Calls` heard, once it ended
HEARD: list = []


class Calls(keras.callbacks.Callback):
    """Writes down what it hears."""

    def __init__(self):
        super().__init__()
        self.mine = []

    def on_train_begin(self, logs=None):
        self.mine.append(("begin", self.params["epochs"], self.params["steps"]))

    def on_train_batch_end(self, batch, logs=None):
        self.mine.append(("batch", batch))

    def on_epoch_end(self, epoch, logs=None):
        rate = float(self.model.optimizer.learning_rate)
        weight = float(self.model.get_weights()[0].sum())
        self.mine.append(("epoch", epoch, rate, weight, len(self.model.history.epoch)))

    def on_train_end(self, logs=None):
        self.mine.append(("end", sorted(logs or {})))
        HEARD.append(self.mine)


def callbacks(folder):
    return [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9 if epoch else rate),
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=10.0),
        keras.callbacks.EarlyStopping(
            "val_accuracy", patience=2, min_delta=0.1, restore_best_weights=True
        ),
        keras.callbacks.CSVLogger(folder / "log.csv"),
        keras.callbacks.ModelCheckpoint(folder / "best.weights.h5", save_weights_only=True),
        keras.callbacks.TerminateOnNaN(),
        Calls(),
    ]


def trained(member, given, epochs=WHOLE, build=None):
    """An ordinary training with callbacks of its own."""
    with isolated_seed(member.seed):
        model = build or eager(with_activations(mlp(), member.candidate))
    with isolated_seed(derive(SEED, Stream.BATCHES, 0)):
        history = model.fit(**FIT, epochs=epochs, callbacks=given, verbose=0)
    return model, history.history


def build(choice):
    return eager(with_activations(mlp(), choice))


def members_of(*names, seeds=(1, 2)):
    return [Member(Candidate.of(name), seed) for name in names for seed in seeds]


def rows(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def test_a_member_is_one_fit_with_callbacks_of_its_own(tmp_path):
    raced, alone = tmp_path / "raced", tmp_path / "alone"
    raced.mkdir()
    alone.mkdir()
    given = callbacks(raced)
    members = [*members_of("relu", seeds=[1]), *members_of("mish", seeds=[2])]
    HEARD.clear()
    race = OneByOne(
        build, LOSS, {**FIT, "callbacks": given}, [1, 3, WHOLE], SEED, lambda members: None
    )
    for end in (1, 3, WHOLE):
        race.train(members, end)
    heard = list(HEARD)
    HEARD.clear()
    ends = set()
    for member in members:
        name = f"{member.candidate}-seed{member.seed}"
        folder = alone / name
        folder.mkdir()
        model, history = trained(member, callbacks(folder))
        training = race._trainings[member]
        assert training.history.history == history
        assert training.history.epoch == list(range(len(history["loss"])))
        assert race.runs[member].best == min(history["val_loss"])
        assert race.runs[member].epochs == WHOLE
        ends.add(len(history["loss"]))
        assert race.runs[member].stopped == len(history["loss"]) % WHOLE
        for one, other in zip(training.model.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
        assert rows(raced / f"log-{name}.csv") == rows(folder / "log.csv")
        model.load_weights(folder / "best.weights.h5")
        copied = build(member.candidate)
        copied.optimizer.build(copied.trainable_variables)
        copied.load_weights(raced / f"best-{name}.weights.h5")
        np.testing.assert_array_equal(copied.get_weights()[0], model.get_weights()[0])
    assert sorted(heard, key=repr) == sorted(HEARD, key=repr)
    assert min(ends) < WHOLE  # else nobody stopped, and this compares less than it says
    assert len(list(raced.iterdir())) == 2 * len(members)
    assert not given[-1].mine


def test_its_model_has_the_weights_of_the_best_epoch():
    # the first epoch is the best, long before the end
    wreck = keras.callbacks.LearningRateScheduler(lambda epoch: 0.01 if epoch < 1 else 3.0)
    (member,) = members_of("relu", seeds=[5])
    race = OneByOne(build, LOSS, {**FIT, "callbacks": [wreck]}, [1, 3], SEED, lambda members: None)
    race.train([member], 1)
    race.train([member], 3)
    run = race.runs[member]
    loss = race.model(member).evaluate(X[90:], Y[90:], verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(run.best, rel=1e-6)
    assert len(race._trainings[member].history.epoch) == 3
    assert run.best < race._trainings[member].history.history["val_loss"][-1]


class OwnFit(keras.Sequential):
    """It trains in its own way."""

    def fit(self, *args, epochs=1, **options):
        if "initial_epoch" in options:
            raise TypeError("there is no initial_epoch")
        return super().fit(*args, epochs=epochs, **options)


def own_fit(choice):
    layers = [keras.Input((4,)), keras.layers.Dense(5, activation=choice.activation())]
    model = OwnFit([*layers, keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    return model


def averaged(choice):
    model = mlp(choice.activation())
    optimizer = keras.optimizers.SGD(use_ema=True, ema_momentum=0.5)
    model.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
    return model


@pytest.mark.once
@pytest.mark.parametrize("make", [own_fit, averaged])
def test_what_cannot_go_on_trains_again(make):
    said, counted = [], []
    (member,) = members_of("mish", seeds=[5])
    race = OneByOne(make, LOSS, FIT, [1, 3], SEED, counted.append, say=said.append)
    race.train([member], 1)
    race.train([member], 3)
    with isolated_seed(member.seed):
        model = make(member.candidate)
    with isolated_seed(derive(SEED, Stream.BATCHES, 0)):
        history = model.fit(**FIT, epochs=3, verbose=0).history
    assert race._trainings[member].history.history == history
    assert counted == [1, 0, 1, 1]  # nothing counts twice
    assert len(said) == 1
    assert said[0].startswith("Each round trains from the beginning")
    np.testing.assert_array_equal(
        race._trainings[member].model.get_weights()[0], model.get_weights()[0]
    )


@pytest.mark.once
def test_who_finds_no_memory_begins_again():
    members = members_of("relu", "mish", seeds=[5])
    tight = OneByOne(build, LOSS, FIT, [1, 2], SEED, lambda members: None, memory=1)
    wide = OneByOne(build, LOSS, FIT, [1, 2], SEED, lambda members: None)
    for race in (tight, wide):
        race.train(members, 1)
        race.train(members, 2)
    assert len(tight._trainings) == 1
    assert len(wide._trainings) == 2
    for member in members:
        assert tight.runs[member].best == wide.runs[member].best


def test_a_fit_that_trains_something_else_is_refused():
    class Deaf(keras.Sequential):
        def fit(self, *args, epochs=1, **options):
            return super().fit(*args, epochs=1, **options)

    def deaf(choice):
        model = Deaf(own_fit(choice).layers)
        model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
        return model

    race = OneByOne(deaf, LOSS, FIT, [3], SEED, lambda members: None)
    with pytest.raises(Exception, match=r"must train the epochs.*1 of 3 epochs"):
        race.train(members_of("relu", seeds=[5]), 3)


def test_whose_leaves_hears_of_the_end(tmp_path):
    members = members_of("relu", "mish", seeds=[5])
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    HEARD.clear()
    fit = {**FIT, "callbacks": [log, Calls()]}
    race = OneByOne(build, LOSS, fit, [1, 3], SEED, lambda members: None)
    race.train(members, 1)
    assert HEARD == []
    race.train(members[:1], 3)
    assert [len(heard) for heard in HEARD] == [2 + 1 * 4, 2 + 3 * 4]
    assert len(rows(tmp_path / "log-mish-seed5.csv")) == 1 + 1


def test_given_callbacks_are_left_as_they_are(tmp_path):
    given = callbacks(tmp_path)
    before = copy.deepcopy([vars(callback) for callback in given[1:]])
    race = OneByOne(build, LOSS, {**FIT, "callbacks": given}, [1], SEED, lambda members: None)
    race.train(members_of("relu", seeds=[5]), 1)
    assert [vars(callback) for callback in given[1:]] == before


@pytest.mark.slow
def test_early_stopping_in_a_search(capsys):
    stop = keras.callbacks.EarlyStopping("val_loss", patience=0, mode="max")  # as soon as it learns
    found = search_activations(
        mlp(),
        X,
        Y,
        activations=["mish"],
        strategy="race",
        trials=3,
        epochs=4,
        max_epochs=12,
        verdict=0,
        callbacks=[stop, Calls()],
    )
    assert "one by one: the callback" in capsys.readouterr().err
    assert {trial.epochs for trial in found.trials} == {4}
    assert all("a callback ended it after" in trial.message for trial in found.trials)
    assert "Ended early by a callback, with the score of their best epoch: " in str(found)
