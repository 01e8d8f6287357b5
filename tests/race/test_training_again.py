"""Members of a race that train again what they had trained before, and are ended on the way."""

import copy
import csv
import gc
import math
import weakref

import keras
import keras_tuner
import numpy as np
import pytest

from keras_acts.search import Candidate, search_activations, with_activations
from keras_acts.search.population.members import Member
from keras_acts.search.race.cohorts import Cohorts
from keras_acts.search.race.one_by_one import OneByOne
from keras_acts.search.strategy.callbacks import label
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs(90)
FIT = {"x": X[:60], "y": Y[:60], "validation_data": (X[60:], Y[60:]), "batch_size": 30}
LOSS = keras_tuner.Objective("val_loss", "min")
MEMBER = Member(Candidate.of("relu"), 1)
RUNG, WHOLE = 3, 4
COPIES: weakref.WeakSet[keras.utils.PyDataset] = weakref.WeakSet()


class OwnFit(keras.Sequential):
    """Whoever trains it on trains it again from its beginning."""

    def fit(self, *args, **options):
        return super().fit(*args, **options)


def build(choice):
    return eager(with_activations(mlp(), choice))


def own_fit(choice):
    layers = [keras.Input((4,)), keras.layers.Dense(5, activation=choice.activation())]
    model = OwnFit([*layers, keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    return model


class Batches(keras.utils.PyDataset):
    """In another order after each epoch, so that each training has a copy."""

    def __init__(self):
        super().__init__()
        self.order = np.arange(60)

    def __deepcopy__(self, memo):
        copied = Batches()
        COPIES.add(copied)
        return copied

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = self.order[20 * index : 20 * (index + 1)]
        return X[rows], Y[rows]

    def on_epoch_end(self):
        self.order = np.roll(self.order, 7)


class Watch:
    """Ends a training as Ctrl-C does."""

    def __init__(self):
        self.left = math.inf

    def __call__(self, members):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.once
@pytest.mark.parametrize("kind", ["one by one", "own fit", "together"])
def test_a_score_stays_where_training_again_is_ended(kind):
    trainer = {"one by one": OneByOne, "own fit": OneByOne, "together": Cohorts}[kind]
    what = {"one by one": build, "own fit": own_fit, "together": mlp()}[kind]
    watch = Watch()
    race = trainer(what, LOSS, FIT, [RUNG, WHOLE], 7, watch)
    race.train([MEMBER], RUNG)
    known = copy.copy(race.runs[MEMBER])
    if kind != "own fit":
        # as a new process, which knows the scores only
        race = trainer(what, LOSS, FIT, [RUNG, WHOLE], 7, watch)
        race.runs[MEMBER] = copy.copy(known)
    watch.left = 1
    with pytest.raises(KeyboardInterrupt):
        race.train([MEMBER], WHOLE)
    assert (race.runs[MEMBER].epochs, race.runs[MEMBER].best) == (RUNG, known.best)
    # there is no model that scores so
    assert race.model(MEMBER) is None
    race.end()
    assert race.model(MEMBER) is None


def test_training_again_ends_with_the_score_of_its_model():
    race = OneByOne(build, LOSS, FIT, [RUNG, WHOLE], 7, Watch())
    race.train([MEMBER], RUNG)
    lucky = copy.copy(race.runs[MEMBER])
    lucky.best /= 2  # such as on a device that does not compute the same twice
    race = OneByOne(build, LOSS, FIT, [RUNG, WHOLE], 7, Watch())
    race.runs[MEMBER] = lucky
    race.train([MEMBER], WHOLE)
    score = race.model(MEMBER).evaluate(*FIT["validation_data"], return_dict=True, verbose=0)
    assert score["loss"] == pytest.approx(race.runs[MEMBER].best, rel=1e-5)


@pytest.mark.once
def test_no_member_that_waits_holds_a_copy_of_the_data():
    fit = {"x": Batches(), "validation_data": FIT["validation_data"]}
    race = OneByOne(build, LOSS, fit, [1, 2], 7, Watch())
    COPIES.clear()
    members = [MEMBER, Member(Candidate.of("mish"), 1)]
    for epochs in (1, 2):
        race.train(members, epochs)
        gc.collect()
        assert len(race._trainings) == 2
        # TensorFlow keeps the objects for good
        assert not any(hasattr(batches, "order") for batches in COPIES)


@pytest.mark.once
def test_weights_that_callbacks_hold_take_memory_too():
    stopping = keras.callbacks.EarlyStopping("val_loss", restore_best_weights=True)
    sizes = []
    for given in ([], [stopping]):
        race = OneByOne(build, LOSS, {**FIT, "callbacks": given}, [1, 2], 7, Watch())
        race.train([MEMBER], 1)
        training = race._trainings[MEMBER]
        sizes.append(training.bytes)
    assert sizes[1] - sizes[0] == sum(weight.nbytes for weight in training.weights)


def logged_epochs(path):
    """The first column of a log, without its header."""
    with open(path, newline="") as file:
        return [row[0] for row in csv.reader(file)][1:]


@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_a_log_that_is_appended_to_has_each_epoch_once(tmp_path, factor):
    class Log(keras.callbacks.CSVLogger):
        """Of the user's own."""

    member = Member(Candidate.of("relu"), 1, factor)
    path = tmp_path / f"log-{label(member.rated, member.seed)}.csv"
    path.write_text("epoch,loss\nthe user's,1\n")
    fit = {**FIT, "callbacks": [Log(tmp_path / "log.csv", append=True)]}
    race = OneByOne(own_fit, LOSS, fit, [1, 3], 7, Watch())
    race.train([member], 1)
    race.train([member], 3)
    race.end()
    assert logged_epochs(path) == ["the user's", "0", "1", "2"]


def test_a_log_of_a_population_has_each_epoch_once(tmp_path):
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv", append=True)
    race = Cohorts(mlp(), LOSS, FIT, [1, 3], 7, Watch(), member_callbacks=[log])
    race.train([MEMBER], 1)
    (cohort,) = race._cohorts
    race._give_up(cohort)  # as where memory runs out
    race.train([MEMBER], 3)
    race.end()
    path = tmp_path / f"log-{label(MEMBER.rated, MEMBER.seed)}.csv"
    assert logged_epochs(path) == ["0", "1", "2"]


HEARD: list[str] = []


class Interrupts(keras.callbacks.Callback):
    """Counts who begins and who ends, and is Ctrl-C in the third training."""

    def on_train_begin(self, logs=None):
        HEARD.append("begin")

    def on_epoch_end(self, epoch, logs=None):
        if HEARD.count("begin") == 3:
            raise KeyboardInterrupt

    def on_train_end(self, logs=None):
        HEARD.append("end")
        if HEARD.count("end") == 1:
            raise OSError("no space")


@pytest.mark.once
def test_all_callbacks_end_where_a_race_is_interrupted(tmp_path, capsys):
    HEARD.clear()
    found = search_activations(
        eager(mlp()),
        **{name: FIT[name] for name in ("x", "y", "validation_data")},
        activations=["relu", "tanh", "mish", "elu"],
        callbacks=[Interrupts(), keras.callbacks.CSVLogger(tmp_path / "log.csv")],
        strategy="race",
        trials=4,
        epochs=4,
        verdict=0,
    )
    assert found.trials
    # the search keeps the best, which it trains to its end
    assert HEARD[:3] == ["begin"] * 3
    assert HEARD.count("begin") == HEARD.count("end")
    assert "A callback failed as" in capsys.readouterr().err
