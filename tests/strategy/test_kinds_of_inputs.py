"""Inputs that Keras would make others of are refused before any training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_acts.errors import DataError
from keras_acts.search import ActivationTuner, compare_activations, search_activations
from keras_acts.search.strategy.checks import check_data
from tests.helpers.models import blobs, mlp

X, Y = blobs(60)
OTHERS = {
    "dates": (np.full(X.shape, "2026-01-01", "datetime64[D]"), "numbers.*datetime64"),
    "spans": (np.full(X.shape, 3, "timedelta64[D]"), "numbers.*timedelta64"),
    "complex": (X + 1j, "real numbers.*complex64"),
    "a complex tensor": (tf.constant(X + 1j), "real numbers.*complex64"),
}


@pytest.mark.once
@pytest.mark.parametrize("name", OTHERS)
def test_inputs_that_are_no_real_numbers_are_refused(name):
    x, said = OTHERS[name]
    with pytest.raises(DataError, match=said):
        search_activations(mlp(), x, Y, trials=2, epochs=1, verbose=0)
    with pytest.raises(DataError, match=said):
        search_activations(mlp(), X, Y, validation_data=(x, Y), trials=2, epochs=1, verbose=0)
    with pytest.raises(DataError, match=said):
        compare_activations(mlp(), x, Y, ["relu", "mish"], seeds=2, epochs=1, verbose=0)


@pytest.mark.once
@pytest.mark.parametrize("name", OTHERS)
def test_a_tuner_refuses_them_before_it_trains(tmp_path, name):
    x, said = OTHERS[name]

    def build(hp):
        return mlp(hp.Choice("act", ["relu", "mish"]))

    for model, options in ((mlp(), {"activations": ["relu", "mish"]}), (build, {})):
        tuner = ActivationTuner(
            model, max_trials=2, directory=tmp_path, project_name=str(id(model)), **options
        )
        with pytest.raises(DataError, match=said):
            tuner.search(x, Y, validation_split=0.5, epochs=1, verbose=0)
        with pytest.raises(DataError, match=said):
            tuner.search(X, Y, validation_data=(x, Y), epochs=1, verbose=0)
        assert not tuner.oracle.trials


@pytest.mark.once
def test_functions_and_datasets_are_looked_at_too():
    x, said = OTHERS["complex"]
    options = {"epochs": 1, "verbose": 0}

    def build(hp, activation):
        return mlp(activation)

    with pytest.raises(DataError, match=said):
        search_activations(build, x, Y, activations=["mish"], trials=2, **options)
    with pytest.raises(DataError, match=said):
        compare_activations(build, x, Y, ["relu", "mish"], seeds=2, **options)
    batches = tf.data.Dataset.from_tensor_slices((x, Y)).batch(20)
    with pytest.raises(DataError, match=said):
        search_activations(mlp(), batches, None, validation_data=(X, Y), trials=2, **options)


@pytest.mark.once
def test_one_of_several_inputs_is_checked_too():
    first, second = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    model = keras.Model([first, second], keras.layers.Dense(1)(first + second))
    check_data(model, {"a": X, "b": X}, Y)
    with pytest.raises(DataError, match="real numbers"):
        check_data(model, {"a": X, "b": X + 1j}, Y)


@pytest.mark.once
def test_a_model_of_complex_inputs_takes_them():
    inputs = keras.Input((4,), dtype="complex64")
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.ops.real(inputs)))
    check_data(model, X + 1j, Y)
