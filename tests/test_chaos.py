"""A small run of `python -m benchmarks.chaos`: searches that are killed, interrupted and damaged."""

import os
import subprocess
import sys

import pytest

from tests.helpers.processes import ROOT


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="its runs are forked")
def test_nothing_is_lost():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.chaos", "--quick"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "2 kills" in done.stdout
