"""Searches that an earlier version, or another call, has begun: they go on as what they were, or not at all."""

import shutil
import zlib

import pytest

from keras_acts.errors import SearchError
from keras_acts.search import plan as plan_module
from keras_acts.search import search_activations
from keras_acts.search.race import planner
from keras_acts.search.race.journal import Journal
from keras_acts.search.race.planner import Job, PopulationCosts, kind_of
from keras_acts.search.runtime import costs
from keras_acts.search.strategy.rounds import Kind
from tests.helpers.models import blobs, mlp

# as what a search goes on; tests/race/test_race_goes_on.py goes on at any version
pytestmark = pytest.mark.once

X, Y = blobs(60)
# a model so small that it would not race, but for what is asked for
SMALL = {"activations": ["mish"], "trials": 2, "epochs": 2, "verdict": 0, "learning_rates": None}
# enough trials and epochs for a short race
LARGE = {"activations": None, "trials": 16, "epochs": 5}


def searched(folder, **options):
    arguments = {**SMALL, "verbose": 0, **options}
    return search_activations(mlp(), X, Y, batch_size=16, directory=folder, **arguments)


def rows(found):
    return [(str(t.rated), t.score, t.rank, t.status, t.epochs, t.seeds) for t in found.trials]


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """A race that is kept, and its folder."""
    folder = tmp_path_factory.mktemp("raced") / "runs"
    return searched(folder, strategy="race"), folder


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """A search in which all trained to their end, and its folder."""
    folder = tmp_path_factory.mktemp("together") / "runs"
    return searched(folder), folder


def of_earlier_version(folder, rounds):
    """Make of a kept race what an earlier version has left behind after so many rounds."""
    (project,) = folder.iterdir()
    file = project / "race.json"
    _, _, *records = file.read_text().splitlines()
    file.write_text("\n".join(["keras_acts race 1", *records[:rounds], ""]))
    return file


@pytest.mark.parametrize(
    "rounds", [pytest.param(0, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.slow), 2]
)
def test_a_race_of_an_earlier_version_goes_on_as_the_race_that_it_was(
    raced, tmp_path, rounds, capsys
):
    undisturbed, folder = raced
    assert kind_of(Journal(folder / "activations" / "race.json").plan) is Kind.RACE
    shutil.copytree(folder, tmp_path / "runs")
    of_earlier_version(tmp_path / "runs", rounds)
    resumed = searched(tmp_path / "runs", verbose=1)
    assert rows(resumed) == rows(undisturbed)
    assert "to the end" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_race_goes_on_whose_rounds_ended_elsewhere_in_an_earlier_version(tmp_path):
    """No candidate is at fault that the lengths were others."""
    searched(tmp_path, strategy="race", epochs=5)
    file = of_earlier_version(tmp_path, 1)
    title, line = file.read_text().splitlines()
    text = line.partition(" ")[2].replace('"epochs": 2', '"epochs": 1')
    assert Journal(file).ends() == {2}
    file.write_text(f"{title}\n{zlib.crc32(text.encode()):08x} {text}\n")
    assert Journal(file).ends() == {1}
    resumed = searched(tmp_path, epochs=5)
    assert {trial.status for trial in resumed.trials} == {"completed"}
    assert {trial.epochs for trial in resumed.trials} == {5}


def test_a_search_that_was_no_race_does_not_become_one(together, tmp_path, capsys):
    found, folder = together
    assert kind_of(Journal(folder / "activations" / "race.json").plan) is Kind.TOGETHER
    shutil.copytree(folder, tmp_path / "runs")
    with pytest.raises(SearchError, match="goes on with the settings it began with") as refused:
        searched(tmp_path / "runs", strategy="race")
    assert "Received: strategy='race'" in str(refused.value)
    assert found.compares_all
    again = searched(tmp_path / "runs", verbose=1)
    assert rows(again) == rows(found)
    said = capsys.readouterr().err
    # what has begun cannot be made a race by advice
    assert "All candidates train to the end" in said
    assert "strategy 'race' races anyway" not in said
    stays = "The rounds are those that were planned when the search began"
    assert stays not in said
    timed = searched(tmp_path / "runs", verbose=1, max_seconds=1000)
    assert rows(timed) == rows(found)
    assert stays in capsys.readouterr().err


@pytest.mark.slow
def test_a_race_in_which_nobody_can_leave_is_none_instead_of_a_race(tmp_path, capsys):
    """Of one epoch: it is what was asked for, and goes on when it is asked for again."""
    options = {"strategy": "race", "epochs": 1, "verbose": 1}
    found = searched(tmp_path, **options)
    assert rows(searched(tmp_path, **options)) == rows(found)
    assert "to the end" not in capsys.readouterr().err


def test_with_one_trial_another_activation_races_with_the_baseline(tmp_path, capsys):
    found = searched(tmp_path, trials=1, verbose=1)
    assert {str(trial.candidate) for trial in found.trials} == {"relu", "mish"}
    assert "Training up to 2 candidates on" in capsys.readouterr().err


def test_the_baseline_alone_is_no_plan():
    tiny = PopulationCosts(program=1.2, start=0.03, step=0.002, member=0.0, steps=5)
    assert planner.plan(Job(1, 10, 10, 9), tiny).kind is Kind.RACE


@pytest.mark.slow
def test_a_short_race_says_what_it_does_and_its_winner_has_trained_to_the_end(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(costs, "PRODUCTS_A_SECOND", 1e3)  # as if the model were large
    found = searched(tmp_path, **LARGE, verbose=1)
    said = " ".join(capsys.readouterr().err.split())
    assert "16 candidates train 3 of 5 epochs, and the best 8 of them and relu go on" in said
    assert "strategy 'random' trains all to the end" in said
    assert found.kind is Kind.RACE
    assert sorted(trial.epochs for trial in found.trials) == [3] * 7 + [5] * 9
    assert {trial.epochs for trial in found.trials if trial.candidate == found.best} == {5}
    assert "trains the best of the one before further. " in found.to_html()  # not on more seeds
    again = searched(tmp_path, **LARGE, verbose=1)
    assert rows(again) == rows(found)
    said = " ".join(capsys.readouterr().err.split())
    assert "16 candidates train 3 of 5 epochs" in said
    assert "strategy 'random'" not in said
    assert "The rounds are those that were planned" not in said


@pytest.mark.slow
def test_a_search_planned_by_an_earlier_version_goes_on_as_it_was(tmp_path, capsys, monkeypatch):
    """Which knew no short race, and let a large model race as a whole."""
    monkeypatch.setattr(costs, "PRODUCTS_A_SECOND", 1e3)
    whole = planner.Planned(Kind.RACE, planner.race(Job(16, 5, 80, 9)), seconds=0.0, regret=0.16)
    with monkeypatch.context() as earlier:
        earlier.setattr(plan_module, "plan_rungs", lambda job, costs, limit: whole)
        undisturbed = searched(tmp_path, **LARGE)
    file = tmp_path / "activations" / "race.json"
    assert Journal(file).plan == whole.rungs
    title, planned, *records = file.read_text().splitlines()
    file.write_text("\n".join([title, planned, *records[:1], ""]))
    resumed = searched(tmp_path, **LARGE, verbose=1)
    assert rows(resumed) == rows(undisturbed)
    assert Journal(file).plan == whole.rungs
    assert "The rounds are those that were planned" in capsys.readouterr().err
