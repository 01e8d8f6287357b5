"""`keras-acts list`, `show` and `slots`."""

import json

import numpy as np
import pytest

from keras_acts import names
from keras_acts.lookup import builtins
from tests.cli.test_cli import command
from tests.helpers.models import contents, mlp


def test_list_names_all_activations(tmp_path):
    done = command(tmp_path, "list")
    assert done.exit_code == 0, done.output
    rows = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
    assert set(names()) <= set(rows)
    assert ", ".join(builtins()) in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 300  # as wide as what is in it
    plain = json.loads(command(tmp_path, "list", "--json").stdout)
    assert [one["name"] for one in plain["activations"]] == list(names())
    assert plain["of_keras"] == list(builtins())


def test_show_tells_facts_and_draws_them(tmp_path):
    out = ["--out", "two.svg"]
    done = command(tmp_path, "show", "mish", "trelu(theta=0.5)", "gelu", *out)
    assert done.exit_code == 0, done.output
    for text in (
        "x * tanh(log(1 + exp(x)))",
        "trelu(alpha=0.0, theta=0.5)",
        "keras.activations.gelu",
        "Drawn in two.svg",
    ):
        assert text in done.stdout
    drawn = (tmp_path / "two.svg").read_text(encoding="utf-8")
    assert drawn.startswith("<svg")
    assert all(name in drawn for name in ("mish", "gelu"))
    before = contents(tmp_path)
    again = command(tmp_path, "show", "mish", *out)
    assert (again.exit_code, again.stdout) == (2, "")
    assert "--overwrite replaces it. Received: 'two.svg'" in again.stderr
    assert contents(tmp_path) == before
    assert command(tmp_path, "show", "relu", *out, "--overwrite").exit_code == 0
    assert contents(tmp_path) != before


def test_show_draws_a_png_where_matplotlib_is(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = command(tmp_path, "show", "mish", "--out", "mish.png")
    assert (done.exit_code, contents(tmp_path)) == (2, {})
    assert (
        'A .png needs matplotlib, a .svg does not: pip install "keras-acts[plots]"' in done.stderr
    )
    monkeypatch.undo()
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    done = command(tmp_path, "show", "mish", "--out", "mish.png")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "mish.png").read_bytes().startswith(b"\x89PNG")


def test_show_as_json_is_the_function(tmp_path):
    (plain,) = json.loads(command(tmp_path, "show", "tanh", "--json").stdout)
    np.testing.assert_allclose(plain["y"], np.tanh(plain["x"]), atol=1e-6)
    np.testing.assert_allclose(plain["derivative"], 1 - np.tanh(plain["x"]) ** 2, atol=1e-3)


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("show", "Missing argument 'ACTIVATIONS...'"),
        ("show mihs", "Unknown activation. Did you mean mish?"),
        ("show mish --out mish.txt", "--out must be a file of one of .svg, .png, .pdf"),
        ("show mish --out no/mish.svg", "--out must lie in a folder that exists"),
        ("show trelu(beta=1)", "unknown parameter. Expected: alpha, mode, theta"),
        ("show softmax --out softmax.svg", "Only functions of one number can be drawn"),
        ("slots nothere.keras", "MODEL must be a .keras file that exists"),
    ],
)
def test_bad_input_is_one_line(tmp_path, arguments, message):
    done = command(tmp_path, *arguments.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert contents(tmp_path) == {}


def test_slots_prints_the_places_of_a_model(tmp_path):
    mlp().save(tmp_path / "mine.keras")
    done = command(tmp_path, "slots", "mine.keras")
    assert done.exit_code == 0, done.output
    assert "2 of 3 are hidden: a search changes these." in done.stdout
    plain = json.loads(command(tmp_path, "slots", "mine.keras", "--json").stdout)
    assert [slot["role"] for slot in plain["slots"]] == ["hidden", "hidden", "output"]
