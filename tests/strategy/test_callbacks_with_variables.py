"""A callback that sets a variable: copies of it would set a copy, which no model reads."""

import keras
import pytest

from keras_acts.errors import SearchError
from keras_acts.search.strategy.callbacks import check_callbacks, own_copies
from tests.helpers.models import mlp


class Anneals(keras.callbacks.Callback):
    def __init__(self, variable):
        super().__init__()
        self.variable = variable

    def on_epoch_begin(self, epoch, logs=None):
        self.variable.assign(0.1 * epoch)


def test_a_callback_that_holds_a_variable_is_refused():
    anneals = Anneals(keras.Variable(1.0, trainable=False))
    [copied] = own_copies([anneals], "relu", 1.0)
    assert copied.variable is not anneals.variable
    with pytest.raises(SearchError, match=r"Received: Anneals, whose variable is a variable"):
        check_callbacks([anneals])
    with pytest.raises(SearchError, match="is a variable"):
        check_callbacks([Anneals([anneals.variable])])


def test_a_callback_that_holds_a_part_of_the_searched_model_is_refused():
    """Its copies held a copy of the layer, as untrained as that of the model."""
    model = mlp()
    for part in (model.layers[-1], model.optimizer, {"first": model.layers[0]}):
        with pytest.raises(SearchError, match="a part of the model that is searched"):
            check_callbacks([Anneals(part)], model)
    # a model of its own is the callback's
    check_callbacks([Anneals(keras.Sequential([keras.layers.Dense(1)])), Anneals(None)], model)
    model.optimizer = None
    check_callbacks([Anneals(None)], model)
