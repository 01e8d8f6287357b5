"""The page beside an export: of the search where it is from one, else of the model."""

import json
import os

import keras
import numpy as np
import pytest

from keras_acts.search import export
from keras_acts.search.exporting.page import page
from tests.helpers.models import mlp
from tests.helpers.reports import Reader


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "mine"
    return export(mlp(), folder, samples=np.zeros((4, 4), "float32"))


def test_an_export_has_a_page_that_is_one_of_its_files(exported):
    reader = Reader((exported.path / "report.html").read_text(encoding="utf-8"))
    assert reader.wrong == []
    assert "Ready to use." in reader.text
    assert f"folder = {str(exported.path)!r}" in reader.text
    for entry in exported.card["activations"]:
        assert entry["slot"] in reader.text
        assert entry["activation"] in reader.text
    marked = json.loads((exported.path / "keras_acts_files.json").read_text())
    assert "report.html" in marked["files"]


def test_an_export_replaces_its_own_page(exported):
    again = export(mlp(), exported.path, overwrite=True)
    assert (again.path / "report.html").is_file()


def test_a_page_of_its_own_stays(tmp_path):
    made = export(mlp(), tmp_path / "m", notes=lambda difference: {"report.html": "theirs"})
    assert (made.path / "report.html").read_text() == "theirs"


@pytest.mark.once
def test_what_a_card_says_is_text(exported):
    card = json.loads(json.dumps(exported.card))
    name = "<script>alert(1)</script>"
    card["name"] = name
    card["class_names"] = [name, "b"]
    card["activations"][0]["slot"] = name
    card["activations"][0]["parameters"] = {"mode": name, "alpha": 0.25}
    html = page(card, name).to_html()
    reader = Reader(html)
    assert reader.wrong == []
    assert "<script>alert" not in html
    assert reader.text.count(name) >= 4
    assert "alpha = 0.25" in reader.text
    assert keras.__version__ in reader.text


def test_a_page_that_fails_costs_no_export_and_says_so(tmp_path, monkeypatch):
    def fails(card, folder):
        raise ValueError("no page today")

    monkeypatch.setattr("keras_acts.search.exporting.page.page", fails)
    made = export(mlp(), tmp_path / "m")
    assert (made.path / "saved_model.pb").is_file()
    assert (made.path / "report.txt").read_text() == (
        "report.html could not be made: no page today.\n"
    )


def test_a_text_that_is_none_is_written_all_the_same(tmp_path):
    """A path may hold bytes that are no text, which Python keeps as lone surrogates."""
    odd = os.fsdecode(b"m\xff")
    made = export(mlp(), tmp_path / "m", notes=lambda difference: {"report.md": f"in {odd}"})
    assert (made.path / "report.md").read_text(encoding="utf-8") == "in m\\udcff"
