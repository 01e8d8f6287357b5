"""Pieces of SVG, and the colours of all pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

SIZE = 13  # of letters, in pixels: pictures are hardly scaled
LINE = 16  # from one line of text to the next
_TO_BASELINE = 4.5  # from the middle of a line of text
# what a bold letter of the widest of the fonts takes on average, as a share of its size
_WIDTH_OF_LETTER = 0.65

# told apart by people with any kind of colour vision; text in them has a contrast of 4.5 to the
# paper. Light, dark.
COLOURS = (
    ("#0067a5", "#5ab4f0"),
    ("#c04a00", "#ff9a5c"),
    ("#007a58", "#3ecf9e"),
    ("#9b4f96", "#e29ad9"),
    ("#806300", "#e6c14a"),
    ("#5b6470", "#a9b4c0"),
)
# the roles of colours: light, dark
ROLES = {
    "paper": ("#ffffff", "#14181d"),
    "card": ("#f6f8fa", "#1c2229"),
    "ink": ("#1c2128", "#e8edf2"),
    "quiet": ("#59636e", "#a3aebb"),
    "rule": ("#d5dbe1", "#353d47"),
    "good": ("#007a58", "#3ecf9e"),
    "bad": ("#c04a00", "#ff9a5c"),
    "open": ("#59636e", "#a3aebb"),
}
# of lines, so that colour is not all that tells them apart
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "12 3")


def colour_rules(dark: bool) -> str:
    """Return the colours as CSS variables."""
    index = int(dark)
    roles = [f"--{name}: {pair[index]}" for name, pair in ROLES.items()]
    series = [f"--c{number}: {pair[index]}" for number, pair in enumerate(COLOURS)]
    return "; ".join([*roles, *series])


def chart_rules() -> str:
    """Return the CSS that pictures need, wherever they stand."""
    rules = [
        f".chart text {{ font-size: {SIZE}px; fill: var(--ink); }}",
        # grid lines do not run through words
        ".chart text { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }",
        ".chart .paper { fill: var(--paper); }",
        ".chart .quiet { fill: var(--quiet); }",
        ".chart .strong { font-weight: 650; }",
        ".chart .grid { stroke: var(--rule); stroke-width: 1; }",
        ".chart .zero { stroke: var(--quiet); stroke-width: 1.5; }",
        ".chart .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }",
        ".chart .thin { stroke-width: 1.25; opacity: 0.55; }",
        ".chart .whisker { stroke-width: 2.5; stroke-linecap: round; }",
        ".chart .band { opacity: 0.16; stroke: none; }",
        ".chart .bar { fill: var(--rule); }",
        ".chart .hollow { fill: var(--paper); stroke-width: 2; }",
        ".chart .panel { fill: none; stroke: var(--rule); }",
    ]
    for number in range(len(COLOURS)):
        rules.append(f".chart .l{number} {{ stroke: var(--c{number}); }}")
        rules.append(f".chart .f{number} {{ fill: var(--c{number}); }}")
    for role in ("good", "bad", "open"):
        rules.append(f".chart .l-{role} {{ stroke: var(--{role}); }}")
        rules.append(f".chart .f-{role} {{ fill: var(--{role}); }}")
    return "\n".join(rules)


def text_width(text: str, size: float = SIZE) -> float:
    """Return about how many pixels a text takes, rather too many."""
    return _WIDTH_OF_LETTER * size * len(text)


def attributes(**values: object) -> str:
    """Return attributes as XML; ``_`` in a name stands for ``-``, and None is left out."""
    parts = []
    for name, value in values.items():
        if value is None:
            continue
        shown = value
        if isinstance(value, float):
            shown = f"{value:.1f}"
        key = name.rstrip("_").replace("_", "-")
        parts.append(f' {key}="{escape(str(shown))}"')
    return "".join(parts)


def element(tag: str, content: str = "", **values: object) -> str:
    """Return an element; the content is XML already."""
    return f"<{tag}{attributes(**values)}>{content}</{tag}>"


def titled(content: str, title: str) -> str:
    """Return elements with a text that shows where one points at them, and is read out."""
    return element("g", element("title", escape(title)) + content)


def text(x: float, y: float, words: str, css: str | None = None, anchor: str = "start") -> str:
    """Return a text whose baseline begins, ends or has its middle at a place."""
    where = None
    if anchor != "start":
        where = anchor
    return element("text", escape(words), x=x, y=y, class_=css, text_anchor=where)


def wrapped(words: str, width: float) -> list[str]:
    """Return a text in lines of at most this many pixels.

    It is broken at spaces and behind opening brackets; a longer word anywhere.
    """
    most = max(1, int(width / (_WIDTH_OF_LETTER * SIZE)))
    lines = [""]
    for piece in re.split(r"(?<=[ (])", words):
        if lines[-1] and len((lines[-1] + piece).rstrip()) > most:
            lines.append("")
        rest = piece
        while len(rest.rstrip()) > most:
            lines[-1] = rest[:most]
            lines.append("")
            rest = rest[most:]
        lines[-1] += rest
    return [line.rstrip() for line in lines]


def block(x: float, middle: float, lines: Sequence[str], css: str, anchor: str = "start") -> str:
    """Return lines of text whose middle is at a height."""
    first = middle - (len(lines) - 1) * LINE / 2 + _TO_BASELINE
    parts = []
    for index, words in enumerate(lines):
        parts.append(text(x, first + index * LINE, words, css, anchor))
    return "".join(parts)


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """Return a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=css)


def circle(x: float, y: float, radius: float, css: str) -> str:
    """Return a dot."""
    return element("circle", cx=x, cy=y, r=float(radius), class_=css)


def rectangle(x: float, y: float, width: float, height: float, css: str) -> str:
    """Return a rectangle."""
    return element("rect", x=x, y=y, width=width, height=height, class_=css)


def path(points: Iterable[tuple[float, float]], css: str, dash: str = "") -> str:
    """Return a line through points."""
    commands = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return element("polyline", points=commands, class_=css, stroke_dasharray=dash or None)


def area(points: Iterable[tuple[float, float]], css: str) -> str:
    """Return a filled shape with these corners."""
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return element("polygon", points=corners, class_=css)


def clipped(content: str, key: str, box: tuple[float, float, float, float]) -> str:
    """Return elements of which only what lies in a box is seen.

    Args:
        content: the elements.
        key: a name that no other box of the page has.
        box: x, y, width, height.
    """
    x, y, width, height = box
    inside = element("rect", x=x, y=y, width=width, height=height)
    definition = element("clipPath", inside, id=key)
    return definition + element("g", content, clip_path=f"url(#{key})")


def picture(content: str, width: float, height: float, title: str, css: str = "chart") -> str:
    """Return the whole picture, which is read out by its title."""
    inside = element("title", escape(title)) + content
    return element(
        "svg",
        inside,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        role="img",
        class_=css,
    )


def file_of(drawn: str) -> str:
    """Return a picture as a file of its own, with its colours, in light and dark."""
    font = "font-family: system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
    style = "\n".join(
        [
            f"svg {{ {colour_rules(False)}; background: var(--paper); {font} }}",
            f"@media (prefers-color-scheme: dark) {{ svg {{ {colour_rules(True)} }} }}",
            chart_rules(),
        ]
    )
    head, _, rest = drawn.partition(">")
    return f"{head}>{element('style', style)}{rest}\n"
