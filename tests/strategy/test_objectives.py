"""Which way a metric is better.

Every metric of Keras, by name and by output, and what nobody can know.
"""

import inspect

import keras
import keras_tuner
import numpy as np
import pytest

from keras_acts.errors import DataError, SearchError
from keras_acts.search import (
    ActivationHyperModel,
    ActivationTuner,
    RacingOracle,
    compare_activations,
    search_activations,
)
from keras_acts.search.strategy.direction import more_is_better
from keras_acts.search.strategy.objective import (
    checked_objective,
    default_objective,
    direction_of,
    metrics_of,
)
from keras_acts.search.strategy.rehearsal import check_again, rehearse
from tests.helpers.models import blobs, eager, mlp

ARGUMENTS = {
    **{name: (3, [0, 1]) for name in ("IoU", "OneHotIoU")},
    **dict.fromkeys(("MeanIoU", "OneHotMeanIoU"), (3,)),
    **dict.fromkeys(("PrecisionAtRecall", "RecallAtPrecision"), (0.5,)),
    **dict.fromkeys(("SensitivityAtSpecificity", "SpecificityAtSensitivity"), (0.5,)),
    "MeanMetricWrapper": (keras.losses.huber,),
}
# written from what each is, not from what the code says: all else that Keras has measures an error
MORE = (
    "accuracy",
    "precision",
    "recall",
    "iou",
    "score",
    "correlation",
    "similarity",
    "auc",
    "true",
    "specificity",
)
LESS = (
    "error",
    "crossentropy",
    "hinge",
    "poisson",
    "divergence",
    "false",
    "huber",
    "log_cosh",
    "meanmetricwrapper",
)
UNKNOWN = ("Mean", "Sum", "Metric")
CLASSES = [
    n
    for n, k in vars(keras.metrics).items()
    if inspect.isclass(k) and issubclass(k, keras.metrics.Metric)
]
FUNCTIONS = [
    n
    for n, f in vars(keras.metrics).items()
    if inspect.isfunction(f) and n not in ("get", "deserialize")
]
FUNCTIONS.remove("serialize")


def expected(name):
    short = name.lower()
    found = {"max": any(part in short for part in MORE), "min": any(part in short for part in LESS)}
    assert sum(found.values()) <= 1
    return next((direction for direction, fits in found.items() if fits), None)


def compiled(*metrics, weighted=None):
    model = mlp()
    model.compile(
        "adam", "categorical_crossentropy", metrics=list(metrics), weighted_metrics=weighted
    )
    return model


def two_outputs(**options):
    x = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(6, "relu", name="hidden")(x)
    outputs = {
        "kind": keras.layers.Dense(3, "softmax")(hidden),
        "size": keras.layers.Dense(1, name="size")(hidden),
    }
    model = keras.Model(x, outputs)
    metrics = {
        "kind": ["accuracy", keras.metrics.AUC(name="roc")],
        "size": [keras.metrics.R2Score(), "mae"],
    }
    losses = {"kind": "categorical_crossentropy", "size": "mse"}
    model.compile(keras.optimizers.SGD(0.1), losses, **{"metrics": metrics, **options})
    return model


def test_every_metric_of_keras_knows_its_direction():
    assert len(CLASSES) > 40
    model = mlp()
    for name in CLASSES:
        if name == "Metric":
            continue
        metric = getattr(keras.metrics, name)(*ARGUMENTS.get(name, ()), name="mine")
        model.compile("adam", "mse", metrics=[metric])
        if name in UNKNOWN:
            assert expected(name) is None
            with pytest.raises(
                SearchError, match=r"direction, 'max' or 'min': keras_tuner\.Objective\('val_mine'"
            ):
                checked_objective("val_mine", model)
            continue
        assert checked_objective("val_mine", model).direction == expected(name), name
        # and if Keras no longer said it
        declared = metric.__dict__.pop("_direction", None)
        assert direction_of(metric) == expected(name), name
        assert declared in (None, "up" if expected(name) == "max" else "down")


def test_every_function_of_keras_does_too():
    assert len(FUNCTIONS) > 20
    for name in FUNCTIONS:
        model = compiled(getattr(keras.metrics, name))
        assert checked_objective(f"val_{name}", model).direction == expected(name), name
        # without a model
        assert checked_objective(f"val_{name}").direction == expected(name), name


@pytest.mark.parametrize(
    "name", ["r2_score", "f1_score", "cosine_similarity", "binary_io_u", "auc_1", "acc", "mse"]
)
def test_without_a_model_a_name_is_that_of_keras_metric(name):
    assert checked_objective(f"val_{name}").direction == ("min" if name == "mse" else "max")


def test_a_function_of_the_users_has_none_even_if_its_name_says_so():
    def accuracy(y, p):
        return keras.ops.mean(keras.ops.abs(y - p), axis=-1)

    model = compiled(accuracy)
    with pytest.raises(SearchError, match="nothing says whether more of 'accuracy' is better"):
        checked_objective("val_accuracy", model)
    assert checked_objective(keras_tuner.Objective("val_accuracy", "min"), model).direction == "min"
    assert default_objective(model) == "val_loss"
    with pytest.raises(SearchError, match="no metric of Keras has that name"):
        checked_objective("val_elegance")
    with pytest.raises(SearchError, match=r"'max' or 'min'.*direction='up'"):
        checked_objective(keras_tuner.Objective("val_accuracy", "up"), model)


def test_a_loss_used_as_a_metric_is_minimized():
    class Own(keras.losses.Loss):
        def call(self, y, p):
            return keras.ops.mean(y - p, axis=-1)

    assert direction_of(keras.metrics.MeanMetricWrapper(Own(), name="own")) == "min"
    # Keras' loss is the negative of the metric of that name
    assert direction_of(keras.metrics.MeanMetricWrapper(keras.losses.cosine_similarity)) == "min"
    assert direction_of(keras.metrics.CosineSimilarity()) == "max"


def test_each_output_has_its_own():
    model = two_outputs(weighted_metrics={"size": keras.metrics.MeanSquaredError(name="mse")})
    names = ["kind_accuracy", "kind_roc", "size_r2_score", "size_mae", "size_mse"]
    assert list(metrics_of(model)) == names
    found = [checked_objective(f"val_{name}", model).direction for name in names]
    assert found == ["max", "max", "max", "min", "min"]
    assert checked_objective("val_kind_loss", model).direction == "min"
    with pytest.raises(
        SearchError,
        match=r"must be one of \['val_loss', 'val_kind_accuracy'.*Received: .*'val_roc'",
    ):
        checked_objective("val_roc", model)
    assert default_objective(model) == "val_loss"
    # nothing of the user's is touched: it still trains
    x, y = blobs(8)
    targets = {"kind": np.eye(3)[y], "size": x[:, :1]}
    assert set(model.evaluate(x, targets, verbose=0, return_dict=True)) >= set(names)


def test_the_default_is_the_main_accuracy():
    def of(*metrics, **options):
        return default_objective(compiled(*metrics, **options))

    top = keras.metrics.TopKCategoricalAccuracy(2, name="top2_accuracy")
    assert of("accuracy") == "val_accuracy"
    assert of(top) == "val_loss"
    assert of(top, "acc") == "val_acc"
    assert of(keras.metrics.CategoricalAccuracy(name="share")) == "val_share"
    assert of(keras.metrics.categorical_accuracy) == "val_categorical_accuracy"
    assert of("mse", weighted=["accuracy"]) == "val_accuracy"
    assert of(keras.metrics.Accuracy()) == "val_loss"


@pytest.mark.once
def test_more_is_better():
    scores = np.array([0.5, -1.0, np.nan])
    np.testing.assert_array_equal(more_is_better(scores, "max"), scores)
    np.testing.assert_array_equal(more_is_better(scores, "min"), -scores)
    assert more_is_better(more_is_better(0.25, "min"), "min") == 0.25
    with pytest.raises(SearchError, match="direction='up'"):
        more_is_better(1.0, "up")


def test_an_objective_is_logged_and_one_number():
    x, y = blobs(12)
    fit = {"x": x, "y": np.eye(3, dtype="float32")[y]}
    vector = keras_tuner.Objective("val_f1_score", "max")
    with pytest.raises(
        SearchError, match=r"one number.*average='macro'.*'val_f1_score', which is 3 numbers"
    ):
        rehearse(compiled(keras.metrics.F1Score()), vector, fit)
    rehearse(compiled(keras.metrics.F1Score("macro")), vector, fit)
    missing = keras_tuner.Objective("val_mine", "max")
    with pytest.raises(SearchError, match=r"one of \['val_accuracy', 'val_loss'\]"):
        rehearse(compiled("accuracy"), missing, fit)
    # a callback may log it
    rehearse(compiled("accuracy"), missing, {**fit, "callbacks": [keras.callbacks.Callback()]})


def test_test_data_are_tried_before_the_first_epoch():
    x, y = blobs(12)
    one_hot = np.eye(3, dtype="float32")[y]
    fit, goal = {"x": x, "y": one_hot}, keras_tuner.Objective("val_loss", "min")
    rehearse(compiled("accuracy"), goal, fit, test=(x, one_hot, np.ones(12)))
    with pytest.raises(DataError, match=r"test data must be .* that the model can be evaluated on"):
        rehearse(compiled("accuracy"), goal, fit, test=(x, one_hot[:, :2]))
    for wrong, message in [
        ((x, one_hot, np.ones(11)), "as many samples.*12, 12, 11"),
        ((x, one_hot, np.ones(12), 32), "4 parts"),
        (iter([(x, one_hot)]), "read for every model"),
    ]:
        with pytest.raises(DataError, match=message):
            check_again(wrong)


def test_a_tuner_ranks_by_the_metric_not_by_its_name(tmp_path):
    model = compiled(keras.metrics.CosineSimilarity())
    options = {"activations": ["relu", "tanh"], "directory": tmp_path}
    tuner = ActivationTuner(model, "val_cosine_similarity", **options, project_name="own")
    assert tuner.oracle.objective.direction == "max"
    assert RacingOracle("val_r2_score").objective.direction == "max"
    guessed = keras_tuner.oracles.RandomSearchOracle("val_cosine_similarity", 2)
    with pytest.raises(SearchError, match=r"the max is best.*Received: direction='min'"):
        ActivationTuner(model, oracle=guessed, **options, project_name="guessed")
    told = keras_tuner.oracles.RandomSearchOracle(
        keras_tuner.Objective("val_cosine_similarity", "max"), 2
    )
    ActivationTuner(model, oracle=told, **options, project_name="told")
    with pytest.raises(SearchError, match="validation_freq must be 1"):
        tuner.search(*blobs(12), validation_split=0.5, validation_freq=2)


X, Y = blobs(60)
TARGET = (X @ np.array([[1.0], [-2.0], [0.5], [1.0]], "float32")) / 4


def regression():
    model = mlp(classes=1)
    model.layers[-1].activation = keras.activations.linear
    model.compile(keras.optimizers.SGD(0.05), "mse", metrics=[keras.metrics.R2Score()])
    return model


def test_a_comparison_prefers_the_larger_r2():
    fit = {"objective": "val_r2_score", "seeds": 2, "epochs": 2, "verbose": 0, "batch_size": 8}
    found = compare_activations(
        regression(), X[:40], TARGET[:40], ["relu", "sigmoid"], **fit, learning_rates=None
    )
    assert found.maximize
    assert found.candidates[0].mean > found.candidates[1].mean


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"strategy": "random"}, {"population": 1}])
def test_a_search_prefers_the_larger_metric_of_an_output(options):
    model = two_outputs()
    if options.get("population") == 1:
        model = eager(model)  # else each is traced
    y = {"kind": np.eye(3, dtype="float32")[Y], "size": TARGET}
    found = search_activations(
        *(model, X, y),
        activations=["relu", "sigmoid", "tanh"],
        **{
            "objective": "val_size_r2_score",
            "trials": 3,
            "epochs": 3,
            "verdict": 0,
            "verbose": 0,
            **options,
        },
        learning_rates=None,
    )
    assert (found.objective, found.direction) == ("val_size_r2_score", "max")
    furthest = [t.score for t in found.trials if t.epochs == found.trials[0].epochs]
    assert furthest == sorted(furthest, reverse=True)
    last = {"x": X[48:], "y": {name: values[48:] for name, values in y.items()}}
    score = found.model.evaluate(**last, verbose=0, return_dict=True)["size_r2_score"]
    assert score == pytest.approx(
        found.score, abs=1e-5
    )  # the row of a race is the mean over its seeds


def test_a_metric_without_a_name_is_called_alike_in_every_model():
    def build(hp, activation):
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(3, activation), keras.layers.Dense(1)]
        )
        model.compile("adam", "mse", metrics=[keras.metrics.AUC(), keras.metrics.AUC()])
        return model

    before = keras.metrics.AUC().name
    hypermodel = ActivationHyperModel(build, ["relu"])
    for _ in range(2):
        assert list(metrics_of(hypermodel.build(keras_tuner.HyperParameters()))) == ["auc", "auc_1"]
    # those of the user go on with a number of their own
    assert keras.metrics.AUC().name not in (before, "auc")
