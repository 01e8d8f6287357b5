"""Of which kind a column is where words stand for gaps, and what is said where it is not clear."""

from decimal import Decimal

import numpy as np
import pandas
import pytest

from keras_acts_cli.data import load
from keras_acts_cli.files import read_inputs
from keras_acts_cli.tables import files
from keras_acts_cli.tables.errors import TableError
from keras_acts_cli.tables.labelled import read_frame
from keras_acts_cli.tables.options import Reading
from tests.cli.test_cli import command

pytestmark = pytest.mark.once

FREE = 2**33


def read(tmp_path, cells, reading=None):
    """A table of such a column."""
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["a;b", *(f"{cell};x" for cell in cells)]))
    return files.read_table(path, reading or Reading(), FREE)


def test_gaps_make_no_words_of_dates_and_truths(tmp_path):
    table = read(tmp_path, ["2024-01-05", "?", "2024-02-29", "NA", ""])
    assert table.how["a"].kind == "date"
    assert table.how["a"].gaps == {"?": 1, "NA": 1}
    assert table.frame["a"].isna().tolist() == [False, True, False, True, True]
    table = read(tmp_path, ["True", "NA", "false"])
    assert table.how["a"].kind == "boolean"
    np.testing.assert_array_equal(table.frame["a"], [1, np.nan, 0])
    # gaps alone are words
    assert read(tmp_path, ["none", "NA"]).how["a"].kind == "category"


def test_numbers_that_words_make_categories_are_told(tmp_path):
    cells = [*(f"{number}.5" for number in range(50)), *["unknown"] * 12, "broken"]
    table = read(tmp_path, cells)
    (note,) = table.notes
    assert note == (
        "'a' is read as words, though most of it is numbers: 'unknown' stands in 12 of its rows; "
        "--gaps 'unknown' takes it for a gap"
    )
    assert not read(tmp_path, cells, Reading(kinds={"a": "category"})).notes
    assert not read(tmp_path, ["1", "x", "y", "z"]).notes
    # codes are no numbers
    assert not read(tmp_path, ["012", "013", "none known"]).notes


@pytest.mark.parametrize("written", ["2024-03-{:02}", "{}.3.2024", "3/{}/2024 10:30"])
def test_a_slip_among_dates_is_refused_and_of_few_it_is_told(tmp_path, written):
    cells = [*(written.format(day) for day in range(1, 29)), "n.v."]
    with pytest.raises(TableError, match=r"not 'n\.v\.' in row 29 among dates: --gaps 'n\.v\.'"):
        read(tmp_path, cells)
    assert read(tmp_path, cells, Reading(gaps=("n.v.",))).how["a"].kind == "date"
    (note,) = read(tmp_path, cells[-3:]).notes
    assert note.startswith("'a' is read as words, though most of it is dates: 'n.v.' stands in 1")
    assert not read(tmp_path, [cells[0], "spring", "summer"]).notes


def test_dates_that_are_written_in_two_ways_are_told(tmp_path):
    table = read(tmp_path, ["2024-03-05", "5.3.2024", "6.3.2024"])
    assert table.how["a"].kind == "category"
    assert table.notes == (
        "'a' is read as words, because its dates are not all written in one way",
    )
    # versions are no dates
    assert not read(tmp_path, ["1.2.10", "1.2.9", "1.3.0"]).notes


@pytest.mark.parametrize("cells", [["1.5", "1,5"], ["1.5", "1,5", "2", "3", "other"]])
def test_two_decimal_signs_are_refused_however_few(tmp_path, cells):
    with pytest.raises(TableError, match=r"one decimal sign in the column 'a', not '1.5' in row 1"):
        read(tmp_path, cells)
    table = read(tmp_path, cells, Reading(kinds={"a": "category"}))
    assert table.frame["a"].tolist() == cells


def test_columns_that_are_left_out_are_told(tmp_path):
    rows = [f"same,name {number},{'ab'[number % 2]},{number % 3}" for number in range(60)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["one,own,town,y", *rows]))
    data = load(str(path))
    told = data.warnings(data.split(0))
    assert "'one' is left out: 'same' in all training rows" in told
    assert "'own' is left out: 36 different words in 36 rows" in told


def test_whole_numbers_of_parquet_are_the_words_of_csv(tmp_path):
    pytest.importorskip("pyarrow")
    code = pandas.array([1, 2, 3, None] * 15, dtype="Int64")
    large = pandas.array([2**60 + 1, None] * 30, dtype="Int64")
    frame = pandas.DataFrame({"code": code, "large": large, "y": [0, 1] * 30})
    frame.to_parquet(tmp_path / "t.parquet")
    reading = Reading(kinds={"code": "category"})
    data = load(str(tmp_path / "t.parquet"), "y", reading=reading)
    columns = data.split(0).columns
    assert columns.columns[0].words == ("", "1", "2", "3")
    assert columns.columns[1].gaps > 0
    (tmp_path / "new.csv").write_text(f"code,large\n3,{2**60 + 1}\n1,\n,7\n")
    new = read_frame(tmp_path / "new.csv", ["code", "large"], Reading(), data.how).frame
    assert not columns.unseen(new)


def test_numbers_of_parquet_are_numbers_whatever_holds_them(tmp_path):
    pytest.importorskip("pyarrow")
    price = [Decimal(f"{number / 4:.2f}") for number in range(60)]
    code = [Decimal(number % 3) for number in range(60)]
    count = pandas.array([1, None, 3] * 20, dtype="Int64")
    frame = pandas.DataFrame({"count": count, "code": code, "price": price})
    frame.to_parquet(tmp_path / "t.parquet")
    assert load(str(tmp_path / "t.parquet")).y.tolist() == [number / 4 for number in range(60)]
    assert load(str(tmp_path / "t.parquet"), "code").classes == ("0", "1", "2")
    x, _ = read_inputs(tmp_path / "t.parquet", ["count"])
    np.testing.assert_array_equal(x[:3, 0], [1, np.nan, 3])


def test_files_that_are_there_are_replaced_only_if_asked(tmp_path):
    for name in ("runs.csv", "r.html"):
        (tmp_path / name).write_text("theirs")
    call = ["compare", "--data", "iris", "--activations", "relu,mish"]
    for option, name in (("--csv", "runs.csv"), ("--report", "r.html")):
        done = command(tmp_path, *call, option, name)
        assert done.exit_code == 2
        assert f"{option} must be a new file; --overwrite replaces it" in done.stderr
    done = command(tmp_path, *call, "--csv", "new", "--report", "./new")
    assert "--csv and --report must be two files" in done.stderr
    done = command(tmp_path, "predict", "model", "x.csv", "--out", "runs.csv")
    assert "--out must be a new file; --overwrite replaces it" in done.stderr
    assert (tmp_path / "runs.csv").read_text() == "theirs"
    # then it is the export that is missing
    done = command(tmp_path, "predict", "model", "x.csv", "--out", "runs.csv", "--overwrite")
    assert "new file" not in done.stderr
