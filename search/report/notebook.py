"""What a notebook shows of a value: a headline, a line or two, and a short table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .page import Cell, DataTable

_ROWS = 12


def shown(headline: str, lines: Sequence[str], table: DataTable | None) -> str:
    """Return a fragment of HTML; colours are left to the notebook."""
    parts = []
    if headline:
        parts.append(f"<p><strong>{escape(headline)}</strong></p>")
    for line in lines:
        parts.append(f"<p>{escape(line)}</p>")
    if table is not None:
        parts.append(_table(table))
    return f"<div>{''.join(parts)}</div>"


def simple(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """Return a table of texts alone."""
    cells = tuple(tuple(row) for row in rows)
    return shown("", (), DataTable(tuple(header), cells, caption))


def _table(table: DataTable) -> str:
    header = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.header)
    rows = []
    for row in table.cells[:_ROWS]:
        rows.append(f"<tr>{''.join(map(_cell, row))}</tr>")
    more = ""
    if len(table.cells) > _ROWS:
        more = f"<p>{len(table.cells) - _ROWS} more rows: see the report.</p>"
    caption = f"<caption>{escape(table.caption)}</caption>"
    body = "".join(rows)
    return f"<table>{caption}<thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(cell: Cell) -> str:
    return f"<td>{escape(cell.words)}</td>"
