"""`--resume`, `status`, and signals: what a search has found is never lost."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from keras_acts.search.tuner.tuner import ActivationTuner
from keras_acts_cli import main
from tests.helpers.processes import ROOT

# what is asked of the command line and what it says; tests/cli/test_cli.py searches and exports
# at any version
pytestmark = pytest.mark.once

FEW = ["--data", "iris", "--trials", "2", "--epochs", "1", "--verdict", "0"]
FEW += ["--activations", "relu,leaky_relu", "--learning-rates", "none"]


def command(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture
def at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def kept_search(tmp_path_factory):
    """A folder in which a search is kept, for tests that go on with a copy of it."""
    folder = tmp_path_factory.mktemp("kept")
    options = [*FEW, "--activations", "relu,leaky_relu,elu,mish", "--strategy", "random"]
    with contextlib.chdir(folder):
        done = command("search", *options, "--resume", "here")
    assert done.exit_code == 0, done.output
    return folder / "here"


@pytest.fixture
def here(at, kept_search):
    """The folder of the test, with a kept search in `here`."""
    shutil.copytree(kept_search, at / "here")
    return at


@pytest.mark.parametrize("strategy", ["random", pytest.param("race", marks=pytest.mark.slow)])
def test_a_search_begins_in_its_folder_and_goes_on_there_with_its_options(at, strategy):
    begun = command("search", *FEW, "--strategy", strategy, "--resume", "here", "--json")
    assert begun.exit_code == 0, begun.output
    assert "Nothing is kept in here yet: the search begins there" in begun.stderr
    # without any option it is the same search, whose trials are known
    again = command("search", "--resume", "here", "--json", "--overwrite")
    assert again.exit_code == 0, again.output
    assert "Found here/activations: " in again.stderr
    assert "nothing is left of it" in again.stderr.replace("\n", " ")
    tables = [json.loads(run.stdout)["trials"] for run in (begun, again)]
    assert [t["score"] for t in tables[0]] == [t["score"] for t in tables[1]]
    told = command("status", "here")
    assert told.exit_code == 0
    assert re.search(r"^here/activations\n  ", told.stdout)
    assert "relu" in told.stdout


def test_other_options_are_refused_and_more_trials_are_not(here):
    other = command("search", "--resume", "here", "--epochs", "2", "--overwrite")
    assert other.exit_code == 2
    assert "Expected: --epochs 1. Received: --epochs 2" in other.output.replace("\n", " ")
    told = command("status", "here")
    assert "2 trials began: 2 completed" in told.stdout
    assert "nothing is left of it" in told.stdout
    damaged = here / "here" / "activations" / "keras_acts_command.json"
    damaged.write_text(damaged.read_text().replace("random", "race"))
    refused = command("search", "--resume", "here", "--overwrite")
    assert refused.exit_code == 2
    assert "keras_acts_command.json: it does not agree with its checksum" in refused.output
    both = command("search", "--resume", "here", "--directory", "there")
    assert both.exit_code == 2
    assert "give one of --resume, --directory, --restart" in both.output


def test_what_holds_no_search_has_no_status(at):
    told = command("status", at)
    assert told.exit_code == 2
    assert "must hold a kept search" in told.output


def test_an_interrupted_search_shows_what_it_has_and_says_so_by_its_exit_code(at, monkeypatch):
    def interrupting(self, trial, model, epoch, logs=None):
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(ActivationTuner, "on_epoch_begin", interrupting)
        options = [*FEW, "--epochs", "2", "--strategy", "random", "--resume", "here", "--json"]
        done = command("search", *options)
    assert done.exit_code == 128 + signal.SIGTERM
    found = json.loads(done.stdout)
    assert {t["status"] for t in found["trials"]} == {"stopped"}
    told = command("status", "here")
    assert "2 trials began: 2 running" in told.stdout
    assert "left: 2 trials" in told.stdout
    again = command("search", "--resume", "here", "--json", "--overwrite")
    assert again.exit_code == 0
    assert {t["status"] for t in json.loads(again.stdout)["trials"]} == {"completed"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_process_with_its_result(at, number):
    options = [*FEW, "--epochs", "500", "--strategy", "race", "--resume", "here", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = []
    with subprocess.Popen(
        [sys.executable, "-m", "keras_acts_cli", "search", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=at,
    ) as process:
        for line in process.stderr:
            said.append(line)
            # a first round is over: there is something to show
            if line.startswith("round 1/"):
                process.send_signal(number)
                break
        out, rest = process.communicate()
    said.append(rest)
    assert process.returncode == 128 + number, "".join(said)
    assert json.loads(out)["interrupted"]
    assert "Traceback" not in "".join(said)
