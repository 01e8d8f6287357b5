"""An argument that neither the search nor `fit` has is told before anything trains."""

import keras
import numpy as np
import pytest

from keras_acts.errors import SearchError
from keras_acts.search import compare_activations, search_activations
from tests.helpers.models import blobs, mlp

X, Y = blobs(60)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"max_trials": 3}, "'max_trials' (did you mean 'trials'?)"),
        ({"callback": []}, "'callback' (did you mean 'callbacks'?)"),
        ({"quux": 1}, "'quux'"),
    ],
)
def test_a_misspelled_argument_is_told_with_what_was_meant(given, meant):
    with pytest.raises(SearchError) as error:
        search_activations(mlp(), X, Y, **given)
    assert str(error.value).endswith(f"Received: {meant}")


def test_a_comparison_knows_its_own_arguments():
    with pytest.raises(SearchError, match="did you mean 'seeds'"):
        compare_activations(mlp(), X, Y, ["tanh"], sedes=2)


def test_a_fit_of_the_users_takes_what_it_takes():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3, "softmax")

        def call(self, inputs):
            return self.dense(inputs)

        def fit(self, *args, rounds=1, **options):
            return super().fit(*args, **options)

    def build(hp, activation):
        model = Own()
        model(np.zeros((1, X.shape[1]), "float32"))
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    found = compare_activations(
        build, X, Y, ["tanh", "relu"], seeds=2, epochs=1, learning_rates=None, verbose=0, rounds=2
    )
    assert found.seeds == 2
