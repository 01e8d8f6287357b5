"""What each command runs in: errors in one line, signals, and TensorFlow without its notes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import click

from . import deferred
from .places import BUILT

# a shell says of a process that a signal has ended this plus the signal's number
_EXIT_CODE_OF_SIGNALS = 128
# what arguments of Python's are called that an option has another name for
_OTHER_NAMES = {"path": "out", "class_names": "classes"}
# words of messages that are no arguments there
_NO_ARGUMENTS = {"model", "data", "target", "task"}


class Refused(click.ClickException):
    """Bad input: one line, exit code 2, no traceback."""

    exit_code = 2


class InterruptedWithResult(KeyboardInterrupt):
    """Ctrl-C or a signal that came when there was a result already, and what there is was shown."""


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what keras_acts refuses into one line in the words of the command line."""
    from keras_acts.errors import KerasActsError, SearchError

    try:
        yield
    except KerasActsError as error:
        text = str(error)
        if isinstance(error, SearchError):
            text = text.replace("overwrite=True", _restart())
        # what pandas and TensorFlow say may be of several lines
        one_line = re.sub(r"\s*\n\s*", " ", text).replace(" )", ")")
        raise Refused(in_options(one_line)) from error


def progress(text: str) -> None:
    """Say what takes a while, unless the running command is to be quiet."""
    context = click.get_current_context(silent=True)
    if context is not None and not context.params.get("quiet"):
        click.echo(text, err=True)


def _restart() -> str:
    """What deletes a kept search: an option of one command only."""
    context = click.get_current_context(silent=True)
    if context is not None and "restart" in context.params:
        return "--restart"
    return "keras-acts search --restart"


def in_options(text: str) -> str:
    """Return a message with the options of the running command for arguments of Python's.

    Example:
        >>> in_options("learning_rates must be positive. Received: learning_rates=-1")
        '--learning-rates must be positive. Received: --learning-rates -1'
    """
    context = click.get_current_context(silent=True)
    if context is None:
        return text
    written = {}
    for parameter in context.command.params:
        name = str(parameter.name)
        if name not in _NO_ARGUMENTS:
            written[name] = _as_typed(parameter)
    for name, other in _OTHER_NAMES.items():
        if other in written and name not in written:
            written[name] = written[other]
    for name, typed in written.items():
        text = re.sub(rf"(?<![\w.'-]){name}=True\b", typed, text)
        text = re.sub(rf"(?<![\w.'-]){name}=(False|None)\b", f"no {typed}", text)
        text = re.sub(rf"(?<![\w.'-]){name}=", f"{typed} ", text)
        text = re.sub(rf"^{name} (?=must )", f"{typed} ", text)
    return text


def _as_typed(parameter: click.Parameter) -> str:
    """An option as it is typed, an argument as the help calls it."""
    if isinstance(parameter, click.Argument):
        return str(parameter.name).upper()
    return max(parameter.opts, key=len)


@contextlib.contextmanager
def loading(*, announced: bool = False) -> Iterator[None]:
    """Load keras_acts and TensorFlow, whose start-up notes stay off the terminal.

    TF_CPP_MIN_LOG_LEVEL=0 shows them again.

    Args:
        announced: whether it is said, as it takes seconds.
    """
    if announced:
        click.echo("Loading TensorFlow …", err=True)
    one_thread_a_kernel()
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        deferred.run()
        yield
        return
    # the first notes come before TensorFlow reads the variable, straight from C++
    terminal = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        deferred.run()
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def one_thread_a_kernel() -> None:
    """Have each kernel run on one thread where a small model that is built here trains.

    Half of the members on each core are faster then (`search/population/lanes.py`). TensorFlow reads
    it when it loads; who has set it has the last word.
    """
    context = click.get_current_context(silent=True)
    if context is None or "tensorflow" in sys.modules:
        return
    options = context.params
    is_built_here = options.get("model", "") in (None, *BUILT)
    # what photographs take is worth being divided, where one model trains by itself too
    if not is_built_here or os.path.isdir(options.get("data") or ""):
        return
    from keras_acts.search.runtime import costs
    from keras_acts.search.runtime.cores import usable_cores

    if usable_cores() == costs.LANES:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


class Interrupts:
    """Which signal has asked a command to end, if one has.

    Attributes:
        exit_code: what the shell gives a process that the signal has ended; 0 without.
    """

    def __init__(self) -> None:
        self.exit_code = 0

    @property
    def code(self) -> int:
        """The exit code after an interrupt, whoever has raised it."""
        return self.exit_code or _EXIT_CODE_OF_SIGNALS + signal.SIGINT

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take any such signal as Ctrl-C: a search ends with what it has found."""
        self.exit_code = _EXIT_CODE_OF_SIGNALS + number
        raise KeyboardInterrupt


@contextlib.contextmanager
def _signals() -> Iterator[Interrupts]:
    """Have SIGTERM, with which systems end a process, be as Ctrl-C."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts  # only that thread may say what a signal does
        return
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, interrupts.handle)
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Run what trains: a signal ends it with its exit code, with the result so far if there is one."""
    with _signals() as interrupts:
        try:
            yield
        except InterruptedWithResult:
            raise click.exceptions.Exit(interrupts.code) from None
        except KeyboardInterrupt:
            click.echo("Interrupted: there is no result.", err=True)
            raise click.exceptions.Exit(interrupts.code) from None
        except Refused as error:
            if not interrupts.exit_code:
                raise
            error.show()
            raise click.exceptions.Exit(interrupts.exit_code) from None
    if interrupts.exit_code:
        raise click.exceptions.Exit(interrupts.exit_code)
