"""A model as one flat list of calls, through nested models and wrappers."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import keras
from keras import layers

from keras_acts.compat import Functional, functional_of, nodes_by_depth

MODELS = (keras.Sequential, Functional)
# what leaves a value what it is: another shape, another place, another scale
_PASSIVE_LAYERS = (
    layers.Reshape,
    layers.Flatten,
    layers.Permute,
    layers.RepeatVector,
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.SpatialDropout3D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.AlphaDropout,
    layers.Cropping1D,
    layers.Cropping2D,
    layers.Cropping3D,
    layers.ZeroPadding1D,
    layers.ZeroPadding2D,
    layers.ZeroPadding3D,
    layers.UpSampling1D,
    layers.UpSampling2D,
    layers.UpSampling3D,
    layers.Identity,
    layers.Rescaling,
    layers.ActivityRegularization,
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

Shape: TypeAlias = tuple[int | None, ...]
# of a wrapper, by the argument of its constructor
Parts: TypeAlias = dict[str, keras.layers.Layer | list[keras.layers.Layer]]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer or operation; a shared layer has several.

    Attributes:
        path: the names that lead to the layer, ``"encoder/conv1"``.
        layer: the layer, or an operation that is none.
        inputs: the numbers of the values that it reads.
        outputs: the numbers of the values that it makes.
        shape: of its first output.
        outer: the layer that the model calls: the layer itself, or the wrapper around it.
    """

    path: str
    layer: keras.Operation
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    shape: Shape
    outer: keras.Operation


class Graph:
    """The calls of a built Sequential or Functional model in the order of computation."""

    def __init__(self, model: keras.Model):
        self._numbers = itertools.count()
        self.calls: list[Call] = []
        functional = functional_of(model)
        inputs = self._new_values(len(functional.inputs))
        self._outputs = set(self._expand(functional, inputs, ""))
        self._readers: dict[int, list[Call]] = defaultdict(list)
        self._makers: dict[int, Call] = {}
        for call in self.calls:
            for value in call.inputs:
                self._readers[value].append(call)
            for value in call.outputs:
                self._makers[value] = call

    def _new_values(self, count: int) -> list[int]:
        return list(itertools.islice(self._numbers, count))

    def _expand(self, model: keras.Model, inputs: Sequence[int], prefix: str) -> list[int]:
        """Add the calls of `model` on the values `inputs`, and return the values of its outputs."""
        values = dict(zip(map(id, model.inputs), inputs, strict=True))
        nodes = nodes_by_depth(model)
        # Keras counts the depth from the outputs: the deepest are computed first
        for depth in sorted(nodes, reverse=True):
            for node in nodes[depth]:
                if node.is_input:
                    continue
                read = tuple(values[id(tensor)] for tensor in node.input_tensors)
                outputs = self._expand_layer(node.operation, read, node.outputs, prefix)
                values.update(zip(map(id, node.outputs), outputs, strict=True))
        return [values[id(tensor)] for tensor in model.outputs]

    def _expand_layer(
        self,
        layer: keras.Operation,
        inputs: tuple[int, ...],
        tensors: Sequence[keras.KerasTensor],
        prefix: str,
    ) -> list[int]:
        """Add the calls that one call of a layer is, and return the values of the `tensors`."""
        path = prefix + layer.name
        outer = layer
        while isinstance(layer, keras.layers.Wrapper):
            layer = layer.layer
            path = f"{path}/{layer.name}"
        if isinstance(layer, MODELS):
            return self._expand(functional_of(layer), inputs, f"{path}/")
        outputs = self._new_values(len(tensors))
        shape = tuple(tensors[0].shape)
        for inner_path, inner in _inside(path, layer):
            inner_shape = _shape(layer, inner, shape)
            call = Call(inner_path, inner, inputs, tuple(outputs), inner_shape, outer)
            self.calls.append(call)
        return outputs

    def is_output(self, call: Call) -> bool:
        """Whether the model returns what the call makes, perhaps in another shape or scale."""
        return any(value in self._outputs for value in self._reached(call))

    def last(self) -> Call | None:
        """The call that made the only output, through what changes nothing but its shape.

        None if that is no call.
        """
        if len(self._outputs) != 1:
            return None
        (value,) = self._outputs
        call = self._makers.get(value)
        while call is not None and _reshapes(call) and len(call.inputs) == 1:
            call = self._makers.get(call.inputs[0])
        return call

    def is_multiplied(self, call: Call) -> bool:
        """Whether what the call makes is multiplied with other values."""
        readers = (self._readers[value] for value in self._reached(call))
        return any(map(_multiplies, itertools.chain.from_iterable(readers)))

    def source(self, call: Call) -> Call | None:
        """The call that made the only input, through calls that change nothing but the shape.

        None at an input.
        """
        while len(call.inputs) == 1 and call.inputs[0] in self._makers:
            call = self._makers[call.inputs[0]]
            if not _is_passive(call):
                return call
        return None

    def _reached(self, call: Call) -> Iterator[int]:
        """The values that the call makes, and what they become."""
        waiting = list(call.outputs)
        seen: set[int] = set()
        while waiting:
            value = waiting.pop()
            if value in seen:
                continue
            seen.add(value)
            yield value
            for reader in self._readers[value]:
                if _is_passive(reader):
                    waiting += reader.outputs


def parts_of(layer: keras.Operation) -> Parts:
    """The layers inside a wrapper.

    For each argument of its constructor a layer, or a list of them.
    """
    if isinstance(layer, keras.layers.Bidirectional):
        return {"layer": layer.forward_layer, "backward_layer": layer.backward_layer}
    if isinstance(layer, keras.layers.Wrapper):
        return {"layer": layer.layer}
    if isinstance(layer, keras.layers.StackedRNNCells):
        return {"cells": list(layer.cells)}
    # LSTM and its like have cells too, and arguments of their own that make them
    if type(layer) is keras.layers.RNN:
        return {"cell": layer.cell}
    return {}


def _inside(path: str, layer: keras.Operation) -> Iterator[tuple[str, keras.Operation]]:
    """The layers that a layer consists of; itself, if it is no wrapper."""
    parts = keras.tree.flatten(list(parts_of(layer).values()))
    if not parts:
        yield path, layer
    for part in parts:
        yield from _inside(f"{path}/{part.name}", part)


def _shape(outer: keras.Operation, inner: keras.Operation, shape: Shape) -> Shape:
    """The shape of what an inner layer makes, given that of the outer, which may join two ways."""
    units = getattr(inner, "units", None) or getattr(inner, "filters", None)
    if inner is outer or not units:
        return shape
    return (*shape[:-1], units)


def _multiplies(call: Call) -> bool:
    return type(call.layer).__name__ in _PRODUCTS and len(call.inputs) > 1


def _reshapes(call: Call) -> bool:
    """Whether each value that it makes is one that it was given."""
    if isinstance(call.layer, keras.layers.Rescaling) or type(call.layer).__name__ in _ARITHMETIC:
        return False
    return _is_passive(call)


def _is_passive(call: Call) -> bool:
    """Whether what it makes is what it was given, in another shape, place or scale."""
    if isinstance(call.layer, _PASSIVE_LAYERS):
        return True
    if isinstance(call.layer, keras.layers.Activation):
        return call.layer.activation is keras.activations.linear
    if isinstance(call.layer, keras.layers.Layer):
        return False
    operations = _SHAPE_OPERATIONS | _ARITHMETIC
    return type(call.layer).__name__ in operations and len(call.inputs) == 1
