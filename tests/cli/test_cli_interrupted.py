"""A signal after the training: what the search has found is shown, and its model kept."""

import json
import os
import signal

import keras
import pytest

from keras_acts.search import SearchResult, Verdict
from keras_acts.search.exporting import atomic, savedmodel
from keras_acts_cli import data as datasets
from tests.cli.test_cli import IRIS, command, run, scores
from tests.exporting.test_staging import exported

# what is asked of the command line and what it says; tests/cli/test_cli.py searches and exports
# at any version
pytestmark = pytest.mark.once

ENDED = 128 + signal.SIGTERM


def end_process(*_, **__):
    os.kill(os.getpid(), signal.SIGTERM)
    raise AssertionError("the signal is taken at once")


def test_a_signal_during_the_export_shows_the_result_and_keeps_the_model(tmp_path, monkeypatch):
    monkeypatch.setattr(savedmodel, "write", end_process)
    done = run(tmp_path, *IRIS, "2")
    assert done.exit_code == ENDED
    plain = json.loads(done.stdout)
    assert plain["export"] is None
    assert len(scores(plain)) == 2
    assert "there is no result" not in done.stderr
    assert "The export was interrupted. The trained model is kept in" in done.stderr
    (kept,) = (tmp_path / "saved_models").glob("iris-mlp-*/model.keras")
    x, y = datasets.load("iris").split(0).test
    found = keras.models.load_model(kept).evaluate(x, y, verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx(plain["test"]["accuracy"])


@pytest.mark.slow
def test_a_signal_while_an_export_is_replaced_says_where_the_new_one_is(tmp_path, monkeypatch):
    place = exported(tmp_path / "saved_models" / "iris-mlp", "old")
    swap = atomic.exchange

    def swapped(one, other):
        swap(one, other)
        monkeypatch.setattr(atomic, "check_replaceable", end_process)
        return True

    monkeypatch.setattr(atomic, "exchange", swapped)
    done = run(tmp_path, *IRIS, "2", "--overwrite")
    assert done.exit_code == ENDED
    assert len(scores(json.loads(done.stdout))) == 2
    assert (place / "saved_model.pb").read_text() == "old"
    beside = place.with_name("iris-mlp-2")
    assert (beside / "report.html").is_file()
    said = done.stderr.replace("\n", "")
    assert f"The finished export is kept in {str(beside)!r}" in said


@pytest.mark.slow
@pytest.mark.parametrize("failing", [BrokenPipeError("nobody reads"), KeyboardInterrupt()])
def test_the_model_is_kept_also_where_the_result_cannot_be_shown(tmp_path, monkeypatch, failing):
    def fails(*_):
        raise failing

    monkeypatch.setattr(savedmodel, "write", end_process)
    monkeypatch.setattr(SearchResult, "to_dict", fails)
    done = run(tmp_path, *IRIS, "2")
    assert len(list((tmp_path / "saved_models").glob("iris-mlp-*/model.keras"))) == 1
    assert "The trained model is kept in" in done.stderr


def test_a_signal_after_the_export_says_that_it_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_acts_cli.run._print_json", end_process)
    done = run(tmp_path, *IRIS, "2")
    assert done.exit_code == ENDED
    assert "the search is over, and exported to saved_models/iris-mlp" in done.stderr
    assert "there is no result" not in done.stderr
    assert (tmp_path / "saved_models" / "iris-mlp" / "report.html").is_file()


def test_a_signal_before_there_is_a_result_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "load", end_process)
    done = run(tmp_path, *IRIS, "2")
    assert done.exit_code == ENDED
    assert "Interrupted: there is no result." in done.stderr


def test_a_signal_after_a_comparison_says_what_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(Verdict, "save_report", end_process)
    (tmp_path / "runs.csv").write_text("of another comparison")
    options = ["--data", "iris", "--activations", "relu,leaky_relu", "--seeds", "2"]
    options += ["--epochs", "1", "--learning-rates", "none", "--json", "--overwrite"]
    done = command(tmp_path, "compare", *options, "--csv", "runs.csv", "--report", "r.html")
    assert done.exit_code == ENDED
    assert json.loads(done.stdout)["sentence"]
    assert "Interrupted: not written is r.html." in done.stderr
    assert "there is no result" not in done.stderr
    assert (tmp_path / "runs.csv").read_text().count("\n") == 2 * 2 + 1
    assert sorted(os.listdir(tmp_path)) == ["runs.csv"]
