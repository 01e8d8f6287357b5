"""The command line: what it prints, what it writes, and one clear line for bad input."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from keras_acts_cli import main
from keras_acts_cli.data import load
from keras_acts_cli.run import split_list
from tests.models import blobs, mlp

SMALL = ["--trials", "2", "--epochs", "1", "--activations", "relu,leaky_relu"]


def run(tmp_path, *arguments):
    """Run `keras-acts search` inside `tmp_path`."""
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        return CliRunner().invoke(main, ["search", *arguments])
    finally:
        os.chdir(before)


def csv(path, x, y):
    lines = [",".join([f"f{i}" for i in range(x.shape[1])] + ["label"])]
    lines += [",".join([*(f"{v:.4f}" for v in row), str(label)]) for row, label in zip(x, y, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_the_main_job_with_a_small_budget(tmp_path):
    done = run(tmp_path, *SMALL)
    assert done.exit_code == 0, done.output
    folder = tmp_path / "saved_models" / "digits-cnn"
    assert (folder / "report.md").read_text().startswith("# Activation search: ")
    assert sorted(os.listdir(folder.parent)) == ["digits-cnn"]
    for text in ("1077 / 360 / 360", "Training 2 candidates on", "rank", "Held-out test", "Exported to"):
        assert text in done.output
    # raw pixels in, probabilities out: the scaling is part of the export
    images = load("digits").x[:4]
    loaded = tf.saved_model.load(str(folder))
    np.testing.assert_allclose(loaded.serve(images).numpy().sum(axis=1), 1, atol=1e-5)


def test_json_is_all_there_is_on_standard_output(tmp_path):
    done = run(tmp_path, "--data", "iris", "--json", "--out", "here", *SMALL)
    plain = json.loads(done.stdout)
    assert plain["export"]["path"] == "here"
    assert plain["export"]["max_difference"] <= 1e-6
    assert {t["activation"] for t in plain["trials"]} == {"relu", "leaky_relu(alpha=0.01)"}


def test_a_search_goes_on_in_its_directory(tmp_path):
    def search(*budget):
        options = ["--data", "iris", "--json", "--directory", "project", "--activations", "relu,mish,elu"]
        return json.loads(run(tmp_path, *options, "--epochs", "1", *budget).stdout)["trials"]

    search("--trials", "2")
    trials = search("--trials", "3")
    assert sorted(t["activation"] for t in trials) == ["elu(alpha=1.0)", "mish", "relu"]
    assert sum(t["seconds"] is None for t in trials) == 2  # the first two were not trained again


def test_a_csv_with_word_labels_and_the_users_own_model(tmp_path):
    x, y = blobs()
    words = np.array(["ant", "bee", "cat"])[y]
    mlp().save(tmp_path / "mine.keras")
    done = run(tmp_path, "--data", csv(tmp_path / "pets.csv", x, words), "--model", "mine.keras", *SMALL)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "saved_models" / "pets-mine" / "saved_model.pb").is_file()


def test_a_regression_from_npz(tmp_path):
    x, _ = blobs()
    np.savez(tmp_path / "line.npz", x=x, y=x @ [0.1, 0.2, 0.3, 0.4])
    done = run(tmp_path, "--data", "line.npz", "--json", "--quiet", *SMALL)
    assert json.loads(done.stdout)["objective"] == "val_loss"
    assert done.stderr == ""


@pytest.mark.parametrize("data", ["wine", "digits"])
def test_the_same_seed_gives_the_same_table_twice(tmp_path, data):
    def table():
        found = json.loads(run(tmp_path, "--data", data, "--json", "--seed", "3", *SMALL[:-1], "elu,mish").stdout)
        return [(t["rank"], t["activation"], t["score"]) for t in found["trials"]], found["test"]

    assert table() == table()


def bad_files(folder):
    x, y = blobs(30)
    (folder / "empty.csv").write_text("")
    (folder / "header.csv").write_text("a,b\n")
    (folder / "words.csv").write_text("a,b,label\n1,x,0\n2,y,1\n")
    (folder / "hole.csv").write_text("a,b,label\n1,,0\n2,3,1\n4,5,1\n")
    (folder / "torn.npz").write_bytes(b"PK\x03\x04 torn")
    np.savez(folder / "nolabels.npz", x=x)
    np.savez(folder / "short.npz", x=x, y=y[:5])
    np.savez(folder / "one.npz", x=x, y=np.zeros(30, int))
    csv(folder / "good.csv", x, y)
    csv(folder / "more.csv", x, np.arange(30) % 5)
    mlp().save(folder / "mine.keras")
    flat = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    flat.save(folder / "flat.keras")
    (folder / "torn.keras").write_text("no zip")
    (folder / "thesis").mkdir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--trials 0", "0 is not in the range x>=1"),
        ("--epochs -1", "-1 is not in the range x>=1"),
        ("--activations misch", "Did you mean mish or swish? Received: 'misch'"),
        ("--activations leaky_relu(alpha=nan)", "alpha must be a finite number. Received: alpha=nan"),
        ("--activations trelu(theta=inf)", "theta must be a finite number. Received: theta=inf"),
        ("--activations ,", "at least one activation"),
        ("--data nothing.csv", "a file that exists. Received: 'nothing.csv'"),
        (
            "--data mnist",
            "breast_cancer, iris, wine, diabetes, or a .npz or .csv file. Received: 'mnist'",
        ),
        ("--data empty.csv", "must not be empty. Received: 'empty.csv', 0 bytes"),
        ("--data header.csv", "needs rows"),
        ("--data words.csv", "features must be numbers. Received: other values in the columns b"),
        ("--data hole.csv", "must be finite. Received: 1 NaN"),
        ("--data good.csv --target nothing", "--target must be a column: f0, f1, f2, f3, label. Received: 'nothing'"),
        ("--data torn.npz", "plain arrays"),
        ("--data nolabels.npz", "Received: ['x']"),
        ("--data short.npz", "30 samples and 5 labels"),
        ("--data one.npz", "at least two classes. Received: only 0"),
        ("--data more.csv --model mine.keras", "whole numbers from 0 to 2"),
        ("--data iris --model cnn", "needs images"),
        ("--data good.csv --model flat.keras", "must have a hidden activation slot"),
        ("--data good.csv --model torn.keras", "that Keras can load. Received: 'torn.keras'"),
        ("--data digits --model mine.keras", "samples of shape (4,). Received: (8, 8, 1)"),
        ("--model resnet", "one of cnn, mlp, or a .keras file. Received: 'resnet'"),
        ("--out thesis", "must not replace anything but a SavedModel. Received: path='thesis'"),
        ("--out good.csv/model", "needs a writable folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, arguments, message):
    bad_files(tmp_path)
    done = run(tmp_path, *arguments.split())
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.rstrip().splitlines()[-1].startswith("Error: ")
    assert not (tmp_path / "saved_models").exists()
    assert os.listdir(tmp_path / "thesis") == []


def test_lists_of_activations_keep_their_parentheses():
    assert split_list("relu, trelu(theta=0.5, alpha=0.1),mish") == ["relu", "trelu(theta=0.5, alpha=0.1)", "mish"]


def test_every_bundled_set_splits_in_three():
    for name in ("digits", "breast_cancer", "iris", "wine", "diabetes"):
        data = load(name)
        parts = data.split(0)
        assert sum(len(part[0]) for part in (parts.train, parts.validation, parts.test)) == len(data.x)
        if data.classes:
            assert all(set(part[1]) == set(range(len(data.classes))) for part in (parts.train, parts.test))


def test_help_does_not_wait_for_tensorflow():
    code = (
        "import sys; from keras_acts_cli import main; main(['search', '--help'], standalone_mode=False);"
        "sys.exit(bool({'tensorflow', 'keras', 'numpy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "--activations" in done.stdout
