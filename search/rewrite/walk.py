"""A walk through a model: its layers by path, those of nested models too, and their variables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import keras
import numpy as np

from keras_acts.compat import Functional, all_layers, functional_of
from keras_acts.inside import RECURRENT
from keras_acts.layers import TrainedActivation

# what the keys of an `activation=` layer's variables begin with; see `variables_of`
OF_ACTIVATION = "activation."


def layers_of(model: keras.Model, prefix: str = "") -> Iterator[tuple[str, keras.Operation]]:
    """Yield the layers and operations with their paths.

    Those of nested models, not the nested models themselves.
    """
    for layer in graph_of(model).operations:
        path = f"{prefix}{layer.name}"
        if is_graph(layer):
            yield from layers_of(layer, f"{path}/")
        else:
            yield path, layer


def models_of(model: keras.Model, prefix: str = "") -> Iterator[tuple[str, keras.Model]]:
    """Yield the model by its name, and the models inside of it by their paths."""
    yield prefix or model.name, model
    for layer in graph_of(model).operations:
        if is_graph(layer):
            yield from models_of(layer, f"{prefix}/{layer.name}".removeprefix("/"))


def slots_at(path: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return those of the slots that belong to the layer at a path, or to one that it holds."""
    # a layer's own name may have a dot, "dense.1": not all that begins with "dense." is inside
    own = (path, f"{path}.{RECURRENT}")
    return tuple(name for name in names if name in own or name.startswith(f"{path}/"))


def is_graph(layer: keras.Operation) -> bool:
    """Whether it is a Sequential or Functional model."""
    return isinstance(layer, keras.Sequential | Functional)


def graph_of(model: keras.Model) -> keras.Model:
    """Return the Functional model that a Sequential one holds."""
    return functional_of(model)


def variables_of(layer: keras.Operation) -> dict[str, keras.Variable]:
    """Return a layer's variables under keys that all candidates share.

    The states of its random generators are among them. Those of a trained ``activation=`` are
    called ``"activation.alpha"``, and ``"activation.0.alpha"`` where it is that of a layer inside;
    the others ``"0"``, ``"1"``, …
    """
    if not isinstance(layer, keras.layers.Layer):
        return {}
    of_activations = dict(_variables_of_activations(layer))
    apart = {id(variable) for variable in of_activations.values()}

    variables: dict[str, keras.Variable] = {}
    for variable in (*layer.trainable_variables, *layer.non_trainable_variables):
        # numbered without the activations': other candidates have none there
        if id(variable) not in apart:
            variables[str(len(variables))] = variable
    return {**variables, **of_activations}


def _variables_of_activations(layer: keras.layers.Layer) -> Iterator[tuple[str, keras.Variable]]:
    own = getattr(layer, "activation", None)
    if isinstance(own, keras.layers.Layer):
        for variable in own.variables:
            yield f"{OF_ACTIVATION}{variable.name}", variable
    inside = [part for part in all_layers(layer) if part is not layer and part is not own]
    trained = [part for part in inside if isinstance(part, TrainedActivation)]
    for number, part in enumerate(trained):
        for variable in part.variables:
            yield f"{OF_ACTIVATION}{number}.{variable.name}", variable


def weights_of(layer: keras.Operation) -> dict[str, np.ndarray]:
    """Return their values."""
    variables = variables_of(layer).items()
    return {key: keras.ops.convert_to_numpy(variable) for key, variable in variables}
