"""How candidates and trainings are called elsewhere."""

import math

import pytest

from keras_acts.search.space.assignment import Assignment, SlotGroup
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.space.rated import Rated
from keras_acts.search.tracking.named import Named, name_for_mlflow, trainings_of
from tests.helpers.reports import EPOCHS, NAMES, verdict

# only our own names
pytestmark = pytest.mark.once


def test_a_candidate_has_its_parameters():
    rated = Rated(Candidate.of("trelu(alpha=0.2, theta=-0.3)"), 4.0)
    named = Named.of(rated)
    assert named.name == "trelu(alpha=0.2, theta=-0.3) x4"
    assert named.parameters["alpha"] == 0.2
    assert named.parameters["theta"] == -0.3
    assert named.parameters["learning_rate_factor"] == 4.0
    assert named == Named.of_words("trelu(alpha=0.2, theta=-0.3)", 4.0)


def test_one_for_each_layer_is_named_layer_by_layer():
    first = SlotGroup("first", ("a",))
    second = SlotGroup("second", ("b", "c"))
    choice = Assignment(((first, Candidate.of("relu")), (second, Candidate.of("mish"))))
    named = Named.of(Rated(choice))
    assert named.parameters["activation.first"] == "relu"
    assert named.parameters["activation.second"] == "mish"
    # a verdict knows its words only
    assert Named.of_words(str(choice), 1.0).parameters["activation"] == str(choice)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("val_f1_score[0]", "val_f1_score_0"),
        ("recall@5", "recall_5"),
        ("activation.encoder (1)", "activation.encoder _1_"),
        ("members/loss", "members/loss"),
        ("genauigkeit_für_äpfel", "genauigkeit_für_äpfel"),
    ],
)
def test_mlflow_takes_the_name_of_every_metric_and_group(name, expected):
    assert name_for_mlflow(name) == expected


def test_folders_of_different_candidates_differ():
    names = ["relu", "relu/x", "relu:x", "relu_x", "a" * 200, "a" * 199 + "b"]
    folders = {Named(name, {}).file_name for name in names}
    assert len(folders) == len(names)
    for folder in folders:
        assert len(folder) < 120
        assert "/" not in folder
    assert Named("trelu(alpha=0.2, theta=-0.3)", {}).file_name == "trelu(alpha=0.2,_theta=-0.3)"


def test_the_trainings_of_a_verdict_are_all_of_them():
    found = verdict(seeds=4)
    trainings = list(trainings_of(found))
    assert [training.named.name for training in trainings[::4]] == list(NAMES)
    assert {training.seed for training in trainings} == set(found.runs.seeds)
    for training in trainings:
        assert len(training.epochs) == EPOCHS
        assert set(training.epochs[0]) == {"val_accuracy"}
    last = trainings[0].epochs[-1]
    assert last["test_accuracy"] == found.runs.test["accuracy"][0, 0]


def test_epochs_that_were_not_trained_are_not_told():
    found = verdict(seeds=4)
    found.runs.history["val_accuracy"][0, 3:, 1] = math.nan
    ended = next(t for t in trainings_of(found) if t.named.name == NAMES[1])
    assert len(ended.epochs) == 3
    assert "test_accuracy" in ended.epochs[-1]
