"""What ranks a candidate is the score of the weights that are kept."""

import keras
import pytest

from keras_acts.errors import SearchError
from keras_acts.search import search_activations
from tests.helpers.models import blobs, mlp

X, Y = blobs(30)


def test_a_callback_that_validates_with_averages_is_refused_before_any_training():
    model = mlp()
    model.compile(keras.optimizers.Adam(use_ema=True), "sparse_categorical_crossentropy")
    with pytest.raises(
        SearchError, match="Received: SwapEMAWeights, which validates with averages"
    ):
        search_activations(
            model,
            X,
            Y,
            activations=["relu", "tanh"],
            validation_data=(X, Y),
            callbacks=[keras.callbacks.SwapEMAWeights()],
        )
