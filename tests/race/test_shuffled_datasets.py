"""A `tf.data.Dataset` that shuffles, where models train one by one: one order for all."""

import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from keras_acts.search import Candidate, with_activations
from keras_acts.search.population.members import Member
from keras_acts.search.population.trainers import OneByOneTrainer
from keras_acts.search.race.one_by_one import OneByOne
from keras_acts.search.strategy.data_order import DataOrder
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs(90)
LOSS = keras_tuner.Objective("val_loss", "min")
VALIDATION = (X[60:], Y[60:])
# Keras warns where it is to shuffle a dataset
OPTIONS = {"validation_data": VALIDATION, "shuffle": False}


def build(choice):
    # the same model, whatever is asked for
    return eager(with_activations(mlp(), Candidate.of("relu")))


def rows(seed=None):
    return tf.data.Dataset.from_tensor_slices((X[:60], Y[:60])).shuffle(60, seed=seed)


KINDS = {
    "unseeded": lambda: rows().batch(20),
    "seeded": lambda: rows(1).batch(20).prefetch(2),
    "twice": lambda: rows().batch(20).shuffle(3),
    "mapped": lambda: rows().map(lambda x, y: (x, y), num_parallel_calls=2).batch(20),
}


@pytest.mark.parametrize(
    "kind",
    # how a dataset is read is TensorFlow's; what kinds of them there are, is not
    ["unseeded", *(pytest.param(k, marks=pytest.mark.once) for k in ("seeded", "twice", "mapped"))],
)
def test_members_see_one_order_in_however_many_rungs(kind):
    fit = {"x": KINDS[kind](), **OPTIONS}
    order = DataOrder(fit)
    assert order.why_not == ""
    best = []
    for name, ends in (("relu", [1, 2, 3]), ("tanh", [3])):
        race = OneByOne(build, LOSS, fit, [1, 2, 3], 7, lambda count: None, data_order=order)
        for end in ends:
            race.train([Member(Candidate.of(name), 5)], end)
        (record,) = race.runs.values()
        best.append(record.best)
    assert best[0] == best[1]


def test_members_of_a_rung_see_one_order_and_epochs_several():
    race = OneByOne(build, LOSS, {"x": rows().batch(20), **OPTIONS}, [3], 7, lambda n: None)
    members = [Member(Candidate.of(name), 5) for name in ("relu", "tanh")]
    race.train(members, 3)
    assert len({record.best for record in race.runs.values()}) == 1
    read = rows()
    first, second = ([int(y) for _, y in read] for _ in range(2))
    assert first != second


def test_candidates_of_a_seed_see_one_order():
    trainer = OneByOneTrainer([lambda: build(None), lambda: build(None)])
    fit = {"x": rows().batch(20), **OPTIONS, "epochs": 2}
    one, other = trainer.train([5, 5], fit)
    for trained in (one, other):
        losses = trained.history["loss"]
        np.testing.assert_array_equal(losses[..., 0], losses[..., 1])
    # what the order does is part of what seeds tell
    assert not np.array_equal(one.history["loss"], other.history["loss"])


def test_an_order_that_cannot_be_told_is_said():
    class NoIterator(tf.data.Dataset):
        def __init__(self, given):
            self._given = given
            super().__init__(tf.data.experimental.to_variant(given))

        element_spec = property(lambda self: self._given.element_spec)

        def _inputs(self):
            return [self._given]

        def __iter__(self):
            raise TypeError("it is read elsewhere")

    class RandomOne(NoIterator):
        pass

    said = []
    fit = {"x": X[:60], "y": Y[:60], "validation_data": VALIDATION}
    order = DataOrder({"x": RandomOne(rows().batch(20))})
    race = OneByOne(build, LOSS, fit, [1], 7, lambda count: None, say=said.append, data_order=order)
    race.train([Member(Candidate.of("relu"), 5)], 1)
    expected = "A dataset that shuffles has another order in each training: TypeError: it is read"
    assert len(said) == 1
    assert said[0].startswith(expected)
