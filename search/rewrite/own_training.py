"""What a model does in its own way: nothing else may train, test or copy it as if it did not."""

from __future__ import annotations

import functools
from typing import Any

import keras

from ..space.known import is_of_keras

# how a model is made, saved and shown changes nothing in what it computes
_HARMLESS = {
    *(
        "__init__",
        "__new__",
        "__repr__",
        "__str__",
        "__reduce__",
        "get_config",
        "from_config",
        "summary",
    ),
    *("get_build_config", "build_from_config", "get_compile_config", "compile_from_config"),
    *("save", "save_weights", "load_weights", "export", "save_own_variables", "load_own_variables"),
    *("save_assets", "load_assets", "to_json"),
}
# what Python itself puts into each class
_OF_PYTHON = set(dir(type("_", (), {}))) - {"__setattr__", "__getattribute__", "__delattr__"} | {
    *(
        "__module__",
        "__dict__",
        "__weakref__",
        "__doc__",
        "__annotations__",
        "__static_attributes__",
    ),
    *(
        "__firstlineno__",
        "__parameters__",
        "__orig_bases__",
        "__abstractmethods__",
        "_abc_impl",
        "__slots__",
    ),
}
# what `compile` was given has the name of an old method
_SET_BY_COMPILE = {"loss"}


def own_methods(model: Any) -> list[str]:
    """Return the names of what Keras' class of a model or layer does, and this one, or its class, does otherwise.

    What a class adds under names of its own is none of them: Keras never calls it.
    """
    classes = type(model).__mro__
    first = next(i for i, kind in enumerate(classes) if is_of_keras(kind))
    base, own = classes[first], classes[:first]
    skipped = _HARMLESS | _OF_PYTHON
    found = {
        name for kind in own for name in vars(kind) if name not in skipped and hasattr(base, name)
    }
    on_the_object = {name for name in set_on_object(model) if hasattr(base, name)}
    return sorted(found | on_the_object)


def set_on_object(thing: Any) -> set[str]:
    """Return the names of methods of the class of a layer, model, metric or optimizer that were set anew on itself."""
    kind = type(thing)
    return {
        name
        for name, value in vars(thing).items()
        if name not in _SET_BY_COMPILE
        and callable(value)
        and callable(getattr(kind, name, None))
        and not _is_set_by_keras(name, value)
    }


def _is_set_by_keras(name: str, value: Any) -> bool:
    """Whether Keras wraps this method of each layer, or this package set it."""
    ours = str(getattr(value, "__module__", "")).startswith("keras_acts.")
    return ours or getattr(value, "__code__", None) is _wrappers().get(name, value)


@functools.cache
def _wrappers() -> dict[str, Any]:
    """The code of what Keras sets on every layer, by the name of the method that it wraps."""
    return {
        name: value.__code__
        for name, value in vars(keras.layers.Layer()).items()
        if hasattr(value, "__code__")
    }
