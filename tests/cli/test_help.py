"""Help pages: each has examples that are right, and none waits for TensorFlow."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from keras_acts_cli import main
from keras_acts_cli.help_pages import SECTIONS

pytestmark = pytest.mark.once
DOCS = Path(__file__).parents[2] / "docs"


def examples(command):
    """The examples of a help page, as arguments."""
    lines = (command.epilog or "").splitlines()
    return [shlex.split(line) for line in lines if line.strip().startswith("keras-acts ")]


@pytest.mark.parametrize("name", main.commands)
def test_each_help_page_has_two_examples_that_parse(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = main.commands[name]
    shown = CliRunner().invoke(main, [name, "--help"], terminal_width=110).output
    found = examples(command)
    assert len(found) >= 2
    for _, called, *arguments in found:
        assert called == name
        # raises where an option is unknown or a value is not valid
        command.make_context(name, arguments, parent=click.Context(main))
        assert "Examples:" in shown
        assert shlex.join(arguments).split(" ")[-1].strip("'\"") in shown


@pytest.mark.parametrize("name", ["search", "compare"])
def test_each_of_many_options_is_in_a_section(name):
    command = main.commands[name]
    shown = CliRunner().invoke(main, [name, "--help"], terminal_width=110).output
    titles = re.findall(r"^([A-Z][a-z, ]+):$", shown, flags=re.MULTILINE)
    assert titles == [*SECTIONS, "More"]
    listed = [option for names in SECTIONS.values() for option in names]
    assert len(listed) == len(set(listed))
    for option in command.params:
        assert option.name in listed
        assert shown.count(f"\n  {max(option.opts, key=len)} ") == 1
    assert "-h, --help" in shown.partition("More:")[2]


def test_what_a_command_does_is_said_in_a_line():
    shown = CliRunner().invoke(main, ["--help"]).output
    # click cuts off what is longer
    assert "..." not in shown.partition("Commands:")[2]


def test_exit_codes_and_completion_are_told_in_the_help_and_in_the_docs():
    shown = CliRunner().invoke(main, ["--help"]).output
    page = (DOCS / "command_line.md").read_text(encoding="utf-8")
    for code in ("0", "1", "2", "130", "143"):
        assert f"\n    {code.ljust(5)}" in shown
        assert f"\n| {code} | " in page
    for name in main.commands:
        assert f"`{name}`" in page
    assert "_KERAS_ACTS_COMPLETE=bash_source" in shown
    assert "_KERAS_ACTS_COMPLETE=bash_source" in page


@pytest.mark.parametrize(
    ("typed", "completed"), [(["do"], "doctor"), (["search", "--tri"], "--trials")]
)
def test_tab_completes_commands_and_options(typed, completed):
    *before, last = typed
    found = BashComplete(main, {}, "keras-acts", "_KERAS_ACTS_COMPLETE")
    assert completed in {item.value for item in found.get_completions(before, last)}
