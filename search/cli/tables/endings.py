"""By which ending of its name a file is a table. Imported wherever a name is looked at: no pandas."""

from __future__ import annotations

from pathlib import Path

TEXTS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
PARQUET = (".parquet", ".pq")
ENDINGS = (*TEXTS, *PARQUET)


def ending_of(path: Path) -> str:
    """Return the ending that says how a file is read; empty if it is none of a table."""
    name = path.name.lower()
    return next((ending for ending in ENDINGS if name.endswith(ending)), "")


def stem_of(path: Path) -> str:
    """Return the name of a file without its endings."""
    ending = ending_of(path)
    if ending:
        return path.name[: -len(ending)]
    return path.stem
