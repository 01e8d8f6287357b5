"""The report as HTML: what it says first, its numbers, its sections, and that it is one whole file."""

import dataclasses
import itertools
import re

import keras
import numpy as np
import pytest

from keras_acts.errors import DataError
from keras_acts.search import pages
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.verdict import pages as of_verdict
from keras_acts.search.verdict.answer import answer
from keras_acts.search.verdict.judge import judge
from keras_acts.search.verdict.verdict import Guess
from tests.helpers.reports import NAMES, Reader, result, verdict

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def found():
    return verdict(rates=True)


@pytest.fixture(scope="module")
def search(found):
    return result(found)


@pytest.fixture(scope="module")
def page(search):
    return pages.page(search, "saved_models/mine", 1e-7).to_html()


def test_the_answer_comes_first_and_in_plain_words():
    told = answer(verdict())
    assert told.headline == "Use relu."
    assert told.certainty == "open"
    assert re.fullmatch(
        r"mish is too close to call: this test notices differences of about 0\.\d+ points or more\.",
        told.reasons[0],
    )
    assert told.reasons[1] == f"'{NAMES[2]}' is clearly worse than relu."


def test_a_winner_is_said_with_its_margin():
    found = verdict((0.90, 0.95, 0.90))
    told = answer(found)
    assert told.headline == "Use mish."
    assert told.certainty == "sure"
    assert told.certainty_words == "Shown by a test on 8 fresh seeds"
    assert told.reasons[0].startswith("It beats relu by 5.0")
    assert "points, on average over 8 fresh seeds" in told.reasons[0]
    assert told.steps[0] == "Put mish into your model."


def test_a_loss_that_is_less_is_better():
    told = answer(verdict((2.0, 1.0, 3.0), metric="loss", maximize=False, sd=0.05))
    assert told.headline == "Use mish."
    assert told.reasons[0].startswith("It beats relu by 1.0")
    assert "of loss" in told.reasons[0]


def test_ties_are_said():
    told = answer(verdict((0.90, 0.95, 0.951)))
    assert told.certainty == "sure"
    assert "too close to call" in told.reasons[0]


def test_too_few_seeds_are_said():
    found = verdict((0.93, 0.94, 0.929), seeds=2)
    assert found.undecided
    told = answer(found)
    assert told.headline.endswith("for now.")
    assert "too few seeds" in told.certainty_words
    assert told.reasons[0].startswith("mish is ahead of relu by ")
    assert "power" not in told.reasons[0]


def test_all_worse_is_as_sure_as_a_winner():
    told = answer(verdict((0.95, 0.90, 0.91)))
    assert told.headline == "Use relu."
    assert told.certainty == "sure"


def test_a_withheld_verdict_is_no_answer():
    told = answer(dataclasses.replace(verdict(), withheld="no verdict: nothing was measured"))
    assert told.headline == "No answer yet."
    assert told.certainty == "none"
    page = of_verdict.page(
        dataclasses.replace(verdict(), against_baseline=(), withheld="no verdict: x")
    )
    assert not Reader(page.to_html()).wrong


def test_without_a_verdict_a_ranking_is_called_one():
    told = pages.answer(result(None))
    assert told.headline == "relu ranked first."
    assert told.certainty_words == "Not tested"
    assert "does not prove" in told.reasons[1]
    assert "validation accuracy is 94.50 %" in told.reasons[0]
    losses = result(None, objective="val_loss", direction="min")
    assert "validation loss is 0.945" in pages.answer(losses).reasons[0]


def test_the_page_is_well_formed_and_needs_nothing_else(page):
    reader = Reader(page)
    assert reader.wrong == []
    # but for the name of what SVG is, nothing has an address
    assert set(re.findall(r"https?://[^\"' <]+", page)) == {"http://www.w3.org/2000/svg"}
    assert not reader.of("img")
    assert not [tag for tag in reader.of("script") if "src" in tag]
    assert [link["href"] for link in reader.of("link")] == ["data:,"]
    assert not re.search(r"@import|url\((?!#)", page)


def test_the_page_has_every_section(page, search):
    headings = [section.heading for section in pages.page(search).sections]
    for heading in (
        "How sure that is",
        "How they learned",
        "Learning rates",
        "The race",
        "The functions",
        "Parameters that were searched",
        "What failed",
        "All that was tried",
        "Where this comes from",
        "Statistics",
    ):
        assert heading in headings
        assert heading in Reader(page).text
    assert "What to do next" in Reader(page).text
    assert "search_activations(model, x, y, trials=6)" in Reader(page).text
    assert "folder = 'saved_models/mine' # the folder that this report lies in" in Reader(page).text


def test_the_numbers_are_the_verdicts(page, found):
    text = Reader(page).text
    for scored in found.candidates:
        assert f"{100 * scored.mean:.2f}" in text
        assert f"{100 * scored.sd:.2f}" in text
    for comparison in found.against_baseline:
        assert f"{100 * abs(comparison.difference):.1f}" in text
    assert all(str(seed) in text for seed in found.runs.seeds)


def test_it_can_be_read_aloud(page):
    reader = Reader(page)
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert reader.of("html")[0]["lang"] == "en"
    assert all(cell["scope"] in ("col", "row") for cell in reader.of("th"))
    assert len(reader.of("caption")) == len(reader.of("table"))
    pictures = reader.of("svg")
    assert pictures
    assert all(picture["role"] == "img" for picture in pictures)
    # each picture begins with its title
    follows = [reader.tags[i + 1][0] for i, (tag, _) in enumerate(reader.tags) if tag == "svg"]
    assert set(follows) == {"title"}
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_names_of_users_are_text_and_nothing_else():
    name = '<script>alert("x")</script> & co'
    found = verdict(names=("relu", name, "elu"))
    html = of_verdict.page(found).to_html()
    reader = Reader(html)
    assert reader.wrong == []
    assert len(reader.of("script")) == 1  # our own
    assert "<script>alert" not in html
    assert name in reader.text
    for drawn in of_verdict.page(found).pictures().values():
        assert "<script>alert" not in drawn
    trials = list(result(found).trials)
    trials[0] = dataclasses.replace(trials[0], candidate=Candidate(name))
    failed = "<img src=x onerror=alert(1)>"
    trials[-1] = dataclasses.replace(trials[-1], message=failed)
    made = pages.page(result(found, trials=tuple(trials), call=name), name, 0.0).to_html()
    reader = Reader(made)
    assert reader.wrong == []
    assert not reader.of("img")
    assert failed in reader.text
    assert "<script>alert" not in made
    assert "<script>" not in found._repr_html_()


def test_pictures_are_files_that_stand_alone(search):
    files = pages.page(search).pictures()
    assert set(files) == {
        "functions.svg",
        *("differences.svg", "curves.svg", "learning-rates.svg", "race.svg", "parameters.svg"),
    }
    for drawn in files.values():
        assert drawn.startswith("<svg")
        assert "prefers-color-scheme: dark" in drawn
        assert not Reader(drawn).wrong


def test_a_regression_has_rmse_and_r2():
    found = verdict((4.0, 4.1, 4.2), metric="mse", maximize=False, sd=0.2)
    tiles = {what: value for value, what in of_verdict.figures(found)}
    assert tiles["RMSE, the root of the mean squared error"] == "2"
    assert "R², the share that is explained" not in tiles
    known = dataclasses.replace(found, guess=Guess(16.0, "always the mean of the targets"))
    tiles = {what: value for value, what in of_verdict.figures(known)}
    assert tiles["R², the share that is explained"] == "0.75"
    # another constant is no R²
    other = dataclasses.replace(found, guess=Guess(16.0, "always the median of the targets"))
    assert not any("R²" in what for _, what in of_verdict.figures(other))


@pytest.mark.parametrize(
    ("compiled", "is_rmse"),
    [
        ({"loss": "mse"}, True),
        ({"loss": keras.losses.MeanSquaredError()}, True),
        ({"loss": keras.losses.Huber()}, False),
        ({"loss": "mae"}, False),
        ({"loss": "mse", "loss_weights": [2.0]}, False),
    ],
)
def test_a_loss_is_a_squared_error_only_where_the_model_says_so(compiled, is_rmse):
    found = verdict((4.0, 4.1, 4.2), metric="loss", maximize=False, sd=0.2)
    # for Huber's loss too the mean may be the best constant
    found = dataclasses.replace(found, guess=Guess(16.0, "always the mean of the targets"))
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", **compiled)
    losses = {"objective": "val_loss", "direction": "min", "test": {"loss": 4.0}, "model": model}
    shown = pages.figures(result(found, **losses))
    assert any("RMSE" in what for _, what in shown) == is_rmse
    if is_rmse:
        assert ("2", "RMSE, the root of the mean squared error") in shown
        assert ("0.75", "R², the share that is explained") in shown
    # penalties are part of the loss: what guessing has is not known then
    unknown = dataclasses.replace(found, guess=None)
    assert not any("RMSE" in what for _, what in pages.figures(result(unknown, **losses)))


def test_a_report_is_written_whole_or_not_at_all(tmp_path, found):
    place = tmp_path / "report.html"
    assert found.save_report(place) == place
    first = place.read_text(encoding="utf-8")
    assert first.startswith("<!DOCTYPE html>")
    found.save_report(place)  # replaced
    # a path may hold bytes that are no text, which Python keeps as lone surrogates
    result(found, call="search m\udcff").save_report(place)
    assert "search m\\udcff" in place.read_text(encoding="utf-8")
    with pytest.raises(DataError, match="needs a file that can be written"):
        found.save_report(tmp_path)
    with pytest.raises(DataError, match="needs a file that can be written"):
        found.save_report(tmp_path / "missing" / "report.html")
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_notebooks_show_the_answer_and_a_table(found, search):
    for shown in (found._repr_html_(), search._repr_html_()):
        reader = Reader(shown)
        assert reader.wrong == []
        assert reader.text.startswith("Use relu")
        assert "mish" in reader.text
        assert reader.of("table")


def test_all_that_failed_is_said(search):
    made = pages.page(result(search.verdict, errors={"finish": "ValueError: no room"}))
    text = Reader(made.to_html()).text
    assert "tanh: diverged: the loss or val_accuracy is not finite" in text
    assert "finish: ValueError: no room" in text


def test_a_dot_without_an_interval_is_explained(found):
    explained = "A dot without a line: a training of one of the two failed"
    assert explained not in Reader(of_verdict.page(found).to_html()).text
    rng = np.random.default_rng(0)
    scores = {"relu": 0.9 + 0.005 * rng.normal(size=16), "mish": 0.95 + 0.005 * rng.normal(size=16)}
    scores["relu"][2] = np.nan
    text = Reader(of_verdict.page(judge(scores)).to_html()).text
    assert explained in text
    assert "better on 16 of 16 seeds" in text


def test_a_page_that_fails_costs_no_export_of_a_search(search, monkeypatch):
    def fails(*arguments):
        raise ValueError("no page today")

    monkeypatch.setattr(pages, "page", fails)
    notes = search._notes("anywhere", 1e-7)
    assert "report.html could not be made: no page today." in notes["report.md"]
    assert "verdict.csv" in notes
    assert "report.html" not in notes


def test_an_export_has_the_pictures_beside_the_text(search):
    notes = search._notes("anywhere", 1e-7)
    pictures = {name for name in notes if name.endswith(".svg")}
    assert "report-race.svg" in pictures
    assert all(f"]({name})" in notes["report.md"] for name in pictures)
    assert "anywhere" in notes["report.html"]
