"""Losses and metrics as users write them.

Functions, lambdas, classes, values a class, weighted samples.
"""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_acts.errors import ModelError
from keras_acts.search import (
    Candidate,
    PopulationModel,
    compare_activations,
    search_activations,
    with_activations,
)
from keras_acts.search.evaluation import with_intervals
from keras_acts.search.population.trainers import OneByOneTrainer, PopulationTrainer
from keras_acts.search.rewrite.compiling import compile_arguments, fresh_metric
from keras_acts.search.runtime.seeding import isolated_seed
from keras_acts.search.strategy.scoring import evaluated, numbers
from tests.helpers.models import blobs, eager, mlp

X, LABELS = blobs(60)
Y = np.eye(3, dtype="float32")[LABELS]
WEIGHTS = np.linspace(0.5, 2, 60).astype("float32")
TRAIN, TEST = slice(0, 40), slice(40, 60)


def distance(y, p):
    return ops.mean(ops.abs(y - p), axis=-1)


def own_loss(y, p):
    return ops.mean(ops.square(y - p), axis=-1) + 0.5 * distance(y, p)


def power(y, p, exponent=1):
    return ops.mean(ops.abs(y - p) ** exponent, axis=-1)


class Largest(keras.metrics.Metric):
    """The largest error, times a factor."""

    def __init__(self, factor=1.0, name="largest", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.factor = factor
        self.top = self.add_variable((), "zeros", name="top")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.top.assign(ops.maximum(self.top, self.factor * ops.max(ops.abs(y_true - y_pred))))

    def result(self):
        return ops.multiply(self.top, 1.0)


class Told(Largest):
    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def model(loss=own_loss):
    made = mlp()
    metrics = [
        distance,
        lambda y, p: distance(y, p) * 2,
        keras.metrics.MeanMetricWrapper(power, name="cubed", exponent=3),
        Told(factor=3.0),
        keras.metrics.F1Score(),
    ]
    made.compile(keras.optimizers.SGD(0.2), loss, metrics=metrics, weighted_metrics=[distance])
    return made


def test_a_population_and_one_by_one_are_plain_keras():
    candidate, seed = Candidate.of("tanh"), 5
    original = model(loss=lambda y, p: own_loss(y, p))
    test = (X[TEST], Y[TEST], WEIGHTS[TEST])
    fit = {
        "x": X[TRAIN],
        "y": Y[TRAIN],
        "epochs": 2,
        "batch_size": 20,
        "sample_weight": WEIGHTS[TRAIN],
    }
    fit |= {"validation_data": test}
    uncompiled = mlp()
    with isolated_seed(seed):
        plain = with_activations(uncompiled, candidate)
        plain.compile(**compile_arguments(original))
        eager(plain)
        history = numbers(plain.fit(**fit, verbose=0).history, axes=1)
    expected = numbers(
        plain.evaluate(*test[:2], sample_weight=test[2], return_dict=True, verbose=0)
    )
    assert {"cubed", "largest", "f1_score[0]", "weighted_distance"} <= set(expected)
    assert len(expected) == 9
    together = PopulationTrainer(original, [Candidate.of("relu"), candidate])
    for trainer in (
        together,
        OneByOneTrainer([lambda: eager(with_activations(original, candidate))]),
    ):
        (trained,) = trainer.train([seed], fit)
        (tested,) = trainer.test([trained.weights], test)
        assert set(trained.history) == set(history)
        assert set(tested) == set(expected)
        for name, values in history.items():
            np.testing.assert_allclose(
                trained.history[name][:, -1], values, atol=2e-5, err_msg=name
            )
        for name, value in expected.items():
            np.testing.assert_allclose(tested[name][-1], value, atol=2e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"strategy": "random"}, {"population": 1}])
def test_a_search_reports_each_class_and_weighs_the_test_data(options):
    made = model()
    if options.get("population") == 1:
        made = eager(made)  # else each is traced
    found = search_activations(
        *(made, X[TRAIN], Y[TRAIN]),
        test_data=(X[TEST], Y[TEST], WEIGHTS[TEST]),
        activations=["relu", "tanh"],
        **{"trials": 2, "epochs": 8, "verdict": 2, "verbose": 0, **options},
        learning_rates=None,
    )
    assert found.objective == "val_loss"
    assert found.verdict is not None
    assert not found.verdict.withheld
    expected = found.model.evaluate(
        X[TEST], Y[TEST], sample_weight=WEIGHTS[TEST], return_dict=True, verbose=0
    )
    plain = found.model.evaluate(X[TEST], Y[TEST], return_dict=True, verbose=0)
    assert plain["loss"] != pytest.approx(expected["loss"], rel=1e-3)
    assert found.test == pytest.approx(
        {name: float(value) for name, value in numbers(expected).items()}
    )
    assert found.verdict.runs.test.keys() == found.test.keys()
    assert found.intervals["loss"]["method"] == "t of 10 parts"
    assert "val_f1_score[2]" in found.verdict.to_pandas()


def test_a_metric_that_cannot_be_made_again_is_refused_before_anything():
    made = mlp()
    for metric, said in [
        (Largest(factor=3.0), "nothing of factor"),
        (Largest(), None),
        (Told(2.0), None),
    ]:
        made.compile("adam", own_loss, metrics=[metric])
        if said is None:
            again = fresh_metric(metric)
            assert again.factor == metric.factor
            assert again is not metric
            continue
        for call in (
            lambda: PopulationModel(made, ["relu"]),
            lambda: compare_activations(
                made, X, Y, ["relu", "tanh"], verbose=0, learning_rates=None
            ),
            lambda: search_activations(made, X, Y, verbose=0, learning_rates=None),
        ):
            with pytest.raises(
                ModelError, match=rf"get_config\(\).*'largest' of class Largest.*{said}"
            ):
                call()

    class Closed(keras.metrics.MeanMetricWrapper):
        def __init__(self):
            super().__init__(distance, name="closed")

    made.compile("adam", own_loss, metrics=[Closed()])
    with pytest.raises(ModelError, match=r"get_config\(\).*'closed' of class Closed"):
        with_activations(made, "mish")


class Nameless(keras.metrics.Mean):
    """As in Keras' guide: a config without the name."""

    def __init__(self, factor=1.0, name="nameless", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.factor = factor

    def get_config(self):
        return {"factor": self.factor}


class Unready(keras.metrics.Mean):
    def get_config(self):
        return {"factor": self.not_there}


def test_what_a_config_leaves_out_is_kept_or_refused():
    again = fresh_metric(Nameless(2.0, name="mine"))
    assert (again.name, again.factor) == ("mine", 2.0)
    changed = Largest()
    changed.update_state = lambda *args, **kwargs: None
    refused = (
        (Nameless(dtype="float64"), "nothing of dtype float64"),
        (Unready(name="unready"), "no attribute 'not_there'"),
        (changed, "update_state was set on the metric itself"),
    )
    for metric, said in refused:
        with pytest.raises(
            ModelError, match=rf"get_config\(\).*class {type(metric).__name__}.*{said}"
        ):
            fresh_metric(metric)


def test_a_wrapped_function_starts_afresh():
    metric = keras.metrics.MeanMetricWrapper(power, name="cubed", exponent=3)
    metric.update_state(np.zeros((2, 1)), np.full((2, 1), 2.0))
    again = fresh_metric(metric)
    assert float(again.result()) == 0
    again.update_state(np.zeros((2, 1)), np.full((2, 1), 2.0))
    assert float(again.result()) == 8


def test_weights_of_test_data_reach_intervals():
    made = with_activations(model(), "relu")
    data = (X, Y, WEIGHTS)
    values = {name: float(value) for name, value in numbers(evaluated(made, data)).items()}
    found = with_intervals(made, data, values)
    assert found["loss"]["method"] == "t of 10 parts"
    low, high = found["loss"]["interval"]
    assert low < values["loss"] < high


@pytest.mark.once
def test_numbers():
    logs = {"loss": 0.5, "f1": np.array([0.25, 0.75]), "each": np.arange(4).reshape(2, 2)}
    assert numbers(logs) == {
        **{"loss": 0.5, "f1[0]": 0.25, "f1[1]": 0.75},
        **{"each[0][0]": 0, "each[0][1]": 1, "each[1][0]": 2, "each[1][1]": 3},
    }
    by_epoch = numbers({"f1": [[0.25, 0.75], [0.5, 1.0]]}, axes=1)
    assert {name: values.tolist() for name, values in by_epoch.items()} == {
        "f1[0]": [0.25, 0.5],
        "f1[1]": [0.75, 1.0],
    }


def test_what_is_only_called_an_accuracy_is_no_share():
    def own_accuracy(y, p):
        return 5 - distance(y, p)

    made = mlp()
    made.compile(
        "adam",
        own_loss,
        metrics=[own_accuracy, keras.metrics.TopKCategoricalAccuracy(2, name="top")],
    )
    values = {name: float(value) for name, value in evaluated(made, (X, Y)).items()}
    found = with_intervals(made, (X, Y), values)
    assert values["own_accuracy"] > 1
    assert found["own_accuracy"]["method"] == "t of 10 parts"
    assert found["top"]["method"] == "Wilson"


class Late(keras.Model):
    """A model that is built when it is called."""

    def __init__(self, activation="relu"):
        super().__init__()
        self.first, self.second = (
            keras.layers.Dense(6, activation),
            keras.layers.Dense(3, "softmax"),
        )

    def call(self, x):
        return self.second(self.first(x))


def late(hp, activation):
    made = Late(activation)
    made.compile(keras.optimizers.SGD(0.2), "categorical_crossentropy", metrics=["accuracy"])
    return made


def test_a_model_that_is_built_late_is_scored_with_its_weights():
    def sequential():
        made = keras.Sequential([keras.layers.Dense(6, "relu"), keras.layers.Dense(3, "softmax")])
        made.compile(keras.optimizers.SGD(0.2), "categorical_crossentropy")
        return made

    fit = {
        "x": X[TRAIN],
        "y": Y[TRAIN],
        "epochs": 2,
        "batch_size": 20,
        "validation_data": (X[TEST], Y[TEST]),
    }
    for build in (functools.partial(late, None, "relu"), sequential):
        trainer = OneByOneTrainer([build])
        (trained,) = trainer.train([5], fit)
        (tested,) = trainer.test([trained.weights], (X[TEST], Y[TEST]))
        np.testing.assert_allclose(tested["loss"], trained.history["val_loss"][-1], rtol=1e-5)
    with pytest.raises(ModelError, match="1 without a place"):
        list(trainer.test([[*trained.weights, np.zeros(1)]], (X[TEST], Y[TEST])))


@pytest.mark.slow
def test_a_search_of_models_that_are_built_late():
    found = search_activations(
        *(late, X[TRAIN], Y[TRAIN]),
        test_data=(X[TEST], Y[TEST]),
        activations=["relu", "tanh"],
        **{"trials": 2, "epochs": 2, "verdict": 2, "verbose": 0},
        learning_rates=None,
    )
    assert found.model.built
    expected = found.model.evaluate(X[TEST], Y[TEST], return_dict=True, verbose=0)
    assert found.test == pytest.approx(expected)
    assert "no verdict" not in found.verdict.sentence
