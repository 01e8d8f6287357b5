"""Files of tables as people have them: read as what they say, or refused in one line."""

import gzip
import subprocess
import sys

import numpy as np
import pandas
import pytest

from keras_acts_cli.tables import files, numbers
from keras_acts_cli.tables.endings import stem_of
from keras_acts_cli.tables.errors import TableError
from keras_acts_cli.tables.options import Reading, parsed_kinds

pytestmark = pytest.mark.once

FREE = 2**33
AS_FOUND = Reading()


def read(path, content, reading=AS_FOUND, **options):
    """The table in a file of this content."""
    if isinstance(content, str):
        content = content.encode()
    path.write_bytes(content)
    return files.read_table(path, reading, FREE, **options)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_the_one_that_makes_columns_of_all_lines(tmp_path, separator):
    lines = ["a b", "x"], ["1", "one, two"], ["2", "three"]
    text = "\n".join(separator.join(f'"{cell}"' for cell in line) for line in lines)
    frame = read(tmp_path / "t.csv", text).frame
    assert frame["a b"].tolist() == [1, 2]
    assert frame["x"].tolist() == ["one, two", "three"]


def test_a_separator_that_could_be_two_is_asked_for(tmp_path):
    text = "a,b;c\n1,2;3\n"
    with pytest.raises(TableError, match=r"one separator, not ',' and ';', .*--separator"):
        read(tmp_path / "t.csv", text)
    frame = read(tmp_path / "t.csv", text, Reading(separator=";")).frame
    assert list(frame.columns) == ["a,b", "c"]
    assert read(tmp_path / "t.tsv", "a,b;c\td\n1\t2\n").frame.columns.tolist() == ["a,b;c", "d"]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        ("1,5 2,25", [1.5, 2.25]),
        ("1.234,5 2,25", [1234.5, 2.25]),
        ("1.234.567 -3", [1234567, -3]),
        ("1,234.5 2.25", [1234.5, 2.25]),
        ("1'234.5 12", [1234.5, 12]),
        ("1e-3 .5 -2.", [0.001, 0.5, -2]),
        ("−3 +4", [-3, 4]),
        ("0,123 0,5", [0.123, 0.5]),
        ("12 9007199254740993", [12, 9007199254740993]),
    ],
)
def test_numbers_are_what_their_sign_says(tmp_path, cells, values):
    text = "a;b\n" + "\n".join(f"{cell};x" for cell in cells.split())
    table = read(tmp_path / "t.csv", text)
    assert table.frame["a"].tolist() == values
    assert table.notes == ()


def test_thousands_that_may_be_decimals_are_told(tmp_path):
    text = "a;b\n1.234;1\n5.678;2\n"
    table = read(tmp_path / "t.csv", text)
    assert table.frame["a"].tolist() == [1.234, 5.678]
    assert table.notes == ("'1.234' in 'a' is read as 1.234; with --decimal , it is 1234",)
    table = read(tmp_path / "t.csv", text, Reading(decimal=","))
    assert table.frame["a"].tolist() == [1234, 5678]
    assert table.notes == ()
    # another column says how numbers are written
    table = read(tmp_path / "t.csv", "a;b\n1.234;0,5\n5.678;2\n")
    assert table.frame["a"].tolist() == [1234, 5678]
    assert table.notes == ()
    # and so does the training's file
    again = read(tmp_path / "u.csv", "a;b\n9.876;1\n", expected=table.how)
    assert again.frame["a"].tolist() == [9876]


def test_both_decimal_signs_in_a_column_are_refused(tmp_path):
    rows = [f"{i}.5;x" for i in range(30)]
    with pytest.raises(
        TableError,
        match=r"one decimal sign in the column 'a', not '0.5' in row 1 and '7,25' in row 31",
    ):
        read(tmp_path / "t.csv", "\n".join(["a;b", *rows, "7,25;x"]))
    with pytest.raises(
        TableError, match=r"with the decimal sign ',' in the column 'a', not '0.5' in row 1"
    ):
        read(tmp_path / "t.csv", "\n".join(["a;b", *rows]), Reading(decimal=","))


def test_words_for_gaps_and_words_among_numbers(tmp_path):
    rows = [f"{i},{i % 3}" for i in range(40)]
    table = read(tmp_path / "t.csv", "\n".join(["a,b", "?,1", ",2", "NA,1", *rows]))
    assert np.isnan(table.frame["a"][:3]).all()
    assert table.frame["a"][3:].tolist() == list(range(40))
    assert table.how["a"].gaps == {"?": 1, "NA": 1}
    text = "\n".join(["a,b", *rows, "none known,1"])
    with pytest.raises(
        TableError, match="not 'none known' in row 41 among numbers: --gaps 'none known'"
    ):
        read(tmp_path / "t.csv", text)
    table = read(tmp_path / "t.csv", text, Reading(gaps=("none known",)))
    assert np.isnan(table.frame["a"].iloc[-1])
    table = read(tmp_path / "t.csv", text, Reading(kinds={"a": "category"}))
    assert table.frame["a"].iloc[-1] == "none known"
    # few different ones are categories; in words, NA is a word
    table = read(tmp_path / "t.csv", "a,b\n0,NA\n1,\n2,x\n3+,y\n")
    assert table.frame["a"].tolist() == ["0", "1", "2", "3+"]
    assert table.frame["b"].fillna("").tolist() == ["NA", "", "x", "y"]


def test_codes_and_truths(tmp_path):
    table = read(tmp_path / "t.csv", "zip,ok,eat\n01234,True,Yes\n1234,false,yes\n9,TRUE,no\n")
    assert table.frame["zip"].tolist() == ["01234", "1234", "9"]
    assert table.frame["ok"].tolist() == [True, False, True]
    assert table.frame["eat"].tolist() == ["Yes", "yes", "no"]
    assert table.notes == ("'Yes' and 'yes' are two categories of 'eat'",)
    table = read(tmp_path / "t.csv", "zip,ok\n01234,True\n", Reading(kinds={"zip": "number"}))
    assert table.frame["zip"].tolist() == [1234]


@pytest.mark.parametrize(
    ("cells", "day"),
    [
        (["2024-02-29", "2024-03-01T00:00:00Z"], "2024-02-29"),
        (["29.2.2024", "01.03.2024"], "2024-02-29"),
        (["2/29/2024", "12/1/2024"], "2024-02-29"),
        (["29/2/2024", "1/3/2024"], "2024-02-29"),
        (["2024/02/29", "2024/03/01"], "2024-02-29"),
        (["29.02.2024 00:00", "01.03.2024 07:30"], "2024-02-29"),
    ],
)
def test_dates_are_read_as_they_are_written(tmp_path, cells, day):
    table = read(tmp_path / "t.csv", "\n".join(["a,b", *(f"{cell},x" for cell in cells)]))
    assert table.how["a"].kind == "date"
    assert table.frame["a"][0] == pandas.Timestamp(day)


def test_dates_that_are_none_or_could_be_others_are_refused(tmp_path):
    text = "a,b\n1/2/2024,x\n3/4/2024,y\n"
    with pytest.raises(TableError, match="day from the month: --column 'a'=%d/%m/%Y or =%m/%d/%Y"):
        read(tmp_path / "t.csv", text)
    table = read(tmp_path / "t.csv", text, Reading(kinds=parsed_kinds(["a=%d/%m/%Y"])))
    assert table.frame["a"].tolist() == [
        pandas.Timestamp("2024-02-01"),
        pandas.Timestamp("2024-04-03"),
    ]
    with pytest.raises(TableError, match="not '2024-02-30'"):
        read(tmp_path / "t.csv", "a,b\n2024-02-30,x\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_an_encoding_is_found(tmp_path, encoding):
    table = read(tmp_path / "t.csv", "Größe,b\n1,Köln\n2,Bern\n".encode(encoding))
    assert list(table.frame.columns) == ["Größe", "b"]
    assert table.frame["b"][0] == "Köln"
    said = "no UTF-8 from line 1 on, and is read as cp1252 (Windows), in which that letter is 'ö'"
    assert (said in " ".join(table.notes)) == (encoding == "cp1252")


def test_mixed_and_unknown_encodings_are_refused(tmp_path):
    mixed = "a,b\n1,Köln\n".encode() + "2,Zürich\n".encode("cp1252")
    with pytest.raises(TableError, match="one encoding, not UTF-8 in line 2 and another in line 3"):
        read(tmp_path / "t.csv", mixed)
    assert read(tmp_path / "t.csv", mixed, Reading(encoding="latin-1")).frame["b"][1] == "Zürich"
    with pytest.raises(TableError, match=r"one that Python knows\. Received: 'utf-9'"):
        read(tmp_path / "t.csv", mixed, Reading(encoding="utf-9"))
    with pytest.raises(TableError, match="a zero byte in line 1; UTF-16 has them"):
        read(tmp_path / "t.csv", "a,b\n1,2\n".encode("utf-16-le"))


def test_packed_files(tmp_path):
    content = gzip.compress(b"a;b\n1,5;x\n")
    assert read(tmp_path / "t.csv.gz", content).frame["a"][0] == 1.5
    assert stem_of(tmp_path / "t.csv.gz") == "t"
    with pytest.raises(TableError, match="gzip that can be unpacked"):
        read(tmp_path / "t.csv.gz", content[:-9])
    # what it unpacks to is not read beyond what fits
    bomb = gzip.compress(b"a,b\n" + b"1,2\n" * 1_000_000)
    assert len(bomb) < 10_000
    (tmp_path / "bomb.csv.gz").write_bytes(bomb)
    with pytest.raises(TableError, match="more than 8,333 bytes once it is unpacked"):
        files.read_table(tmp_path / "bomb.csv.gz", AS_FOUND, 100_000)


def test_a_line_that_is_cut_off_is_no_row_of_gaps(tmp_path):
    with pytest.raises(TableError, match=r"as the header has, 3, .* not 2 in line 3"):
        read(tmp_path / "t.csv", "a,b,c\n1,2,3\n4,5\n")


def test_parquet_has_types_already(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(
        {
            "n": [1, 2],
            "gap": [1.5, None],
            "ok": [True, False],
            "day": pandas.to_datetime(["2024-01-01", "2024-01-02"]),
            "word": ["a", None],
            "text": ["1,5", "2,5"],
            "kind": pandas.Categorical(["x", "y"]),
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    table = files.read_table(tmp_path / "t.parquet", AS_FOUND, FREE)
    assert table.frame.columns.tolist() == frame.columns.tolist()
    assert table.frame["text"].tolist() == [1.5, 2.5]
    assert table.frame["word"].fillna("").tolist() == ["a", ""]
    assert table.frame["day"].tolist() == frame["day"].tolist()
    (tmp_path / "t.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(TableError):
        files.read_table(tmp_path / "t.parquet", AS_FOUND, FREE)


def test_without_pyarrow_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(TableError, match=r'pip install "keras-acts\[parquet\]"'):
        files.read_table(tmp_path / "t.parquet", AS_FOUND, FREE)


def test_options_name_columns_that_are_there(tmp_path):
    with pytest.raises(TableError, match=r"must name columns: a, b\. Received: 'c'"):
        read(tmp_path / "t.csv", "a,b\n1,2\n", Reading(drop=("c",)))
    with pytest.raises(TableError, match=r"NAME=KIND, where KIND is .* Received: 'a=word'"):
        parsed_kinds(["a=word"])
    with pytest.raises(TableError, match=r"a name for every column, .*--drop 'Unnamed: 0'"):
        read(tmp_path / "t.csv", ",b\n1,2\n")
    assert read(tmp_path / "t.csv", ",b\n1,2\n", Reading(drop=("Unnamed: 0",))).frame.shape == (
        1,
        1,
    )


def test_what_both_signs_allow_is_known():
    assert numbers.decimals_of(["1.234"]) == (".", ",")
    assert numbers.decimals_of(["1.234", "1.23"]) == (".",)
    assert numbers.decimals_of(["0.123"]) == (".",)
    assert numbers.decimals_of(["1,234,567"]) == (".",)
    assert numbers.decimals_of(["1.234,567"]) == (",",)
    assert numbers.decimals_of(["1.2.3"]) == ()


def test_a_file_is_looked_at_without_tensorflow(tmp_path):
    (tmp_path / "t.csv").write_text("a;b\n1,5;2\n")
    code = (
        "import sys; from pathlib import Path; from keras_acts_cli.tables import files, options;"
        "table = files.read_table(Path('t.csv'), options.Reading(), 2**30);"
        "print(table.frame['a'][0], 'tensorflow' in sys.modules, 'keras' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1.5 False False\n"
