"""The frozen layers that a model begins with, such as a pretrained part.

They run once for all slots.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

from keras_acts.compat import calls_of, run_through_graph

from ..rewrite.walk import graph_of, is_graph, layers_of, slots_at
from ..space.known import is_of_keras


def frozen_prefix(model: keras.Model, searched: Iterable[str]) -> frozenset[str]:
    """Return the paths of the layers that see only what other such layers make of the inputs, and never change.

    They are Keras' own, are not trained, hold no slot that is searched, no state that training
    changes, no random numbers. Where no such layer has weights there is nothing to gain, and the
    set is empty.

    Args:
        model: a Sequential or Functional model.
        searched: the names of the slots that are searched.
    """
    names = tuple(searched)
    found: dict[str, bool] = {}

    def through(graph: Any, inputs: list[_Shared], prefix: str) -> Any:
        def operation(op: Any) -> Any:
            path = f"{prefix}{op.name}"

            def run(*args: Any, **options: Any) -> Any:
                if is_graph(op):
                    return through(graph_of(op), keras.tree.flatten(args), f"{path}/")
                shared = all(
                    x.shared for x in keras.tree.flatten((args, options)) if isinstance(x, _Shared)
                )
                # a layer that is called twice counts if it does each time
                found[path] = (
                    found.get(path, True)
                    and shared
                    and not slots_at(path, names)
                    and _never_changes(op)
                )
                outputs = calls_of(op)[0].output_tensors
                made = [_Shared(found[path]) for _ in outputs]
                return made[0] if len(made) == 1 else made

            return run

        return run_through_graph(graph, inputs, operation)

    graph = graph_of(model)
    through(graph, [_Shared(True) for _ in graph.inputs], "")
    shared = frozenset(path for path, same in found.items() if same)
    has_weights = any(
        path in shared and getattr(layer, "weights", ()) for path, layer in layers_of(model)
    )
    return shared if has_weights else frozenset()


class _Shared:
    """What flows through the graph: whether it is the same in all slots."""

    def __init__(self, shared: bool):
        self.shared = shared


def _never_changes(layer: Any) -> bool:
    if not is_of_keras(type(layer)) or isinstance(
        layer, keras.layers.Lambda | keras.layers.Wrapper
    ):
        return False
    if not isinstance(layer, keras.layers.Layer):
        return True
    random = any("int" in str(variable.dtype) for variable in layer.variables)
    return not random and not (layer.weights and layer.trainable) and not hasattr(layer, "cell")
