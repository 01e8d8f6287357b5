"""Whether there is room for a checkpoint is found out without leaving anything, killed or not."""

import os
import signal
import subprocess
import sys

import pytest

from keras_acts.search.runtime.kept_files import check_room
from tests.helpers.processes import ROOT

KILLED = """
import os, signal, sys
from pathlib import Path
from keras_acts.search.runtime import kept_files
reserve = os.posix_fallocate

def killed(*arguments):
    reserve(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

os.posix_fallocate = killed
kept_files.check_room(Path(sys.argv[1]), 1000)
"""
needs_reservation = pytest.mark.skipif(
    not hasattr(os, "posix_fallocate"), reason="this system reserves no room"
)


@needs_reservation
@pytest.mark.once
@pytest.mark.slow
def test_a_process_killed_while_it_looks_for_room_leaves_nothing(tmp_path):
    file = tmp_path / "trial_0" / "checkpoint.weights.h5"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, file],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert os.listdir(file.parent) == []


@needs_reservation
@pytest.mark.once
def test_the_files_that_are_there_stay(tmp_path):
    file = tmp_path / "checkpoint.weights.h5"
    beside = tmp_path / "checkpoint.weights.h5.partial"
    for path in (file, beside):
        path.write_text("as it was")
    check_room(file, 1000)
    assert [path.read_text() for path in (file, beside)] == ["as it was", "as it was"]
    assert len(os.listdir(tmp_path)) == 2
