"""Each code block of README and docs runs: those of a page in order, in an empty folder.

Python runs as it stands, but for smaller budgets; so do the lines of a shell that begin with
`keras-acts`. What cannot run here has `<!-- not run: why -->` above it, which no reader sees.
"""

import contextlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import click
import matplotlib
import pytest
from click.testing import CliRunner

import keras_acts_cli
from keras_acts.search import compare_activations, search_activations

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# what a fence is of, and the mark above it
FENCE = re.compile(
    r"(?P<mark><!-- not run: (?P<why>[^>]+) -->\n)?^```(?P<kind>\w*)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
# numbers of a budget, in Python and in a shell
BUDGET = re.compile(r"\b(trials|max_trials|epochs|seeds|verdict|max_epochs|max-epochs)([= ])\d+")
SMALLEST = {"trials": 3, "max_trials": 2, "max_epochs": 12, "max-epochs": 12}
LEAST = 2
# what a command trains that does not say how much
SMALL = {
    "search": {"--trials": "2", "--epochs": "1", "--verdict": "2", "--learning-rates": "none"},
    "compare": {"--seeds": "2", "--epochs": "1", "--learning-rates": "none"},
}


# what a function trains that is not told how much
DEFAULTS = {
    search_activations: {"trials": 3, "epochs": 2, "verdict": 2},
    compare_activations: {"seeds": 2, "epochs": 2},
}


@dataclass(frozen=True)
class Block:
    page: Path
    kind: str
    code: str
    why_not: str


def blocks(page):
    for found in FENCE.finditer(page.read_text(encoding="utf-8")):
        yield Block(page, found["kind"], found["code"], found["why"] or "")


def smaller(code):
    """The same code with small budgets."""

    def least(match):
        return f"{match[1]}{match[2]}{SMALLEST.get(match[1], LEAST)}"

    return BUDGET.sub(least, code)


def commands(code):
    """The lines that begin with `keras-acts`, as arguments; what follows && is a line of its own."""
    for line in code.replace("\\\n", " ").splitlines():
        for part in line.split("&&"):
            if part.strip().startswith("keras-acts "):
                yield shlex.split(smaller(part), comments=True)[1:]


def with_budget(arguments):
    """Arguments of a command that trains, with a small budget where they say none."""
    more = []
    if "--help" not in arguments:
        for option, value in SMALL.get(arguments[0], {}).items():
            if option not in arguments:
                more += [option, value]
    return [*arguments, *more]


def runs(page):
    """Whether anything of a page runs."""
    return any(block.kind and not block.why_not for block in blocks(page))


# tests/tracking/test_docs.py runs that page, and looks at what it writes
RUN = [page for page in PAGES if runs(page) and page.stem != "tracking"]
RATES = "learning_rates"


def is_about_rates(block):
    """Whether a block, or a picture on its page, is about learning rates: they are tried there.

    To try them takes most of the time of a small search.
    """
    page = block.page.read_text(encoding="utf-8")
    return RATES in block.code or f"plot.{RATES}" in page


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize("page", RUN, ids=[page.stem for page in RUN])
def test_the_blocks_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    for function, budget in DEFAULTS.items():
        for name, value in budget.items():
            assert name in function.__kwdefaults__
            monkeypatch.setitem(function.__kwdefaults__, name, value)
    names = {"__name__": "__main__"}
    for block in blocks(page):
        if block.why_not:
            continue
        if block.kind == "python":
            for function in DEFAULTS:
                rates = "auto" if is_about_rates(block) else None
                monkeypatch.setitem(function.__kwdefaults__, RATES, rates)
            exec(compile(smaller(block.code), page.name, "exec"), names)
        elif block.kind == "sh":
            for arguments in commands(block.code):
                ran = CliRunner().invoke(keras_acts_cli.main, with_budget(arguments))
                assert ran.exit_code == 0, (arguments, ran.output, ran.exception)


@pytest.mark.once
def test_each_block_says_what_it_is_and_each_command_is_known():
    """Read without running anything: a typo in an option is found in a second."""
    known = keras_acts_cli.main.commands
    for page in PAGES:
        for block in blocks(page):
            assert block.kind in ("python", "sh", ""), (page, block.kind)
            if block.kind == "python":
                compile(block.code, page.name, "exec")
            if block.kind != "sh" or block.why_not:
                continue
            assert list(commands(block.code)), f"{page.name}: nothing of it runs\n{block.code}"
            for arguments in commands(block.code):
                command = known[arguments[0]]
                if "--help" not in arguments:
                    with contextlib.suppress(click.exceptions.Exit):
                        command.make_context(arguments[0], list(arguments[1:]))


@pytest.mark.once
def test_readme_is_for_someone_who_has_a_minute():
    assert "pip install . && keras-acts search" in README
    assert 'pip install ".[test]" && pytest' in README
    head = README[: README.index("## What you get")]
    assert [block.group("kind") for block in FENCE.finditer(head)] == ["sh", "", "python", "python"]
    assert not any(block.why_not for block in blocks(ROOT / "README.md"))
    picture = ROOT / re.search(r"!\[[^\]]+\]\(([^)]+)\)", head)[1]
    assert picture.stat().st_size <= 200_000


@pytest.mark.once
def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(
            r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        ):
            if "://" in target:
                continue
            file, _, anchor = target.partition("#")
            linked = (page.parent / file).resolve() if file else page
            assert linked.exists(), (page.name, target)
            if anchor and linked.suffix == ".md":
                assert anchor in anchors(linked), (page.name, target)


def anchors(page):
    """What GitHub calls the headings of a page."""
    found = set()
    for title in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", title.lower())
        found.add(words.replace(" ", "-"))
    return found
