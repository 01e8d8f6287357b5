"""The command as it was typed, to say in a report where it is from."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

from .words import printable


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
        words += _words(parameter, context.params[name])
    return printable(shlex.join(words))


def search_with(command: click.Command, options: Mapping[str, Any]) -> str:
    """Return the command of a kept search: with the options that are not the defaults."""
    words = ["keras-acts", str(command.name)]
    for parameter in command.params:
        name = str(parameter.name)
        value = options.get(name)
        if value is None or value == parameter.default:
            continue
        words += _words(parameter, value)
    return printable(shlex.join(words))


def _words(parameter: click.Parameter, value: Any) -> list[str]:
    """An option as it is typed; one that may be given several times, as often as it was."""
    # the long form: the last one of those that begin with two dashes
    option = max(parameter.opts, key=len)
    if getattr(parameter, "is_flag", False):
        return [option]
    if not getattr(parameter, "multiple", False):
        return [option, str(value)]
    words = []
    for each in value:
        words += [option, str(each)]
    return words
