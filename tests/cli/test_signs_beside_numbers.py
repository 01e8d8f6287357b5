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


@pytest.mark.parametrize(
    ("sign", "word"), [("$", "n.v."), ("%", "unknown"), ("$", "€3x"), ("", "n.v.")]
)
def test_a_slip_among_numbers_with_a_sign_is_refused_as_among_others(tmp_path, sign, word):
    cells = [*(f"{number}.5{sign}" for number in range(30)), word]
    with pytest.raises(TableError, match=rf"not '{word}' in row 31 among numbers: --gaps '{word}'"):
        read(tmp_path / "t.csv", *cells)
    asked = Reading(separator=";", gaps=(word,))
    assert read(tmp_path / "t.csv", *cells, reading=asked).frame["x"][:2].tolist() == [0.5, 1.5]
    # what is said to be a number is named where it is none, and not its neighbours
    asked = Reading(separator=";", kinds={"x": "number"})
    with pytest.raises(TableError, match=rf"not '{word}' in row 31"):
        read(tmp_path / "t.csv", *cells, reading=asked)
    with pytest.raises(TableError, match=rf"not '{word}' in row 31"):
        read(tmp_path / "t.csv", *cells, expected={"x": How("number", ".", sign=sign)})


def test_words_among_few_numbers_with_a_sign_are_told(tmp_path):
    table = read(tmp_path / "t.csv", "12 %", "3 %", "unknown", "4 %")
    assert table.how["x"].kind == "category"
    (note,) = table.notes
    assert note.startswith("'x' is read as words, though most of it is numbers: 'unknown' stands")
    # fewer than half are numbers
    assert read(tmp_path / "t.csv", "12 %", "3", "low", "high", "none of it").notes == ()


@pytest.mark.parametrize("cells", [["$1.5", "$1,5", "$7"], ["$1.5", "$1,5", "$7", "n.v."]])
def test_two_decimal_signs_beside_a_currency_are_refused(tmp_path, cells):
    with pytest.raises(
        TableError, match=r"one decimal sign in the column 'x', not '\$1.5' in row 1"
    ):
        read(tmp_path / "t.csv", *cells)


@pytest.mark.parametrize("dash", ["$ -", "- $", "-$", "$NA"])
def test_a_dash_beside_a_currency_may_be_a_gap_or_0(tmp_path, dash):
    cells = [dash, "$5", "$6"]
    with pytest.raises(TableError, match=r"in row 1: it may be a gap \(--gaps '.*or 0, as spread"):
        read(tmp_path / "t.csv", *cells)
    asked = Reading(separator=";", gaps=(dash,))
    table = read(tmp_path / "t.csv", *cells, reading=asked)
    np.testing.assert_array_equal(table.frame["x"], [np.nan, 5, 6])
    assert table.how["x"].gaps == {dash: 1}


def test_a_currency_in_brackets_is_below_zero(tmp_path):
    cells = ["$5", "($3.50)", "$ (1,200)", "(7 $)", "-$2"]
    table = read(tmp_path / "t.csv", *cells)
    assert table.frame["x"].tolist() == [5, -3.5, -1200, -7, -2]
    assert table.notes[1] == (
        "Brackets in 'x' are a minus, as accountants write it: '($3.50)' is -3.5"
    )
    # of others nobody knows what they mean
    for other in ("(3.50)", "(3 %)", "($-3)", "(-$3)"):
        assert read(tmp_path / "t.csv", other, "$5").frame["x"].tolist() == [other, "$5"]


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
