"""The report of a real search, from the race to the file beside its export."""

import pytest

from keras_acts.search import compare_activations, search_activations
from tests.helpers.models import blobs, mlp
from tests.helpers.reports import Reader

pytestmark = pytest.mark.slow

X, Y = blobs(90)
TEST = blobs(60)


@pytest.fixture(scope="module")
def search():
    return search_activations(
        mlp(),
        X,
        Y,
        test_data=TEST,
        activations=["relu", "mish", "trelu"],
        trials=6,
        epochs=4,
        verdict=3,
        seed=0,
        verbose=0,
    )


def test_the_rounds_are_those_of_the_race(search):
    assert search.rounds
    assert search.rounds[-1].epochs == 4
    tried = {trial.rated for trial in search.trials}
    raced = {entrant.rated for a_round in search.rounds for entrant in a_round.entrants}
    # a rate at which the verdict judged is trained after the race
    assert raced <= tried
    last = {e.rated: e for e in search.rounds[-1].entrants}
    for trial in search.trials:
        if trial.rated in last and trial.seeds == search.rounds[-1].seeds:
            assert trial.score == pytest.approx(last[trial.rated].mean)
    for before, after in zip(search.rounds[:-1], search.rounds[1:], strict=True):
        going_on = {e.rated for e in before.entrants if e.fate == "goes on"}
        assert going_on == {e.rated for e in before.entrants} & {e.rated for e in after.entrants}


def test_where_nobody_left_nothing_is_said_of_a_race(search):
    assert len({(each.epochs, each.seeds) for each in search.rounds}) == 1
    assert {trial.status for trial in search.trials} == {"completed"}
    text = str(search)
    assert "a candidate: the best of many equal ones looks better" in text
    assert "race" not in text.lower()


def test_the_call_is_written_down(search):
    assert search.call.startswith(
        "search_activations(model, x, y, test_data=…, activations=['relu'"
    )
    assert "trials=6, epochs=4, verdict=3, verbose=0)" in search.call


def test_its_export_has_the_report(search, tmp_path):
    before = [weights.copy() for weights in search.model.get_weights()]
    made = search.export(tmp_path / "best")
    reader = Reader((made.path / "report.html").read_text(encoding="utf-8"))
    assert reader.wrong == []
    # on so small a model all have trained to their end
    for text in (
        "All trained to the end",
        "Learning rates",
        "The layers at work",
        "Use the model",
        search.call,
    ):
        assert text in reader.text
    assert str(search.verdict.suggested) in reader.text
    for one, other in zip(before, search.model.get_weights(), strict=True):
        assert (one == other).all()
    # it is one of the export's own files: another export may replace it
    search.export(tmp_path / "best", overwrite=True)


def test_a_comparison_has_one_too(tmp_path):
    verdict = compare_activations(
        mlp(), X, Y, ["relu", "mish"], test_data=TEST, seeds=2, epochs=2, verbose=0
    )
    assert verdict.call.startswith("compare_activations(model, x, y, ['relu', 'mish'], test_data=…")
    place = verdict.save_report(tmp_path / "report.html")
    reader = Reader(place.read_text(encoding="utf-8"))
    assert reader.wrong == []
    assert verdict.call in reader.text
