"""The process that checks an export may load TensorFlow ahead; it never outlives who started it."""

import os
import signal
import subprocess
import sys

import numpy as np
import psutil
import pytest

from keras_acts.errors import ExportError
from keras_acts.search.exporting import export as exports
from keras_acts.search.exporting import verify
from tests.helpers.models import mlp

# the real one: tests share a process that is there already (tests/conftest.py)
started_ahead = verify.started_ahead

# a process that starts one ahead, says which, and waits for its own end
WAITS = """
import signal
from keras_acts.search.exporting import verify
with verify.started_ahead():
    print(verify._waiting.get().process.pid, flush=True)
    signal.pause()
"""


def processes():
    """What this process has started and not ended."""
    return {child.pid for child in psutil.Process().children()}


def test_what_nobody_needed_ends_with_the_scope():
    before = processes()
    ahead = set()

    def interrupted():
        with started_ahead():
            ahead.update(processes() - before)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(ahead) == 1
    assert processes() == before
    assert verify._waiting.get() is None


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(verify, "usable_cores", lambda: 2)


@pytest.mark.parametrize(("what", "left"), [("free_ram", 2**30), ("usable_cores", 1)])
def test_where_memory_or_cores_are_short_nothing_is_started(monkeypatch, what, left):
    monkeypatch.setattr(verify, what, lambda: left)
    before = processes()
    with started_ahead():
        assert processes() == before


def test_a_wrong_time_limit_is_said_before_the_work(monkeypatch):
    monkeypatch.setenv(verify.LIMIT_VARIABLE, "soon")
    with pytest.raises(ExportError, match="must be a number of seconds above 0"), started_ahead():
        pytest.fail("the work has begun")


@pytest.mark.slow
@pytest.mark.once
def test_an_export_takes_the_process_that_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(exports, "Checker", verify.Checker)
    model = mlp()
    before = processes()
    with started_ahead():
        ahead = verify._waiting.get().process
        assert exports.export(model, tmp_path / "first").difference < 1e-6
        assert ahead.poll() is not None
        # the next starts its own
        assert exports.export(model, tmp_path / "second").difference < 1e-6
    assert processes() == before


@pytest.mark.slow
@pytest.mark.once
def test_where_the_process_has_ended_another_checks(tmp_path, monkeypatch):
    monkeypatch.setattr(exports, "Checker", verify.Checker)
    with started_ahead():
        os.kill(verify._waiting.get().process.pid, signal.SIGKILL)
        exported = exports.export(mlp(), tmp_path / "model", samples=np.ones((3, 4), "float32"))
    assert exported.difference < 1e-6


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_the_process_is_killed_that_started_it(how):
    with subprocess.Popen(
        [sys.executable, "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as starting:
        ahead = psutil.Process(int(starting.stdout.readline()))
        starting.send_signal(how)
    ahead.wait(60)
