"""Names and categories with brackets and colons stay what they are wherever they are printed."""

from dataclasses import replace

import pytest
from rich.console import Console

from keras_acts.search import TablePreprocessing
from keras_acts.search.report.tables import TextTable, plain_text
from keras_acts.search.strategy.live import Standing, drawn
from keras_acts_cli import columns, run
from keras_acts_cli.data import load

pytestmark = pytest.mark.once

FLOW = "flow [/min]"
TOWN = "town [mm]"
LEAK = "leak :warning: [/x]"


@pytest.fixture
def table(tmp_path):
    """A table whose features, categories and target are called so."""
    rows = [f"{FLOW},{TOWN},{LEAK}"]
    for number in range(60):
        town = ("Bern [/x]", "Köln [mm]")[number % 2]
        answer = ("yes [/x]", "no [mm]")[number % 3 == 0]
        rows.append(f"{number % 7},{town},{answer}")
    path = tmp_path / "t.csv"
    path.write_text("\n".join(rows) + "\n")
    return load(str(path))


def test_what_is_said_before_a_search_names_them(table, capsys):
    parts = table.split(0)
    run._tell(table, parts, quiet=False)
    said = capsys.readouterr().err
    assert repr(LEAK) in said
    assert FLOW in said
    assert TOWN in said
    run._tell(replace(table, notes=("'Köln [mm]' and 'köln [/x]' are two",)), parts, quiet=True)
    assert "Note: 'Köln [mm]' and 'köln [/x]' are two." in capsys.readouterr().err


def test_what_is_printed_of_a_table_names_them(table, capsys):
    drawn_table = columns.table(table, table.split(0)).drawn()
    # a user's own console takes markup
    Console(width=200).print(drawn_table)
    assert FLOW in capsys.readouterr().out
    text = str(TablePreprocessing(table.x))
    assert FLOW in text
    assert TOWN in text


def test_what_is_said_of_a_result_keeps_brackets(capsys):
    run._to_stdout(f"{LEAK} is a regression")
    run._to_stderr(f"Exported to runs[/x]: {FLOW}")
    printed = capsys.readouterr()
    assert printed.out == f"{LEAK} is a regression\n"
    assert printed.err == f"Exported to runs[/x]: {FLOW}\n"


def test_headers_of_tables_are_texts(capsys):
    text = plain_text(TextTable((FLOW, LEAK), [("[b]1", ":x: [/]")], bold=0).drawn())
    assert FLOW in text
    assert LEAK in text
    assert ":x: [/]" in text
    Console(width=200).print(drawn(Standing({FLOW: "1"}, 1, 2)))
    assert FLOW in capsys.readouterr().out


def test_a_bar_in_a_name_is_no_column_of_markdown():
    assert "a\\|b" in TextTable(("a|b",), [("1",)]).to_markdown()
