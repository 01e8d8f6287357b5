"""Run a piece of Python in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python(code, *arguments, **environment):
    """Run the code at the repository's root.

    Return its standard output, or raise with its standard error.
    """
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=1500,  # far more than it takes, also beside other tests
        check=False,
    )
    if done.returncode:
        raise AssertionError(done.stderr[-4000:])
    return done.stdout
