"""Hashes that are the same in each process.

Of the values of arrays, and of what functions and classes of a user's do.

What a function does is its code with constants and names, its defaults, and the values that it
reads from outside: not the file and the lines where it stands, which a notebook changes with each
run of a cell.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import json
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

# bytes of an array that are copied at once, where its values do not lie next to each other
_CHUNK = 2**24
# of a hash, in hexadecimal: 64 bits tell a handful of values apart
_DIGITS = 16
# what these do changes with their versions only: a name tells it
_LIBRARIES = {
    "builtins",
    "functools",
    "jax",
    "keras",
    "keras_acts",
    "keras_tuner",
    "math",
    "numpy",
    "operator",
    "pandas",
    "scipy",
    "sklearn",
    "tensorflow",
    "torch",
}
# in the body of a class: values, and what holds them
_PLAIN = (
    *(bool, int, float, complex, str, bytes, type(None)),
    *(tuple, list, dict, set, frozenset, np.ndarray, np.generic, functools.partial),
)
# the instructions of Python that read a value of the module
_READS = ("LOAD_GLOBAL", "LOAD_NAME")

# CPython's flag of a class that is not built in
_HEAP_TYPE = 1 << 9

# what JSON can hold
Plain = Any
Describe = Callable[[Any], Plain]


def of_array(array: np.ndarray) -> str:
    """Return a hash of the values, of which at most a small part is copied."""
    digest = hashlib.sha256()
    for part in _bytes_of(array):
        digest.update(part)
    return digest.hexdigest()[:_DIGITS]


def _bytes_of(array: np.ndarray) -> Iterator[bytes | memoryview]:
    if array.dtype == object:
        yield repr(array.tolist()).encode()
        return
    if array.flags.c_contiguous:
        yield array.reshape(-1).view(np.uint8).data
        return
    bytes_a_row = max(1, array[:1].nbytes)
    rows = max(1, _CHUNK // bytes_a_row)
    for start in range(0, len(array), rows):
        part = np.ascontiguousarray(array[start : start + rows])
        yield part.reshape(-1).view(np.uint8).data


def of_plain(value: Plain) -> str:
    """Return a hash of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def is_function(value: object) -> bool:
    """Whether a value is a function or a method, or what `tf.function` or `jax.jit` made of one."""
    return inspect.isroutine(value) or inspect.isfunction(python_function(value))


def python_function(value: object) -> Any:
    """The function with Python code that `tf.function` or `jax.jit` was given.

    Else the value itself.
    """
    if hasattr(value, "__code__"):
        return value
    return getattr(value, "python_function", None) or getattr(value, "__wrapped__", value)


def is_of_a_library(thing: object) -> bool:
    """Whether a function or class is none of the user's."""
    module = str(getattr(thing, "__module__", None) or "builtins")
    package = module.partition(".")[0]
    if package == "builtins" and _is_written_in_python(thing):
        # by code that was executed without a name of its own
        return False
    return package in _LIBRARIES or is_of_python(package)


def _is_written_in_python(thing: object) -> bool:
    is_written_class = isinstance(thing, type) and bool(thing.__flags__ & _HEAP_TYPE)
    return isinstance(thing, types.FunctionType | types.MethodType) or is_written_class


@functools.cache
def is_of_python(package: str) -> bool:
    """Whether a module is one of Python's own, and not a user's of the same name."""
    if package not in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(package), "__file__", None)
    if file is None:  # it is built in
        return True
    folders = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    return any(Path(file).resolve().is_relative_to(Path(folder).resolve()) for folder in folders)


def code_of(function: types.FunctionType, describe: Describe, reads: bool) -> list[Plain]:
    """Return what a function does as plain data.

    Args:
        function: with Python code.
        describe: returns values that it uses as plain data.
        reads: whether values of its module count that it reads.
    """
    outside: dict[str, Plain] = {}
    if reads:
        outside = {name: describe(value) for name, value in _globals_of(function)}
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
            yield from _accessors(name, value)
            continue
        inner = getattr(value, "__func__", value)  # of a class method or static method
        plain = isinstance(inner, _PLAIN) and not name.startswith("__")
        if plain or is_function(inner):
            yield name, inner


def _accessors(name: str, value: property) -> Iterator[tuple[str, Any]]:
    if value.fget:
        yield f"{name}.fget", value.fget
    if value.fset:
        yield f"{name}.fset", value.fset


def _code(code: types.CodeType) -> list[Plain]:
    return [
        code.co_code.hex(),
        [_constant(constant) for constant in code.co_consts],
        [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars],
        [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags],
        code.co_exceptiontable.hex(),
    ]


def _constant(value: object) -> Plain:
    if isinstance(value, types.CodeType):
        return _code(value)
    if isinstance(value, tuple):
        return [_constant(part) for part in value]
    if isinstance(value, frozenset):  # in another order in each process
        return sorted(map(repr, value))
    return repr(value)


def _cells(function: types.FunctionType) -> Iterator[Any]:
    """The variables of the functions around it."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not set yet
            yield None


def _globals_of(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """The values of its module that a function reads, and functions inside of it do."""
    names: set[str] = set()
    waiting = [function.__code__]
    while waiting:
        code = waiting.pop()
        for instruction in dis.get_instructions(code):
            if instruction.opname in _READS:
                names.add(instruction.argval)
        waiting += [part for part in code.co_consts if isinstance(part, types.CodeType)]
    known = function.__globals__
    for name in sorted(names):
        if name in known:  # else it is one of Python's own, or not there yet
            yield name, known[name]
