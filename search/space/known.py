"""What a shortcut may take for what its class says.

Only what Keras or this package wrote, and nobody has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

# what the module of a class begins with
_OURS = ("keras.", "keras_acts.")


def is_of_keras(kind: type | Callable[..., Any]) -> bool:
    """Return whether a class or function is Keras' own."""
    return bool(kind.__module__.partition(".")[0] == "keras")


def is_of_keras_or_ours(thing: object) -> bool:
    """Return whether the class of an object is Keras' own or one of this package."""
    return type(thing).__module__.startswith(_OURS)


def as_written(thing: object) -> bool:
    """Return whether a class of Keras' or ours says all that a loss, metric or activation does.

    A subclass of a user's may override any method, and so may an object: what it computes is known
    only by calling it.
    """
    if not is_of_keras_or_ours(thing):
        return False
    if isinstance(thing, keras.Operation):
        # Keras itself wraps methods of each layer; copies check the others
        return True
    # a method that was set on the object stands in the way of its class's
    return not any(callable(getattr(type(thing), name, None)) for name in vars(thing))
