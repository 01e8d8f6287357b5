"""What a model does in its own way: nothing else may train, test or copy it as if it did not."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import CodeType

import keras

from ..space.known import is_of_keras

# how a model is made, saved and shown changes nothing in what it computes
_HARMLESS = {
    "__init__",
    "__new__",
    "__repr__",
    "__str__",
    "__reduce__",
    "get_config",
    "from_config",
    "get_build_config",
    "build_from_config",
    "get_compile_config",
    "compile_from_config",
    "save",
    "save_weights",
    "load_weights",
    "export",
    "save_own_variables",
    "load_own_variables",
    "save_assets",
    "load_assets",
    "summary",
    "to_json",
}
# what Python itself puts into each class; newer versions put in more than the running one
_OF_NEWER_PYTHON = {
    "__module__",
    "__dict__",
    "__weakref__",
    "__doc__",
    "__annotations__",
    "__static_attributes__",
    "__firstlineno__",
    "__parameters__",
    "__orig_bases__",
    "__abstractmethods__",
    "_abc_impl",
    "__slots__",
}
# these too, but who writes one changes what the others do
_OF_ATTRIBUTES = {"__setattr__", "__getattribute__", "__delattr__"}
_OF_PYTHON = (set(dir(type("_", (), {}))) - _OF_ATTRIBUTES) | _OF_NEWER_PYTHON
# what `compile` was given has the name of an old method
_SET_BY_COMPILE = {"loss"}


def own_methods(model: keras.Operation) -> list[str]:
    """Return the names of what a model or layer does otherwise than Keras' class of it.

    What a class adds under names of its own is none of them: Keras never calls it.
    """
    classes = type(model).__mro__
    first = next(index for index, kind in enumerate(classes) if is_of_keras(kind))
    base = classes[first]
    names = set(_written_in(classes[:first])) | set_on_object(model)
    return sorted(name for name in names if hasattr(base, name))


def _written_in(classes: tuple[type, ...]) -> Iterator[str]:
    """The names of what classes of a user's do, but for what cannot change a result."""
    for kind in classes:
        yield from vars(kind).keys() - _HARMLESS - _OF_PYTHON


def set_on_object(thing: object) -> set[str]:
    """Return the names of the methods that were set on an object, in place of its class's."""
    return {name for name, value in vars(thing).items() if _is_method_set_anew(thing, name, value)}


def _is_method_set_anew(thing: object, name: str, value: object) -> bool:
    if name in _SET_BY_COMPILE or not callable(value):
        return False
    if not callable(getattr(type(thing), name, None)):
        return False
    return not _is_set_by_keras(name, value)


def _is_set_by_keras(name: str, value: object) -> bool:
    """Whether Keras wraps this method of each layer, or this package set it."""
    if str(getattr(value, "__module__", "")).startswith("keras_acts."):
        return True
    # each layer has a wrapper of its own, but all of them the same code
    code = getattr(value, "__code__", None)
    return code is not None and code is _wrappers().get(name)


@functools.cache
def _wrappers() -> dict[str, CodeType]:
    """The code of what Keras sets on every layer, by the name of the method that it wraps."""
    wrappers: dict[str, CodeType] = {}
    for name, value in vars(keras.layers.Layer()).items():
        if hasattr(value, "__code__"):
            wrappers[name] = value.__code__
    return wrappers
