"""Comparing an export with its model, in another process that has neither Keras nor keras_acts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_acts.errors import ExportError

from ..runtime.cores import usable_cores
from ..runtime.ram import free_ram

Arrays = Mapping[str, np.ndarray]

# how long another process may take for one export
LIMIT_VARIABLE = "KERAS_ACTS_EXPORT_SECONDS"
_DEFAULT_LIMIT = 1800.0
# bytes that must be free for a process that waits: with TensorFlow it takes about 0.6e9
_ROOM_AHEAD = 2 * 2**30


@dataclass(frozen=True)
class _Started:
    """A process that loads TensorFlow, or has.

    Attributes:
        process: the process.
        errors: what it says on standard error.
    """

    process: subprocess.Popen[bytes]
    errors: IO[bytes]


# the process that was started ahead, for the next export
_waiting: ContextVar[_Started | None] = ContextVar("waiting", default=None)


def _started() -> _Started:
    # a pipe would be full at some time, as nobody reads it meanwhile
    errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
    process = subprocess.Popen(
        # -P: this folder's files must not be taken for modules that TensorFlow imports
        [sys.executable, "-P", str(Path(__file__).with_name("verify_process.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=environment(),
        start_new_session=True,  # so that what it starts can be ended with it
    )
    return _Started(process, errors)


@contextlib.contextmanager
def started_ahead() -> Iterator[None]:
    """Have the process of the first export inside the scope load TensorFlow before it is needed.

    It ends with the scope at the latest; and by itself when this process ends, as nothing can come
    any more on its standard input. Where memory is short, or one core does all the work, nothing is
    started ahead.

    Raises:
        ExportError: if the environment says of the time limit what is no time.
    """
    time_limit()
    if free_ram() < _ROOM_AHEAD or usable_cores() < 2:
        yield
        return
    started = _started()
    token = _waiting.set(started)
    try:
        yield
    finally:
        _waiting.reset(token)
        end(started.process)
        started.errors.close()


class Checker:
    """The other process.

    Used as a context, it is started at once, unless `started_ahead` has, and ended at the end; it
    checks as many as come.
    """

    def __enter__(self) -> Checker:
        self._limit = time_limit()  # what is wrong with it is said before the work
        waiting = _waiting.get()
        self._is_fresh = waiting is None
        self._begin(waiting or _started())
        _waiting.set(None)
        return self

    def _begin(self, started: _Started) -> None:
        self._process = started.process
        self._errors = started.errors

    def __exit__(self, *_: object) -> None:
        end(self._process)
        self._errors.close()

    def check(
        self, folder: Path, samples: Path, x: Arrays, y: Arrays, formats: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return ``differences`` by kind of file, and the version of ``tensorflow`` there.

        Args:
            folder: the SavedModel; the files of other `formats` are made in it.
            samples: where the inputs and predictions may be written.
            x: inputs by name.
            y: the model's predictions by name.
            formats: ``"litert"``, ``"onnx"``.

        Raises:
            ExportError: if it does not load, run or convert.
        """
        inputs = {f"x:{name}": value for name, value in x.items()}
        predictions = {f"y:{name}": value for name, value in y.items()}
        save_arrays(samples, {**inputs, **predictions})
        request = {"folder": str(folder), "samples": str(samples), "formats": list(formats)}
        question = json.dumps(request).encode() + b"\n"
        reply = self._ask(question)
        if reply is None and not self._is_fresh:
            # it may have ended while it waited, as where memory ran out
            end(self._process)
            self._errors.close()
            self._is_fresh = True
            self._begin(_started())
            reply = self._ask(question)
        if reply is None:
            self._errors.seek(0)
            reason = last_line(self._errors.read())
            raise ExportError(f"The export must load in a process of its own. Received: {reason}")
        if "error" in reply:
            raise ExportError(
                f"The export must load and run with TensorFlow alone. Received: {reply['error']}"
            )
        return reply

    def _ask(self, question: bytes) -> dict[str, Any] | None:
        """Return the answer of the process; None if it ended without one."""
        stdin = self._process.stdin
        stdout = self._process.stdout
        assert stdin is not None
        assert stdout is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            kill(self._process)

        timer = threading.Timer(self._limit, stop)
        timer.start()
        try:
            with contextlib.suppress(OSError):  # it has ended: then there is no answer either
                stdin.write(question)
                stdin.flush()
            for line in stdout:
                reply = last_json(line)
                if reply is not None:
                    return reply
        finally:
            timer.cancel()
        if late.is_set():
            raise _too_late(self._limit)
        return None


def time_limit() -> float:
    """Return how many seconds another process may take.

    Raises:
        ExportError: if the environment says what is no time.
    """
    given = os.environ.get(LIMIT_VARIABLE)
    if given is None:
        return _DEFAULT_LIMIT
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ExportError(
            f"{LIMIT_VARIABLE} must be a number of seconds above 0. Received: {given!r}"
        )
    return seconds


def answer_of(
    process: subprocess.Popen[bytes], question: bytes, seconds: float
) -> tuple[bytes, bytes]:
    """Return what a process that reads `question` writes on standard output and error.

    Raises:
        ExportError: if it takes longer than so many seconds; it has been ended then.
    """
    try:
        return process.communicate(question, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise _too_late(seconds) from None
    finally:
        end(process)


def _too_late(seconds: float) -> ExportError:
    return ExportError(
        f"The process that makes or checks an export must answer in time; {LIMIT_VARIABLE} sets "
        "another time. "
        f"Received: no answer within {seconds:g} seconds"
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, if it still runs, with all that it started in its session."""
    if process.poll() is not None:
        return
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:  # Windows
        process.kill()


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process if it still runs, and let go of what belongs to it."""
    kill(process)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):  # what was to be written to it
                stream.close()
    process.wait()


def save_arrays(file: Path, arrays: Arrays) -> None:
    """Write arrays by name, as `numpy.load` reads them."""
    np.savez(file, **arrays)  # type: ignore[arg-type]  # any name is welcome


def last_json(out: bytes) -> dict[str, Any] | None:
    """Return the JSON object on the last line of what a process printed."""
    lines = out.strip().splitlines()
    if not lines:
        return None
    try:
        reply = json.loads(lines[-1])
    except ValueError:
        return None
    if isinstance(reply, dict):
        return reply
    return None


def last_line(err: bytes) -> str:
    """Return what a process that failed said last."""
    lines = err.decode(errors="replace").strip().splitlines()
    if not lines:
        return "no answer; it was ended"
    return lines[-1]


def environment(**changes: str) -> dict[str, str]:
    """Return the environment for a process that imports what this one can."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        **changes,
    }
