"""A model as one flat list of calls, through nested models and wrappers, and what becomes of a value in it."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_acts.compat import Functional, functional_of, nodes_by_depth

MODELS = (keras.Sequential, Functional)
# what leaves a value what it is: another shape, another place, another scale
_PASSIVE_LAYERS = (
    *(keras.layers.Reshape, keras.layers.Flatten, keras.layers.Permute, keras.layers.RepeatVector),
    *(
        keras.layers.Dropout,
        keras.layers.SpatialDropout1D,
        keras.layers.SpatialDropout2D,
        keras.layers.SpatialDropout3D,
    ),
    *(keras.layers.GaussianDropout, keras.layers.GaussianNoise, keras.layers.AlphaDropout),
    *(keras.layers.Cropping1D, keras.layers.Cropping2D, keras.layers.Cropping3D),
    *(keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D, keras.layers.ZeroPadding3D),
    *(keras.layers.UpSampling1D, keras.layers.UpSampling2D, keras.layers.UpSampling3D),
    *(keras.layers.Identity, keras.layers.Rescaling, keras.layers.ActivityRegularization),
)
_SHAPE_OPERATIONS = {
    "Reshape",
    "Squeeze",
    "ExpandDims",
    "Transpose",
    "Swapaxes",
    "Moveaxis",
    "GetItem",
    "Cast",
}
_ARITHMETIC = {"Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Negative"}
# layers and operations of these names multiply their inputs with each other; a Lambda of several
# inputs may
_PRODUCTS = {"Multiply", "Dot", "Matmul", "Einsum", "Tensordot", "Lambda"}


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer or operation; a shared layer has several.

    Attributes:
        path: the names that lead to the layer, ``"encoder/conv1"``.
        layer: the layer, or an operation that is none.
        inputs: the numbers of the values that it reads.
        outputs: the numbers of the values that it makes.
        shape: of its first output.
    """

    path: str
    layer: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    shape: tuple[int | None, ...]


class Graph:
    """The calls of a built Sequential or Functional model in the order of computation."""

    def __init__(self, model: keras.Model):
        self._numbers = itertools.count()
        self.calls: list[Call] = []
        functional = functional_of(model)
        inputs = [next(self._numbers) for _ in functional.inputs]
        self._outputs = set(self._expand(functional, inputs, ""))
        self._readers: dict[int, list[Call]] = defaultdict(list)
        self._makers: dict[int, Call] = {}
        for call in self.calls:
            for value in call.inputs:
                self._readers[value].append(call)
            for value in call.outputs:
                self._makers[value] = call

    def _expand(self, model: Any, inputs: Sequence[int], prefix: str) -> list[int]:
        """Add the calls of `model` on the values `inputs`, and return the values of its outputs."""
        values = dict(zip(map(id, model.inputs), inputs, strict=True))
        nodes = nodes_by_depth(model)
        depths = sorted(nodes, reverse=True)
        for node in itertools.chain.from_iterable(nodes[depth] for depth in depths):
            if node.is_input:
                continue
            read = tuple(values[id(tensor)] for tensor in node.input_tensors)
            path, layer = prefix + node.operation.name, node.operation
            while isinstance(layer, keras.layers.Wrapper):
                layer = layer.layer
                path = f"{path}/{layer.name}"
            if isinstance(layer, MODELS):
                made = self._expand(functional_of(layer), read, f"{path}/")
            else:
                made = [next(self._numbers) for _ in node.outputs]
                shape = tuple(node.outputs[0].shape)
                for inner_path, inner in _inside(path, layer):
                    self.calls.append(
                        Call(inner_path, inner, read, tuple(made), _shape(layer, inner, shape))
                    )
            values.update(zip(map(id, node.outputs), made, strict=True))
        return [values[id(tensor)] for tensor in model.outputs]

    def is_output(self, call: Call) -> bool:
        """Whether the model returns what the call makes, perhaps in another shape or scale."""
        return any(value in self._outputs for value in self._reached(call))

    def last(self) -> Call | None:
        """The call that made the only output, through what changes nothing but its shape.

        None if that is no call.
        """
        value = next(iter(self._outputs)) if len(self._outputs) == 1 else None
        call = None if value is None else self._makers.get(value)
        while call is not None and _reshapes(call) and len(call.inputs) == 1:
            call = self._makers.get(call.inputs[0])
        return call

    def is_multiplied(self, call: Call) -> bool:
        """Whether what the call makes is multiplied with other values."""
        readers = itertools.chain.from_iterable(
            self._readers[value] for value in self._reached(call)
        )
        return any(
            type(reader.layer).__name__ in _PRODUCTS and len(reader.inputs) > 1
            for reader in readers
        )

    def source(self, call: Call) -> Call | None:
        """The call that made the only input, through calls that change nothing but the shape.

        None at an input.
        """
        while len(call.inputs) == 1 and call.inputs[0] in self._makers:
            call = self._makers[call.inputs[0]]
            if not _passive(call):
                return call
        return None

    def _reached(self, call: Call) -> Iterator[int]:
        """The values that the call makes, and what they become."""
        waiting, seen = list(call.outputs), set[int]()
        while waiting:
            value = waiting.pop()
            if value not in seen:
                seen.add(value)
                yield value
                waiting += [
                    made
                    for reader in self._readers[value]
                    if _passive(reader)
                    for made in reader.outputs
                ]


def parts_of(layer: Any) -> dict[str, Any]:
    """The layers inside a wrapper.

    For each argument of its constructor a layer, or a list of them.
    """
    if isinstance(layer, keras.layers.Bidirectional):
        return {"layer": layer.forward_layer, "backward_layer": layer.backward_layer}
    if isinstance(layer, keras.layers.Wrapper):
        return {"layer": layer.layer}
    if isinstance(layer, keras.layers.StackedRNNCells):
        return {"cells": list(layer.cells)}
    return {"cell": layer.cell} if type(layer) is keras.layers.RNN else {}


def _inside(path: str, layer: Any) -> list[tuple[str, Any]]:
    """The layers that a layer consists of; itself, if it is no wrapper."""
    parts = keras.tree.flatten(list(parts_of(layer).values()))
    return [found for part in parts for found in _inside(f"{path}/{part.name}", part)] or [
        (path, layer)
    ]


def _shape(outer: Any, inner: Any, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """The shape of what an inner layer makes, given that of the outer one, which may join two directions."""
    units = getattr(inner, "units", None) or getattr(inner, "filters", None)
    return (*shape[:-1], units) if inner is not outer and units else shape


def _reshapes(call: Call) -> bool:
    """Whether each value that it makes is one that it was given."""
    scales = (
        isinstance(call.layer, keras.layers.Rescaling) or type(call.layer).__name__ in _ARITHMETIC
    )
    return _passive(call) and not scales


def _passive(call: Call) -> bool:
    if isinstance(call.layer, _PASSIVE_LAYERS):
        return True
    if isinstance(call.layer, keras.layers.Activation):
        return call.layer.activation is keras.activations.linear
    operations = _SHAPE_OPERATIONS | _ARITHMETIC
    return not isinstance(call.layer, keras.layers.Layer) and (
        type(call.layer).__name__ in operations and len(call.inputs) == 1
    )
