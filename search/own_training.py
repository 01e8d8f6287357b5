"""What a model does in its own way: nothing else may train, test or copy it as if it did not."""

from __future__ import annotations

from typing import Any

from .known import is_of_keras

# how a model is made, saved and shown changes nothing in what it computes
_HARMLESS = {
    *("__init__", "__new__", "__repr__", "__str__", "__reduce__", "get_config", "from_config", "summary"),
    *("get_build_config", "build_from_config", "get_compile_config", "compile_from_config"),
    *("save", "save_weights", "load_weights", "export", "save_own_variables", "load_own_variables"),
    *("save_assets", "load_assets", "to_json"),
}
# what Python itself puts into each class
_OF_PYTHON = set(dir(type("_", (), {}))) - {"__setattr__", "__getattribute__", "__delattr__"} | {
    *("__module__", "__dict__", "__weakref__", "__doc__", "__annotations__", "__static_attributes__"),
    *("__firstlineno__", "__parameters__", "__orig_bases__", "__abstractmethods__", "_abc_impl", "__slots__"),
}
# Keras sets these on every object
_SET_BY_KERAS = {"build", "quantize", "loss"}


def own_methods(model: Any) -> list[str]:
    """Return the names of what Keras' class of a model or layer does, and this one, or its class, does otherwise.

    What a class adds under names of its own is none of them: Keras never calls it.
    """
    classes = type(model).__mro__
    first = next(i for i, kind in enumerate(classes) if is_of_keras(kind))
    base, own = classes[first], classes[:first]
    skipped = _HARMLESS | _OF_PYTHON
    found = {name for kind in own for name in vars(kind) if name not in skipped and hasattr(base, name)}
    on_the_object = {name for name in vars(model) if callable(getattr(base, name, None)) and name not in _SET_BY_KERAS}
    return sorted(found | on_the_object)


def set_on_object(thing: Any) -> set[str]:
    """Return the names of methods of a layer's class that were set anew on the layer itself."""
    kind = type(thing)
    return {
        name
        for name, value in vars(thing).items()
        if name not in _SET_BY_KERAS and callable(value) and callable(getattr(kind, name, None))
    }
