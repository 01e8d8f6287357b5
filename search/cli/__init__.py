"""The command `keras-acts`.

This package is apart from keras_acts so that `--help` need not wait for TensorFlow. `commands/`
holds one module a command; `checks.py` refuses what can be refused before TensorFlow is loaded
(`deferred.py` says how); `running.py` is what every command runs in.
"""

from __future__ import annotations

import io
import os
import platform
import sys

import click

from . import deferred
from .commands.compare import compare
from .commands.doctor import doctor
from .commands.export import export
from .commands.listing import list_activations, show
from .commands.predict import predict
from .commands.report import report
from .commands.search import search
from .commands.slots import slots
from .commands.status import status

_EXIT_CODES = """\b
Exit codes:
  0    done
  1    an error of ours: please report it
  2    refused: one line says what to do
  130  Ctrl-C, with the result so far if there is one
  143  SIGTERM, the same

\b
Completion by Tab, in bash (zsh and fish: the same with their names):
  eval "$(_KERAS_ACTS_COMPLETE=bash_source keras-acts)"
"""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=_EXIT_CODES,
)
@click.version_option(package_name="keras-acts", prog_name="keras-acts")
def main() -> None:
    """Find the activation function that suits a Keras model best."""
    if platform.machine().lower() in ("x86_64", "amd64"):
        # TensorFlow leaves it off on CPUs without AVX512-VNNI, and there are no grouped
        # convolutions then
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    for stream in (sys.stdout, sys.stderr):
        # what a terminal cannot show, or a name of a file that is no text, ends no command
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    deferred.defer()
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(deferred.forget)


_COMMANDS = (
    *(search, compare, report, export, predict, status),
    *(list_activations, show, slots, doctor),
)
for _command in _COMMANDS:
    main.add_command(_command)
