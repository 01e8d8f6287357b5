"""Where a table begins: empty lines, and first lines that are samples."""

import pytest

from keras_acts.errors import DataError
from keras_acts_cli.data import load
from keras_acts_cli.tables import files
from keras_acts_cli.tables.errors import TableError
from keras_acts_cli.tables.labelled import read_frame
from keras_acts_cli.tables.options import Reading

pytestmark = pytest.mark.once

FREE = 2**33
AS_FOUND = Reading()


def read(tmp_path, text, **options):
    path = tmp_path / "t.csv"
    path.write_text(text)
    return files.read_table(path, AS_FOUND, FREE, **options)


@pytest.mark.parametrize("above", [",,\n", "\n,,\n\n", "  \n", '"",,\n'])
def test_a_line_of_empty_cells_above_the_header_is_no_row(tmp_path, above):
    text = above + "size,town,ill\n1,Bern,yes\n2,Köln,no\n"
    table = read(tmp_path, text)
    assert table.frame["size"].tolist() == [1, 2]
    assert table.frame["ill"].tolist() == ["yes", "no"]
    assert not table.notes
    assert read(tmp_path, text, only=["ill"]).frame["ill"].tolist() == ["yes", "no"]


def test_a_header_over_two_lines_is_one(tmp_path):
    table = read(tmp_path, '"size\n(mm)",ill\n1,yes\n2,no,\n'.replace("no,", "no"))
    assert table.frame["size\n(mm)"].tolist() == [1, 2]
    with pytest.raises(TableError, match="not 3 in line 4"):
        read(tmp_path, '"size\n(mm)",ill\n1,yes\n2,no,3\n')


def test_a_header_alone_has_no_rows(tmp_path):
    for text in ("a,b\n", "a,b", "\na,b\n\n\n", "a\n\n"):
        assert len(read(tmp_path, text).frame) == 0


def test_an_empty_line_in_one_column_is_a_row_with_a_gap(tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("a\n1.5\n\n2.5\n \n\n")
    frame = read_frame(path, ["a"], AS_FOUND).frame
    assert frame["a"].isna().tolist() == [False, True, False]
    path.write_text('a\n\n1.5\n""\n')
    frame = read_frame(path, ["a"], AS_FOUND).frame
    assert frame["a"].isna().tolist() == [True, False, True]


def test_empty_lines_among_rows_of_columns_are_told(tmp_path):
    table = read(tmp_path, "a,b\n1,2\n\n  \n3,4\n\n")
    assert table.frame["b"].tolist() == [2, 4]
    assert table.notes == ("Empty lines among the rows are no rows, and not counted: 2",)
    with pytest.raises(TableError, match="1 or 2 rows"):
        read(tmp_path, 'a,b\n1,2\n""\n')


def adult(target):
    rows = []
    for number in range(60):
        work = ("State-gov", "Private")[number % 2]
        rows.append(f"{20 + number % 40}, {work}, {70000 + number}, {target(number)}")
    return "\n".join(rows)


@pytest.mark.parametrize(
    "target",
    [
        lambda number: ("<=50K", ">50K")[number % 4 == 0],
        lambda number: number * 1.5 + 0.25,
        lambda number: number % 2 == 0,
    ],
)
def test_a_first_line_that_is_a_sample_is_refused(tmp_path, target):
    path = tmp_path / "adult.csv"
    path.write_text(adult(target))
    with pytest.raises(DataError, match="needs a header line"):
        load(str(path))


def test_years_are_names(tmp_path):
    path = tmp_path / "years.csv"
    rows = [f"{('Chad', 'Peru')[n % 2]},{n % 9},{n % 7},{n % 5 + 0.5}" for n in range(60)]
    path.write_text("\n".join(["country,1990,1991,1992", *rows]))
    assert load(str(path)).features == ("country", "1990", "1991")
