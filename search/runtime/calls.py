"""How a function was called, as one would write it again: what a report says of where it is from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

_LONGEST = 60  # characters of a value that is shown
_LONG = "…"  # instead of any other
_PLAIN = (bool, int, float, str, type(None))


def written_call(
    function: Callable[..., Any], given: Mapping[str, Any], shown: Collection[str] = ()
) -> str:
    """Return the call of a function with what was given to it.

    Arguments without a default are written by their names, as data and models are. Others are
    written if they differ from their default.

    Args:
        function: that was called.
        given: its arguments by name; those of `**options` under that name, as a mapping.
        shown: arguments without a default that are written by their values all the same, as they
            are no data.

    Example:
        >>> written_call(search_activations, {"model": model, "x": x, "y": y, "epochs": 5})
        'search_activations(model, x, y, epochs=5)'
    """
    parts = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in given:
            continue
        value = given[name]
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            parts += [f"{option}={_written(each)}" for option, each in value.items()]
        elif parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            text = _written(value)
            if name in shown and text != _LONG:
                parts.append(text)
            elif value is not None:
                parts.append(name)
        elif not _is_default(value, parameter.default):
            parts.append(f"{name}={_written(value)}")
    return f"{function.__name__}({', '.join(parts)})"


def _is_default(value: object, default: object) -> bool:
    """Whether a value is the default; arrays are not even compared."""
    return isinstance(value, _PLAIN) and type(value) is type(default) and value == default


def _written(value: object) -> str:
    """A value as one writes it, if that is short and says what it is; else three dots."""
    items = [value]
    if isinstance(value, list | tuple):
        items = list(value)
    if not all(isinstance(item, _PLAIN) for item in items):
        return _LONG
    text = repr(value)
    if len(text) > _LONGEST:
        return _LONG
    return text
