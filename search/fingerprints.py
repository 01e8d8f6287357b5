"""Hashes that are the same in each process.

Of the values of arrays, and of what functions and classes of a user's do.

What a function does is its code with constants and names, its defaults, and the values that it
reads from outside: not the file and the lines where it stands, which a notebook changes with each
run of a cell.
"""

from __future__ import annotations

import dis
import hashlib
import inspect
import json
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

_CHUNK = (
    2**24
)  # bytes of an array that are copied at once, where its values do not lie next to each other
_DIGITS = 16
# what these do changes with their versions only: a name tells it
_LIBRARIES = {
    *(
        "builtins",
        "functools",
        "math",
        "operator",
        "keras",
        "keras_acts",
        "keras_tuner",
        "tensorflow",
        "numpy",
    ),
    *("jax", "torch", "scipy", "sklearn", "pandas"),
}
_READS = ("LOAD_GLOBAL", "LOAD_NAME")

Describe = Callable[[Any], Any]


def of_array(array: np.ndarray) -> str:
    """Return a hash of the values, of which at most a small part is copied."""
    made = hashlib.sha256()
    if array.dtype == object:
        made.update(repr(array.tolist()).encode())
    elif array.flags.c_contiguous:
        made.update(array.reshape(-1).view(np.uint8).data)
    else:
        rows = max(1, _CHUNK // max(1, array[:1].nbytes))
        for start in range(0, len(array), rows):
            made.update(
                np.ascontiguousarray(array[start : start + rows]).reshape(-1).view(np.uint8).data
            )
    return made.hexdigest()[:_DIGITS]


def of_plain(value: Any) -> str:
    """Return a hash of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def is_function(value: Any) -> bool:
    """Whether a value is a function or a method, or what `tf.function` or `jax.jit` made of one."""
    return inspect.isroutine(value) or inspect.isfunction(python_function(value))


def python_function(value: Any) -> Any:
    """The function with Python code that `tf.function` or `jax.jit` was given.

    Else the value itself.
    """
    if hasattr(value, "__code__"):
        return value
    return getattr(value, "python_function", None) or getattr(value, "__wrapped__", value)


def is_of_a_library(thing: Any) -> bool:
    """Whether a function or class is none of the user's."""
    module = str(getattr(thing, "__module__", None) or "builtins")
    return module.partition(".")[0] in _LIBRARIES


def code_of(function: Any, describe: Describe, reads: bool) -> list[Any]:
    """Return what a function does as plain data.

    Args:
        function: with Python code.
        describe: returns values that it uses as plain data.
        reads: whether values of its module count that it reads.
    """
    outside = {name: describe(value) for name, value in _globals_of(function)} if reads else {}
    return [
        _code(function.__code__),
        describe(function.__defaults__),
        describe(function.__kwdefaults__),
        [describe(value) for value in _cells(function)],
        outside,
    ]


def body_of(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the functions and plain values in the body of a class, by name."""
    for name, value in sorted(vars(kind).items()):
        if isinstance(value, property):
            yield from (
                (f"{name}.{way}", getattr(value, way))
                for way in ("fget", "fset")
                if getattr(value, way)
            )
            continue
        inner = getattr(value, "__func__", value)  # of a class method or static method
        plain = isinstance(inner, bool | int | float | str | tuple) and not name.startswith("__")
        if plain or is_function(inner):
            yield name, inner


def _code(code: types.CodeType) -> list[Any]:
    return [
        code.co_code.hex(),
        [_constant(one) for one in code.co_consts],
        [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars],
        [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags],
        code.co_exceptiontable.hex(),
    ]


def _constant(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        return _code(value)
    if isinstance(value, tuple):
        return [_constant(one) for one in value]
    if isinstance(value, frozenset):  # in another order in each process
        return sorted(map(repr, value))
    return repr(value)


def _cells(function: Any) -> Iterator[Any]:
    """The variables of the functions around it."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not set yet
            yield None


def _globals_of(function: Any) -> Iterator[tuple[str, Any]]:
    """The values of its module that a function reads, and functions inside of it do."""
    waiting, names = [function.__code__], set()
    while waiting:
        code = waiting.pop()
        names |= {one.argval for one in dis.get_instructions(code) if one.opname in _READS}
        waiting += [one for one in code.co_consts if isinstance(one, types.CodeType)]
    known = function.__globals__
    return ((name, known[name]) for name in sorted(names) if name in known)
