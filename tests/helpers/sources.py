"""The package's own source, parsed.

Where a test asks and not where it is collected: every process collects all tests, and the files
take 3 s.
"""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
# of keras_acts and keras_acts.search
FILES = [
    file for folder in ("keras_acts", "search") for file in sorted((ROOT / folder).rglob("*.py"))
]


@cache
def parsed(path: Path) -> ast.Module:
    """The tree of a file, made once a process; nobody changes it."""
    return ast.parse(path.read_text(encoding="utf-8"))
