"""The command as it was typed, to say in a report where it is from."""

from __future__ import annotations

import shlex

import click
from click.core import ParameterSource


def command(context: click.Context) -> str:
    """Return the command with the options that were given to it.

    Example:
        >>> command(click.get_current_context())
        'keras-acts search --data iris --epochs 5'
    """
    words = ["keras-acts", str(context.info_name)]
    for parameter in context.command.params:
        name = str(parameter.name)
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        # the long form: the last one of those that begin with two dashes
        words.append(max(parameter.opts, key=len))
        if not getattr(parameter, "is_flag", False):
            words.append(str(context.params[name]))
    return shlex.join(words)
