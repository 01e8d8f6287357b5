"""The command line: what it prints, what it writes, and one clear line for bad input."""

import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from keras_acts.errors import ModelError
from keras_acts.search import slots
from keras_acts.search.exporting import savedmodel
from keras_acts_cli import main, running
from keras_acts_cli.data import Dataset, load
from keras_acts_cli.models import build
from keras_acts_cli.options import split_list
from keras_acts_cli.run import _class_names
from tests.helpers.models import blobs, contents, mlp
from tests.helpers.reports import Reader

FEW = ["--trials", "2", "--epochs", "1", "--verdict", "0", "--activations", "relu,leaky_relu"]
FEW += ["--learning-rates", "none"]
SMALL = ["--strategy", "random", *FEW]  # traces fewer programs than a race


def command(tmp_path, *arguments):
    """Run `keras-acts` inside `tmp_path`."""
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        return CliRunner().invoke(main, list(arguments))
    finally:
        os.chdir(before)


@pytest.mark.once
def test_onednn_is_on_but_for_who_turned_it_off(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    main.callback()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    main.callback()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"


@pytest.mark.once
@pytest.mark.parametrize(
    ("model", "data", "cores", "set_before", "expected"),
    [
        (None, "digits", 2, None, "1"),
        ("mlp", "mine.csv", 2, None, "1"),
        ("mine.keras", "digits", 2, None, None),
        ("cnn", ".", 2, None, None),
        ("cnn", "digits", 8, None, None),
        ("cnn", "digits", 2, "2", "2"),
    ],
)
def test_kernels_have_one_thread_where_small_models_train_on_two_cores(
    model, data, cores, set_before, expected, monkeypatch
):
    monkeypatch.delitem(sys.modules, "tensorflow")  # which has heard what it hears
    monkeypatch.setattr("keras_acts.search.runtime.cores.usable_cores", lambda: cores)
    environment = {}
    if set_before is not None:
        environment["TF_NUM_INTRAOP_THREADS"] = set_before
    monkeypatch.setattr("os.environ", environment)
    with click.Context(main) as context:
        context.params.update(model=model, data=data)
        running.one_thread_a_kernel()
    assert environment.get("TF_NUM_INTRAOP_THREADS") == expected


def run(tmp_path, *arguments):
    """Run `keras-acts search` inside `tmp_path`."""
    return command(tmp_path, "search", *arguments)


def csv(path, x, y):
    lines = [",".join([f"f{i}" for i in range(x.shape[1])] + ["label"])]
    lines += [
        ",".join([*(f"{v:.4f}" for v in row), str(label)]) for row, label in zip(x, y, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def accuracy(folder, part):
    """The share of the part's labels that the export in `folder` finds."""
    loaded = tf.saved_model.load(str(folder))
    served = loaded.serve(part[0]).numpy()
    return (served.argmax(axis=1) == part[1]).mean()


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The main job, a race on images, with a small budget."""
    folder = tmp_path_factory.mktemp("digits")
    return folder, run(folder, *FEW)


def test_the_main_job_with_a_small_budget(digits):
    folder, done = digits
    assert done.exit_code == 0, done.output
    place = folder / "saved_models" / "digits-cnn"
    report = (place / "report.md").read_text()
    page = (place / "report.html").read_text(encoding="utf-8")
    assert "keras-acts search " in page
    assert "model = load(folder)" in page
    pictures = {file.name for file in place.glob("report-*.svg")}
    assert pictures
    assert all(f"({name})" in report for name in pictures)
    assert report.startswith("# Activation search: ")
    rows = [line for line in report.splitlines() if line.startswith("| ")][2:]
    assert sorted(row.split(" | ")[1].partition("(")[0] for row in rows) == ["leaky_relu", "relu"]
    for row in rows:
        assert row.split(" | ")[1] in done.stdout
    assert sorted(os.listdir(place.parent)) == ["digits-cnn"]
    for text in (
        "1077 / 360 / 360",
        "Training up to 2 candidates on",
        "rank",
        "On the test data, ",
        "Answer: ",
        "Exported to",
    ):
        assert text in done.output
    # raw pixels in: the scaling is part of the export
    right = accuracy(place, load("digits").split(0).test)
    assert right > 0.5
    assert f"accuracy {right:.4f}" in done.output.partition("On the test data, ")[2]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_model_again(tmp_path, digits):
    folder, done = digits
    again = run(tmp_path, *FEW, "--seed", "0")
    assert without_seconds(again.stdout) == without_seconds(done.stdout)
    first, second = (
        tf.saved_model.load(str(place / "saved_models" / "digits-cnn"))
        for place in (folder, tmp_path)
    )
    x = load("digits").x
    np.testing.assert_array_equal(first.serve(x), second.serve(x))


def without_seconds(text):
    """The lines of a table without their last number."""
    return [re.sub(r"\s+\d+\.\d$", "", line.rstrip()) for line in text.splitlines()]


IRIS = [
    "--data",
    "iris",
    "--json",
    "--strategy",
    "random",
    "--activations",
    "relu,mish,elu",
    "--verdict",
    "0",
]
IRIS += ["--epochs", "1", "--trials"]


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    """A search on a table that keeps its files, printed as JSON, with its export in the folder `here`."""
    folder = tmp_path_factory.mktemp("iris")
    return folder, run(folder, *IRIS, "2", "--directory", "project", "--out", "here")


@pytest.mark.slow
def test_json_is_all_there_is_on_standard_output(iris):
    folder, done = iris
    plain = json.loads(done.stdout)
    assert plain["export"]["path"] == "here"
    assert plain["export"]["max_difference"] <= 1e-6
    assert plain["executions_per_trial"] == 1
    assert len(scores(plain)) == 2
    assert scores(plain).keys() < {"relu", "mish", "elu(alpha=1.0)"}
    assert plain["test"]["accuracy"] == pytest.approx(
        accuracy(folder / "here", load("iris").split(0).test)
    )


@pytest.mark.slow
def test_a_search_goes_on_in_its_directory(iris):
    folder, first = iris
    trials = json.loads(run(folder, *IRIS, "3", "--directory", "project").stdout)["trials"]
    assert sorted(t["activation"] for t in trials) == ["elu(alpha=1.0)", "mish", "relu"]
    again = {t["activation"]: t["score"] for t in trials if t["seconds"] is None}
    assert again == scores(json.loads(first.stdout))  # the first two were not trained again


@pytest.mark.slow
def test_the_batch_size_is_used(tmp_path, iris):
    _, first = iris
    again = json.loads(run(tmp_path, *IRIS, "2", "--batch-size", "4").stdout)
    assert scores(again).keys() == scores(json.loads(first.stdout)).keys()
    assert (
        scores(again)["relu"] != scores(json.loads(first.stdout))["relu"]
    )  # 23 steps instead of 3


@pytest.mark.once
def test_a_failed_export_keeps_the_result_and_the_model(tmp_path, monkeypatch):
    def write(*arguments, **options):
        raise OSError("the disk is gone")

    monkeypatch.setattr(savedmodel, "write", write)
    done = run(tmp_path, *IRIS, "2")
    assert done.exit_code != 0
    plain = json.loads(done.stdout)
    assert plain["export"] is None
    assert len(scores(plain)) == 2
    (kept,) = (tmp_path / "saved_models").glob("iris-mlp-*/model.keras")
    assert str(kept.relative_to(tmp_path)) in done.stderr
    page = Reader((kept.parent / "report.html").read_text(encoding="utf-8"))
    assert page.wrong == []
    assert "of the search is" in done.stderr
    x, y = load("iris").split(0).test
    found = keras.models.load_model(kept).evaluate(x, y, verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx(plain["test"]["accuracy"])


def scores(plain):
    return {t["activation"]: t["score"] for t in plain["trials"]}


@pytest.mark.once
def test_every_option_reaches_the_search(tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr("keras_acts_cli.run.search", lambda **options: given.update(options))
    x, _ = blobs(30)
    csv(tmp_path / "a.csv", x, np.linspace(0, 1, 30).round(3))
    read = {"data": "a.csv", "target": "f1", "task": "regression"}
    options = {
        **read,
        **{
            "model": "mlp",
            "activations": "elu",
        },
        **{
            "trials": 3,
            "epochs": 4,
            "executions_per_trial": 5,
            "batch_size": 6,
            "seed": 2**32 - 1,
            "verdict": 7,
        },
        **{"strategy": "race", "per": "block", "unit": "EUR", "max_epochs": 8, "max_seconds": 9.0},
        "learning_rates": "x0.5,0.004",
    }
    names = {"executions_per_trial": "executions"}
    flags = {name: names.get(name, name).replace("_", "-") for name in options}
    arguments = [
        text for name, value in options.items() for text in (f"--{flags[name]}", str(value))
    ]
    assert run(tmp_path, *arguments, "--rescale-init").exit_code == 0
    unset = {"directory": None, "as_json": False, "quiet": False}
    unset |= {"overwrite": False, "restart": False}
    unset |= {"tensorboard": None, "mlflow": None, "wandb": None}
    call = given.pop("call")
    dataset = given.pop("task").dataset
    assert (dataset.target, dataset.classes, len(dataset.x)) == ("f1", (), 30)
    assert given.pop("place") == Path("saved_models", "a-mlp")
    left = {name: value for name, value in options.items() if name not in read}
    assert given == {**left, **unset, "rescale_init": True}
    # the command in the report is the one that was typed
    typed = shlex.split(call)
    assert typed[:2] == ["keras-acts", "search"]
    pairs = dict(zip(arguments[::2], arguments[1::2], strict=True))
    for flag, value in pairs.items():
        assert typed[typed.index(flag) + 1] == value
    assert len(typed) == 2 + len(arguments) + 1
    assert "--rescale-init" in typed


@pytest.mark.once
def test_a_regression_beats_the_mean_and_its_predictions_say_what_they_are(tmp_path):
    diabetes = load("diabetes")
    rows = [
        ",".join(f"{value}" for value in (*x, y))
        for x, y in zip(diabetes.x, diabetes.y, strict=True)
    ]
    text = "\n".join([",".join([*(f"f{i}" for i in range(10)), "Zucker"]), *rows]) + "\n"
    (tmp_path / "sugar.csv").write_text(text, encoding="utf-8")
    options = ["--executions", "2", "--epochs", "10", "--unit", "mg/dl", "--out", "model"]
    done = run(tmp_path, "--data", "sugar.csv", "--json", "--quiet", *SMALL, *options)
    found = json.loads(done.stdout)
    assert found["objective"] == "val_loss"
    assert found["executions_per_trial"] == 2
    assert found["score"] < diabetes.split(0).validation[1].var()
    assert done.stderr == ""
    card = json.loads(
        (tmp_path / "model" / "assets" / "model_card.json").read_text(encoding="utf-8")
    )
    assert card["target"] == {"name": "Zucker", "unit": "mg/dl"}
    assert card["signatures"]["serving_default"]["outputs"].keys() == {"output"}
    head, *values = command(tmp_path, "predict", "model", "sugar.csv").stdout.splitlines()
    assert head == "Zucker [mg/dl]"
    assert (
        np.abs(np.array(values, float) - diabetes.y).mean()
        < np.abs(diabetes.y - diabetes.y.mean()).mean()
    )
    # a row with a gap is not predicted
    (tmp_path / "gap.csv").write_text("\n".join(text.splitlines()[:3]) + "\n,1,,3,4,5,6,7,8,9,\n")
    done = command(tmp_path, "predict", "model", "gap.csv")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "with a gap in row 3, column 'f0'" in done.stderr
    assert (
        len(command(tmp_path, "predict", "model", "gap.csv", "--allow-nan").stdout.splitlines())
        == 4
    )


def model(units, activation):
    """A model that is not compiled."""
    layers = keras.layers
    hidden, output = layers.Dense(4, activation="relu"), layers.Dense(units, activation=activation)
    return keras.Sequential([keras.Input((4,)), hidden, output])


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """Files that are refused, in a folder that no test may change; and all that is in it."""
    folder = tmp_path_factory.mktemp("bad")
    bad_files(folder)
    return folder, contents(folder)


def bad_files(folder):
    x, y = blobs(30)
    (folder / "empty.csv").write_text("")
    (folder / "header.csv").write_text("a,b\n")
    (folder / "words.csv").write_text("a,b,label\n1,x,0\n2,y,1\n")
    (folder / "hole.csv").write_text("a,b,label\n1,,0\n2,3,1\n4,5,1\n")
    (folder / "torn.npz").write_bytes(b"PK\x03\x04 torn")
    np.savez(folder / "nolabels.npz", x=x)
    np.savez(folder / "short.npz", x=x, y=y[:5])
    np.savez(folder / "shorttest.npz", x=x, y=y, x_test=x[:7], y_test=y[:3])
    np.savez(folder / "halftest.npz", x=x, y=y, x_test=x)
    np.savez(folder / "othertest.npz", x=x, y=y, x_test=x[:, :3], y_test=y)
    np.savez(folder / "thin.npz", x=np.zeros((60, 0)), y=np.arange(60) % 2)
    np.savez(folder / "flat.npz", x=x[:, 0], y=y)
    np.savez(folder / "scalar.npz", x=x, y=3)
    np.savez(folder / "complex.npz", x=x * 1j, y=y)
    np.savez(folder / "infinite.npz", x=x, y=np.where(y == 1, np.inf, y))
    np.save(folder / "array.npy", x)
    (folder / "array.npy").rename(folder / "array.npz")
    with zipfile.ZipFile(folder / "raw.npz", "w") as file:
        file.writestr("x", "raw")
        file.writestr("y", "raw")
    np.savez(folder / "one.npz", x=x, y=np.zeros(30, int))
    csv(folder / "good.csv", x, y)
    csv(folder / "wordy.csv", x, np.array(["ant", "bee", "cat"])[y])
    csv(folder / "more.csv", x, np.arange(30) % 5)
    mlp().save(folder / "mine.keras")
    flat = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    flat.save(folder / "flat.keras")
    (folder / "torn.keras").write_text("no zip")
    (folder / "thesis").mkdir()
    (folder / "headless.csv").write_text("1.5,2,0\n1.5,2,1\n2.5,3,1\n")
    (folder / "headless2.csv").write_text("1.5,2,ant\n1.5,2,bee\n2.5,3,ant\n")
    (folder / "wide.csv").write_text("a,label\n1,2,0\n2,3,1\n")
    (folder / "two.csv").write_text("a,label\n1,0\n2,1\n")
    onehot = mlp()
    onehot.compile(loss="categorical_crossentropy")
    onehot.save(folder / "onehot.keras")
    model(3, "sigmoid").save(folder / "sigmoids.keras")
    csv(folder / "grades.csv", x, 3 + np.arange(30) % 5)
    (folder / "indexed.csv").write_text(",a,label\n0,1.5,ant\n1,2.5,bee\n2,3.5,ant\n")
    (folder / "twice.csv").write_text("label,a,label\n0,1.5,0\n1,2.5,1\n0,3.5,0\n")
    numbers = model(1, None)
    numbers.compile(loss="mse")
    numbers.save(folder / "numbers.keras")


# what is refused whatever Keras and TensorFlow do
TEXT = [
    ("--trials 0", "0 is not in the range x>=1"),
    ("--epochs -1", "-1 is not in the range x>=1"),
    ("--activations misch", "Did you mean mish or swish? Received: 'misch'"),
    ("--activations leaky_relu(alpha=nan)", "alpha must be a finite number. Received: alpha=nan"),
    ("--activations trelu(theta=inf)", "theta must be a finite number. Received: theta=inf"),
    ("--activations ,", "at least one activation"),
    ("--data nothing.csv", "a file that exists. Received: 'nothing.csv'"),
    (
        "--data mnist",
        "breast_cancer, iris, wine, diabetes, or a .npz or .csv, .tsv, ",
    ),
    ("--data empty.csv", "must not be empty. Received: 'empty.csv', 0 bytes"),
    ("--data header.csv", "needs rows"),
    ("--data words.csv", "Received: 2 samples"),
    ("--data hole.csv", "At least one column must tell something. Received: 'a' left out: "),
    (
        "--data good.csv --target nothing",
        "--target must be a column: f0, f1, f2, f3, label. Received: 'nothing'",
    ),
    ("--data torn.npz", "plain arrays"),
    ("--data nolabels.npz", "Received: ['x']"),
    ("--data short.npz", "30 samples and 5 labels"),
    ("--data shorttest.npz", "7 samples and 3 labels in x_test and y_test"),
    ("--data halftest.npz", "x_test with y_test). Received: ['x', 'x_test', 'y']"),
    ("--data othertest.npz", "must have one shape. Received: (4,) and (3,)"),
    ("--data thin.npz", "must not be empty. Received: thin, x of shape (60, 0)"),
    ("--data flat.npz", "x must have at least 2 axes, samples first. Received: shape (30,)"),
    ("--data scalar.npz", "y must have at least 1 axes, samples first. Received: shape ()"),
    ("--data complex.npz", "must be numbers. Received: dtype complex"),
    ("--data infinite.npz", "labels must be finite"),
    ("--data array.npz", "plain arrays. Received: 'array.npz', a single array"),
    ("--data raw.npz", "must be arrays. Received: x, 3 bytes"),
    (
        "--data headless.csv",
        "needs a header line that names its columns. Received: a first line of values, 1.5, 2, 0",
    ),
    ("--data headless2.csv", "needs a header line"),
    (
        "--data wide.csv",
        "has, 2, separated by ',' (--separator), not 3 in line 2. Received: 'wide.csv'",
    ),
    (
        "--data indexed.csv",
        "a name for every column, not none for column 1 of 3; if it numbers the rows, --drop",
    ),
    (
        "--data twice.csv",
        "a name of its own for each column, not 'label' 2 times. Received: 'twice.csv'",
    ),
    (
        "--data two.csv",
        "enough for three parts (60 % train, 20 % choose, 20 % test). Received: 2 samples",
    ),
    ("--data good.csv --task ranking", "'ranking' is not one of 'auto', 'classes', 'regression'"),
    ("--data wordy.csv --task regression", "labels must be numbers"),
    (
        "--data iris --target label",
        "names a column of a table. Received: --target 'label', --data 'iris'",
    ),
    ("--data short.npz --target label", "column of a table"),
    ("--seed 4294967296", "is not in the range 0<=x<=4294967295"),
    ("--data one.npz", "at least two classes. Received: only 0"),
    (
        "--data good.csv --unit EUR",
        "--unit is of a target of numbers. Received: --unit 'EUR' for 3 classes",
    ),
    ("--data iris --model cnn", "needs images"),
    ("--model resnet", "one of cnn, mlp, or a .keras file. Received: 'resnet'"),
]
MODELS = [
    (
        "--data good.csv --model onehot.keras",
        "whole numbers here. Received: loss='categorical_crossentropy'",
    ),
    ("--data good.csv --model sigmoids.keras", "must suit 3 classes: softmax"),
    ("--data more.csv --model mine.keras", "whole numbers from 0 to 2"),
    (
        "--data grades.csv --model numbers.keras",
        "takes the target as it is. Received: loss='mse' for 5 classes",
    ),
    (
        "--data wordy.csv --model numbers.keras",
        "A model of one unit predicts numbers, unless its loss is a binary",
    ),
    ("--data good.csv --model flat.keras", "must have a hidden activation slot"),
    ("--data good.csv --model torn.keras", "that Keras can load. Received: 'torn.keras'"),
    ("--data digits --model mine.keras", "samples of shape (4,). Received: (8, 8, 1)"),
    ("--out thesis", "--overwrite replaces an export that is there, --out names another place"),
    (
        "--out thesis --overwrite",
        "must not replace anything but a SavedModel. Received: --out 'thesis'",
    ),
    ("--restart", "--restart is of what is kept. Received: no --directory"),
    ("--out good.csv/model", "needs a writable folder"),
    (f"--out {'x' * 250}", "must be writable: File name too long"),
]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [*(pytest.param(*case, marks=pytest.mark.once) for case in TEXT), *MODELS],
)
def test_bad_input_is_one_line_and_exit_code_2(bad, arguments, message):
    folder, before = bad
    done = run(folder, *arguments.split())
    assert done.exit_code == 2
    assert message in done.stderr
    assert isinstance(done.exception, SystemExit)  # no other, which would be a traceback
    assert done.stderr.rstrip().splitlines()[-1].startswith("Error: ")
    assert contents(folder) == before


@pytest.mark.once
def test_lists_of_activations_keep_their_parentheses():
    assert split_list("relu, trelu(theta=0.5, alpha=0.1),mish") == [
        "relu",
        "trelu(theta=0.5, alpha=0.1)",
        "mish",
    ]


@pytest.mark.once
def test_every_bundled_set_splits_in_three():
    for name in ("digits", "breast_cancer", "iris", "wine", "diabetes"):
        data = load(name)
        parts = data.split(0)
        assert sum(len(part[0]) for part in (parts.train, parts.validation, parts.test)) == len(
            data.x
        )
        if data.classes:
            assert all(
                set(part[1]) == set(range(len(data.classes))) for part in (parts.train, parts.test)
            )


@pytest.mark.once
def test_classes_keep_their_shares():
    y = np.repeat([0, 1, 2], [50, 30, 20])
    parts = Dataset("shares", np.arange(200.0).reshape(100, 2), y, ("a", "b", "c")).split(1)
    for part, share in ((parts.train, 0.6), (parts.validation, 0.2), (parts.test, 0.2)):
        assert np.abs(np.bincount(part[1]) - share * np.bincount(y)).max() <= 1


@pytest.mark.once
@pytest.mark.parametrize(
    "y", [[0] * 11 + [1], list(range(6)) * 2], ids=["one of a class", "more classes than places"]
)
def test_classes_too_small_for_shares_are_split_all_the_same(y):
    data = Dataset("few", np.zeros((12, 2)), np.array(y), tuple("abcdef"[: max(y) + 1]))
    parts = data.split(0)
    assert [len(part[1]) for part in (parts.train, parts.validation, parts.test)] == [6, 3, 3]


def table(path, labels, header="a,b,label", cell="{}"):
    lines = [f"{cell.format(i)},{i % 7}.5,{label}" for i, label in enumerate(labels)]
    path.write_text("\n".join([header, *lines]) + "\n")
    return str(path)


@pytest.mark.once
@pytest.mark.parametrize(
    ("labels", "task", "classes"),
    [
        (range(40), "auto", 0),  # more than 20 numbers, more than 10 % of the rows
        (range(40), "classes", 40),
        ([i % 20 for i in range(40)], "auto", 20),
        ([i % 21 for i in range(40)], "auto", 0),
        ([i % 21 for i in range(210)], "auto", 21),
        ([i % 3 for i in range(40)], "regression", 0),
        ([0.5, 1.5] * 20, "auto", 0),
        ([0.5, 1.5] * 20, "classes", 2),
        ([f"w{i}" for i in range(40)], "auto", 40),
        (["True", "False"] * 20, "auto", 2),
        ([3, "many"] * 20, "auto", 2),
    ],
)
def test_what_the_target_is(tmp_path, labels, task, classes):
    data = load(table(tmp_path / "t.csv", labels), None, task)
    assert len(data.classes) == classes
    assert data.y.dtype == ("int64" if classes else "float32")


@pytest.mark.once
def test_only_the_bundled_diabetes_is_always_a_regression(tmp_path):
    assert load("diabetes").classes == ()
    assert load(table(tmp_path / "diabetes.csv", [0, 1] * 5)).classes == ("0", "1")


@pytest.mark.once
def test_kinds_of_csv_and_npz_that_are_welcome(tmp_path):
    (tmp_path / "t.CSV").write_text("a,b,label\nTrue,1.5,0\nFalse,2.5,1\n")
    assert load(str(tmp_path / "t.CSV")).x.tolist() == [[1, 1.5], [0, 2.5]]
    assert load(table(tmp_path / "numbered.csv", [0, 1], header="0,1,2")).classes == (
        "0",
        "1",
    )  # pandas' own names
    spaced = load(table(tmp_path / "spaced.csv", ["ant", " ant", "bee", "bee "]))
    assert (spaced.classes, spaced.y.tolist()) == (("ant", "bee"), [0, 0, 1, 1])
    mixed = load(table(tmp_path / "mixed.csv", ["ant"] * 150_000 + [7] * 150_000))
    assert mixed.classes == ("7", "ant")
    x, y = np.eye(6, dtype=bool), np.array([True, False] * 3)
    np.savez(tmp_path / "bool.npz", x=x, y=y, x_test=x[:2], y_test=y[:2, None], other=np.zeros(()))
    data = load(str(tmp_path / "bool.npz"))
    assert (data.classes, data.x.dtype, data.y.tolist()) == (
        ("False", "True"),
        "float32",
        [1, 0] * 3,
    )
    assert data.given_test[1].tolist() == [1, 0]


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_a_regression_is_scaled_to_its_targets(kind):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4, 4, 1) if kind == "cnn" else (60, 4)).astype("float32")
    data = Dataset("far", x, (5000 + 70 * rng.normal(size=60)).astype("float32"), ())
    parts = data.split(0)
    made = build(kind, data, parts, 0)
    # before any training about as good as the mean of the targets
    assert made.evaluate(*parts.train, verbose=0)[0] < 4 * parts.train[1].var()
    assert [slot.name for slot in slots(made) if slot.role == "output"] == []


@pytest.mark.parametrize(
    ("units", "activation", "classes", "loss", "from_logits"),
    [
        (3, "softmax", 3, "sparse_categorical_crossentropy", None),
        (3, None, 3, "sparse_categorical_crossentropy", True),
        (2, None, 2, "sparse_categorical_crossentropy", True),
        (1, "sigmoid", 2, "binary_crossentropy", False),
        (1, None, 2, "binary_crossentropy", True),
        (1, None, 0, "mse", None),
        (1, "relu", 0, "mse", None),
    ],
)
def test_a_model_that_is_not_compiled_gets_the_loss_of_its_output(
    tmp_path, units, activation, classes, loss, from_logits
):
    model(units, activation).save(tmp_path / "m.keras")
    x, y = blobs(60, classes=classes or 3)
    data = Dataset("d", x, y, tuple("abc"[:classes]))
    made = build(str(tmp_path / "m.keras"), data, data.split(0), 0)
    assert getattr(made.loss, "name", made.loss) == loss
    assert getattr(made.loss, "get_config", dict)().get("from_logits") is from_logits
    value, metric = made.evaluate(x, y, verbose=0)
    assert np.isfinite(value)
    if classes:
        served = np.asarray(made(x))
        half = 0 if from_logits else 0.5
        found = served.argmax(axis=1) if units > 1 else served[:, 0] > half
        assert len(set(found)) == classes
        assert metric == pytest.approx((found == y).mean())


@pytest.mark.parametrize(
    ("units", "activation", "classes"),
    [
        (1, None, 3),
        (1, "softmax", 2),
        (3, "relu", 3),
        (2, None, 0),
        (1, "softmax", 0),
        (1, "tanh", 2),
    ],
)
def test_a_model_whose_output_does_not_suit_is_refused(tmp_path, units, activation, classes):
    model(units, activation).save(tmp_path / "m.keras")
    x, y = blobs(60, classes=classes or 3)
    data = Dataset("d", x, y, tuple("abc"[:classes]))
    with pytest.raises(ModelError, match=r"must suit .*Received: .*, output shape \(None, [123]\)"):
        build(str(tmp_path / "m.keras"), data, data.split(0), 0)


@pytest.mark.parametrize("loss", ["binary_crossentropy", "hinge", "mse"])
def test_one_unit_learns_two_classes_by_their_numbers_only_where_they_are_the_labels(
    tmp_path, loss
):
    numbers = model(1, None)
    numbers.compile(loss=loss)
    numbers.save(tmp_path / "m.keras")
    plain, words = (
        load(table(tmp_path / f"{b}.csv", [a, b] * 9)) for a, b in ((0, 1), ("no", "yes"))
    )
    assert (plain.renumbered, words.renumbered) == (False, True)
    made = build(str(tmp_path / "m.keras"), plain, plain.split(0), 0)
    assert _class_names(made, plain) == (() if loss == "mse" else ("0", "1"))
    if loss == "mse":
        with pytest.raises(ModelError, match="for 2 classes, no, yes"):
            build(str(tmp_path / "m.keras"), words, words.split(0), 0)
    else:
        assert _class_names(build(str(tmp_path / "m.keras"), words, words.split(0), 0), words) == (
            "no",
            "yes",
        )


@pytest.mark.once
def test_help_does_not_wait_for_tensorflow():
    code = (
        "import sys; from keras_acts_cli import main; main(['search', '--help'], standalone_mode=False);"
        "sys.exit(bool({'tensorflow', 'keras', 'numpy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "--activations" in done.stdout


COMPARE = ["--data", "iris", "--activations", "relu,trelu(theta=0.5, alpha=0.1)", "--seeds", "2"]
COMPARE += ["--epochs", "1", "--learning-rates", "x4"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    return folder, command(folder, "compare", *COMPARE, "--csv", "runs.csv", "--report", "r.html")


def test_compare_says_a_sentence(compared):
    folder, done = compared
    assert done.exit_code == 0, done.output
    for text in (
        "Answer: ",
        "First the learning rate of each: 0.001, 0.004, on 2 seeds of their own",
        "The learning rate",
        "trelu(alpha=0.1, theta=0.5)",
        "Every epoch x seed x activation: runs.csv",
    ):
        assert text in done.output
    assert len((folder / "runs.csv").read_text().splitlines()) == 1 + 2 * 2
    page = Reader((folder / "r.html").read_text(encoding="utf-8"))
    assert page.wrong == []
    typed = "--activations 'relu,trelu(theta=0.5, alpha=0.1)' --epochs 1 --learning-rates x4"
    assert f"keras-acts compare --data iris {typed} --seeds 2 --csv runs.csv" in page.text
    assert "Report with pictures: r.html" in done.output


@pytest.mark.slow
def test_compare_says_the_same_as_json(tmp_path, compared):
    again = command(tmp_path, "compare", *COMPARE, "--json", "--quiet")
    assert again.stderr == ""
    plain = json.loads(again.stdout)
    _, done = compared
    # the terminal has the answer first, and learning rates once, where the sentence has all in one
    told = " ".join(done.output.split())
    _, noticed = plain["sentence"].split(", but ")
    assert f"Answer: Use {plain['suggested']} at learning rate 0.004" in told
    assert noticed in told
    assert (plain["baseline"], plain["part"], plain["seeds"]) == ("relu", "test", 2)


@pytest.mark.once
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--activations", "relu"], "another one than the baseline relu"),
        (["--activations", "relu,misch"], "Did you mean mish"),
        (["--activations", "relu,mish", "--seeds", "1"], "--seeds"),
        (
            ["--activations", "relu,mish", "--learning-rates", "often"],
            "--learning-rates must be auto, none, or a list of rates above 0",
        ),
        (
            ["--activations", "relu,mish", "--csv", "no/where.csv"],
            "--csv must lie in a folder that exists",
        ),
        (
            ["--activations", "relu,mish", "--report", "no/where.html"],
            "--report must lie in a folder that exists",
        ),
        ([], "--activations"),
    ],
)
def test_compare_refuses_in_one_line(tmp_path, options, message):
    done = command(tmp_path, "compare", "--data", "iris", "--quiet", *options)
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output
