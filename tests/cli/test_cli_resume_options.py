"""With which options `--resume` goes on, and with which search."""

import json
import os
import shutil

import keras_tuner
import pytest
from sklearn.datasets import load_iris

from keras_acts.errors import SearchError
from keras_acts.search import ActivationTuner, search_activations
from keras_acts.search.runtime.ownership import clear_project
from tests.cli.test_cli_resume import at, command, here, kept_search  # noqa: F401
from tests.helpers.models import blobs, mlp

# what is asked of the command line and what it says; tests/cli/test_cli.py searches and exports
# at any version
pytestmark = pytest.mark.once

FEW = ["--trials", "2", "--epochs", "1", "--verdict", "0", "--strategy", "random", "--quiet"]
FEW += ["--activations", "relu,leaky_relu,elu,mish", "--learning-rates", "none", "--json"]
COMMAND = "keras_acts_command.json"


def options_in(project):
    return json.loads((project / COMMAND).read_text())


def trials_of(done):
    assert done.exit_code == 0, done.output
    return len(json.loads(done.stdout)["trials"])


def csv(path):
    x, y = load_iris(return_X_y=True)
    lines = ["a,b,c,d,kind"]
    lines += [",".join([*map(str, row), f"kind{label}"]) for row, label in zip(x, y, strict=True)]
    path.write_text("\n".join(lines))


def test_options_of_an_attempt_that_was_refused_are_not_kept(at):  # noqa: F811
    csv(at / "right.csv")
    refused = command("search", *FEW, "--data", "typo.csv", "--epochs", "3", "--resume", "here")
    assert refused.exit_code == 2
    assert not list(at.rglob(COMMAND))
    begun = command("search", *FEW, "--data", "right.csv", "--resume", "here")
    assert trials_of(begun) == 2
    kept = options_in(at / "here" / "activations")
    assert (kept["data"], kept["epochs"]) == (str(at / "right.csv"), 1)
    # refused by the search itself: it is another
    other = command("search", "--resume", "here", "--epochs", "2", "--overwrite")
    assert "Expected: --epochs 1. Received: --epochs 2" in other.output.replace("\n", " ")
    assert options_in(at / "here" / "activations") == kept


def test_more_trials_are_those_of_the_next_time_too(here):  # noqa: F811
    more = ["--resume", "here", "--json", "--overwrite"]
    assert trials_of(command("search", *more, "--trials", "3")) == 3
    assert trials_of(command("search", *more)) == 3


@pytest.mark.slow
def test_a_search_begun_with_directory_is_resumed_with_its_options(at):  # noqa: F811
    assert trials_of(command("search", *FEW, "--data", "iris", "--directory", "runs")) == 2
    # from another folder, to which it was moved, and by the name that status prints
    (told,) = command("status", "runs").stdout.splitlines()[:1]
    assert told == "runs/activations"
    (at / "elsewhere").mkdir()
    shutil.move("runs", at / "elsewhere" / "runs")
    os.chdir(at / "elsewhere")
    again = command("search", "--resume", told, "--json")
    assert trials_of(again) == 2
    assert "nothing is left of it" in again.stderr.replace("\n", " ")
    assert os.listdir("runs") == ["activations"]
    assert not (at / "elsewhere" / told / "activations").exists()
    inside = at / "elsewhere" / "runs" / "activations"
    os.chdir(inside)
    assert trials_of(command("search", "--resume", ".", "--json", "--out", at / "third")) == 2
    # the file is ours
    os.chdir(at)
    clear_project(inside)
    assert os.listdir(inside) == ["keras_acts.lock"]


def test_a_search_without_options_is_said_to_take_the_defaults(here):  # noqa: F811
    (here / "here" / "activations" / COMMAND).unlink()
    again = command("search", "--resume", "here", "--overwrite")
    assert again.exit_code == 2
    assert "No options are kept in here/activations" in again.stderr.replace("\n", " ")
    assert "those that are not given here are the defaults" in again.stderr.replace("\n", " ")


@pytest.mark.slow
def test_a_file_called_as_data_that_are_known_is_not_meant(at):  # noqa: F811
    (at / "iris").write_text("a note on flowers")
    assert trials_of(command("search", *FEW, "--data", "iris", "--resume", "here")) == 2
    assert options_in(at / "here" / "activations")["data"] == "iris"


def test_a_name_that_no_file_can_have_is_refused_in_one_line(at):  # noqa: F811
    for option in ("--resume", "--directory"):
        done = command("search", "--data", "x" * 300 + ".csv", option, "here", "--quiet")
        assert done.exit_code == 2, done.exception
        assert "--data must be a file that can be read" in done.stderr
        done = command("search", *FEW, "--data", "iris", option, "x" * 300)
        assert done.exit_code == 2, done.exception
        assert "needs a folder that it can write" in done.stderr
    done = command("status", "x" * 300)
    assert done.exit_code == 2, done.exception
    assert "must hold a kept search" in done.stderr


def test_resume_goes_on_with_the_one_search_that_is_there(at):  # noqa: F811
    for name in ("first", "second"):
        (at / "runs" / name).mkdir(parents=True)
        (at / "runs" / name / "oracle.json").write_text('{"start_order": []}')
    several = command("search", *FEW, "--data", "iris", "--resume", "runs")
    assert several.exit_code == 2
    assert "--resume runs with runs/first, runs/second" in several.output.replace("\n", " ")
    shutil.rmtree(at / "runs" / "second")
    refused = command("search", "--data", "typo.csv", "--resume", "runs")
    assert "Found runs/first: 0 trials began" in refused.output
    assert sorted(os.listdir(at / "runs")) == ["first"]


@pytest.mark.parametrize("name", ["keras_acts.json", "oracle.json"])
def test_no_search_begins_inside_another(tmp_path, name):
    (tmp_path / name).write_text("{}")
    match = "must be the folder around those of searches: give its parent"
    with pytest.raises(SearchError, match=match):
        search_activations(mlp(), *blobs(60), directory=tmp_path, trials=2, epochs=1, verbose=0)
    objective = keras_tuner.Objective("val_loss", "min")
    with pytest.raises(SearchError, match=match):
        ActivationTuner(mlp(), objective=objective, max_trials=2, directory=tmp_path)
    assert os.listdir(tmp_path) == [name]
