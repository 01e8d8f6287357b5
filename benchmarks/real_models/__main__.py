"""Prints what a search makes of each real model; see the package."""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.machine import environment

from . import EXAMPLES
from .checks import Finding, examine
from .example import Way


def row(finding: Finding) -> tuple[str, ...]:
    """Return a line of the table."""
    way = "?"
    if finding.way is not None:
        way = str(finding.way)
    if finding.reason:
        way += f": {finding.reason}"
    failures = "; ".join(f"{name}: {reason}" for name, reason in finding.failures.items())
    about = (finding.example.model.__doc__ or "").strip().splitlines()[0]
    return finding.example.name, about, str(finding.slots or ""), way, failures or "all"


def main() -> None:
    """Examine and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="of models (default: all)")
    arguments = parser.parse_args()
    console = Console(width=200, highlight=False)
    console.print(environment(), soft_wrap=True)
    table = Table("model", "kind", "slots", "candidates train", "holds", box=MARKDOWN)
    ways: dict[Way | None, int] = {}
    for name, example in EXAMPLES.items():
        if arguments.names and name not in arguments.names:
            continue
        finding = examine(example)
        ways[finding.way] = ways.get(finding.way, 0) + 1
        table.add_row(*row(finding))
        console.print(" | ".join(row(finding)), soft_wrap=True)
        keras.backend.clear_session()
    console.print(table)
    console.print(", ".join(f"{way}: {count}" for way, count in ways.items()))


if __name__ == "__main__":
    main()
