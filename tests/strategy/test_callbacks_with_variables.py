"""A callback that sets a variable: copies of it would set a copy, which no model reads."""

import keras
import pytest

from keras_acts.errors import SearchError
from keras_acts.search.strategy.callbacks import check_callbacks, own_copies


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
