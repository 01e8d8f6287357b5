"""Tables are never cut, signs say what is better, numbers have the digits that they deserve."""

import doctest
import io
import re
from dataclasses import replace

import numpy as np
import pytest

from keras_acts.search.report import names, numbers
from keras_acts.search.report.tables import TextTable, plain_text, print_table, print_text
from keras_acts.search.verdict.sequential import Look
from keras_acts.search.verdict.words import Unit, named
from tests.helpers.reports import result, verdict

LONG = "trelu(alpha=0.2, theta=-0.3)"
TABLE = TextTable(
    (
        "activation",
        "learning rate",
        "test accuracy, %",
        "better (+) or worse (−) than relu, points",
    ),
    [(LONG, "0.004", "93.10", "+0.10"), ("relu", "0.00025", "93.00", "")],
    bold=0,
)


@pytest.mark.parametrize("module", [names, numbers])
def test_the_examples_of_docstrings_hold(module):
    assert doctest.testmod(module).failed == 0


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_a_narrow_terminal_wraps_names_and_leaves_numbers_whole(width, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    print_table(TABLE.drawn)
    text = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    assert "…" not in text
    for whole in ("0.004", "0.00025", "93.10", "93.00", "+0.10", "trelu(alpha=0.2,", "theta=-0.3)"):
        assert whole in text
    if width >= 60:
        assert max(map(len, text.splitlines())) <= width


def test_text_in_a_file_is_as_wide_as_its_content(capsys):
    print_table(TABLE.drawn)
    printed = capsys.readouterr().out
    assert printed == plain_text(TABLE.drawn())
    (row,) = [line for line in printed.splitlines() if "trelu" in line]
    assert LONG in row
    assert not any(line.endswith(" ") for line in printed.splitlines())


def test_more_is_better_for_losses_too():
    of_losses = verdict((0.31, 0.25, 0.40), metric="loss", maximize=False)
    rows = {}
    for line in filter(str.strip, str(of_losses).splitlines()):
        rows.setdefault(line.split()[0], line)
    assert re.search(r"\+0\.06\d*\s+\+0\.05\d* to \+0\.06\d*\s+better", rows["mish"])
    assert re.search(r"−0\.09\d*\s+−0\.0?9?\d* to −0\.0\d*\s+worse", rows["trelu(alpha=0.2,"])
    assert "better (+) or worse (−) than relu" in str(of_losses)


def test_no_two_shares_differ_by_more_than_all_samples():
    unit = Unit("accuracy", share=True)
    assert unit.amount(0.13, 1.4) == "13 ± 100 points"
    assert unit.between(0.4, -0.9, 1.7) == "40 points (−90 to 100)"
    wild = verdict((0.5, 0.7), names=("relu", "mish"), seeds=2, sd=0.4)
    for low, high in re.findall(r"([+−][\d.]+) to ([+−][\d.]+)", str(wild)):
        ends = [float(end.replace("−", "-")) for end in (low, high)]
        assert -100 <= ends[0] <= ends[1] <= 100


def test_large_and_tiny_differences_have_no_exponents():
    unit = Unit("loss", share=False)
    assert unit.amount(2_604_504.4, 5_093_251.7) == "2,600,000 ± 5,100,000 of loss"
    assert unit.amount(2e-8) == "2 × 10⁻⁸ of loss"
    look = Look(4, 0.04, "mish", 2e-8, 0.9, "more seeds")
    assert look.told("relu", Unit("val_loss", share=False)) == (
        "After 4 seeds mish is ahead of relu by 2 × 10⁻⁸ of val_loss, which may be chance: more seeds"
    )


def test_a_look_says_who_is_ahead_and_what_follows():
    clear = Look(8, 0.003, "relu but conv3: mish", 0.0112, 0.0001, "clear")
    assert clear.told("relu") == (
        "After 8 seeds 'relu but conv3: mish' is ahead of relu by 0.011, which is clear: no more are needed"
    )
    behind = Look(1, 0.003, "mish", -0.5, 0.7, "last")
    assert behind.told("relu") == "After 1 seed relu is ahead, mish the next by 0.5"
    points = Look(4, 0.003, "mish", 0.00284, 0.3, "more seeds")
    assert points.told("relu", Unit("val_accuracy", share=True)) == (
        "After 4 seeds mish is ahead of relu by 0.28 points, which may be chance: more seeds"
    )
    equal = Look(4, 0.003, "mish", 0.0, 1.0, "more seeds")
    assert equal.told("relu") == "After 4 seeds mish and relu are equal: more seeds"
    nothing = Look(2, 0.01, "relu", np.nan, np.nan, "nothing")
    assert nothing.told("relu") == "After 2 seeds there is nothing to compare"


def test_names_that_could_be_confused_are_quoted():
    assert named(["relu", LONG, "mish"]) == f"relu, '{LONG}' and mish"


def test_what_print_shows_begins_with_the_answer_and_says_nothing_twice():
    for found in (verdict(), verdict((0.93, 0.96, 0.9)), result(verdict()).verdict):
        lines = str(found).splitlines()
        assert lines[0].startswith("Answer: Use ")
        assert lines[-1].startswith("Next: ")
        said = [line for line in lines if line]
        assert len(said) == len(set(said))
    text = str(result(verdict()))
    assert text.startswith("Answer: Use ")
    assert text.count("Answer: ") == 1
    markdown = result(verdict()).to_markdown()
    assert markdown.count("Answer: ") == 1
    assert markdown.index("Answer: ") < markdown.index("## Ranking") < markdown.index("## Verdict")


def test_what_to_do_next_is_said_in_the_words_of_whoever_called():
    asked = verdict()
    assert "(compare_activations with seeds=32)" in str(asked)
    typed = replace(asked, call="keras-acts compare --activations relu,mish")
    assert "(keras-acts compare with --seeds 32)" in str(typed)
    assert "(verdict=8)" in str(result())
    assert "(--verdict 8)" in str(result(call="keras-acts search"))


def test_an_undecided_verdict_says_why_without_repeating_the_rates():
    few = verdict((0.93, 0.94), names=("relu", "mish"), seeds=2, sd=0.03, rates=True)
    assert few.undecided
    first, why = few.first_lines()
    assert first.startswith("Answer: Use relu")
    assert first.endswith("for now (undecided: too few seeds).")
    assert why.startswith("mish is ahead of relu by ")
    assert "(learning rate" in few.sentence


def test_a_terminal_of_80_columns_has_the_table_of_differences_without_a_tower(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    print_table(verdict(rates=True).drawn_table)
    text = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    header = [line for line in text.partition("───")[0].splitlines() if line.strip()]
    assert len(header) <= 3
    assert max(map(len, text.splitlines())) <= 80


def test_a_terminal_breaks_lines_between_words(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    text = "Keep relu in your model, and compile it with learning rate 0.008 [/x] :smile:"
    print_text(text)
    printed = terminal.getvalue()
    assert " ".join(printed.split()) == text
    assert max(map(len, printed.splitlines())) <= 40
    assert repr(verdict()) == f"<Verdict: {verdict().sentence}>"
    assert repr(result(verdict())).startswith("<SearchResult: ")
