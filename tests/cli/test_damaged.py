"""`keras-acts predict` on an export that is not whole: one line, exit code 2, no traceback."""

import json
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_acts.errors import ExportError
from keras_acts.search import export, load
from keras_acts.search.exporting.folder import FILE, TEXT, read_card
from keras_acts.search.runtime.ownership import MARKER
from tests.cli.test_cli import command, csv
from tests.helpers.models import blobs, contents, mlp
from tests.helpers.processes import ROOT

# what is asked of the command line and what it says; tests/cli/test_cli.py searches and exports
# at any version
pytestmark = pytest.mark.once

FEATURES = ["f0", "f1", "f2", "f3"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An export with a card of columns and classes, and a table to predict."""
    folder = tmp_path_factory.mktemp("whole")
    x, y = blobs(20)
    card = {"features": FEATURES, "target": {"name": "pet"}}
    export(mlp(), folder / "model", samples=x, class_names=["ant", "bee", "cat"], card=card)
    csv(folder / "data.csv", x, y)
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of all that, to be damaged."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    return tmp_path


def predict(folder):
    return command(folder, "predict", "model", "data.csv")


def refused(done):
    """The one line with which a prediction is refused."""
    assert (done.exit_code, done.stdout) == (2, ""), done.exception
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    assert "Received: " in line
    assert len(line) < 2000
    return line


def emptied(path):
    path.write_bytes(b"")


def halved(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def deleted(path):
    path.unlink()


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


def a_folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = [emptied, halved, deleted, flipped, a_folder]
NEEDED = [
    "saved_model.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
    "assets/model_card.json",
]


def test_a_whole_one_predicts(copy):
    done = predict(copy)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == "label,output.ant,output.bee,output.cat"


# a card may be edited: see the tests of its entries
DAMAGED = [(name, damage) for name in NEEDED[:3] for damage in DAMAGES]
DAMAGED += [("assets/model_card.json", damage) for damage in DAMAGES if damage is not flipped]


@pytest.mark.parametrize(("name", "damage"), DAMAGED)
def test_a_damaged_file_is_named(copy, name, damage):
    damage(copy / "model" / name)
    before = contents(copy)
    line = refused(predict(copy))
    folder = name if name.startswith("assets") else "model"
    assert name in line or (damage in (deleted, a_folder) and folder in line)
    assert contents(copy) == before


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [*NEEDED, "fingerprint.pb", "assets/MODEL_CARD.md", MARKER])
@pytest.mark.parametrize("listed", [True, False])
def test_no_damage_is_a_traceback(copy, name, damage, listed):
    whole = predict(copy).stdout
    if not listed:  # as an older version wrote it: only TensorFlow can find what is wrong
        (copy / "model" / MARKER).write_text(json.dumps({"files": []}))
    damage(copy / "model" / name)
    done = predict(copy)
    if done.exit_code:
        refused(done)
    elif listed:  # what is said must be what the model says
        assert done.stdout == whole


def _paths(data, path=()):
    yield path
    items = []
    if isinstance(data, dict):
        items = list(data.items())
    if isinstance(data, list):
        items = list(enumerate(data))
    for key, value in items:
        yield from _paths(value, (*path, key))


VALUES: list[object] = [
    None,
    5,
    -1,
    10**400,
    0.5,
    True,
    "x",
    "",
    [],
    [1],
    {},
    {"a": 1},
    [[]],
    "float32",
    10**9,
]


def test_a_card_of_the_wrong_kind_anywhere_is_refused_or_changes_nothing(copy):
    """Each entry of the card replaced by values of each kind; no model is loaded for it."""
    file = copy / "model" / FILE
    text = file.read_text(encoding="utf-8")
    accepted = []
    messages = []
    for path in _paths(json.loads(text)):
        for value in VALUES:
            data = {"": json.loads(text)}
            keys = ["", *path]
            place = data
            for key in keys[:-1]:
                place = place[key]
            place[keys[-1]] = value
            file.write_text(json.dumps(data[""]), encoding="utf-8")
            try:
                card = read_card(copy / "model")
            except ExportError as error:
                messages.append(str(error))
                continue
            accepted.append(card)
    assert all(str(file) in message and "\n" not in message for message in messages)
    # what the predictions rely on
    assert all(card["signatures"]["serving_default"]["inputs"] for card in accepted)
    assert len(accepted) > 0
    assert len(messages) > 0


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("format",), True, "format must be an integer from 1 to 1. Received: True"),
        (("signatures",), [], "signatures must be an object. Received: []"),
        (("signatures", "serving_default"), None, "signatures.serving_default must be an object"),
        (("signatures", "serving_default", "inputs"), {}, "inputs must have tensors"),
        (
            ("signatures", "serving_default", "inputs", "input", "dtype"),
            "os.system",
            "serving_default.inputs.input.dtype must be the name of a dtype. Received: 'os.system'",
        ),
        (("signatures", "classify", "inputs", "input", "shape"), [None, -4], "from 0 to"),
        (("signatures", "classify", "inputs", "input", "shape"), [None, 5], "in the card"),
        (("signatures", "classify", "inputs", "input", "dtype"), "int32", "in the card"),
        (("signatures", "other"), {"inputs": {}, "outputs": {}}, "inputs must have tensors"),
        (("class_names",), [1, 2, 3], "class_names must be a list of texts"),
        (("features",), "f0", "features must be a list of different names of columns"),
        (("features",), ["f0", "f0"], "features must be a list of different names of columns"),
        (("features",), ["f0"], "A row must have 4 values. Received: 1 in 'data.csv'"),
    ],
)
def test_an_entry_of_the_wrong_kind_is_named(copy, path, value, said):
    file = copy / "model" / FILE
    data = json.loads(file.read_text(encoding="utf-8"))
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    file.write_text(json.dumps(data), encoding="utf-8")
    assert said in refused(predict(copy))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be readable"),
        ("null", "the card must be an object. Received: None"),
        ("[1]", "the card must be an object"),
        ("[" * 100_000, "must be readable"),
        ('{"format": ' + "9" * 5000 + "}", "must be readable"),
        ('{"format": NaN}', "NaN is no JSON"),
        ('{"format": 1, "more": ' + "[" * 40 + "]" * 40 + "}", "at most 32 levels deep"),
        ("\xff", "must be readable"),
    ],
)
def test_a_card_that_is_none_is_refused(copy, text, said):
    (copy / "model" / FILE).write_bytes(text.encode("latin-1"))
    assert said in refused(predict(copy))


def test_a_card_of_too_many_bytes_is_not_read(copy):
    with (copy / "model" / FILE).open("r+b") as file:
        file.truncate(100 * 2**20)  # of zeros, which take no room
    assert "104,857,600 bytes, more than 67,108,864" in refused(predict(copy))


def test_notes_and_cards_may_be_edited(copy):
    (copy / "model" / TEXT).write_text("# Mine", encoding="utf-8")
    file = copy / "model" / FILE
    data = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**data, "license": "CC-BY-4.0"}), encoding="utf-8")
    assert predict(copy).exit_code == 0
    assert load(copy / "model").card["license"] == "CC-BY-4.0"


@pytest.mark.parametrize(
    "card",
    [
        {"name": 5},
        {"deep": json.loads("[" * 40 + "]" * 40)},
        {"long": "x" * (40 * 2**20)},
    ],
    ids=["name", "deep", "long"],
)
def test_no_card_is_written_that_cannot_be_read_again(tmp_path, card):
    with pytest.raises(ExportError, match="card must be one that can be read again"):
        export(mlp(), tmp_path / "model", card=card)
    assert os.listdir(tmp_path) == []


def test_an_input_of_any_width(tmp_path):
    inputs = keras.Input(batch_shape=(None, None), name="x")
    model = keras.Model(inputs, keras.layers.Rescaling(2.0)(inputs))
    loaded = load(export(model, tmp_path / "model", samples=np.ones((2, 3))).path)
    assert next(iter(loaded.predict(np.ones((3, 2))).values())).shape == (3, 2)


@pytest.mark.slow
def test_a_real_process_says_one_line_too(copy):
    flipped(copy / "model" / "saved_model.pb")
    (copy / "model" / MARKER).unlink()
    halved(copy / "model" / "variables" / "variables.index")
    done = subprocess.run(
        [sys.executable, "-m", "keras_acts_cli", "predict", "model", "data.csv"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "must be one that TensorFlow can load" in done.stderr
