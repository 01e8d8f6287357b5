"""What a person reads is in the words of docs/glossary.md; those that they replace are gone.

Read are all texts in the code that are no docstrings, README and docs, and what results print.
"""

import ast
import re
from pathlib import Path

import pytest

from keras_acts.search import pages
from tests.helpers.reports import Reader, result, verdict

# no version of Keras or TensorFlow changes it
pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
GLOSSARY = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
# each with the word of the glossary that is said instead
REPLACED = {
    r"\brungs?\b": "Round",
    r"\bcohorts?\b": "Population",
    r"\bwith 80 % power\b": "Notices",
    r"\bdetects\b": "Notices",
    r"\bcorr\.": "Correlation",
    r"\bnothing beats it\b": "Verdict",
    r"\bheld-out\b": "Training, validation and test data",
    r"\balive\b": "Race",
}
# (file, what stands there): why a reader never meets it, or needs it there
EXCEPTIONS = {
    # keys of files that a search keeps: a race of an earlier version goes on from them
    ("search/race/checkpoint.py", "rung"),
    ("search/race/journal.py", "rung"),
    # the page that explains the statistics says what "notices" is calculated by
    ("docs/verdict.md", "with 80 % power"),
}
# where a person never sees more digits, or counts of one
OVER_PRECISE = {
    r"\d[eE][+-]?\d": "a power of ten in the way of computers",
    r"(?<![\d.])0\.0*[1-9]\d{4,}|[1-9]\d*\.\d{5,}": "more than four significant digits",
    r"(?<![\d.])1 (?:epochs|seeds|candidates|trials|rounds|samples)\b": "one of several",
}


def texts_of(path):
    """The texts of a file of Python that are no docstrings, with their lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = set()
    for node in ast.walk(tree):
        # that of an attribute too: a text alone does nothing
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docstrings.add(id(node.value))
        if isinstance(node, documented):
            docstrings |= {id(each.value) for each in node.body[:1] if isinstance(each, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in docstrings:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def code():
    return sorted([*(ROOT / "search").rglob("*.py"), *(ROOT / "keras_acts").rglob("*.py")])


def documents():
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def printed():
    """What a search and a comparison print, as text and as a page."""
    found = result(verdict(rates=True))
    losses = verdict((0.31, 0.33, 0.29), metric="loss", maximize=False)
    for each in (
        found,
        found.verdict,
        losses,
        verdict((0.9, 0.9), names=("relu", "mish"), seeds=2),
    ):
        yield str(each)
        yield each.to_markdown()
        yield repr(each)
    yield Reader(pages.page(found).to_html()).text


def found_in(name, text, line=""):
    """The replaced words in a text, but for the exceptions."""
    for pattern in REPLACED:
        for match in re.finditer(pattern, text, re.IGNORECASE):
            if (name, match.group().lower()) not in EXCEPTIONS:
                yield f"{name}:{line} {match.group()!r}"


def test_replaced_words_are_in_no_text_of_the_code():
    wrong = []
    for path in code():
        name = str(path.relative_to(ROOT))
        for line, text in texts_of(path):
            wrong += found_in(name, text, line)
    assert wrong == []


def test_replaced_words_are_in_no_document():
    wrong = []
    for path in documents():
        name = str(path.relative_to(ROOT))
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            wrong += found_in(name, text, line)
    assert wrong == []


def test_what_is_printed_has_neither_replaced_words_nor_too_many_digits():
    texts = list(printed())
    # a page's text has no spaces between the cells of a table
    *lines, page = texts
    for text in texts:
        assert list(found_in("printed", text)) == []
    assert "Statistics" in page
    for text in lines:
        for pattern, what in OVER_PRECISE.items():
            assert not re.search(pattern, text), (what, re.search(pattern, text))


def test_exceptions_are_still_there():
    """One that no file needs any more would hide the next fault."""
    for name, word in EXCEPTIONS:
        assert re.search(re.escape(word), (ROOT / name).read_text(encoding="utf-8"), re.IGNORECASE)


def test_the_glossary_has_each_word_that_replaces_another():
    terms = re.findall(r"\*\*(.+?)\*\*", GLOSSARY)
    assert set(REPLACED.values()) <= set(terms)
    # what a report explains where it stands is explained there alike
    assert "four times in five" in GLOSSARY
    for column in ("between", "the test says", "notices", "varies by"):
        assert column in str(verdict()) + verdict().to_markdown()
    linked = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "docs/glossary.md" in linked
