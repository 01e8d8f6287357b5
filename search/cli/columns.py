"""What is said of a table's columns: in the terminal, in the report, and to predictions."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from keras_acts.errors import ExportError, shown
from keras_acts.search.report.tables import COLUMNS, TextTable

from .data import Dataset, Parts
from .tables.cells import How
from .tables.options import NUMBER, Reading

# columns of numbers that have a line each
_MOST_BESIDE = 8
# how a column was read is told as if of a frame
TYPED = "typed"


def rows(dataset: Dataset, parts: Parts) -> tuple[tuple[str, str, str, str], ...]:
    """Return what is done with each column, as rows of text; nothing where all stay as they are."""
    if parts.columns is None:
        return ()
    found = []
    for column in parts.columns.columns:
        done = column.done()
        how = dataset.how.get(column.name)
        if how is not None and how.said():
            done = f"{done} ({how.said()})"
        found.append((column.name, column.kind, str(column.width), done))
    return tuple(found)


def table(dataset: Dataset, parts: Parts) -> TextTable | None:
    """Return the same as a table; None where all columns stay as they are.

    Many numbers beside each other, such as those of pixels, are one line.
    """
    found = rows(dataset, parts)
    if not found:
        return None
    lines: list[tuple[str, ...]] = []
    for is_plain, run in groupby(found, _is_plain):
        beside = list(run)
        if is_plain and len(beside) > _MOST_BESIDE:
            name = f"{beside[0][0]} … {beside[-1][0]}"
            numbers = str(len(beside))
            lines.append(
                (name, NUMBER, numbers, "each minus its mean, divided by its standard deviation")
            )
        else:
            lines += beside
    return TextTable(COLUMNS, lines)


def _is_plain(row: tuple[str, str, str, str]) -> bool:
    """Whether a column is of numbers without gaps, read as they are written."""
    _, kind, numbers, done = row
    return kind == NUMBER and numbers == "1" and "(" not in done


def facts(dataset: Dataset, parts: Parts, reading: Reading) -> dict[str, Any]:
    """Return what a model card says of the columns: predictions read them so too."""
    described: dict[str, Any]
    if parts.columns is not None:
        described = parts.columns.card()
        for entry, row in zip(described["columns"], rows(dataset, parts), strict=True):
            entry["done"] = row[-1]
    else:
        plain = [{"name": name, "kind": "number", "gaps": False} for name in dataset.features]
        described = {"features": list(dataset.features), "columns": plain}
    for entry in described["columns"]:
        how = dataset.how.get(entry["name"])
        if how is not None:
            entry["read"] = {"kind": how.kind, "decimal": how.decimal, "written": how.written}
            if how.sign:
                entry["read"]["sign"] = how.sign
    if reading.gaps:
        described["gaps"] = list(reading.gaps)
    return described


def of_card(card: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return what a card says of each column that the model takes, by name.

    Raises:
        ExportError: if it is not what a search wrote.
    """
    features = card.get("features") or []
    described = {entry["name"]: entry for entry in card.get("columns") or []}
    missing = [name for name in features if name not in described]
    if described and missing:
        raise ExportError(
            "The model card's columns must have all of its features. Received: columns without "
            f"{shown(missing)}"
        )
    return {name: described[name] for name in features if described}


def how_read(described: Mapping[str, Mapping[str, Any]]) -> dict[str, How]:
    """Return how columns were read in the training, as a card tells it."""
    found = {}
    for name, entry in described.items():
        read = entry.get("read") or {}
        kind = read.get("kind", TYPED)
        found[name] = How(
            kind, read.get("decimal", ""), read.get("written", ""), sign=read.get("sign", "")
        )
    return found
