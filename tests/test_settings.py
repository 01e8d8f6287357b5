"""What makes a kept search the same in another process, and what makes it another."""

import functools

import keras
import keras_tuner
import numpy as np
import pandas
import pytest
import tensorflow as tf

from keras_acts.errors import SearchError
from keras_acts.search import search_activations, with_activations
from keras_acts.search.rewrite.compiling import first_metric_names, optimizer_like
from keras_acts.search.rewrite.first_inputs import built
from keras_acts.search.strategy.description import (
    fingerprint_data,
    fingerprint_model,
    fingerprint_training,
    fingerprint_value,
)
from keras_acts.search.strategy.resume import check_resume
from tests.helpers.models import blobs, eager, mlp


class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """As in TensorFlow's tutorial on transformers: without a config."""

    def __call__(self, step):
        return 0.01 * keras.ops.cast(step, "float32")


def test_other_dtypes_tables_and_tensors_are_others():
    def model(dtype):
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype=dtype)])

    assert fingerprint_model(model("float32")) != fingerprint_model(model("bfloat16"))
    table = pandas.DataFrame({"a": [1.0, 2.0]})
    assert fingerprint_data(table, hashed=True) != fingerprint_data(table + 1, hashed=True)
    tensor = keras.ops.ones((2, 3))
    assert fingerprint_data(tensor, hashed=True) == fingerprint_data(
        np.ones((2, 3), "float32"), hashed=True
    )
    assert fingerprint_data(tensor, hashed=True) != fingerprint_data(tensor + 1, hashed=True)
    weights = pandas.Series([1.0, 2.0])
    assert fingerprint_value({"sample_weight": weights}) != fingerprint_value(
        {"sample_weight": weights + 1}
    )


def test_datasets_of_other_batches_are_others():
    class Batches(keras.utils.PyDataset):
        def __init__(self, count):
            super().__init__()
            self.count = count

        def __len__(self):
            return self.count

        def __getitem__(self, index):
            raise AssertionError("it is read")

    whole = tf.data.Dataset.from_tensor_slices((np.ones((7, 2), "float32"), np.arange(7)))
    batched = whole.batch(2)
    (found,) = fingerprint_data(batched, hashed=True)
    assert found == "_BatchDataset of 4 batches of float32(None, 2), int64(None,)"
    assert fingerprint_data(whole.batch(2), hashed=True) == [found]
    others = (
        whole.batch(3),
        batched.map(lambda x, y: (x, y, x[:, 0])),
        whole.take(3).batch(2),
        Batches(4),
        Batches(3),
    )
    assert len({*fingerprint_data(others, hashed=True), found}) == 6


def test_what_differs_from_process_to_process_is_left_out():
    def model():
        inner = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(2, "relu"), keras.layers.Dense(2)]
        )
        return keras.Sequential([keras.Input((4, 3)), keras.layers.TimeDistributed(inner)])

    assert fingerprint_model(model()) == fingerprint_model(model())
    boards = [
        keras.callbacks.TensorBoard(log_dir=f"logs/{time}") for time in ("morning", "evening")
    ]
    assert fingerprint_value(boards[:1]) == fingerprint_value(boards[1:])
    stopping = [keras.callbacks.EarlyStopping(patience=patience) for patience in (1, 2)]
    assert fingerprint_value(stopping[:1]) != fingerprint_value(stopping[1:])


def test_what_cannot_be_saved_is_described_and_copied():
    model = mlp()
    loss = functools.partial(keras.losses.huber, delta=0.5)
    model.compile(keras.optimizers.Adam(Warmup()), loss=loss)
    described = fingerprint_training(model)
    assert described["optimizer"]["class"] == "Adam"
    model.compile(
        keras.optimizers.Adam(Warmup()), loss=functools.partial(keras.losses.huber, delta=0.7)
    )
    assert fingerprint_training(model) != described
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
    objectives = [
        keras_tuner.Objective("val_loss", "min"),
        keras_tuner.Objective("val_accuracy", "max"),
    ]
    options = {
        "activations": ["mish"],
        "trials": 1,
        "epochs": 1,
        "verdict": 0,
        "verbose": 0,
        "strategy": "random",
    }
    options |= {"directory": tmp_path, "objective": objectives}
    first = search_activations(eager(mlp()), x, y, **options, learning_rates=None)
    assert (
        len(search_activations(eager(mlp()), x, y, **options, learning_rates=None).trials)
        == len(first.trials)
        == 1
    )
    objectives.pop()
    with pytest.raises(SearchError, match="goes on with the settings it began with"):
        search_activations(eager(mlp()), x, y, **options, learning_rates=None)


def scaled(rate):
    """A function that reads a value of the function around it."""
    return lambda epoch: rate * 0.9**epoch


RATE = 0.1


def reads(epoch):
    return RATE * epoch


@pytest.mark.once
def test_functions_are_told_apart_by_what_they_do():
    pairs = [
        (lambda x: x + 1, lambda x: x + 2),
        (lambda x: x.real, lambda x: x.imag),
        (lambda x, by=1: x * by, lambda x, by=2: x * by),
        (lambda x: x in {"a", "b"}, lambda x: x in {"a", "c"}),
        (lambda x: (lambda y: y + 1)(x), lambda x: (lambda y: y + 2)(x)),
        (scaled(0.1), scaled(0.2)),
        (functools.partial(scaled(0.1)), functools.partial(scaled(0.2))),
        (np.exp, np.log),
    ]
    for one, other in pairs:
        schedules = [keras.callbacks.LearningRateScheduler(function) for function in (one, other)]
        watching = [
            keras.callbacks.LambdaCallback(on_epoch_end=function) for function in (one, other)
        ]
        for a, b in ((one, other), schedules, watching):
            assert fingerprint_value(a) == fingerprint_value(a)
            assert fingerprint_value(a) != fingerprint_value(b)
    # a notebook has another file for each run of a cell
    again = [
        eval(compile(f"{lines}lambda x: x in {{'a', 'b'}}", file, "eval"))
        for lines, file in (("", "a"), ("\n", "b"))
    ]
    assert again[0].__code__.co_filename != again[1].__code__.co_filename
    assert fingerprint_value(again[0]) == fingerprint_value(again[1])
    assert fingerprint_value(keras.losses.huber) == "huber"


@pytest.mark.once
def test_what_a_function_reads_from_its_module_counts(monkeypatch):
    before = fingerprint_value(reads)
    monkeypatch.setitem(globals(), "RATE", 0.2)
    assert fingerprint_value(reads) != before

    def calls_itself(count):
        return calls_itself(count - 1) if count else calls_itself

    assert fingerprint_value(calls_itself) == fingerprint_value(calls_itself)


def held(function):
    """The same model, with a function in each place that a layer has for one."""
    inside = keras.layers.TimeDistributed(keras.layers.Lambda(function))

    def initial(shape, dtype=None):
        return function(keras.ops.ones(shape, dtype))

    return {
        "lambda": keras.layers.Lambda(function),
        "activation": keras.layers.Dense(2, activation=function),
        "wrapped": inside,
        "cell": keras.layers.SimpleRNN(2, activation=function),
        "initializer": keras.layers.Dense(2, kernel_initializer=initial),
    }


@pytest.mark.parametrize("place", held(abs))
def test_another_function_in_a_layer_makes_another_model(place):
    def described(function):
        return fingerprint_model(keras.Sequential([keras.Input((2, 3)), held(function)[place]]))

    assert described(lambda x: x * 2) == described(lambda x: x * 2)
    assert described(lambda x: x * 2) != described(lambda x: x * 3)


def classes(factor):
    """A layer, a loss, a schedule, a metric and a callback, with what they do and hold."""

    class Times(keras.layers.Layer):
        def call(self, x):
            return x * 2 if factor == 2 else x

    class Late(keras.layers.Layer):
        def __init__(self, by):
            super().__init__()
            self.by = by

    class Loss(keras.losses.Loss):
        def call(self, y, p):
            return factor * keras.ops.mean(keras.ops.abs(y - p), axis=-1)

    class Rates(keras.optimizers.schedules.LearningRateSchedule):
        def __init__(self, rate):
            self._rate = rate

    class Stops(keras.callbacks.Callback):
        def __init__(self, epochs):
            super().__init__()
            self.epochs = epochs

    class Own:
        def __init__(self, factor):
            self.factor = factor

        def __call__(self, y, p):
            return self.factor * keras.ops.mean(y - p)

    parts = [
        Times(),
        Late(keras.ops.ones(factor)),
        Late(factor),
        Loss(),
        Rates(factor),
        Stops([factor]),
        Own(factor),
    ]
    return {f"{index} {type(part).__name__}": part for index, part in enumerate(parts)}


@pytest.mark.parametrize("name", [name for name in classes(1) if "1 Late" not in name])
def test_a_class_of_a_users_is_what_it_does_and_holds(name):
    def described(factor):
        part = classes(factor)[name]
        return (
            fingerprint_value(part)
            if not isinstance(part, keras.layers.Layer)
            else fingerprint_model(held_in(part))
        )

    assert described(1) == described(1)
    assert described(1) != described(2)


def held_in(layer):
    return keras.Sequential([keras.Input((3,)), layer])


def test_text_is_hashed_and_a_tensor_is_read_once(monkeypatch):
    words = [np.array([word, "green"], object) for word in ("red", "blue")]
    assert fingerprint_data(words[0], hashed=True) == fingerprint_data(words[0].copy(), hashed=True)
    assert fingerprint_data(words[0], hashed=True) != fingerprint_data(words[1], hashed=True)
    assert fingerprint_data(np.array([object()]), hashed=True) == ["ndarray"]
    assert fingerprint_value(float("nan")) == fingerprint_value(float("nan"))
    read, converted = [], keras.ops.convert_to_numpy
    monkeypatch.setattr(
        keras.ops, "convert_to_numpy", lambda one: (read.append(1), converted(one))[1]
    )
    fingerprint_value(keras.ops.ones(3))
    assert len(read) == 1


def test_a_kept_search_does_not_go_on_with_another_function(tmp_path):
    def settings(rate):
        return {
            "callbacks": fingerprint_value(
                [keras.callbacks.LearningRateScheduler(lambda epoch: rate)]
            )
        }

    check_resume(tmp_path, settings(0.1))
    check_resume(tmp_path, settings(0.1))
    with pytest.raises(
        SearchError, match=r"goes on with the settings it began with.*callbacks=.*schedule"
    ):
        check_resume(tmp_path, settings(0.2))
