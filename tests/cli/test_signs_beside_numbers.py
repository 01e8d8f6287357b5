"""Numbers with a currency's or a per cent sign beside them are numbers, or the column stays words."""

import doctest

import numpy as np
import pytest

from keras_acts_cli import columns, run
from keras_acts_cli.data import load
from keras_acts_cli.tables import files, numbers
from keras_acts_cli.tables.cells import How
from keras_acts_cli.tables.errors import TableError
from keras_acts_cli.tables.options import Reading

pytestmark = pytest.mark.once

FREE = 2**33


def read(path, *cells, reading=None, **options):
    """A table of one column and a row number behind it."""
    lines = [f'"{cell}";{row}' for row, cell in enumerate(cells)]
    path.write_text("\n".join(["x;row", *lines]), encoding="utf-8")
    return files.read_table(path, reading or Reading(separator=";"), FREE, **options)


def test_the_example_of_the_docstring_holds():
    assert doctest.testmod(numbers).failed == 0


@pytest.mark.parametrize(
    ("cells", "values", "sign"),
    [
        (["$1,200.50", "-$3", "$ 7"], [1200.5, -3, 7], "$"),
        (["$-3", "+$4"], [-3, 4], "$"),
        (["€ 3,5", "1.200,00 €", "-2\u00a0€"], [3.5, 1200, -2], "€"),
        (["12 %", "3.5%", "-1%"], [12, 3.5, -1], "%"),
        (["£5", "", "NA", "£6"], [5, np.nan, np.nan, 6], "£"),
        (["¥100", "¥250"], [100, 250], "¥"),
    ],
)
def test_one_sign_beside_all_numbers_is_left_out_and_told(tmp_path, cells, values, sign):
    table = read(tmp_path / "t.csv", *cells)
    assert table.frame["x"].tolist() == pytest.approx(values, nan_ok=True)
    assert table.how["x"].sign == sign
    assert f"without {sign}" in table.how["x"].said()
    (note,) = [note for note in table.notes if "without the sign" in note]
    assert note == (
        f"'x' is read as numbers without the sign {sign}: {cells[0]!r} is {values[0]:.15g}"
    )


@pytest.mark.parametrize(
    ("cells", "signs"),
    [
        (["$3", "€3", "$4"], "$ and €"),
        (["12 %", "0.12"], "none and %"),
    ],
)
def test_different_signs_stay_words_and_that_is_told(tmp_path, cells, signs):
    table = read(tmp_path / "t.csv", *cells)
    assert table.frame["x"].tolist() == cells
    assert table.how["x"].kind == "category"
    (note,) = table.notes
    assert note == (
        "'x' is read as words, because its numbers have different signs beside them: " + signs
    )


@pytest.mark.parametrize("cells", [["$a", "$b"], ["$", "$"], ["%", "5%%"], ["$5$", "$6$"]])
def test_words_with_a_sign_are_words(tmp_path, cells):
    assert read(tmp_path / "t.csv", *cells).frame["x"].tolist() == cells


def test_a_user_may_have_them_as_words(tmp_path):
    asked = Reading(separator=";", kinds={"x": "category"})
    table = read(tmp_path / "t.csv", "$5", "$6", reading=asked)
    assert table.frame["x"].tolist() == ["$5", "$6"]
    assert table.notes == ()


def test_another_file_has_the_sign_of_the_training(tmp_path):
    how = {"x": How("number", sign="$")}
    assert read(tmp_path / "t.csv", "$5", expected=how).frame["x"].tolist() == [5]
    # a file may leave a currency out
    assert read(tmp_path / "t.csv", "5", expected=how).frame["x"].tolist() == [5]
    with pytest.raises(
        TableError, match=r"numbers with \$ in the column 'x', .* not '€5' in row 1"
    ):
        read(tmp_path / "t.csv", "€5", expected=how)
    for cell, trained in (("0.12", "%"), ("12 %", "")):
        with pytest.raises(TableError, match="in the column 'x', as the training's file has them"):
            read(tmp_path / "t.csv", cell, expected={"x": How("number", sign=trained)})


def test_the_card_tells_predictions_the_sign():
    card = {"x": {"read": {"kind": "number", "decimal": ".", "written": "", "sign": "$"}}}
    assert columns.how_read(card)["x"].sign == "$"
    old = {"x": {"read": {"kind": "number", "decimal": ".", "written": ""}}}
    assert columns.how_read(old)["x"].sign == ""


def test_a_target_has_its_sign_as_its_unit_if_no_other_is_named(tmp_path):
    file = tmp_path / "houses.csv"
    lines = [f'{size},"${1000.5 * size:,.2f}"' for size in range(1, 40)]
    file.write_text("\n".join(["size,price", *lines]), encoding="utf-8")
    dataset = load(str(file))
    assert dataset.classes == ()
    assert dataset.y[1] == pytest.approx(2001.0)
    assert run._predicted(dataset, None) == {"name": "price", "unit": "$"}
    assert run._predicted(dataset, "CHF")["unit"] == "CHF"
