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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_acts.errors import ExportError

Arrays = Mapping[str, np.ndarray]

# how long another process may take for one export
LIMIT_VARIABLE = "KERAS_ACTS_EXPORT_SECONDS"
_DEFAULT_LIMIT = 1800.0


class Checker:
    """The other process.

    Used as a context, it is started at once and ended at the end; it checks as many as come.
    """

    def __enter__(self) -> Checker:
        self._limit = time_limit()  # what is wrong with it is said before the work
        # a pipe would be full at some time, as nobody reads it meanwhile
        self._errors = tempfile.TemporaryFile()
        # -P: this folder's files must not be taken for modules that TensorFlow imports
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("verify_process.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(),
            start_new_session=True,  # so that what it starts can be ended with it
        )
        return self

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
        reply = self._ask(json.dumps(request).encode() + b"\n")
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
