"""A walk through a model: its layers by path, those of nested models too, and their variables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from keras_acts.compat import Functional, functional_of

OF_ACTIVATION = "activation."


def layers_of(model: keras.Model, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the layers and operations with their paths.

    Those of nested models, not the nested models themselves.
    """
    for layer in graph_of(model).operations:
        path = f"{prefix}{layer.name}"
        if is_graph(layer):
            yield from layers_of(layer, f"{path}/")
        else:
            yield path, layer


def models_of(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the model by its name, and the models inside of it by their paths."""
    yield prefix or model.name, model
    for layer in graph_of(model).operations:
        if is_graph(layer):
            yield from models_of(layer, f"{prefix}/{layer.name}".removeprefix("/"))


def slots_at(path: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return those of the slots that belong to the layer at a path, or to one that it holds."""
    return tuple(
        name for name in names if name == path or name.startswith((f"{path}/", f"{path}."))
    )


def is_graph(layer: Any) -> bool:
    """Whether it is a Sequential or Functional model."""
    return isinstance(layer, keras.Sequential | Functional)


def graph_of(model: Any) -> Any:
    """Return the Functional model that a Sequential one holds."""
    return functional_of(model)


def variables_of(layer: Any) -> dict[str, Any]:
    """Return a layer's variables, the states of its random generators too, under keys that all candidates share.

    Those of a trained ``activation=`` are called ``"activation.alpha"``, the others ``"0"``,
    ``"1"``, …
    """
    if not isinstance(layer, keras.layers.Layer):
        return {}
    activation = getattr(layer, "activation", None)
    theirs = list(activation.variables) if isinstance(activation, keras.layers.Layer) else []
    apart = {id(variable) for variable in theirs}
    own = [
        v
        for v in (*layer.trainable_variables, *layer.non_trainable_variables)
        if id(v) not in apart
    ]
    return {
        **{str(i): v for i, v in enumerate(own)},
        **{f"{OF_ACTIVATION}{v.name}": v for v in theirs},
    }


def weights_of(layer: Any) -> dict[str, np.ndarray]:
    """Return their values."""
    return {
        key: keras.ops.convert_to_numpy(variable) for key, variable in variables_of(layer).items()
    }
