"""What says whether a model can be a population without making one says what making one says."""

import keras
import pytest
from keras import layers

from keras_acts.errors import ModelError
from keras_acts.search import PopulationModel
from keras_acts.search.population.model import check_model
from tests.helpers.zoo import ZOO


def said_by(make, *arguments):
    """What a call refuses; empty if nothing."""
    try:
        make(*arguments)
    except ModelError as error:
        return str(error)
    return ""


def assert_both_say_the_same(model, slots=None):
    made = said_by(lambda: PopulationModel(model, ["relu"], slots=slots))
    assert said_by(check_model, model, slots) == made
    return made


class Own(keras.Model):
    def train_step(self, data):
        return super().train_step(data)


def subclassed():
    x = keras.Input((3,))
    return Own(x, layers.Dense(2, "relu")(x))


def halved():
    model = keras.Sequential([keras.Input((3, 2)), layers.Dense(2, "relu", dtype="mixed_float16")])
    model.compile("sgd", "mse")
    return model


def embedding(optimizer):
    table = layers.Embedding(5, 2)
    hidden = layers.Dense(2, "relu")
    model = keras.Sequential([keras.Input((3,)), table, hidden, layers.Flatten(), layers.Dense(1)])
    model.compile(optimizer, "mse")
    return model


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (subclassed, "with its own train_step"),
        (halved, "trains in float32, float64 or mixed_bfloat16"),
        (lambda: embedding("adam"), ""),
        (lambda: embedding("sgd"), ""),
        (lambda: embedding(keras.optimizers.Ftrl()), "optimizer must be one of"),
    ],
)
def test_what_is_refused_is_refused_in_the_same_words(model, reason):
    said = assert_both_say_the_same(model())
    assert reason in said
    assert bool(said) == bool(reason)


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_whatever_the_model(name):
    model = ZOO[name].build()
    model.compile("adam", "mse")
    assert_both_say_the_same(model)
