"""Data of every kind in races: each member sees what an ordinary `fit` sees."""

import itertools

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_acts.errors import DataError, SearchError
from keras_acts.search import Candidate, compare_activations, search_activations, with_activations
from keras_acts.search.population.members import Member
from keras_acts.search.population.trainers import OneByOneTrainer
from keras_acts.search.race.cohorts import Cohorts
from keras_acts.search.race.one_by_one import OneByOne
from keras_acts.search.runtime.seeding import Stream, derive, isolated_seed
from keras_acts.search.strategy.own_data import own_data
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs(90)
LOSS = keras_tuner.Objective("val_loss", "min")
SEED = 3
EPOCHS = 3
VALIDATION = (X[60:], Y[60:])


class Batches(keras.utils.PyDataset):
    """Batches of 20 that are in another order after each epoch."""

    def __init__(self, weights=None):
        super().__init__()
        self.weights = weights
        self.order = np.arange(60)

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = self.order[20 * index : 20 * (index + 1)]
        if self.weights is None:
            return X[rows], Y[rows]
        return X[rows], Y[rows], self.weights[rows]

    def on_epoch_end(self):
        self.order = np.roll(self.order, 7)


WEIGHTS = np.linspace(0.1, 3.0, 90).astype("float32")


def of_unknown_size(with_weights=False):
    def rows():
        for row in range(60):
            parts = (X[row], Y[row], WEIGHTS[row])
            yield parts if with_weights else parts[:2]

    specs = [tf.TensorSpec((4,)), tf.TensorSpec((), "int64"), tf.TensorSpec(())]
    signature = tuple(specs if with_weights else specs[:2])
    return tf.data.Dataset.from_generator(rows, output_signature=signature).batch(20)


def nested():
    """A model whose inputs are a dictionary in which one entry is a pair."""
    inputs = {
        "left": keras.Input((2,), name="left"),
        "pair": (keras.Input((1,), name="one"), keras.Input((1,), name="two")),
    }
    joined = layers.Concatenate()([inputs["left"], *inputs["pair"]])
    hidden = layers.Dense(6, activation="relu", name="hidden")(joined)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="out")(hidden))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def parts(x):
    return {"left": x[:, :2], "pair": (x[:, 2:3], x[:, 3:])}


WORDS = np.array(["a", "b", "c", "d"])[np.argmax(X, axis=1)][:, None]


def worded():
    """A model that reads words."""
    inputs = keras.Input((1,), dtype="string")
    found = layers.StringLookup(vocabulary=["a", "b", "c", "d"], output_mode="one_hot")(inputs)
    hidden = layers.Dense(6, activation="relu", name="hidden")(found)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="out")(hidden))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def kinds():
    arrays = {"x": X[:60], "y": Y[:60], "validation_data": VALIDATION, "batch_size": 20}
    words = tf.constant(WORDS)
    yield "arrays", mlp, arrays
    yield "sample weights", mlp, {**arrays, "sample_weight": WEIGHTS[:60]}
    yield "class weights", mlp, {**arrays, "class_weight": {0: 3.0, 1: 0.5, 2: 1.0}}
    triple = (*VALIDATION, WEIGHTS[60:])
    yield "validation of three", mlp, {**arrays, "validation_data": triple}
    weighed = {**arrays, "sample_weight": WEIGHTS, "x": X, "y": Y}
    del weighed["validation_data"]
    yield "split with weights", mlp, {**weighed, "validation_split": 0.3}
    dataset = {"validation_data": VALIDATION}
    batches = {**dataset, "shuffle": False}  # they have the order that they have
    yield "PyDataset", mlp, {**dataset, "x": Batches()}
    yield "PyDataset of three", mlp, {**dataset, "x": Batches(WEIGHTS), "class_weight": None}
    yield "PyDataset validates", mlp, {**arrays, "validation_data": Batches()}
    yield (
        "PyDataset, class weights",
        mlp,
        {**dataset, "x": Batches(), "class_weight": {0: 3.0, 1: 1.0, 2: 1.0}},
    )
    yield "unknown size", mlp, {**batches, "x": of_unknown_size()}
    yield "unknown size of three", mlp, {**batches, "x": of_unknown_size(True)}
    yield (
        "unknown size, steps",
        mlp,
        {**batches, "x": of_unknown_size().repeat(), "steps_per_epoch": 2},
    )
    yield "unknown size validates", mlp, {**arrays, "validation_data": of_unknown_size(True)}
    yield (
        "nested",
        nested,
        {**arrays, "x": parts(X[:60]), "validation_data": (parts(X[60:]), Y[60:])},
    )
    pairs = tf.data.Dataset.from_tensor_slices((parts(X[:60]), Y[:60], WEIGHTS[:60])).batch(20)
    yield (
        "nested batches",
        nested,
        {**batches, "x": pairs, "validation_data": (parts(X[60:]), Y[60:])},
    )
    yield "words", worded, {**arrays, "x": words[:60], "validation_data": (words[60:], Y[60:])}
    worded_batches = tf.data.Dataset.from_tensor_slices((WORDS[:60], Y[:60])).batch(20)
    yield (
        "batches of words",
        worded,
        {**batches, "x": worded_batches, "validation_data": worded_batches},
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "fit"), [kind[1:] for kind in kinds()], ids=[kind[0] for kind in kinds()]
)
@pytest.mark.parametrize("trains", ["together", "one by one"])
# Keras says so of data whose size it does not know, also in an ordinary `fit`
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_each_member_is_an_ordinary_fit(make, fit, trains):
    model = make()
    members = [Member(Candidate.of(name), 5) for name in ("relu", "tanh")]
    if trains == "together":
        race = Cohorts(model, LOSS, fit, [EPOCHS], SEED, lambda members: None)
    else:
        race = OneByOne(
            lambda choice: with_activations(model, choice),
            LOSS,
            fit,
            [1, EPOCHS],
            SEED,
            lambda members: None,
        )
        race.train(members, 1)
    race.train(members, EPOCHS)
    if trains == "together" and _is_of_unknown_size(fit):
        # Keras counts one step more of the optimizer at the end of each epoch of such data, without a
        # batch; a population does not
        fit = {**fit, "x": fit["x"].apply(tf.data.experimental.assert_cardinality(3))}
    for member in members:
        with isolated_seed(member.seed):
            alone = with_activations(model, member.candidate)
        with isolated_seed(derive(SEED, Stream.BATCHES, 0)):
            history = alone.fit(**own_data(fit), epochs=EPOCHS, verbose=0).history
        assert race.runs[member].best == pytest.approx(min(history["val_loss"]), rel=1e-4)
        assert race.runs[member].epochs == EPOCHS


def _is_of_unknown_size(fit):
    x = fit["x"]
    return isinstance(x, tf.data.Dataset) and int(x.cardinality()) == tf.data.UNKNOWN_CARDINALITY


@pytest.mark.parametrize("trains", ["together", "one by one"])
def test_rungs_go_on_in_a_dataset_without_end(trains):
    model = mlp()
    rows = tf.data.Dataset.from_tensor_slices((X[:60], Y[:60])).batch(10).repeat()
    fit = {"x": rows, "steps_per_epoch": 2, "validation_data": VALIDATION, "shuffle": False}
    (member,) = [Member(Candidate.of("relu"), 5)]
    ends = [1, EPOCHS]
    if trains == "together":
        race = Cohorts(model, LOSS, fit, ends, SEED, lambda members: None)
    else:
        race = OneByOne(
            lambda choice: with_activations(model, choice),
            LOSS,
            fit,
            ends,
            SEED,
            lambda members: None,
        )
    for end in ends:
        race.train([member], end)
    with isolated_seed(member.seed):
        alone = with_activations(model, member.candidate)
    history = alone.fit(**fit, epochs=EPOCHS, verbose=0).history
    assert race.runs[member].best == pytest.approx(min(history["val_loss"]), rel=1e-5)


@pytest.mark.slow
def test_a_dataset_that_shuffles_is_left_as_it_is():
    data = Batches()
    options = {"strategy": "race", "trials": 3, "epochs": 2, "verdict": 0, "verbose": 0}
    for callbacks in (None, [keras.callbacks.Callback()]):
        search_activations(
            mlp(),
            data,
            validation_data=VALIDATION,
            activations=["mish"],
            callbacks=callbacks,
            **options,
        )
    compared = {"seeds": 2, "epochs": 1, "verbose": 0, "learning_rates": None}
    compare_activations(mlp(), data, None, ["mish", "relu"], validation_data=VALIDATION, **compared)
    np.testing.assert_array_equal(data.order, np.arange(60))


def test_models_that_are_compared_one_by_one_see_the_same_batches():
    trainer = OneByOneTrainer([lambda: eager(mlp()), lambda: eager(mlp())])
    data = Batches()
    (trained,) = trainer.train([5], {"x": data, "validation_data": VALIDATION, "epochs": 3})
    losses = trained.history["loss"]
    np.testing.assert_array_equal(losses[..., 0], losses[..., 1])
    np.testing.assert_array_equal(data.order, np.arange(60))


def test_what_cannot_be_read_again_is_refused():
    class Locked(Batches):
        def __deepcopy__(self, memo):
            raise TypeError("there is a lock in it")

    options = {"validation_data": VALIDATION, "activations": ["mish"], "verbose": 0}
    with pytest.raises(DataError, match=r"PyDataset that copy.deepcopy can copy.*Locked.*a lock"):
        search_activations(mlp(), Locked(), **options)
    for words in (WORDS, WORDS.astype(object)):
        with pytest.raises(DataError, match=r"on texts as tensors: give tf.constant"):
            search_activations(worded(), words, Y, **{**options, "validation_data": None})
    rows = ((X[i : i + 10], Y[i : i + 10]) for i in itertools.count(0, 10))
    with pytest.raises(DataError, match="each candidate can read from the beginning"):
        search_activations(mlp(), rows, strategy="race", **options)
    with pytest.raises(SearchError, match="the data can be read once only"):
        search_activations(mlp(), rows, strategy="race", steps_per_epoch=2, **options)
