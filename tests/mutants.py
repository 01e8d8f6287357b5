"""Break the code on purpose, one place at a time, and see that a test notices.

    python -m tests.mutants              # every break, about a minute each
    python -m tests.mutants --only adjustment  # those whose name holds a word

Each break is made in a copy of the checkout, and the tests named with it run there until the first fails. The table says
which test that was. A break that no test notices, or that no longer fits the code, ends the command with 1.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
COPIED = ("keras_acts", "search", "tests", "benchmarks", "examples", "saved_models", "docs")
# pytest's exit status where tests ran and some failed; any other is a mistake of ours, such as a name that is not there
SOME_FAILED = 1


@dataclass(frozen=True)
class Mutant:
    """One wrong line: in `file`, `new` takes the place of `old`, which stands there once; `tests` are what pytest runs."""

    name: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = [
    Mutant(
        name="The adjustment for several comparisons off by one",
        file="search/paired.py",
        old="level = alpha / max(len(pairs), 1)",
        new="level = alpha / max(len(pairs) - 1, 1)",
        tests="tests/test_verdict.py",
    ),
]


def noticed_by(mutant: Mutant, folder: Path) -> str:
    """The first test that fails with this break; empty if none does."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / file, folder)
    broken = folder / mutant.file
    text = broken.read_text(encoding="utf-8")
    count = text.count(mutant.old)
    if count != 1:
        raise SystemExit(f"{mutant.name}: the old text must stand once in {mutant.file}. Received: {count} times")
    broken.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    arguments = ["-x", "-q", "-p", "no:cacheprovider", "-m", "slow or not slow", *mutant.tests.split()]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return ""
    first = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, flags=re.MULTILINE)
    if done.returncode != SOME_FAILED or first is None:
        raise SystemExit(
            f"{mutant.name}: pytest could not run {mutant.tests}\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
        )
    return first.group(1)


def main() -> int:
    """Run the chosen mutants and print which test noticed each; the exit status is 1 if one went unnoticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a word of the names to run")
    chosen = [mutant for mutant in MUTANTS if parser.parse_args().only.lower() in mutant.name.lower()]
    unnoticed = 0
    for mutant in chosen:
        with tempfile.TemporaryDirectory() as folder:
            test = noticed_by(mutant, Path(folder))
        if not test:
            unnoticed += 1
        print(f"{mutant.name:60}  {test or 'NOT NOTICED'}", flush=True)
    print(f"{len(chosen)} breaks, {unnoticed} not noticed")
    return int(unnoticed > 0)


if __name__ == "__main__":
    sys.exit(main())
