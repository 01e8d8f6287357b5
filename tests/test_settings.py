"""What makes a kept search the same in another process, and what makes it another."""

import functools

import keras
import keras_tuner
import numpy as np
import pandas
import pytest

from keras_acts.errors import SearchError
from keras_acts.search import search_activations, with_activations
from keras_acts.search.compiling import first_metric_names, optimizer_like
from keras_acts.search.evaluation import built
from keras_acts.search.settings import describe_data, describe_model, describe_training, describe_value
from tests.models import blobs, eager, mlp


class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """As in TensorFlow's tutorial on transformers: without a config."""

    def __call__(self, step):
        return 0.01 * keras.ops.cast(step, "float32")


def test_other_dtypes_tables_and_tensors_are_others():
    def model(dtype):
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype=dtype)])

    assert describe_model(model("float32")) != describe_model(model("bfloat16"))
    table = pandas.DataFrame({"a": [1.0, 2.0]})
    assert describe_data(table, hashed=True) != describe_data(table + 1, hashed=True)
    tensor = keras.ops.ones((2, 3))
    assert describe_data(tensor, hashed=True) == describe_data(np.ones((2, 3), "float32"), hashed=True)
    assert describe_data(tensor, hashed=True) != describe_data(tensor + 1, hashed=True)
    weights = pandas.Series([1.0, 2.0])
    assert describe_value({"sample_weight": weights}) != describe_value({"sample_weight": weights + 1})


def test_what_differs_from_process_to_process_is_left_out():
    def model():
        inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, "relu"), keras.layers.Dense(2)])
        return keras.Sequential([keras.Input((4, 3)), keras.layers.TimeDistributed(inner)])

    assert describe_model(model()) == describe_model(model())
    boards = [keras.callbacks.TensorBoard(log_dir=f"logs/{time}") for time in ("morning", "evening")]
    assert describe_value(boards[:1]) == describe_value(boards[1:])
    stopping = [keras.callbacks.EarlyStopping(patience=patience) for patience in (1, 2)]
    assert describe_value(stopping[:1]) != describe_value(stopping[1:])


def test_what_cannot_be_saved_is_described_and_copied():
    model = mlp()
    loss = functools.partial(keras.losses.huber, delta=0.5)
    model.compile(keras.optimizers.Adam(Warmup()), loss=loss)
    described = describe_training(model)
    assert described["optimizer"]["class"] == "Adam"
    model.compile(keras.optimizers.Adam(Warmup()), loss=functools.partial(keras.losses.huber, delta=0.7))
    assert describe_training(model) != described
    made = optimizer_like(model.optimizer)
    assert made is not model.optimizer
    assert made._learning_rate is model.optimizer._learning_rate
    assert isinstance(with_activations(model, "mish").optimizer._learning_rate, Warmup)


def test_a_metric_is_named_anew_and_no_node_of_a_graph():
    x = keras.Input((3,))
    outside = keras.ops.mean(x, axis=-1)
    with first_metric_names():
        assert keras.metrics.AUC().name == "auc"
        keras.Model(x, [outside, keras.ops.mean(keras.layers.Dense(2)(x), axis=-1)])


def test_a_model_is_built_without_training_its_statistics():
    model = keras.Sequential([keras.layers.BatchNormalization(), keras.layers.Dense(2)])
    built(model, np.full((4, 3), 7.0, "float32"))
    np.testing.assert_array_equal(model.layers[0].moving_mean, np.zeros(3))


def test_a_search_of_several_objectives_goes_on(tmp_path):
    x, y = blobs()
    objectives = [keras_tuner.Objective("val_loss", "min"), keras_tuner.Objective("val_accuracy", "max")]
    options = {"activations": ["mish"], "trials": 1, "epochs": 1, "verdict": 0, "verbose": 0, "strategy": "random"}
    options |= {"directory": tmp_path, "objective": objectives}
    first = search_activations(eager(mlp()), x, y, **options)
    assert len(search_activations(eager(mlp()), x, y, **options).trials) == len(first.trials) == 1
    objectives.pop()
    with pytest.raises(SearchError, match="goes on with the settings it began with"):
        search_activations(eager(mlp()), x, y, **options)
