"""Searches on tables with words, dates and gaps: what is said, what is exported, what is predicted."""

import csv
import io
import json

import numpy as np
import pytest
import tensorflow as tf

from keras_acts.errors import DataError
from keras_acts_cli import columns, written
from keras_acts_cli.commands.search import search
from keras_acts_cli.data import load
from keras_acts_cli.encoded import encoded
from keras_acts_cli.files import as_image, in_axes
from keras_acts_cli.tables.command_options import reading
from keras_acts_cli.tables.options import Reading
from tests.cli.test_cli import command, run

FEW = ["--trials", "1", "--epochs", "1", "--verdict", "0", "--activations", "relu"]
FEW += ["--learning-rates", "none", "--strategy", "random"]
HEADER = "Nr;Größe;Ort;Gewicht;seit;krank"


def lines(count, first=0):
    """Rows of a German Excel file."""
    rng = np.random.default_rng(first)
    towns = ["Bern", "Köln", "Wien"]
    for number in range(first, first + count):
        size = f"{150 + number % 40},{number % 10}"
        weight = "?" if number % 8 == 5 else f"{50 + rng.integers(0, 40)},5"
        day = f"{1 + number % 28:02d}.{1 + number % 12:02d}.20{10 + number % 13}"
        sick = "ja" if number % 3 == 0 else "nein"
        yield f"{number};{size};{towns[number % 3]};{weight};{day};{sick}"


def write(path, rows, header=HEADER, encoding="cp1252"):
    path.write_text("\n".join([header, *rows]) + "\n", encoding=encoding)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search on such a table, with its export in the folder `model`."""
    folder = tmp_path_factory.mktemp("tables")
    write(folder / "sick.csv", lines(120))
    write(folder / "new.csv", list(lines(20, 120)), encoding="utf-8")
    options = ["--drop", "Nr", "--test", "new.csv", "--out", "model"]
    return folder, run(folder, "--data", "sick.csv", "--json", *options, *FEW)


def test_what_is_done_is_said_and_scored_and_exported(searched):
    folder, done = searched
    assert done.exit_code == 0, done.output
    for text in (
        "'krank' is 2 classes; 90 / 30 / 20 to train / choose / test",
        "decimal comma; '?' is a gap (15 times)",
        "written as %d.%m.%Y",
        "one of 3 categories; an unseen one is none of them",
        "Note: It is no UTF-8 from line 1 on, and is read as cp1252 (Windows)",
    ):
        assert text in " ".join(done.stderr.split()), text
    for name in ("report.md", "report.html", "assets/MODEL_CARD.md"):
        text = (folder / "model" / name).read_text(encoding="utf-8")
        assert "days since 1970-01-01" in text, name
    # what is scored is what the export says of the raw rows, by TensorFlow alone
    loaded = tf.saved_model.load(str(folder / "model")).signatures["classify"]
    rows = [line.split(";") for line in lines(20, 120)]
    days = np.array([row[4].split(".")[::-1] for row in rows])
    dates = np.array(["-".join(day) for day in days], "datetime64[D]").astype("float32")
    inputs = {
        "Gr__e": np.array([row[1].replace(",", ".") for row in rows], "float32"),
        "Ort": np.array([row[2] for row in rows]),
        "Gewicht": np.array(
            [row[3].replace(",", ".").replace("?", "nan") for row in rows], "float32"
        ),
        "seit": dates,
    }
    tensors = {name: tf.constant(values[:, None]) for name, values in inputs.items()}
    found = [word.decode() for word in loaded(**tensors)["label"].numpy()]
    right = np.mean([label == row[5] for label, row in zip(found, rows, strict=True)])
    plain = json.loads(done.stdout)
    assert plain["test"]["accuracy"] == pytest.approx(right)
    predicted = command(folder, "predict", "model", "new.csv")
    assert [row["label"] for row in csv.DictReader(io.StringIO(predicted.stdout))] == found
    assert "'Gewicht' has a gap in row" in predicted.stderr


def test_predictions_say_gaps_and_what_is_unseen(searched):
    folder, _ = searched
    head = "Ort,Größe,Gewicht,seit"
    write(folder / "odd.csv", ["Rom,150.5,60,2020-02-01", "Bern,,?,2020-03-01"], head, "utf-8")
    done = command(folder, "predict", "model", "odd.csv")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "no gaps in the training; --allow-nan" in done.stderr
    assert "'odd.csv' with a gap in row 2, column 'Größe'" in done.stderr
    done = command(folder, "predict", "model", "odd.csv", "--allow-nan")
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == 3
    assert (
        "'Ort' has 1 rows with a category that the training has not, or hardly: 'Rom'"
        in done.stderr
    )
    assert "nan" not in done.stdout
    write(folder / "words.csv", ["Bern,viel,60,2020-02-01"], head, "utf-8")
    done = command(folder, "predict", "model", "words.csv")
    assert "in the column 'Größe', not 'viel' in row 1" in done.stderr
    write(folder / "less.csv", ["Bern,1"], "Ort,Größe", "utf-8")
    done = command(folder, "predict", "model", "less.csv")
    assert "without ['Gewicht', 'seit']" in done.stderr


@pytest.mark.once
def test_only_the_training_rows_decide_what_is_done(tmp_path):
    """Other rows, in other parts, change nothing of what is done with columns."""
    write(tmp_path / "a.csv", lines(60))
    write(tmp_path / "one.csv", lines(10, 60))
    write(tmp_path / "two.csv", [line.replace("Bern", "Oslo") for line in lines(10, 90)])
    found = []
    for other in ("one.csv", "two.csv"):
        data = load(str(tmp_path / "a.csv"), validation=tmp_path / other, test=tmp_path / other)
        parts = data.split(0)
        assert len(parts.train[0]) == 60
        found.append(parts)
    assert found[0].columns.columns == found[1].columns.columns
    np.testing.assert_array_equal(*(encoded(parts).parts.train[0] for parts in found))
    assert any("'Ort' has 4 rows with a category" in line for line in found[1].unseen)
    # without other files, the rows of the validation and test part have no say either
    data = load(str(tmp_path / "a.csv"))
    before = data.split(3)
    changed = data.x.copy()
    outside = ~np.isin(data.x["Nr"], _numbers_of_the_training(data, 3))
    assert outside.sum() == 24
    changed.loc[outside, "Ort"] = "Oslo"
    changed.loc[outside, "Größe"] = 1e6
    again = type(data)(data.name, changed, data.y, data.classes).split(3)
    assert again.columns.columns == before.columns.columns
    np.testing.assert_array_equal(*(encoded(parts).parts.train[0] for parts in (again, before)))


def _numbers_of_the_training(data, seed):
    """The numbers of the rows that train, as the split of the rows themselves has them."""
    plain = type(data)(data.name, data.x["Nr"].to_numpy("float32")[:, None], data.y, data.classes)
    return plain.split(seed).train[0][:, 0]


@pytest.mark.once
def test_other_files_must_be_like_the_first(tmp_path):
    write(tmp_path / "a.csv", lines(30))
    write(tmp_path / "less.csv", ["1;ja"], "Größe;krank")
    write(tmp_path / "more.csv", [f"{line};7" for line in lines(30)], HEADER + ";neu")
    write(tmp_path / "new.csv", ["1;150,5;Bern;60,5;01.02.2020;vielleicht"])
    np.savez(tmp_path / "a.npz", x=np.zeros((9, 2)), y=np.arange(9) % 2)
    path = str(tmp_path / "a.csv")
    for file, said in (
        ("less.csv", "--test must have the columns of --data. Received: "),
        (
            "new.csv",
            r"The test labels must occur in the training labels. Received: \['vielleicht'\]",
        ),
        ("a.npz", "--test must be of the kind that --data is"),
        ("none.csv", "--test must be a file that exists"),
    ):
        with pytest.raises(DataError, match=said):
            load(path, test=tmp_path / file)
    data = load(path, test=tmp_path / "more.csv")
    assert "--test has columns that --data has not: neu" in data.notes
    assert any("30 of 30 rows of --test are in --data too" in note for note in data.notes)
    with pytest.raises(DataError, match="--test is of files"):
        load("iris", test=tmp_path / "a.csv")
    for other, said in (("a.xlsx", "save the sheet as .csv"), (".", "a folder with no images")):
        with pytest.raises(DataError, match=said):
            load(str(tmp_path / other))
    with pytest.raises(DataError, match="are of a table"):
        load("iris", reading=Reading(drop=("a",)))


@pytest.mark.once
def test_what_is_odd_about_the_target_is_told(tmp_path):
    rows = [f"{i % 7}.5,{'no' if i % 20 else 'yes'}" for i in range(100)]
    write(tmp_path / "t.csv", [*rows, "1.5,rare"], "a,b")
    data = load(str(tmp_path / "t.csv"))
    said = " ".join(data.warnings(data.split(0)))
    assert "94 % of the rows are 'no': a model that always says so has that accuracy" in said
    assert "There is a class, 'rare', with one row only" in said
    write(tmp_path / "t.csv", [f"{i % 7}.5,{i}" for i in range(300)], "a,b")
    data = load(str(tmp_path / "t.csv"))
    line = data.describe(data.split(0))
    assert "'b' is a regression (300 different numbers; --task classes takes them for" in line
    data = load(str(tmp_path / "t.csv"), task="classes")
    said = " ".join(data.warnings(data.split(0)))
    assert "'b' is taken for 300 classes, half of which have 1 rows or fewer; --task regr" in said
    write(tmp_path / "t.csv", [f"{i % 7}.5,{'01' if i % 2 else '1'}" for i in range(30)], "a,b")
    assert load(str(tmp_path / "t.csv")).classes == ("01", "1")


@pytest.mark.once
def test_arrays_of_other_names_and_axes(tmp_path):
    x, y = np.arange(240.0).reshape(12, 20), np.arange(12) % 2
    np.savez(tmp_path / "k.npz", x_train=x, y_train=y, x_test=x[:4], y_test=y[:4])
    data = load(str(tmp_path / "k.npz"))
    assert (data.x.shape, len(data.given_test[0])) == ((12, 20), 4)
    np.savez(tmp_path / "both.npz", x_train=x, y_train=y, x=x, y=y)
    with pytest.raises(DataError, match="x and y, or x_train and y_train"):
        load(str(tmp_path / "both.npz"))
    with pytest.raises(DataError, match="--test is of data without x_test"):
        load(str(tmp_path / "k.npz"), test=tmp_path / "k.npz")
    # 20 steps of 3 values are no image
    series = np.zeros((12, 20, 3), "float32")
    np.savez(tmp_path / "s.npz", x=series, y=y)
    data = load(str(tmp_path / "s.npz"))
    assert (data.x.shape, data.images) == ((12, 20, 3), False)
    assert as_image(np.zeros((5, 28, 28))).shape == (5, 28, 28, 1)
    assert as_image(np.zeros((5, 28, 20), "uint8")).shape == (5, 28, 20, 1)
    assert in_axes(series, (None, 20, 3)).shape == (12, 20, 3)
    assert in_axes(series, (None, 20, 3, 1)).shape == (12, 20, 3, 1)


@pytest.mark.once
def test_options_of_a_table_say_how_it_is_read():
    given = {"drop": ("a",), "column": ("b=category",), "separator": "tab", "trials": 3}
    assert reading(given) == Reading(separator="\t", drop=("a",), kinds={"b": "category"})


@pytest.mark.once
def test_many_numbers_beside_each_other_are_one_line(tmp_path):
    rows = [
        ",".join([*(str(i * k % 13) for k in range(1, 13)), "ab"[i % 2], str(i % 2)])
        for i in range(40)
    ]
    write(tmp_path / "t.csv", rows, ",".join([*(f"p{k}" for k in range(12)), "word", "y"]))
    data = load(str(tmp_path / "t.csv"))
    parts = data.split(0)
    names = [line[0] for line in columns.table(data, parts).rows]
    assert names == ["p0 … p11", "word"]
    assert len(columns.rows(data, parts)) == 13


@pytest.mark.once
def test_an_option_that_is_given_twice_is_written_twice():
    options = {"drop": ["a b", "c"], "gaps": [], "data": "t.csv", "trials": 16}
    call = written.search_with(search, options)
    assert call == "keras-acts search --data t.csv --drop 'a b' --drop c"
