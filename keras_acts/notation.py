"""How an activation is written, ``"trelu(theta=0.5)"``, and which names there are.

Nothing here needs Keras: the command line tells a slip before it loads TensorFlow.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_acts.errors import ActivationError, shown

# of an activation as it is written, in characters
_LONGEST = 1000
# functions of keras.activations that are no activations
NO_ACTIVATIONS = ("get", "serialize", "deserialize")


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Split ``"trelu(theta=0.5)"`` into ``("trelu", {"theta": 0.5})``."""
    tree = _tree(text)
    if isinstance(tree, ast.Name):
        return tree.id, {}
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name) or tree.args:
        raise _unreadable(text)
    parameters = {}
    for keyword in tree.keywords:
        if keyword.arg is None:
            raise _unreadable(text)
        parameters[keyword.arg] = _number(ast.unparse(keyword.value))
    return tree.func.id, parameters


def _tree(text: str) -> ast.expr:
    """The text as Python reads it; nothing of it is run."""
    # a longer one is none, and can take Python's parser all memory there is
    if len(text) > _LONGEST:
        raise _unreadable(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of escapes, say, that it does not know
            return ast.parse(text.strip(), mode="eval").body
    # of many signs or brackets in a row Python says that the memory is full
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _unreadable(text) from None


def _unreadable(text: str) -> ActivationError:
    return ActivationError(
        'Cannot read the activation: an activation is written "name" or "name(parameter=number)". '
        f"Received: {shown(text)}"
    )


def _number(text: str) -> Any:
    # float() reads nan and inf too, which the spec then refuses by its rule
    for convert in (int, float, ast.literal_eval):
        try:
            return convert(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return text


def unknown(name: str, known: tuple[str, ...]) -> ActivationError:
    """Return the error for an unknown activation, with the nearest known names."""
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    hint = f"Known: {', '.join(known)}."
    if near:
        hint = f"Did you mean {' or '.join(near)}?"
    return ActivationError(f"Unknown activation. {hint} Received: {shown(name)}")


def written_names() -> tuple[str, ...]:
    """Return the names of our activations and of Keras' own, as the source files have them.

    So Keras need not be loaded for them. Empty if the files are written in another way: then
    nobody can say yet that a name is wrong.
    """
    ours = tuple(_names_of_specs(Path(__file__).parent / "specs.py"))
    keras = importlib.util.find_spec("keras")
    if not ours or keras is None or keras.origin is None:
        return ()
    builtins = tuple(_imported_names(Path(keras.origin).parent / "activations" / "__init__.py"))
    if not builtins:
        return ()
    others = [name for name in builtins if name not in (*ours, *NO_ACTIVATIONS)]
    return (*ours, *sorted(others))


def _names_of_specs(file: Path) -> Iterator[str]:
    """The name in each ``ActivationSpec(name=…)`` at the top of a file."""
    for statement in _statements(file):
        if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Call):
            continue
        for keyword in statement.value.keywords:
            value = keyword.value
            if keyword.arg == "name" and isinstance(value, ast.Constant):
                yield str(value.value)


def _imported_names(file: Path) -> Iterator[str]:
    """The names that a file offers by importing them."""
    for statement in _statements(file):
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                yield alias.asname or alias.name


def _statements(file: Path) -> list[ast.stmt]:
    try:
        return ast.parse(file.read_text(encoding="utf-8")).body
    except (OSError, ValueError, SyntaxError):
        return []
