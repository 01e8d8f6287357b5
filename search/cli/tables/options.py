"""How a user may have a table read, where the file itself does not say it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .errors import WrongOption

NUMBER = "number"
BOOLEAN = "boolean"
CATEGORY = "category"
DATE = "date"
# of a column that has a gap in each row
EMPTY = "empty"
# what --column may say; or how a date is written, such as %d.%m.%Y
KINDS = (NUMBER, CATEGORY, DATE)

DECIMALS = (".", ",")


@dataclass(frozen=True)
class Reading:
    """How a table is read; what is empty is found out.

    Attributes:
        separator: between the cells of a line.
        decimal: ``"."`` or ``","``.
        encoding: of the text, as Python calls it.
        gaps: words that stand for a missing value, besides the usual ones.
        kinds: of columns by their names: one of `KINDS`, or the format of a date.
        drop: columns that are not read.
    """

    separator: str = ""
    decimal: str = ""
    encoding: str = ""
    gaps: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()


def parsed_kinds(texts: Iterable[str]) -> dict[str, str]:
    """Return what ``--column NAME=KIND`` says, by the names of the columns.

    Raises:
        WrongOption: naming what says nothing, or two things of one column.
    """
    kinds: dict[str, str] = {}
    for text in texts:
        # the last one: a name may have its own
        name, _, kind = text.rpartition("=")
        if not name or not (kind in KINDS or "%" in kind):
            raise WrongOption(
                f"--column must be NAME=KIND, where KIND is {', '.join(KINDS)}, or how a date is "
                f"written, such as %d.%m.%Y. Received: {text!r}"
            )
        if kinds.get(name, kind) != kind:
            raise WrongOption(
                f"--column must say one thing of a column. Received: {name}={kinds[name]} and "
                f"{name}={kind}"
            )
        kinds[name] = kind
    return kinds
