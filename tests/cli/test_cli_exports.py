"""`keras-acts export` and `keras-acts predict`."""

import csv as csv_module
import io
import json
import os

import keras
import numpy as np
import pytest

from keras_acts.errors import DataError
from keras_acts.search import export, load
from keras_acts.search.exporting.values import misfit
from keras_acts_cli.exports import _table
from keras_acts_cli.files import read_inputs
from tests.cli.test_cli import command, csv, run
from tests.helpers.models import blobs, contents, mlp

SMALL = [
    "--strategy",
    "random",
    "--trials",
    "1",
    "--epochs",
    "1",
    "--verdict",
    "0",
    "--activations",
    "prelu",
]


def rows(text):
    return list(csv_module.DictReader(io.StringIO(text)))


@pytest.mark.once
def test_a_column_that_the_model_takes_is_there_once(tmp_path):
    (tmp_path / "t.csv").write_text(",a,b,b\n0,1,2,3\n")
    x, names = read_inputs(tmp_path / "t.csv", ["a"])
    assert (x.tolist(), names) == ([[1.0]], ("a",))
    with pytest.raises(DataError, match="a name of its own for each column, not 'b' 2 times"):
        read_inputs(tmp_path / "t.csv", ["a", "b"])


@pytest.mark.slow
def test_a_search_on_a_table_predicts_its_rows_by_the_names_of_its_columns(tmp_path):
    x, y = blobs()
    data = csv(tmp_path / "pets.csv", x, np.array(["ant", "bee", "cat"])[y])
    mlp().save(tmp_path / "mine.keras")
    done = run(tmp_path, "--data", data, "--model", "mine.keras", *SMALL)
    assert done.exit_code == 0, done.output
    model = "saved_models/pets-mine"
    assert (tmp_path / model / "saved_model.pb").is_file()
    card = json.loads((tmp_path / model / "assets" / "model_card.json").read_text())
    assert card["features"] == ["f0", "f1", "f2", "f3"]
    assert card["metrics"]["test (looked at once)"]["accuracy"]["method"] == "Wilson"
    assert card["class_names"] == ["ant", "bee", "cat"]
    found = rows(command(tmp_path, "predict", model, data).stdout)
    assert found[0].keys() == {"label", "output.ant", "output.bee", "output.cat"}
    for row in found:
        assert row["label"] == max(
            ("ant", "bee", "cat"), key=lambda name: float(row[f"output.{name}"])
        )
    # columns in another order, with others between, without labels
    lines = ["f3,more,f0,f1,f2", *(f"{r[3]:.4f},7,{r[0]:.4f},{r[1]:.4f},{r[2]:.4f}" for r in x)]
    (tmp_path / "other.csv").write_text("\n".join(lines) + "\n")
    assert command(tmp_path, "predict", model, "other.csv", "--out", "found.csv").exit_code == 0
    assert rows((tmp_path / "found.csv").read_text()) == found
    (tmp_path / "few.csv").write_text("f0,f1\n1,2\n")
    done = command(tmp_path, "predict", model, "few.csv")
    assert (done.exit_code, done.stdout) == (2, "")
    assert (
        "must have the columns ['f0', 'f1', 'f2', 'f3']. Received: ['f0', 'f1'], without ['f2', 'f3']"
        in done.stderr
    )


@pytest.mark.slow
def test_a_keras_file_becomes_a_version_that_takes_raw_rows(tmp_path):
    x, y = blobs()
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")]).save(
        tmp_path / "m.keras"
    )
    data = csv(tmp_path / "pets.csv", x, y)
    options = [
        "--versioned",
        "--classes",
        "no, yes",
        "--normalize",
        data,
        "--formats",
        "keras,litert",
        "--json",
    ]
    # the label is one of the columns here, so that the model would have to take five
    done = command(tmp_path, "export", "m.keras", "served", *options)
    assert "preprocessing must make the model's inputs" in done.stderr
    np.savez(tmp_path / "x.npz", x=x)
    options[options.index(data)] = "x.npz"
    (tmp_path / "served" / "1").mkdir(parents=True)
    done = command(tmp_path, "export", "m.keras", "served", *options)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["path"].endswith(f"served{os.sep}2")
    assert {"model.keras", "model.tflite", "saved_model.pb"} <= set(
        os.listdir(tmp_path / "served" / "2")
    )
    found = rows(command(tmp_path, "predict", "served", "x.npz").stdout)
    assert [row["label"] for row in found] == [
        "yes" if float(row["output"]) > 0.5 else "no" for row in found
    ]
    assert {row["label"] for row in found} == {"no", "yes"}
    assert len(found) == len(x)


@pytest.mark.once
def test_a_value_that_integers_cannot_hold_is_found():
    for wrong in (np.nan, np.inf, -np.inf, 0.5, 2.0**31, -(2.0**31) - 1):
        assert misfit(np.array([[0.0, 1], [2, wrong]]), "int32") == (1, 1)
        assert misfit(np.array([[0.0, 1], [2, wrong]]), "float32") is None
    assert misfit(np.array([0.0, 2.0**31 - 1, -(2.0**31)]), "int32") is None
    assert misfit(np.array([3, 300]), "uint8") == (1,)
    assert misfit(np.array([3, -1]), "uint64") == (1,)
    assert misfit(np.array([2.0**53, 2.0**63]), "int64") == (1,)
    assert misfit(np.array([True, False]), "int64") is None
    assert misfit(np.array([2.0, np.nan]), "bool") == (1,)
    assert misfit(np.array([1, None], object), "int64") == (1,)


@pytest.mark.slow
def test_a_gap_is_no_integer(tmp_path):
    model = keras.Sequential([keras.Input((2,), dtype="int32"), keras.layers.Rescaling(0.5)])
    path = export(model, tmp_path / "model", card={"features": ["a", "b"]}).path
    loaded = load(path)
    whole = loaded.predict(np.array([[1.0, 2.0]]), allow_nan=True)
    np.testing.assert_array_equal(next(iter(whole.values())), [[0.5, 1.0]])
    for wrong, said in ((np.nan, "nan"), (0.5, "0.5"), (np.inf, "inf")):
        with pytest.raises(
            DataError, match=rf"of values that int32 can hold. Received: {said} at \[1, 0\]"
        ):
            loaded.predict(np.array([[1.0, 2.0], [wrong, 1.0]]), allow_nan=True)
    with pytest.raises(DataError, match="must be of int32"):
        loaded.predict(np.array([["a", "b"]], object))
    (tmp_path / "gap.csv").write_text("b,a\n1,2\n,2\n")
    done = command(tmp_path, "predict", "model", "gap.csv", "--allow-nan")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "that int32 can hold" in done.stderr
    assert "with nan in row 2, column 'b'" in done.stderr


@pytest.mark.once
def test_outputs_of_several_values_are_columns():
    found = _table({"a": np.array([[1.0], [2.0]]), "b": np.zeros((2, 2, 1))}, [])
    assert found == {"a": [1.0, 2.0], "b.0": [0.0, 0.0], "b.1": [0.0, 0.0]}


@pytest.mark.once
def test_numbers_called_label_are_numbers():
    numbers, words = np.array([[1.5], [2.5]]), np.array(["no", "yes"])
    assert _table({"output": numbers}, [], "label") == {"label": [1.5, 2.5]}
    assert _table({"label": numbers}, []) == {"label": [1.5, 2.5]}
    found = _table({"output": numbers, "label": words}, ["no", "yes"])
    assert list(found.items()) == [("label", ["no", "yes"]), ("output", [1.5, 2.5])]


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """Files that are refused, in a folder that no test may change; and all that is in it."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "torn.keras").write_text("no zip")
    (folder / "thesis").mkdir()
    mlp().save(folder / "mine.keras")
    (folder / "words.csv").write_text("a,b\n1,x\n")
    (folder / "hole.csv").write_text("a,b,c,d\n1,,2,3\n")
    return folder, contents(folder)


# what is refused whatever Keras and TensorFlow do
TEXT = [
    (
        "export nothing.keras out",
        "MODEL must be a .keras file that exists. Received: 'nothing.keras'",
    ),
    ("export mine.keras out --samples no.csv", "a file that exists. Received: 'no.csv'"),
    ("export mine.keras out --samples words.csv", "must be numbers"),
    ("export mine.keras out --normalize hole.csv", "must be finite"),
    ("predict nothing x.csv", "a folder with an export. Received: PATH 'nothing'"),
    ("predict thesis x.csv", "a folder with an export"),
]
MODELS = [
    ("export torn.keras out", "that Keras can load. Received: 'torn.keras'"),
    (
        "export mine.keras thesis",
        "must not replace anything but a SavedModel. Received: OUT 'thesis'",
    ),
    ("export mine.keras out --formats pickle", "formats must be a list of some of"),
    ("export mine.keras out --classes a,b", "one for each unit"),
]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [*(pytest.param(*case, marks=pytest.mark.once) for case in TEXT), *MODELS],
)
def test_bad_input_is_one_line_and_exit_code_2(bad, arguments, message):
    folder, before = bad
    done = command(folder, *arguments.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert contents(folder) == before
