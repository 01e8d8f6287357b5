"""Tables and arrays of shapes that are met less often: read right, or refused with the reason."""

import numpy as np
import pandas
import pytest

from keras_acts.errors import DataError
from keras_acts.search.frames.fit import FittedColumns
from keras_acts_cli.data import load
from keras_acts_cli.tables import files
from keras_acts_cli.tables.cells import Cells
from keras_acts_cli.tables.errors import TableError
from keras_acts_cli.tables.options import Reading

pytestmark = pytest.mark.once

FREE = 2**33
NEVER = "9999-12-31"
DAYS_TO_NEVER = 2_932_896


def table_at(path, lines):
    """A table of such lines."""
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("written", [NEVER, f"{NEVER}T00:00:00Z", "31.12.9999"])
def test_a_date_that_stands_for_never_is_itself(tmp_path, written):
    """Nanoseconds of 64 bits end in 2262, and made 1816 of it."""
    other = "2024-03-05"
    if "." in written:
        other = "05.03.2024"
    path = table_at(tmp_path / "t.csv", ["until,b", *[f"{written},1", f"{other},2"] * 3])
    try:
        frame = files.read_table(path, Reading(), FREE).frame
    except TableError as error:  # pandas before 3 knows no such year
        assert written in str(error)  # noqa: PT017
        return
    (column,) = FittedColumns(frame[["until"]]).columns
    assert not column.times
    days = FittedColumns(frame).inputs(frame)["until"][:, 0]
    np.testing.assert_array_equal(days, [DAYS_TO_NEVER, 19_787] * 3)


def test_a_frame_with_a_date_that_stands_for_never(tmp_path):
    dates = np.array([NEVER, "2024-03-05"], "datetime64[us]")
    inputs = FittedColumns({"until": dates}).inputs({"until": dates})
    np.testing.assert_array_equal(inputs["until"][:, 0], [DAYS_TO_NEVER, 19_787])


def test_a_number_that_is_too_large_is_named_by_its_row_in_the_file(tmp_path):
    """Also where another column has words: its rows are shuffled by then."""
    for last in ("word,y", "1,y"):
        rows = [f"{number}.5,{last}" for number in range(30)]
        rows[17] = f"1e39,{last}"
        rows[3] = rows[3].replace("y", "z")
        path = table_at(tmp_path / "t.csv", ["a,b,c", *rows])
        with pytest.raises(DataError, match=r"1e\+39 in row 18, column 'a' of --data"):
            load(str(path))


def test_lines_that_end_as_on_old_macs(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\r1,x\r2,y\r")
    assert files.read_table(path, Reading(), FREE).frame["a"].tolist() == [1, 2]
    path.write_bytes(b"a,b\n1,x\ry\n2,y\n")
    with pytest.raises(TableError, match=r"carriage return without quotes around it in line 2"):
        files.read_table(path, Reading(), FREE)


def test_a_quote_that_is_not_closed_is_told(tmp_path):
    path = table_at(tmp_path / "t.csv", ["a,b", '1,"x', *["2,y"] * 40_000])
    with pytest.raises(
        TableError, match=r"131,072 .* a quote that is not closed makes it in line \d+"
    ):
        files.read_table(path, Reading(), FREE)


def test_classes_of_bytes_are_called_as_text(tmp_path):
    path = tmp_path / "t.npz"
    y = np.array([b"cat", "Käse".encode()] * 5)
    x = np.arange(20.0).reshape(10, 2)
    np.savez(path, x=x, y=y, x_test=x, y_test=["Käse"] * 10)
    data = load(str(path))
    assert data.classes == ("Käse", "cat")
    assert set(data.given_test[1]) == {0}


def test_a_label_that_may_be_a_gap_is_told(tmp_path):
    rows = [f"{number}.5,{label}" for number in range(20) for label in ("yes", "no", "NA")]
    data = load(str(table_at(tmp_path / "t.csv", ["a,b", *rows])))
    notes = data.warnings(data.split(0))
    assert [note for note in notes if "'NA' is taken for a class of 'b', with 20 rows" in note]


def test_a_target_of_texts_is_refused(tmp_path):
    rows = [f"yes,{'good ' * 300}{number}" for number in range(20)]
    with pytest.raises(DataError, match=r"words of at most 1,000 characters\. Received: 'b' with"):
        load(str(table_at(tmp_path / "t.csv", ["a,b", *rows])))


def test_words_take_as_much_memory_as_they_are_long():
    """As NumPy's own text, each was as long as the longest."""
    words = np.array(["short", None, "long " * 1000] * 30, object)
    inputs = FittedColumns({"w": words}).inputs({"w": words})["w"]
    assert inputs.nbytes == 90 * 8
    assert inputs[:3, 0].tolist() == ["short", "", "long " * 1000]


def test_many_different_words_are_looked_up_not_searched_for():
    """A column of 100,000 names took minutes: each was searched for among all."""
    cells = Cells("name", pandas.Series([f"n{number}" for number in range(1000)]), ())
    cells.words = None  # what was searched through
    assert cells.count("n999") == 1
    assert cells.row("n999") == 1000


def test_fractions_that_are_nearly_the_same_are_no_matter():
    fractions = np.random.default_rng(0).normal(size=20_000)
    assert len(np.unique(fractions.astype("float32"))) < len(fractions)
    assert not FittedColumns({"a": fractions}).notes
