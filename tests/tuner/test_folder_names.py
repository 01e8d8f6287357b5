"""A search goes on in its folder, and in no other, whatever the folder is called."""

import os
import shutil

import keras_tuner
import pytest

from keras_acts.errors import ExportError
from keras_acts.search import (
    ActivationSpace,
    ActivationTuner,
    RacingOracle,
    load,
    search_activations,
)
from keras_acts.search.exporting.atomic import check_target
from tests.helpers.models import blobs, eager, mlp

# patterns: each of them matches "neighbour1" too, or nothing
NAMES = ["neighbour[1]", "neighbour?", "neighbour*", "a\\b", "-größe 模型 {a,b} %s"]


def rows(result):
    return [(str(row.candidate), row.score) for row in result.trials]


def tuner_at(folder):
    options = {"activations": ["relu", "mish"], "directory": folder.parent}
    return ActivationTuner(eager(mlp()), "val_loss", 2, project_name=folder.name, **options)


def searched_at(folder):
    """The scores of a search in a folder, by trial."""
    x, y = blobs()
    tuner = tuner_at(folder)
    tuner.search(x, y, epochs=1, validation_split=0.2, verbose=0)
    return {key: trial.score for key, trial in tuner.oracle.trials.items()}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A search in a folder with an ordinary name, and its scores."""
    folder = tmp_path_factory.mktemp("elsewhere") / "plain"
    return folder, searched_at(folder)


# by the name of the folder: whether the search is a project in it, and whether it trained there
# rather than elsewhere, before it was moved
PLACES = [
    *((name, False, False) for name in NAMES[:-1]),
    (NAMES[-1], False, True),
    ("neighbour[1]", True, True),
]


@pytest.mark.parametrize(("name", "as_directory", "trains"), PLACES)
def test_trials_are_those_of_the_own_folder(tmp_path, name, as_directory, trains, elsewhere):
    folder, neighbour = tmp_path / name, tmp_path / "neighbour1"
    project = folder
    if as_directory:
        project = folder / "mine"
    if trains:
        found = searched_at(project)
    else:
        moved, found = elsewhere
        shutil.copytree(moved, project)
    # a neighbour with a trial more, and other scores
    shutil.copytree(folder, neighbour)
    (trial,) = neighbour.rglob("trial_0")
    shutil.copytree(trial, trial.parent / "trial_9")
    other = (trial / "trial.json").read_text().replace('"score": ', '"score": 1')
    (trial / "trial.json").write_text(other)
    again = tuner_at(project)
    assert {key: trial.score for key, trial in again.oracle.trials.items()} == found
    assert len(found) == 2


@pytest.mark.parametrize("kind", [keras_tuner.oracles.RandomSearchOracle, RacingOracle])
def test_other_oracles_too(tmp_path, kind):
    x, y = blobs()
    place = {"directory": tmp_path, "project_name": "mine[1]"}

    def tuner():
        options = {"max_trials": 2}
        if kind is RacingOracle:
            options = {"trials": 2, "max_epochs": 2}
        oracle = kind(objective=keras_tuner.Objective("val_loss", "min"), **options)
        return ActivationTuner(eager(mlp()), activations=["relu", "mish"], oracle=oracle, **place)

    first = tuner()
    first.search(x, y, epochs=1, validation_split=0.2, verbose=0)
    again = tuner()
    assert again.oracle.trials.keys() == first.oracle.trials.keys()
    assert len(again.oracle.trials) > 0


@pytest.mark.slow
@pytest.mark.parametrize("way", ["race", "random", "layer"])
def test_a_search_resumes_in_it(tmp_path, way):
    x, y = blobs()
    options = {"trials": 2, "epochs": 1, "verdict": 0, "verbose": 0, "learning_rates": None}
    options |= {"directory": tmp_path / "a[1]?*\\", "project_name": "b[2]?*\\"}
    options |= {"strategy": "race", "activations": ["relu", "mish"]}
    if way == "random":
        options["strategy"] = "random"
    if way == "layer":
        options["activations"] = ActivationSpace(["relu", "mish"], per="layer")
    first = search_activations(mlp(), x, y, **options)
    again = search_activations(mlp(), x, y, **options)
    assert rows(again) == rows(first)


@pytest.mark.once
@pytest.mark.skipif(os.name == "nt", reason="no file can be called so there")
@pytest.mark.parametrize("name", ["a[1]", "a?", "a*", "a\\b", "["])
def test_tensorflow_finds_no_export_there_so_it_is_refused_at_once(tmp_path, name):
    for path in (tmp_path / name, tmp_path / name / "model"):
        with pytest.raises(ExportError, match=r"TensorFlow finds no SavedModel.*Received: path="):
            check_target(path, overwrite=True)
        path.mkdir(parents=True)
        with pytest.raises(ExportError, match=r"TensorFlow finds no SavedModel.*Received: path="):
            load(path)


@pytest.mark.once
@pytest.mark.parametrize("name", ["{a,b}", "größe 模型", "-x", "%s", "]", "~"])
def test_an_export_has_any_other_name(tmp_path, name):
    assert check_target(tmp_path / name, overwrite=False)
