"""What is shown while a search works: in a terminal, in a notebook, in a log, and what it promises."""

import io
import os
import sys
import threading

import pytest

from keras_acts.search.strategy import live
from keras_acts.search.strategy.progress import (
    Progress,
    RaceProgress,
    SearchProgress,
    Speed,
    in_words,
)
from tests.helpers.reports import Reader

pytestmark = pytest.mark.once


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Screen:
    """A terminal as standard error; `shown` is all that was written to it."""

    def __init__(self, monkeypatch):
        self._master, slave = os.openpty()
        self._file = os.fdopen(slave, "w")
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setattr(sys, "stderr", self._file)
        self._written = io.BytesIO()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while True:
            try:
                self._written.write(os.read(self._master, 4096))
            except OSError:  # the other end is closed
                return

    def shown(self):
        self._file.close()
        self._reader.join()
        os.close(self._master)
        return self._written.getvalue().decode()


def race(progress):
    """A race of two rounds, as far as progress hears of it."""
    progress.epoch("1 of 2", 12, "", 12)
    progress.epoch("1 of 2", 12, "", 12)
    progress.say("round 1 of 2: 12 candidates")
    progress.epoch("2 of 2", 4, "mish 0.9593 (spread over 2 seeds 0.012)", 8)


def interrupted_race():
    with RaceProgress(60) as progress:
        race(progress)
        progress._display._live.refresh()
        raise KeyboardInterrupt


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminal here")
def test_a_terminal_shows_one_table_and_is_left_clean(monkeypatch):
    screen = Screen(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        interrupted_race()
    shown = screen.shown()
    for text in ("candidates left", "best so far", "mish 0.9593 (spread over 2 seeds 0.012)"):
        assert text in shown
    assert "32 of 60 epochs" in shown
    assert shown.count("round 1 of 2: 12 candidates") == 1
    # the cursor is there again, and below what was said nothing is left
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert "mish" not in shown[shown.rindex("\x1b[2K") :]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminal here")
def test_nothing_is_drawn_if_nothing_is_wanted(monkeypatch):
    screen = Screen(monkeypatch)
    with RaceProgress(60, verbose=0) as progress:
        race(progress)
    assert screen.shown() == ""


def test_a_log_has_lines_alone(capsys):
    with RaceProgress(60) as progress:
        race(progress)
    told = capsys.readouterr()
    assert told.err == "round 1 of 2: 12 candidates\n"
    assert told.out == ""


def test_a_box_says_how_it_stands_and_then_what_was_said():
    with RaceProgress(60, verbose=0) as progress:
        race(progress)
        standing = progress.standing()
    said = [f"line {number} <b>" for number in range(9)]
    reader = Reader(live.box(standing, said, over=False))
    assert reader.wrong == []
    assert "candidates left" in reader.text
    assert "mish 0.9593" in reader.text
    assert "32 of 60 epochs" in reader.text
    assert "3 lines before" in reader.text
    assert "line 8 <b>" in reader.text
    ended = Reader(live.box(standing, said, over=True))
    assert "candidates left" not in ended.text
    assert "line 8 <b>" in ended.text


def test_the_time_that_is_left_is_measured_or_not_shown():
    clock = Clock()
    progress = Progress(20, verbose=0, clock=clock)
    with progress:
        clock.now = 30.0
        progress.advance()
        # one of twenty: too little to tell
        assert progress.seconds_left is None
        clock.now = 40.0
        progress.advance(3)
        assert progress.seconds_left == pytest.approx(160.0)
        assert progress.standing().cells["time left"] == "3 min"
        # it counts down until the next one, and is not shown once it was wrong
        clock.now = 60.0
        assert progress.seconds_left == pytest.approx(140.0)
        clock.now = 300.0
        assert progress.seconds_left is None
        clock.now = 40.0
        progress.deadline = 50.0
        assert progress.seconds_left == pytest.approx(10.0)
        progress.deadline = None
        progress.cannot_tell()
        assert progress.seconds_left is None
        progress.begin(2, "seed", "verdict")
        assert progress.seconds_left is None
        clock.now = 45.0
        progress.advance()
        assert progress.seconds_left == pytest.approx(5.0)
        progress.advance()
        # nothing is left to do
        assert "time left" not in progress.standing().cells


def test_the_speed_is_without_what_compiles():
    clock = Clock()
    speed = Speed(clock)
    clock.now = 20.0
    for _ in range(8):  # that train together
        speed.count(1)
    assert speed.rate is None
    clock.now = 21.0
    for _ in range(8):
        speed.count(1)
    assert speed.rate == pytest.approx(8.0)
    speed.pause()
    clock.now = 30.0
    speed.count(4)
    assert speed.rate is None
    clock.now = 32.0
    speed.count(4)
    assert speed.rate == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (59.4, "59 s"),
        (90, "2 min"),
        (3540, "59 min"),
        (3599, "1 h 00 min"),
        (3660, "1 h 01 min"),
    ],
)
def test_times_are_said_as_exactly_as_they_are_known(seconds, words):
    assert in_words(seconds) == words


@pytest.mark.parametrize(("maximize", "best"), [(True, "mish 0.9000"), (False, "relu 0.5000")])
def test_the_best_trial_so_far_is_the_best_by_the_direction(maximize, best):
    with SearchProgress(3, 2, "val_own", 0, maximize=maximize) as progress:
        progress.trial("relu", "completed", 0.5, 1.0)
        progress.trial("mish", "completed", 0.9, 1.0)
        progress.trial("tanh", "diverged", None, 1.0)
        assert progress.standing().cells["best so far"] == best


def test_a_notebook_updates_one_box(monkeypatch):
    pytest.importorskip("IPython")
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    try:
        monkeypatch.setattr(shell, "display_pub", CapturingDisplayPublisher())
        standing = live.Standing({"round": "1 of 2"}, 1, 4, "epoch")
        notebook = live.Notebook(lambda: standing)
        notebook.start()
        notebook.say("round 1 of 2: 12 candidates")
        notebook.stop()
        outputs = shell.display_pub.outputs
        ids = {output["transient"]["display_id"] for output in outputs}
        assert len(ids) == 1
        assert [output.get("update", False) for output in outputs] == [False, True, True]
        assert "round 1 of 2: 12 candidates" in outputs[-1]["data"]["text/html"]
    finally:
        InteractiveShell.clear_instance()
