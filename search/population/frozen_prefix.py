"""The frozen layers that a model begins with, such as a pretrained part.

They run once for all members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import keras

from keras_acts.compat import all_layers, calls_of, mask_of, run_through_graph

from ..rewrite.walk import graph_of, is_graph, layers_of, slots_at
from ..space.known import is_of_keras
from ..vectorize.registry import rule_for


def frozen_prefix(model: keras.Model, searched: Iterable[str]) -> frozenset[str]:
    """Return the paths of the layers that see only what other such layers make of the inputs, and never change.

    They are Keras' own, are not trained, hold no slot that is searched, and no state that training
    changes but that of random numbers: members of one seed draw the same, as ordinary models do.
    Where the members' rules would do as well, the set is empty.

    Args:
        model: a Sequential or Functional model.
        searched: the names of the slots that are searched.
    """
    walk = _PrefixWalk(tuple(searched))
    graph = graph_of(model)
    before: dict[str, bool] | None = None
    # a later call of a layer may show that it does not run once, nor then what its first call feeds
    while walk.shared != before:
        before = dict(walk.shared)
        walk.through(graph, [_Flow(shared=True) for _ in graph.inputs], "")
    shared = frozenset(path for path, is_shared in walk.shared.items() if is_shared)
    for path, layer in layers_of(model):
        if path in shared and _gains(layer):
            return shared
    return frozenset()


def _gains(layer: Any) -> bool:
    """Whether a layer takes less time or memory once for all, if all see the same."""
    if not isinstance(layer, keras.layers.Layer) or isinstance(layer, keras.layers.InputLayer):
        return False
    # without a rule it would run member after member, and with random numbers of each
    return bool(layer.variables) or rule_for(layer) is None


@dataclass(frozen=True, eq=False)
class _Flow:
    """What flows through the graph in place of a tensor: whether it is the same for all members."""

    shared: bool


class _PrefixWalk:
    """Goes through the graph of a model, and of the models in it, and notes what runs once for all.

    Attributes:
        shared: by path of a layer, whether it does.
    """

    def __init__(self, searched: tuple[str, ...]):
        self._searched = searched
        self.shared: dict[str, bool] = {}

    def through(self, graph: Any, inputs: list[_Flow], prefix: str) -> Any:
        """Return what flows out of a graph; `prefix` is the path of the model whose graph it is."""

        def operation(op: keras.Operation) -> Callable[..., Any]:
            path = f"{prefix}{op.name}"

            def nested_model(*args: Any, **options: Any) -> Any:
                return self.through(graph_of(op), keras.tree.flatten(args), f"{path}/")

            def layer(*args: Any, **options: Any) -> Any:
                return self._out_of(op, path, keras.tree.flatten((args, options)))

            if is_graph(op):
                return nested_model
            return layer

        return run_through_graph(graph, inputs, operation)

    def _out_of(self, op: keras.Operation, path: str, arguments: list[Any]) -> Any:
        shared = all(x.shared for x in arguments if isinstance(x, _Flow))
        shared = shared and not slots_at(path, self._searched) and _never_changes(op)
        # a layer that is called twice counts if it does each time
        self.shared[path] = self.shared.get(path, True) and shared
        outputs = [_Flow(self.shared[path]) for _ in calls_of(op)[0].output_tensors]
        if len(outputs) == 1:
            return outputs[0]
        return outputs


def _is_masked(layer: keras.layers.Layer) -> bool:
    """Whether a mask comes with what a layer sees or makes."""
    for call in calls_of(layer):
        tensors = keras.tree.flatten((call.arguments.args, call.arguments.kwargs))
        if any(mask_of(tensor) is not None for tensor in (*tensors, *call.output_tensors)):
            return True
    return False


def _never_changes(layer: Any) -> bool:
    if not is_of_keras(type(layer)):
        return False
    if not isinstance(layer, keras.layers.Layer):  # an operation: a pure function
        return True
    # what a Lambda calls, and what a layer holds, may be a user's
    if isinstance(layer, keras.layers.Lambda | keras.layers.Wrapper):
        return False
    parts = all_layers(layer)
    if not all(is_of_keras(type(part)) for part in parts):
        return False
    # each member's loss is regularized, and each layer behind sees the mask
    if any(part.activity_regularizer is not None for part in parts) or _is_masked(layer):
        return False
    is_trained = bool(layer.weights) and layer.trainable
    return not is_trained and not hasattr(layer, "cell")
