"""The answer says so where the validation data show the opposite of the test data, or no test was possible."""

from dataclasses import replace

import keras_tuner
import numpy as np
import pytest

from keras_acts.search.space.candidate import Candidate
from keras_acts.search.space.rated import Rated
from keras_acts.search.strategy.progress import Progress
from keras_acts.search.verdict.judge import judge
from keras_acts.search.verdict.retrain import retrain_leaders
from tests.helpers.models import mlp
from tests.helpers.reports import verdict


def with_validation(found, shifts):
    """A verdict whose candidates have other means on the validation data, on the same seeds."""
    history = found.runs.history["val_accuracy"].copy()
    for column, name in enumerate(found.runs.activations):
        history[:, :, column] += shifts.get(name, 0.0)
    runs = replace(found.runs, history={"val_accuracy": history})
    return replace(found, runs=runs)


def test_an_answer_that_the_validation_data_contradict_says_that_it_hangs_on_the_split():
    found = verdict((0.93, 0.95, 0.90))
    assert not any("opposite" in line for line in found.told())
    turned = with_validation(found, {"mish": -0.04})
    lines = turned.first_lines()
    assert lines[0] == ("Answer: Use mish (shown on the test data, not on the validation data).")
    (told,) = [line for line in lines if "The validation data say the opposite" in line]
    assert "there mish is worse than relu" in told
    assert "on another split, before you rely on it" in turned.last_lines()[-1]


def test_a_loser_that_the_validation_data_put_first_is_told_too():
    found = verdict((0.93, 0.931, 0.90))
    turned = with_validation(found, {"trelu(alpha=0.2, theta=-0.3)": 0.06})
    (told,) = [line for line in turned.first_lines() if "opposite" in line]
    assert "'trelu(alpha=0.2, theta=-0.3)' is better than relu" in told


def test_losses_have_the_sign_right_and_noise_is_no_contradiction():
    found = verdict((2.0, 1.0, 3.0), metric="loss", maximize=False, sd=0.05)
    history = found.runs.history["val_loss"].copy()
    history[:, :, 1] += 2.0
    turned = replace(found, runs=replace(found.runs, history={"val_loss": history}))
    (told,) = [line for line in turned.first_lines() if "opposite" in line]
    assert "there mish is worse than relu" in told
    # what the test data leave open cannot be contradicted
    open_one = with_validation(verdict((0.93, 0.931, 0.91)), {"mish": -0.1})
    assert not any("opposite" in line for line in open_one.told())
    on_validation = replace(turned, part="validation")
    assert not any("opposite" in line for line in on_validation.told())


@pytest.mark.parametrize(
    ("scores", "step"),
    [
        ({"relu": [0.5, 0.5], "mish": [0.5, 0.5]}, "score them on more test data"),
        ({"relu": [0.5], "mish": [0.6]}, "Train on more seeds"),
        ({"relu": [np.nan] * 2, "mish": [np.nan] * 2}, "Lower the learning rate"),
        ({"relu": [np.nan] * 2, "mish": [0.5, 0.6]}, "Lower the learning rate"),
        ({"relu": [], "mish": []}, "Run it again"),
    ],
)
def test_where_no_test_was_possible_the_next_step_is_about_its_reason(scores, step):
    arrays = {name: np.array(values, float) for name, values in scores.items()}
    found = judge(arrays, baseline="relu", metric="accuracy")
    assert found.withheld
    assert step in found.last_lines()[-1]
    assert "until it learns" not in found.last_lines()[-1]


def test_several_metrics_are_named_where_they_allow_no_verdict():
    goals = [keras_tuner.Objective("val_accuracy", "max"), keras_tuner.Objective("val_loss", "min")]
    leaders = [Rated(Candidate.of(name)) for name in ("relu", "mish")]
    found = retrain_leaders(
        mlp(),
        leaders,
        lambda rated: mlp,
        "relu",
        {},
        goals,
        seeds=2,
        seed=0,
        test_data=None,
        progress=Progress(2, 0, "seed"),
    )
    assert found.withheld == (
        "no verdict: it needs one metric, and the objective is val_accuracy and val_loss"
    )
