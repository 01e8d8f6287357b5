"""RMSE, MAE, R², balanced accuracy and AUC: those of the predictions, in the target's own unit."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_acts.search import pages
from keras_acts.search.exporting.card import markdown
from keras_acts.search.measures import Measures, measures_of
from tests.helpers.reports import Reader, result, verdict

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3)).astype("float32")


def compiled(loss, units, activation=None, **options):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((3,)), keras.layers.Dense(units, activation=activation)]
    model = keras.Sequential(layers)
    model.compile("adam", loss, **options)
    return model


def pairs_in_order(labels, scores):
    """The area under the ROC curve by its meaning: how often a sample of the class scores higher."""
    inside, outside = scores[labels == 1], scores[labels == 0]
    higher = inside[:, None] > outside[None, :]
    equal = inside[:, None] == outside[None, :]
    return float((higher + equal / 2).mean())


@pytest.mark.parametrize("loss", ["mse", "mae", keras.losses.Huber()])
@pytest.mark.parametrize("column", [False, True])
def test_errors_of_numbers_are_in_the_targets_unit(loss, column):
    model = compiled(loss, 1, metrics=["mse", "mae"])
    y = (200_000 + 50_000 * X[:, 0]).astype("float32")
    if column:
        y = y[:, None]
    found = measures_of(model, (X, y))
    logs = model.evaluate(X, y, verbose=0, return_dict=True)
    assert found.rmse == pytest.approx(np.sqrt(logs["mse"]), rel=1e-5)
    assert found.mae == pytest.approx(logs["mae"], rel=1e-5)
    assert found.r2 == pytest.approx(1 - logs["mse"] / y.var(), rel=1e-4)
    assert (found.shares, found.uneven) == ((), False)
    told = found.told("EUR")
    assert told.startswith("In the unit of the target: RMSE 20")
    assert " EUR, MAE " in told
    assert "e+" not in told


def test_classes_are_held_against_the_most_frequent_one():
    labels = RNG.choice(3, 120, p=[0.8, 0.12, 0.08])
    logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for model, y in (
        (compiled("sparse_categorical_crossentropy", 3, "softmax", metrics=["accuracy"]), labels),
        (
            compiled("categorical_crossentropy", 3, "softmax", metrics=["accuracy"]),
            np.eye(3)[labels],
        ),
        (compiled(logits, 3, metrics=["accuracy"]), labels),
    ):
        found = measures_of(model, (X, y))
        logs = model.evaluate(X, y, verbose=0, return_dict=True)
        assert found.accuracy == pytest.approx(logs["accuracy"], abs=1e-6)
        assert found.shares == pytest.approx(np.bincount(labels) / 120)
        answers = np.asarray(model(X)).argmax(axis=1)
        of_each = [(answers[labels == label] == label).mean() for label in range(3)]
        assert found.balanced_accuracy == pytest.approx(np.mean(of_each))
        probabilities = np.asarray(model(X), "float64")
        if y is labels and model.loss is logits:
            probabilities = np.asarray(keras.ops.softmax(probabilities))
        areas = [pairs_in_order(labels == label, probabilities[:, label]) for label in range(3)]
        assert found.auc == pytest.approx(np.mean(areas), abs=1e-6)
        assert found.uneven
        assert "balanced accuracy" in found.told()


def test_two_classes_of_one_unit():
    labels = RNG.choice(2, 120)
    for loss, activation in (
        ("binary_crossentropy", "sigmoid"),
        (keras.losses.BinaryCrossentropy(from_logits=True), None),
    ):
        model = compiled(loss, 1, activation)
        found = measures_of(model, (X, labels))
        outputs = np.asarray(model(X))[:, 0]
        border = 0.0 if activation is None else 0.5
        assert found.accuracy == pytest.approx(((outputs > border) == labels).mean())
        assert found.auc == pytest.approx(pairs_in_order(labels, outputs))
        assert not found.uneven
        assert found.told().startswith("Always the most frequent class would be right on 5")
        assert "AUC" not in found.told()


def test_nothing_is_said_where_it_is_not_known():
    model = compiled("mse", 1)
    y = X[:, 0]
    assert measures_of(model, (X, y, np.ones(120))) is None
    assert measures_of(model, None) is None
    assert measures_of(compiled("mse", 2), (X, X[:, :2])) is None
    assert measures_of(compiled(lambda t, p: keras.ops.mean(p - t), 1), (X, y)) is None
    assert measures_of(compiled("categorical_crossentropy", 3, "softmax"), (X, abs(X))) is None
    # a target that never varies has no share that could be explained
    assert np.isnan(measures_of(model, (X, np.ones(120, "float32"))).r2)


def test_the_interval_of_a_metric_that_is_a_measure_stands_on_the_card():
    mae = {"value": 0.5, "samples": 200, "interval": [0.4, 0.6]}
    found = replace(
        result(verdict()),
        intervals={"loss": {"value": 0.4}, "mae": mae},
        measures=Measures(200, rmse=0.6, mae=0.5, r2=0.9),
    )
    (tested,) = (each for part, each in found.card()["metrics"].items() if part.startswith("test"))
    assert tested["mae"] == mae
    assert tested["rmse"] == {"value": 0.6, "samples": 200}


def test_report_and_card_name_target_classes_and_limits():
    found = replace(
        result(verdict()),
        measures=Measures(200, shares=(0.9, 0.1), accuracy=0.93, balanced_accuracy=0.71, auc=0.8),
        target={"name": "kind", "classes": ["ok", "fraud"], "shares": [0.92, 0.08]},
    )
    text = Reader(pages.page(found).to_html()).text
    for words in ("kind", "ok: 92.0 %, fraud: 8.0 %", "Balanced accuracy", "71.00 %", "Limits"):
        assert words in text
    assert "Classes are uneven: the rarest has 10.0 %" in text
    card = found.card()
    assert card["target"] == {"name": "kind", "shares": [0.92, 0.08]}
    (tested,) = [each for part, each in card["metrics"].items() if part.startswith("test")] or [{}]
    if tested:
        assert tested["balanced_accuracy"]["value"] == 0.71
    signature = {"inputs": {"x": {"shape": [None, 2], "dtype": "float32"}}, "outputs": {}}
    written = markdown(
        {
            **{"name": "m", "created": "2026-11-28", "parameters": 3, "activations": []},
            **{"signatures": {"serving_default": signature}, "class_names": ["ok", "fraud"]},
            **card,
            "verification": {
                **{"tensorflow": "2", "samples": 3, "noise": None},
                **{"differences": {"SavedModel": 0.0}, "limits": {"SavedModel": 1e-6}},
            },
            "versions": {"keras": "3"},
        }
    )
    assert "- What is predicted: kind" in written
    assert "- Classes, with their shares of the data: ok 92.0 %, fraud 8.0 %" in written
    assert "## Limits\n\n- " in written
    assert "0.0e" not in written
    assert "null" not in written
