"""A report as a value, and as one file of HTML that needs nothing else.

jinja2 is imported when a page is written, not before: whoever only searches does not wait for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from . import charts, svg
from .tables import TextTable
from .values import Picture

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER = Path(__file__).parent
_TEMPLATE = "page.html.j2"
# letters of a cell that a line breaks on a phone only
_SHORT = 18


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Attributes:
        words: as plain text.
        quiet: whether it only explains what stands beside it.
    """

    words: str
    quiet: bool = False
    kind: str = field(default="text", init=False)


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]
    kind: str = field(default="bullets", init=False)


@dataclass(frozen=True)
class Figure:
    """A picture with what it shows in words.

    Attributes:
        picture: what is drawn.
        title: what it is, read out where it cannot be seen.
        caption: how to read it.
        name: of the file that it is as a picture of its own, without ``.svg``.
    """

    picture: Picture
    title: str
    caption: str
    name: str
    kind: str = field(default="figure", init=False)


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        words: what it says.
        role: ``"good"``, ``"bad"`` or ``"open"`` for a mark in that colour; empty for plain text.
    """

    words: str
    role: str = ""

    @property
    def is_short(self) -> bool:
        """Whether a line never breaks it where there is room: ``the baseline``."""
        return len(self.words) <= _SHORT

    @property
    def pieces(self) -> list[str]:
        """The words in pieces between which a line may end: behind an opening bracket."""
        before, bracket, rest = self.words.partition("(")
        if not rest:
            return [self.words]
        return [before + bracket, rest]


@dataclass(frozen=True)
class DataTable:
    """A table.

    Attributes:
        header: the names of the columns.
        rows: the cells; the first of each names its row.
        caption: what the table shows.
        numeric: the columns that hold numbers.
        wide_only: the columns that a phone does not show.
        marked: the row to point at; -1 for none.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[Cell | str, ...], ...]
    caption: str
    numeric: frozenset[int] = frozenset()
    wide_only: frozenset[int] = frozenset()
    marked: int = -1
    kind: str = field(default="table", init=False)

    @property
    def cells(self) -> list[list[Cell]]:
        """All cells in one form."""
        return [[_cell(cell) for cell in row] for row in self.rows]

    def text(self) -> TextTable:
        """Return the table for the terminal and Markdown."""
        bold = None
        if self.marked >= 0:
            bold = self.marked
        rows = [[cell.words for cell in row] for row in self.cells]
        return TextTable(self.header, rows, bold)

    def css(self, column: int) -> str:
        """Return the classes of a column."""
        classes = []
        if column in self.numeric:
            classes.append("number")
        if column in self.wide_only:
            classes.append("wide-only")
        return " ".join(classes)


@dataclass(frozen=True)
class Code:
    """Lines to copy.

    Attributes:
        lines: of the code.
        what: it is, for the button.
    """

    lines: str
    what: str
    kind: str = field(default="code", init=False)


@dataclass(frozen=True)
class Terms:
    """Facts or words with what they mean."""

    entries: tuple[tuple[str, str], ...]
    kind: str = field(default="terms", init=False)


@dataclass(frozen=True)
class Details:
    """What is folded up until one asks for it."""

    summary: str
    parts: tuple[Part, ...]
    kind: str = field(default="details", init=False)


Part: TypeAlias = Text | Bullets | Figure | DataTable | Code | Terms | Details


@dataclass(frozen=True)
class Section:
    """A part of a page under a heading."""

    heading: str
    parts: tuple[Part, ...]

    @property
    def anchor(self) -> str:
        """The name by which a link finds it."""
        return re.sub(r"[^a-z0-9]+", "-", self.heading.lower()).strip("-")


@dataclass(frozen=True)
class Answer:
    """What a report says first.

    Attributes:
        headline: the answer in a few words: ``"Use relu."``.
        reasons: why, a sentence each.
        certainty: ``"sure"``, ``"open"`` or ``"none"``: whether a test stands behind it, found no
            difference, or was not made.
        certainty_words: the same in words.
        steps: what to do next.
    """

    headline: str
    reasons: tuple[str, ...]
    certainty: str
    certainty_words: str
    steps: tuple[str, ...] = ()

    @property
    def in_a_line(self) -> str:
        """The answer and how sure it is: ``"Use relu (no better one was shown)."``."""
        how_sure = f"{self.certainty_words[:1].lower()}{self.certainty_words[1:]}"
        return f"{self.headline.rstrip('.')} ({how_sure})."

    def first_lines(self) -> list[str]:
        """Return what a text begins with: the answer, then why."""
        return [f"Answer: {self.in_a_line}", *self.reasons]

    def next_line(self) -> str:
        """Return what a text ends with: what to do next."""
        return f"Next: {' '.join(self.steps)}"


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        title: what it is about.
        subtitle: a line more.
        answer: what it says first.
        figures: numbers to see at once, each with what it is: ``("97.2 %", "accuracy")``.
        sections: the rest.
        footer: how it was made.
    """

    title: str
    subtitle: str
    answer: Answer
    figures: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    footer: str

    def to_html(self) -> str:
        """Return the page as one file: no other file, and no network, is needed to read it."""
        template = _environment().get_template(_TEMPLATE)
        return template.render(page=self, draw=_Drawer(), style=_style()) + "\n"

    def pictures(self) -> dict[str, str]:
        """Return the pictures as SVG files, by their names."""
        files = {}
        for section in self.sections:
            for figure in _figures(section.parts):
                drawn = charts.drawn(figure.picture, charts.WIDE, figure.title, figure.name)
                files[f"{figure.name}.svg"] = svg.file_of(drawn)
        return files


class _Drawer:
    """Draws the pictures of a page, each name once."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, figure: Figure, width: str) -> str:
        from markupsafe import Markup

        self._count += 1
        pixels = charts.NARROW
        if width == "wide":
            pixels = charts.WIDE
        drawn = charts.drawn(figure.picture, pixels, figure.title, f"clip{self._count}")
        return Markup(drawn)  # all texts in it are escaped where it is drawn


def _figures(parts: Sequence[Part]) -> list[Figure]:
    found = []
    for part in parts:
        if isinstance(part, Figure):
            found.append(part)
        elif isinstance(part, Details):
            found += _figures(part.parts)
    return found


def _cell(cell: Cell | str) -> Cell:
    if isinstance(cell, Cell):
        return cell
    return Cell(cell)


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _style() -> str:
    """The CSS of a page with its colours."""
    from markupsafe import Markup

    own = (_FOLDER / "page.css").read_text(encoding="utf-8")
    dark = svg.colour_rules(True)
    rules = [
        f":root {{ color-scheme: light dark; {svg.colour_rules(False)} }}",
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}",
        own,
        svg.chart_rules(),
    ]
    return Markup("\n".join(rules))  # nothing in it is from a user
