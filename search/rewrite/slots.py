"""The places of a Keras model where an activation sits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from keras_acts.errors import ActivationError, ModelError
from keras_acts.layers import TrainedActivation
from keras_acts.lookup import builtins
from keras_acts.symbolic import Apply

from ..space.candidate import Candidate, described
from ..space.known import as_written
from .graph import MODELS, Call, Graph

# layers that are nothing but an activation
ACTIVATION_LAYERS = (
    *(
        keras.layers.Activation,
        keras.layers.ReLU,
        keras.layers.LeakyReLU,
        keras.layers.ELU,
        keras.layers.PReLU,
    ),
    *(keras.layers.Softmax, TrainedActivation),
)
RECURRENT = "recurrent_activation"
# the class, in lower case, of the operation that keras.activations.relu(x) leaves in a functional
# model
_KINDS = {
    name.replace("_", ""): name
    for name in ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "softmax", *builtins())
}
# hidden, these weigh other values: always, or if they are multiplied with some
_WEIGHTS = {"softmax", "log_softmax", "sparsemax"}
_GATES = {"sigmoid", "hard_sigmoid", "sparse_sigmoid", "relu6"}


@dataclass(frozen=True)
class Slot:
    """A place of a model where an activation sits.

    Attributes:
        name: of the layer, with the names that lead to it through nested models and wrappers:
            ``"encoder/conv1"``. The gates of a recurrent layer are a slot of their own,
            ``"lstm.recurrent_activation"``.
        layer: the class of the layer.
        current: the activation that is there now.
        role: ``"hidden"``, which a search changes, or what it leaves alone unless asked for it by
            name: ``"output"``, what the model returns; ``"gate"``, what weighs other values;
            ``"frozen"``, a layer that is not trained.
        channels: the size of the last axis (or of the channel axis) of its output.
        shape: of its output.
    """

    name: str
    layer: str
    current: str
    role: str
    channels: int | None
    shape: tuple[int | None, ...] = ()


class SlotTable(tuple[Slot, ...]):
    """A tuple of slots that prints as a table."""

    def __str__(self) -> str:
        shapes = [
            "(" + ", ".join("-" if size is None else str(size) for size in s.shape[1:]) + ")"
            for s in self
        ]
        rows = [("slot", "layer", "activation", "role", "shape")]
        rows += [
            (s.name, s.layer, s.current, s.role, shape)
            for s, shape in zip(self, shapes, strict=True)
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        )
        return "\n".join(line.rstrip() for line in lines)

    @property
    def hidden(self) -> SlotTable:
        """The slots that a search changes."""
        return SlotTable(slot for slot in self if slot.role == "hidden")


@dataclass(frozen=True, eq=False)
class SlotSite:
    """A slot with what a rewrite needs to know of it.

    Attributes:
        slot: what is printed.
        layer: the layer.
        argument: the argument of its constructor that is the activation.
        source: the layer that makes what the activation is applied to, itself if it is more than an
            activation.
        axis: of the channels, where it is not the last.
    """

    slot: Slot
    layer: Any
    argument: str
    source: Any
    axis: int | None


def slots(model: keras.Model) -> SlotTable:
    """Return the slots of a Sequential or Functional model in the order of computation.

    ``print`` shows a table.

    A layer that is shared is one slot. Slots inside nested models, `TimeDistributed`,
    `Bidirectional` and other wrappers are found, those inside subclassed layers and models are not.

    Raises:
        ModelError: if the model is subclassed, or not built.
    """
    return SlotTable(place.slot for place in slot_sites(model))


def slot_sites(model: keras.Model) -> tuple[SlotSite, ...]:
    """Return the slots with their layers; see `slots`."""
    _check(model)
    graph = Graph(model)
    calls: dict[int, list[Call]] = {}
    for call in graph.calls:
        calls.setdefault(id(call.layer), []).append(call)
    return tuple(place for own in calls.values() for place in _places(graph, own))


def _places(graph: Graph, calls: list[Call]) -> list[SlotSite]:
    """The slots of one layer, which may be called several times."""
    path, layer, shape = calls[0].path, calls[0].layer, calls[0].shape
    before = graph.source(calls[0]) if is_activation(layer) else calls[0]
    source = before and before.layer
    axis = 1 if _channels_first(source) and len(shape) > 2 else None
    channels = shape[-1 if axis is None else axis] if len(shape) > 1 else None
    found = []
    for argument in ("activation", RECURRENT):
        current = _current(layer, argument)
        if current is not None:
            role = "gate" if argument == RECURRENT else _role(graph, calls, current)
            name = path if argument == "activation" else f"{path}.{argument}"
            slot = Slot(name, type(layer).__name__, current, role, channels, shape)
            found.append(SlotSite(slot, layer, argument, source, axis))
    return found


def _role(graph: Graph, calls: list[Call], current: str) -> str:
    name = current.partition("(")[0]
    if any(graph.is_output(call) for call in calls):
        return "output"
    if name in _WEIGHTS or (name in _GATES and any(graph.is_multiplied(call) for call in calls)):
        return "gate"
    return "hidden" if getattr(calls[0].layer, "trainable", True) else "frozen"


def is_activation(layer: Any) -> bool:
    """Whether a layer or operation of a model with a slot is nothing but an activation."""
    return isinstance(layer, ACTIVATION_LAYERS) or not isinstance(layer, keras.layers.Layer)


def _check(model: Any) -> None:
    if not isinstance(model, MODELS):
        raise ModelError(
            "Only Sequential and Functional models can be rewritten; for a subclassed model give a function "
            "build(hp, activation), or build(hp) that calls activation_choice(hp, 'act'), instead. "
            f"Received: {type(model).__name__}"
        )
    if not model.built:
        raise ModelError(
            f"The model must know its input shape: start it with keras.Input. Received: {model.name!r}"
        )


def _current(layer: Any, argument: str) -> str | None:
    """The activation of a layer, as it prints; None if it has none, or the identity."""
    if not isinstance(layer, keras.layers.Layer):
        return _printed_operation(layer) if argument == "activation" else None
    if isinstance(layer, ACTIVATION_LAYERS) and not isinstance(layer, keras.layers.Activation):
        return _printed(layer) if argument == "activation" else None
    activation = getattr(layer, argument, None)
    if not callable(activation) or activation is keras.activations.linear:
        return None
    try:
        # a layer that does not take the activation as an argument cannot be made again with another
        return _printed(activation) if argument in layer.get_config() else None
    except NotImplementedError:
        return None


def _printed(activation: Any) -> str:
    """An activation as it prints, in a form that makes it again wherever there is one."""
    if isinstance(activation, TrainedActivation) and as_written(activation):
        return str(described(activation))
    if isinstance(activation, keras.layers.Layer):
        return _printed_layer(activation)
    if activation is keras.activations.leaky_relu:
        return "leaky_relu(alpha=0.2)"  # Keras' default, not ours
    name = getattr(activation, "__name__", type(activation).__name__)
    if getattr(keras.activations, name, None) is activation:
        return str(Candidate.of(name))
    try:
        return str(Candidate.of(activation))
    except ActivationError:
        return name


def _printed_layer(layer: Any) -> str:
    """A Keras layer or operation that is an activation, by its class.

    ReLU and Relu, LeakyReLU and LeakyRelu ….
    """
    kind = type(layer).__name__.lower()
    if kind == "relu" and hasattr(layer, "max_value"):
        if layer.max_value is None:
            return str(
                Candidate.of(
                    "trelu", alpha=layer.negative_slope, theta=layer.threshold, mode="keras"
                )
            )
        if (layer.max_value, layer.negative_slope, layer.threshold) == (6, 0, 0):
            return "relu6"
        return f"relu(max_value={layer.max_value}, negative_slope={layer.negative_slope}, threshold={layer.threshold})"
    if kind == "leakyrelu":
        return str(Candidate.of("leaky_relu", alpha=layer.negative_slope))
    if kind == "elu":
        return str(Candidate.of("elu", alpha=layer.alpha))
    if kind == "softmax" and isinstance(layer.axis, int):
        return str(Candidate.of("softmax", axis=layer.axis))
    return _KINDS.get(kind, kind)


def _printed_operation(operation: Any) -> str | None:
    """An operation of a functional model; None if it is no activation."""
    if isinstance(operation, Apply):
        return str(Candidate.of(operation.function, **operation.parameters))
    known = (
        type(operation).__module__.startswith("keras.src.")
        and type(operation).__name__.lower() in _KINDS
    )
    return _printed_layer(operation) if known else None


def _channels_first(layer: Any) -> bool:
    normalized = isinstance(layer, keras.layers.BatchNormalization) and layer.axis == 1
    return normalized or getattr(layer, "data_format", None) == "channels_first"
