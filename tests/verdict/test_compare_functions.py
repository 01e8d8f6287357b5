"""Comparisons of models that functions build: subclassed, with a training step of their own."""

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers

from keras_acts.errors import ModelError, SearchError
from keras_acts.search import compare_activations
from keras_acts.search.runtime.seeding import isolated_seed
from tests.helpers.models import Weighing, blobs, eager, mlp

X, Y = blobs(120)
DATA = {"x": X[:60], "y": Y[:60], "validation_data": (X[60:90], Y[60:90]), "batch_size": 30}
FAST = {"seeds": 2, "epochs": 2, "verbose": 0}


def build(hp, activation):
    model = Weighing(activation)
    model.compile(
        keras.optimizers.SGD(hp.Float("rate", 0.1, 0.5)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        run_eagerly=True,
    )
    return model


def test_each_run_is_an_ordinary_fit(capsys):
    test = (X[90:], Y[90:])
    verdict = compare_activations(
        build, activations=["tanh", "relu"], test_data=test, **DATA, **{**FAST, "verbose": 1}
    )
    said = capsys.readouterr().err
    assert "Training one by one: the model is made by a function" in said
    assert "At the model's own learning rate: the model is made by a function" in said
    assert verdict.baseline == "relu"
    assert verdict.seeds == 2
    for row, seed in enumerate(verdict.runs.seeds):
        for column, name in enumerate(verdict.runs.activations):
            with isolated_seed(seed):
                model = build(keras_tuner.HyperParameters(), name)
                history = model.fit(**DATA, epochs=2, verbose=0).history
            for logged, values in history.items():
                np.testing.assert_array_equal(verdict.runs.history[logged][row, :, column], values)
            scores = model.evaluate(*test, verbose=0, return_dict=True)
            assert verdict.runs.test["accuracy"][row, column] == pytest.approx(scores["accuracy"])


@pytest.mark.slow
def test_rates_of_functions_are_compared_where_they_are_listed():
    verdict = compare_activations(
        build, activations=["tanh", "relu"], learning_rates=["x2"], **DATA, **FAST
    )
    assert verdict.rates is not None
    assert verdict.seeds == 2


@pytest.mark.once
def test_what_is_no_builder_is_refused():
    class Looping(keras_tuner.HyperModel):
        def build(self, hp):
            return mlp()

        def fit(self, hp, model, *args, **options):
            return model.fit(*args, **options)

    class Plain(keras_tuner.HyperModel):
        def build(self, hp):
            return eager(mlp())

    def compared(model, activations=("tanh", "relu"), **options):
        return compare_activations(
            model, activations=list(activations), **{**DATA, **FAST, **options}
        )

    with pytest.raises(SearchError, match=r"fit of its own trains with ActivationTuner.*Looping"):
        compared(Looping())
    with pytest.raises(ModelError, match="a compiled Keras model, or a function"):
        compared(lambda: mlp())
    with pytest.raises(SearchError, match="baseline must be given"):
        compared(build, ("tanh", "elu"))
    with pytest.raises(SearchError, match="has its own initializers"):
        compared(build, rescale_init=True)
    with pytest.raises(ModelError, match="must return a compiled Keras model"):
        compared(lambda hp, activation: keras.Sequential([layers.Dense(3)]))
    assert compared(Plain(), epochs=1).seeds == 2
