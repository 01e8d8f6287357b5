"""A comparison in a folder goes on after its process was killed, and only as what it was."""

import pytest

from keras_acts.errors import SearchError
from keras_acts.search import compare_activations
from keras_acts.search.runtime import pace
from keras_acts.search.status import status
from keras_acts.search.verdict import kept_seeds
from tests.helpers.crashes import Snapshots
from tests.helpers.models import blobs, mlp

# which files are read, and what trains again; tests/verdict/test_compare.py trains at any version
pytestmark = pytest.mark.once

X, Y = blobs(90)


def compared(folder, **options):
    arguments = {
        "seeds": 2,
        "epochs": 3,
        "learning_rates": None,
        "test_data": (X[60:], Y[60:]),
        "directory": folder,
        **options,
    }
    verdict = compare_activations(mlp(), X[:60], Y[:60], ["relu", "mish"], **arguments)
    scores = {name: values.tolist() for name, values in verdict.runs.history.items()}
    return verdict.sentence, scores, verdict.runs.test["accuracy"].tolist()


@pytest.fixture
def often(monkeypatch):
    """What trains is kept after each epoch."""
    monkeypatch.setattr(pace, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(pace, "SHARE", 1e9)


@pytest.mark.slow
def test_a_comparison_goes_on_and_is_never_another(monkeypatch, tmp_path, often, capsys):
    with monkeypatch.context() as patched:
        snapshots = Snapshots(patched, tmp_path / "runs", tmp_path / "snapshots")
        undisturbed = compared(tmp_path / "runs")
    training = [
        folder
        for folder in snapshots.taken
        if list(folder.glob(f"comparison/verdict/*{kept_seeds.TRAINING}"))
    ]
    capsys.readouterr()
    middle = training[len(training) // 2]
    assert compared(middle) == undisturbed
    assert "Going on from" in capsys.readouterr().err
    # all is known now, and nothing trains
    monkeypatch.setattr(kept_seeds.KeepingTrainer, "_keep", None)
    assert compared(middle) == undisturbed
    assert status(middle / "comparison") == [
        "a comparison of relu, mish: 2 seeds are trained, those of learning rates too"
    ]
    with pytest.raises(SearchError, match=r"Expected: epochs=3\. Received: epochs=4"):
        compared(middle, epochs=4)


@pytest.mark.slow
def test_a_comparison_goes_on_wherever_it_was_killed(monkeypatch, tmp_path, often):
    options = {"learning_rates": ["x2"], "seeds": 4}
    with monkeypatch.context() as patched:
        snapshots = Snapshots(patched, tmp_path / "runs", tmp_path / "snapshots")
        undisturbed = compared(tmp_path / "runs", **options)
    for folder in snapshots.taken[:: max(1, len(snapshots.taken) // 8)]:
        assert compared(folder, **options) == undisturbed, folder
    other = compared(tmp_path / "runs", epochs=2, overwrite=True)
    assert other == compared(tmp_path / "fresh", epochs=2)


def test_what_is_no_comparison_is_left_alone(tmp_path):
    (tmp_path / "comparison").mkdir()
    mine = tmp_path / "comparison" / "thesis.docx"
    mine.write_text("mine")
    with pytest.raises(SearchError, match="only the files of a search"):
        compared(tmp_path, overwrite=True)
    assert mine.read_text() == "mine"
    with pytest.raises(SearchError, match="project_name"):
        compared(tmp_path, project_name="..")
