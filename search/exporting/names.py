"""What inputs and outputs are called in an export: as the user named them, in any language."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_acts.compat import (
    Functional,
    functional_of,
    get_input_signature,
    operation_behind,
    outputs_struct,
    to_snake_case,
)

Tensor = Any
# a tensor, or lists, tuples and dicts of them
Structure = Any


# the names that Keras gives to inputs without one
UNNAMED_INPUT = re.compile(r"(keras_tensor|input_layer|input)(_\d+)?")


def input_specs(model: keras.Model) -> dict[str, keras.InputSpec]:
    """Return the specs of the inputs by name.

    The keys of a dict, the names given to `keras.Input`, else ``input``.
    """
    named_specs = _named_specs(model)
    given = [name for name, _ in named_specs]
    specs = [spec for _, spec in named_specs]
    return dict(zip(_unique(given, "input"), specs, strict=True))


def given_names(model: keras.Model) -> dict[str, str]:
    """Return the names of the inputs that the user gave, by those that they have in the export."""
    given = [name for name, _ in _named_specs(model)]
    names = _unique(given, "input")
    return {name: original or name for name, original in zip(names, given, strict=True)}


def _named_specs(model: keras.Model) -> list[tuple[str | None, keras.InputSpec]]:
    """The specs of the inputs, in order, each with the name that the user gave it."""
    named_specs: list[tuple[str | None, keras.InputSpec]] = []
    for path, spec in keras.tree.flatten_with_path(get_input_signature(model)):
        name = _key(path) or given_by_user(spec.name, UNNAMED_INPUT)
        named_specs.append((name, spec))
    return named_specs


def by_export_names(given: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any] | None:
    """Return inputs, given by either kind of name, by the names of the export.

    None if they have other names.

    Args:
        given: inputs by name.
        names: what `given_names` returned.
    """
    if given.keys() == names.keys():
        return {name: given[name] for name in names}
    if given.keys() == set(names.values()):
        return {name: given[original] for name, original in names.items()}
    return None


def output_names(model: keras.Model) -> list[str] | None:
    """Return the names of the outputs.

    The keys of a dict, the names given to the last layers, else ``output``.

    None for a subclassed model, whose outputs are known only when it is called.
    """
    if not isinstance(model, keras.Sequential | Functional):
        return None
    outputs = outputs_struct(functional_of(model))
    return names_of(outputs)


def names_of(outputs: Structure) -> list[str]:
    """Return the names of outputs, symbolic or not: as of `output_names`."""
    leaves = keras.tree.flatten_with_path(outputs)
    given = [_key(path) or _layer_name(tensor) for path, tensor in leaves]
    return _unique(given, "output")


def _key(path: tuple[Any, ...]) -> str | None:
    if path and isinstance(path[-1], str):
        return path[-1]
    return None


def _layer_name(tensor: Tensor) -> str | None:
    operation = operation_behind(tensor)
    if operation is None:
        return None
    # without a name Keras counts: dense, dense_1, …, which would differ from process to process
    automatic = rf"{re.escape(to_snake_case(type(operation).__name__))}(_\d+)?"
    return given_by_user(operation.name, re.compile(automatic))


def given_by_user(name: str | None, automatic: re.Pattern[str]) -> str | None:
    """The name, unless Keras made it."""
    if name is None or automatic.fullmatch(name):
        return None
    return name


def _unique(names: Sequence[str | None], default: str) -> list[str]:
    """Return names that programs in any language, and TensorFlow's graphs, can write.

    One that is missing, or has no letter or digit of ASCII, is the default, with a number if there
    are several; one that begins otherwise than with a letter, or is a word of Python's, comes
    behind the default: ``0`` is ``input_0``.
    """
    taken: list[str] = []
    for index, name in enumerate(names):
        plain = re.sub(r"\W", "_", name or "", flags=re.ASCII)
        if not plain.strip("_"):
            plain = default
            if len(names) > 1:
                plain = f"{default}_{index}"
        elif not plain[0].isalpha() or keyword.iskeyword(plain):
            plain = f"{default}_{plain.lstrip('_')}"
        unique = plain
        number = index
        while unique in taken:
            unique = f"{plain}_{number}"
            number += 1
        taken.append(unique)
    return taken
